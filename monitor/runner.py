"""Owns the generations in flight: accepts, has them flown, tells, resumes after a crash, stops in order."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from typing import Final

import structlog

from monitor.aftermath import Aftermath
from monitor.delivery.clock import Clock
from monitor.delivery.errors import (
    IdempotencyConflict,
    Overloaded,
    ShuttingDown,
    StoreUnavailable,
)
from monitor.delivery.facts import Accepted
from monitor.delivery.identity import new_generation_id
from monitor.delivery.model import (
    Channel,
    GenerationRequest,
    Origin,
    Outcome,
    Reason,
    TraceContext,
    Verdict,
)
from monitor.delivery.ports import Observer
from monitor.delivery.trace_context import new_trace
from monitor.delivery.waiting import settled
from monitor.flight import Flight
from monitor.neighbours import LOOK_EVERY_S, Neighbours
from monitor.pilot import Lane, Pilot
from monitor.recorder import STORE_PATIENCE_S, Recorder
from monitor.store.port import Idempotency, Record, RecordStore, TimelineEntry
from monitor.telemetry.timeline import entries_after

KEY_PATIENCE_S: Final = 10.0
"""How long a caller with an idempotency key waits to hear whether the key is new."""
RETRY_AFTER_S: Final = 2
_STOPPING: Final = "the service is stopping; ask another one, or again in a moment"

_logger = structlog.stdlib.get_logger(__name__)


class Runner:
    """Runs generations. At most `max_in_flight` at a time, each with exactly one recorded outcome."""

    def __init__(
        self,
        *,
        lanes: Mapping[str, Lane],
        store: RecordStore,
        observer: Observer,
        aftermath: Aftermath,
        clock: Clock,
        instance: str,
        max_in_flight: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._recorder = Recorder(store, aftermath, self._forget)
        self._pilot = Pilot(lanes, aftermath, self._recorder.submitted)
        self._store = store
        self._observer = observer
        self._clock = clock
        self._instance = instance
        self._max_in_flight = max_in_flight
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._launches: set[asyncio.Task[Record]] = set()
        self._stopping = asyncio.Event()
        self._neighbours = Neighbours(store, clock, self._stopping)

    @property
    def in_flight(self) -> int:
        """Generations owned now, those included whose end waits for the store."""
        return len(self._flights)

    @property
    def is_stopping(self) -> bool:
        """Whether no new work is taken."""
        return self._stopping.is_set()

    async def accept(
        self,
        provider: str,
        request: GenerationRequest,
        *,
        canary: str | None = None,
        idempotency: Idempotency | None = None,
        trace: TraceContext | None = None,
    ) -> tuple[Record, bool]:
        """Take a generation on; it runs from here. Returns its record and whether it is new.

        `canary` names the one whose run it is, `trace` is its caller's. It is not new when the idempotency key was used
        before. Raises Overloaded, ShuttingDown, IdempotencyConflict, StoreUnavailable.
        """
        if self.is_stopping:
            raise ShuttingDown(_STOPPING)
        if len(self._flights) >= self._max_in_flight:
            kept = await self._store.find_key(idempotency.scope, idempotency.key) if idempotency is not None else None
            if kept is None:
                raise Overloaded(self._max_in_flight, RETRY_AFTER_S)
            return self._repeated(kept, idempotency), False
        flight = self._new_flight(provider, request, canary, idempotency, trace)
        self._flights[flight.record.id] = flight
        launch = self._loop.create_task(self._launch(flight, request))
        self._launches.add(launch)
        launch.add_done_callback(self._launched)
        if not await settled(launch, KEY_PATIENCE_S):
            raise StoreUnavailable("the store does not answer; ask again with the same Idempotency-Key")
        kept = launch.result()
        if kept.id == flight.record.id:
            return flight.snapshot(), True
        return self._repeated(kept, idempotency), False

    async def _launch(self, flight: Flight, request: GenerationRequest) -> Record:
        """Record it and let it fly, unless an older one has its key: that is returned. It goes on without its caller.

        Without a key, a store that takes its time, or cannot be written at present, holds nothing up.
        """
        is_new = False
        try:
            write = self._recorder.keep(self._store.add(flight.record))
            is_kept = await settled(write, STORE_PATIENCE_S if flight.record.idempotency is None else None)
            kept = write.result() if is_kept else flight.record
            if self.is_stopping:
                raise ShuttingDown(_STOPPING)
            is_new = kept.id == flight.record.id
        finally:
            if not is_new:
                del self._flights[flight.record.id]
        if is_new:
            flight.emit(Accepted(flight.accepted_at_s))
            self._spawn(flight, self._fly(flight, request))
        return kept

    def _launched(self, launch: "asyncio.Task[Record]") -> None:
        """What it raised is for its caller, if that still waits; a store that refused has its own line."""
        self._launches.discard(launch)
        if not launch.cancelled():
            launch.exception()

    async def get(self, generation_id: str) -> Record | None:
        """The record as it stands now, in flight or from the store."""
        flight = self._flights.get(generation_id)
        return flight.snapshot() if flight is not None else await self._store.get(generation_id)

    def current(self, record: Record) -> Record:
        """A record from the store as it stands now, if it is in flight here."""
        flight = self._flights.get(record.id)
        return record if flight is None else flight.snapshot()

    async def wait(self, generation_id: str, at_most_s: float) -> Record | None:
        """The record, as soon as it has ended, or as it stands after `at_most_s` or when the service stops."""
        flight = self._flights.get(generation_id)
        if flight is None:
            return await self._neighbours.wait(generation_id, at_most_s)
        await flight.wait(at_most_s)
        return flight.snapshot()

    async def cancel(self, generation_id: str) -> Record | None:
        """Cancel it if it is in flight, here or in another service, and wait for its end.

        It is returned as it stands where another service takes its time. None when there is no such generation.
        """
        flight = self._flights.get(generation_id)
        if flight is None:
            return await self._neighbours.cancel(generation_id)
        flight.cancel()
        return await asyncio.shield(flight.ended)

    async def follow(self, generation_id: str, last_id: str = "") -> AsyncIterator[tuple[str, TimelineEntry]]:
        """The timeline with the id of each entry, after the one of `last_id`, as it grows, until the end.

        That of another service's generation comes as a whole when it has ended. Where no entry has `last_id`, as when
        that timeline was lost in a crash, all are told.
        """
        flight = self._flights.get(generation_id)
        if flight is None:
            record = await self._neighbours.wait(generation_id)
            for told in entries_after(last_id, record.timeline if record else ()):
                yield told
            return
        grown = asyncio.Event()
        unlisten = flight.listen(grown.set)
        try:
            while True:
                grown.clear()
                is_over = flight.record.outcome is not None
                for told in entries_after(last_id, flight.snapshot().timeline):
                    last_id, _ = told
                    yield told
                if is_over or self.is_stopping:
                    return
                await grown.wait()
        finally:
            unlisten()

    async def heed_cancels(self) -> None:
        """Cancel what callers of other services on this store want cancelled, for as long as this runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(StoreUnavailable):  # it is told by those who write, and the marks stay
                for generation_id in await self._store.cancels_asked(self._instance) if self._flights else ():
                    if (flight := self._flights.get(generation_id)) is not None:
                        flight.cancel()

    async def resume(self) -> int:
        """Take up what was in flight when this instance last stopped. Returns how many. Raises StoreUnavailable."""
        records = await self._store.unfinished(self._instance)
        unwanted = await self._store.cancels_asked(self._instance) if records else ()
        for record in records:
            flight = Flight.taken_up(record, self._clock, self._observer)
            if record.id in unwanted:
                flight.cancel()
            self._flights[record.id] = flight
            self._spawn(flight, self._fly_on(flight))
        return len(records)

    def close_doors(self) -> None:
        """Take no new work, and let everybody go who waits for or follows a generation."""
        self._stopping.set()
        for flight in list(self._flights.values()):
            flight.let_go()

    async def stop(self, grace_s: float) -> None:
        """End in order: no new work, creates under way get their answers, callers are told, the rest stays resumable.

        Takes at most about `grace_s`, of which creates get the half.
        """
        self.close_doors()
        creates = {flight.submission for flight in self._flights.values() if flight.submission is not None}
        if begun := {*self._launches, *creates}:
            await asyncio.wait(begun, timeout=grace_s / 2)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s / 4)
        for flight in self._flights.values():
            self._recorder.left_behind(flight)
        await self._recorder.drain(grace_s / 4)

    def _new_flight(
        self,
        provider: str,
        request: GenerationRequest,
        canary: str | None,
        idempotency: Idempotency | None,
        trace: TraceContext | None,
    ) -> Flight:
        now = self._clock.now()
        record = Record(
            id=new_generation_id(int(now.timestamp() * 1000)),
            origin=Origin.API if canary is None else Origin.CANARY,
            provider=provider,
            model=request.model,
            kind=request.kind,
            flow=request.flow,
            policy=self._pilot.policy_of(provider, request.model).name,
            trace=trace or new_trace(),
            instance=self._instance,
            created_at=now,
            canary=canary,
            idempotency=idempotency,
        )
        return Flight(record, self._loop.time(), self._observer)

    def _repeated(self, kept: Record, asked: Idempotency | None) -> Record:
        """The generation that was made with this key before, if the same was asked."""
        if asked is not None and (kept.idempotency is None or kept.idempotency.request_hash != asked.request_hash):
            raise IdempotencyConflict(asked.key)
        return self.current(kept)

    async def _fly(self, flight: Flight, request: GenerationRequest) -> None:
        """From the create call to the recorded end."""
        await self._recorder.conclude(flight, await self._pilot.fly(flight, request))

    async def _fly_on(self, flight: Flight) -> None:
        """From where the last process left it to the recorded end."""
        await self._recorder.conclude(flight, await self._pilot.fly_on(flight))

    def _forget(self, flight: Flight) -> None:
        self._flights.pop(flight.record.id, None)

    def _spawn(self, flight: Flight, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._landed(flight, task))

    def _landed(self, flight: Flight, task: "asyncio.Task[None]") -> None:
        """A bug ends the generation as crashed: it is told, counted and logged, and never looks like the provider's."""
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        _logger.error("a generation crashed", generation=flight.record.id, exc_info=error)
        if not flight.ended.done() and not flight.has_crashed:
            flight.has_crashed = True
            at_s = self._loop.time()
            verdict = Verdict(Outcome.CANCELLED, Channel.NONE, at_s, reason=Reason.CRASHED, detail=type(error).__name__)
            self._spawn(flight, self._recorder.conclude(flight, verdict))
