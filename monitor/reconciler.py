"""Looks again at generations that expired: was the backend slow, or was the result lost?"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from monitor.delivery.calls import Call
from monitor.delivery.clock import Clock
from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.facts import LookedAgain, Reconciled, ReconcilingStarted
from monitor.delivery.model import Asset, Failed, Handle, Ready, Sighting, Stage, Unresolved
from monitor.delivery.ports import Observer, Provider
from monitor.delivery.render_interval import RenderInterval
from monitor.flight import Flight
from monitor.store.port import Findings, RecordStore
from monitor.telemetry.tracing import TraceSink

LOOKS_AFTER_S: Final = (30.0, 90.0, 210.0, 360.0, 600.0)
"""Seconds after the end of the window; the gaps grow from 30 s to 4 min."""
MAX_PENDING: Final = 10_000
"""Expired generations that are waited for; more than that are left unreconciled, loudly."""
MAX_LOOKS_AT_ONCE: Final = 10
RESUMED_FOR: Final = timedelta(days=1)
"""One that expired longer ago is not taken up again: the provider may have deleted it."""

_logger = structlog.stdlib.get_logger(__name__)


def looks_due(ended_at_s: float, now_s: float) -> list[tuple[int, float]]:
    """The looks that are still to come, as number (from 1) and instant. Those that were missed are one, at once."""
    due = [(number, ended_at_s + after_s) for number, after_s in enumerate(LOOKS_AFTER_S, 1)]
    missed = [number for number, at_s in due if at_s <= now_s]
    to_come = [(number, at_s) for number, at_s in due if at_s > now_s]
    return [(missed[-1], now_s), *to_come] if missed else to_come


class Reconciler:
    """Marks expired generations as late, or leaves them. The outcome stays: their callers waited in vain."""

    def __init__(
        self,
        *,
        store: RecordStore,
        observer: Observer,
        traces: TraceSink,
        providers: Mapping[str, Provider],
        clock: Clock,
        instance: str,
    ) -> None:
        self._store = store
        self._observer = observer
        self._traces = traces
        self._providers = providers
        self._clock = clock
        self._instance = instance
        self._slots = asyncio.Semaphore(MAX_LOOKS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def resume(self) -> int:
        """Go on where this instance was stopped. Returns with how many. Raises StoreUnavailable."""
        since = self._clock.now() - RESUMED_FOR
        records = await self._store.unreconciled(self._instance, since=since, limit=MAX_PENDING)
        for record in records:
            self.begin(Flight.taken_up(record, self._clock, self._observer))
        return len(records)

    def begin(self, flight: Flight) -> None:
        """Look at an expired generation from now on."""
        record = flight.record
        if record.handle is None or record.ended_at is None or record.provider not in self._providers:
            return  # there is nothing to look at
        if len(self._tasks) >= MAX_PENDING:
            _logger.warning("too many expired generations; this one is not looked at again", generation=record.id)
            return
        ended_at_s = self._clock.loop_s(record.ended_at)
        task = asyncio.get_running_loop().create_task(self._reconcile(flight, record.handle, ended_at_s))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def stop(self) -> None:
        """Stop looking; `resume` goes on with what is left."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _reconcile(self, flight: Flight, handle: Handle, ended_at_s: float) -> None:
        loop = asyncio.get_running_loop()
        first_fact = len(flight.journal.facts)
        flight.emit(ReconcilingStarted(loop.time()))
        asset, render = None, flight.record.render
        for number, due_at_s in looks_due(ended_at_s, loop.time()):
            await asyncio.sleep(due_at_s - loop.time())
            async with self._slots:
                began_at_s = loop.time()
                sighting = await self._look(flight, handle, number)
            if isinstance(sighting, Ready):
                asset = sighting.asset
                render = _narrowed(flight, loop.time(), render)
                break
            if isinstance(sighting, Failed):
                break
            render = _not_yet(flight, began_at_s, render) if sighting is not None else render
        late_s = None if asset is None else loop.time() - ended_at_s
        flight.emit(Reconciled(loop.time(), late_s))
        await self._note(flight, late_s, asset, render)
        self._traces.add(flight.generation, flight.journal.facts[first_fact:], flight.wall_at)

    async def _look(self, flight: Flight, handle: Handle, number: int) -> Sighting | None:
        """What there is to see now; None when nobody could tell."""
        loop = asyncio.get_running_loop()
        provider = self._providers[flight.generation.provider]
        call = Call(Stage.POLL, flight.generation.trace, loop.time())
        try:
            with call:
                call.reply = await provider.poll(handle, trace_headers=call.trace_headers)
                if isinstance(call.reply.sighting, Unresolved):
                    file_id = call.reply.sighting.file_id
                    call.reply = await provider.resolve(handle, file_id, trace_headers=call.trace_headers)
        finally:
            flight.emit(
                LookedAgain(loop.time(), call.started_at_s, call.span_id, number, call.result, call.status, call.detail)
            )
        return None if call.error is not None else call.answer.sighting

    async def _note(
        self, flight: Flight, late_s: float | None, asset: Asset | None, render: RenderInterval | None
    ) -> None:
        findings = Findings(late_s=late_s, late_asset=asset, reconciled_at=self._clock.now())
        try:
            await self._store.note(flight.record.id, findings, flight.timeline(), render)
        except StoreUnavailable as error:
            _logger.warning("what became of an expired generation could not be recorded", error=str(error))

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("reconciliation crashed", exc_info=error)


def _narrowed(flight: Flight, found_at_s: float, render: RenderInterval | None) -> RenderInterval | None:
    """It was ready by now, and after the last look that showed nothing."""
    if flight.submitted_at_s is None:
        return None
    return RenderInterval(render.after_s if render else 0.0, found_at_s - flight.submitted_at_s)


def _not_yet(flight: Flight, looked_at_s: float, render: RenderInterval | None) -> RenderInterval | None:
    """It was not ready when this look began."""
    if flight.submitted_at_s is None:
        return render
    return RenderInterval(looked_at_s - flight.submitted_at_s, float("inf"))
