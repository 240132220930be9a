"""Owns the generations in flight: accepts, drives, records, tells, resumes after a crash, stops in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

import structlog

from monitor.aftermath import Aftermath
from monitor.delivery.clock import Clock
from monitor.delivery.driver import Delivery
from monitor.delivery.errors import (
    GenerationRejected,
    IdempotencyConflict,
    Overloaded,
    ShuttingDown,
    StoreUnavailable,
)
from monitor.delivery.facts import Accepted, Disowned, Resumed, Submitted
from monitor.delivery.identity import new_generation_id, new_trace
from monitor.delivery.model import (
    Channel,
    GenerationRequest,
    Handle,
    Origin,
    Outcome,
    Reason,
    State,
    Verdict,
)
from monitor.delivery.policy import Policy
from monitor.delivery.ports import Observer, Provider
from monitor.delivery.race import Race
from monitor.delivery.submission import submit
from monitor.flight import Flight, ended_record
from monitor.store.port import Ending, Idempotency, Record, RecordStore, TimelineEntry

STORE_PATIENCE_S: Final = 1.0
"""How long a delivery waits for a store in trouble; then it goes on, and is recorded late."""
KEY_PATIENCE_S: Final = 10.0
"""How long a caller with an idempotency key waits to hear whether the key is new."""
RETRY_AFTER_S: Final = 2

_Result = TypeVar("_Result")

_logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lane:
    """A provider with the policies of its models."""

    provider: Provider
    policy_of: Callable[[str], Policy]


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
        self._lanes = lanes
        self._store = store
        self._observer = observer
        self._aftermath = aftermath
        self._clock = clock
        self._instance = instance
        self._max_in_flight = max_in_flight
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()

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
        origin: Origin = Origin.API,
        idempotency: Idempotency | None = None,
        traceparent: str | None = None,
    ) -> tuple[Record, bool]:
        """Take a generation on; it runs from here. Returns its record and whether it is new.

        It is not new when the idempotency key was used before. Raises Overloaded, ShuttingDown, IdempotencyConflict,
        StoreUnavailable.
        """
        if self.is_stopping:
            raise ShuttingDown("the service is stopping; ask another one, or again in a moment")
        if len(self._flights) >= self._max_in_flight:
            raise Overloaded(self._max_in_flight, RETRY_AFTER_S)
        flight = self._new_flight(provider, request, origin, idempotency, traceparent)
        self._flights[flight.record.id] = flight
        write = self._keep(self._store.add(flight.record))
        patience_s = STORE_PATIENCE_S if idempotency is None else KEY_PATIENCE_S
        try:
            await asyncio.wait((write,), timeout=patience_s)
        except asyncio.CancelledError:
            write.add_done_callback(lambda write: self._accepted_late(flight, request, write))
            raise
        if idempotency is not None and not write.done():
            write.add_done_callback(lambda write: self._accepted_late(flight, request, write))
            raise StoreUnavailable("the store does not answer; ask again with the same Idempotency-Key")
        kept = self._accepted(flight, request, write)
        if kept is None:
            return flight.snapshot(), True
        return self._repeated(kept, idempotency), False

    def _accepted(self, flight: Flight, request: GenerationRequest, write: "asyncio.Task[Record]") -> Record | None:
        """Let it fly, unless an older generation has its key: that is returned. Raises what the store raised.

        A record that the store takes its time to write, or cannot write at present, is no reason to let a caller wait.
        """
        if write.done() and (write.cancelled() or write.exception() is not None):
            del self._flights[flight.record.id]
        kept = write.result() if write.done() else flight.record
        if kept.id != flight.record.id:
            del self._flights[flight.record.id]
            return kept
        flight.emit(Accepted(flight.accepted_at_s))
        self._spawn(flight, self._fly(flight, request))
        return None

    def _accepted_late(self, flight: Flight, request: GenerationRequest, write: "asyncio.Task[Record]") -> None:
        """Nobody waits any more; whoever asks again with its key finds it. What the store raised is logged already."""
        with suppress(StoreUnavailable, asyncio.CancelledError):
            self._accepted(flight, request, write)

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
            return await self._store.get(generation_id)
        await flight.wait(at_most_s, lambda: self.is_stopping)
        return flight.snapshot()

    async def cancel(self, generation_id: str) -> Record | None:
        """Cancel it if it is still in flight here, and wait for its end. None when there is no such generation."""
        flight = self._flights.get(generation_id)
        if flight is None:
            return await self._store.get(generation_id)
        flight.cancel()
        return await asyncio.shield(flight.ended)

    async def follow(self, generation_id: str, after: int) -> AsyncIterator[tuple[int, TimelineEntry]]:
        """The timeline from entry `after` + 1 (the first is 1), as it grows, until the end."""
        flight = self._flights.get(generation_id)
        if flight is None:
            record = await self._store.get(generation_id)
            for number, entry in enumerate(record.timeline if record else (), 1):
                if number > after:
                    yield number, entry
            return
        grown = asyncio.Event()
        unlisten = flight.listen(grown.set)
        try:
            while True:
                grown.clear()
                is_over = flight.record.outcome is not None
                for number, entry in enumerate(flight.snapshot().timeline, 1):
                    if number > after:
                        after = number
                        yield number, entry
                if is_over or self.is_stopping:
                    return
                await grown.wait()
        finally:
            unlisten()

    async def resume(self) -> int:
        """Take up what was in flight when this instance last stopped. Returns how many. Raises StoreUnavailable."""
        records = await self._store.unfinished(self._instance)
        for record in records:
            flight = Flight(record, self._loop_at(record.created_at), self._observer)
            self._flights[record.id] = flight
            self._spawn(flight, self._fly_on(flight))
        return len(records)

    def close_doors(self) -> None:
        """Take no new work, and let everybody go who waits for or follows a generation."""
        self._stopping.set()
        for flight in list(self._flights.values()):
            flight.wake()

    async def stop(self, grace_s: float) -> None:
        """End in order: no new work, creates under way get their answers, callers are told, the rest stays resumable.

        Takes at most about `grace_s`, of which creates get the half.
        """
        self.close_doors()
        creates = [flight.submission for flight in self._flights.values() if flight.submission is not None]
        if creates:
            await asyncio.wait(creates, timeout=grace_s / 2)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks or self._writes:
            await asyncio.wait(tasks | self._writes, timeout=grace_s / 2)

    def _new_flight(
        self,
        provider: str,
        request: GenerationRequest,
        origin: Origin,
        idempotency: Idempotency | None,
        traceparent: str | None,
    ) -> Flight:
        now = self._clock.now()
        record = Record(
            id=new_generation_id(int(now.timestamp() * 1000)),
            origin=origin,
            provider=provider,
            model=request.model,
            kind=request.kind,
            flow=request.flow,
            policy=self._lanes[provider].policy_of(request.model).name,
            trace=new_trace(traceparent),
            instance=self._instance,
            created_at=now,
            idempotency=idempotency,
        )
        return Flight(record, asyncio.get_running_loop().time(), self._observer)

    def _repeated(self, kept: Record, asked: Idempotency | None) -> Record:
        """The generation that was made with this key before, if the same was asked."""
        if asked is not None and (kept.idempotency is None or kept.idempotency.request_hash != asked.request_hash):
            raise IdempotencyConflict(asked.key)
        return self.current(kept)

    async def _fly(self, flight: Flight, request: GenerationRequest) -> None:
        """From the create call to the recorded end."""
        await self._conclude(flight, await self._deliver(flight, request))

    async def _fly_on(self, flight: Flight) -> None:
        """From where the last process left it to the recorded end."""
        await self._conclude(flight, await self._deliver_on(flight))

    async def _deliver(self, flight: Flight, request: GenerationRequest) -> Verdict:
        loop = asyncio.get_running_loop()
        lane = self._lanes[flight.generation.provider]
        if flight.was_cancelled():
            return _cancelled(loop.time())
        flight.submission = loop.create_task(submit(lane.provider, request, flight.generation.trace, flight.emit))
        try:
            handle = await flight.submission
        except GenerationRejected as error:
            return Verdict(Outcome.REJECTED, Channel.NONE, loop.time(), reason=error.reason, detail=error.detail)
        except asyncio.CancelledError:
            if flight.was_cancelled():
                return _cancelled(loop.time())
            raise
        finally:
            flight.submission = None
        return await self._race(flight, lane, handle)

    async def _race(self, flight: Flight, lane: Lane, handle: Handle) -> Verdict:
        now_s = asyncio.get_running_loop().time()
        policy = lane.policy_of(flight.generation.model)
        flight.submitted(handle, now_s)
        assert flight.record.submitted_at is not None  # noqa: S101 - just set
        _ = self._keep(self._store.submit(flight.record.id, handle, flight.record.submitted_at))
        flight.emit(Submitted(now_s, policy.grace_s))
        flight.is_measured = self._aftermath.take_place(flight.generation)
        return await self._drive(flight, lane, handle, Race(policy, now_s, lingers=flight.is_measured))

    async def _deliver_on(self, flight: Flight) -> Verdict:
        """The verdict on a generation that another process began."""
        now_s = asyncio.get_running_loop().time()
        record, lane = flight.record, self._lanes.get(flight.generation.provider)
        if record.state is State.ACCEPTED or record.handle is None or record.submitted_at is None:
            flight.emit(Resumed(now_s, None))
            detail = "the service stopped before the create call was answered; it may have made a job"
            return Verdict(Outcome.REJECTED, Channel.NONE, now_s, reason=Reason.CREATE_UNKNOWN, detail=detail)
        submitted_at_s = min(now_s, self._loop_at(record.submitted_at))
        flight.submitted_at_s = submitted_at_s
        flight.emit(Resumed(now_s, submitted_at_s))
        if lane is None:
            detail = f"provider {flight.generation.provider!r} is no longer in the settings"
            return Verdict(Outcome.EXPIRED, Channel.NONE, now_s, reason=Reason.MONITOR_DOWN, detail=detail)
        race = Race(lane.policy_of(record.model), submitted_at_s, resumed_at_s=now_s)
        if now_s >= race.deadline_at_s:
            return Verdict(Outcome.EXPIRED, Channel.NONE, now_s, race.attempts, reason=Reason.MONITOR_DOWN)
        flight.is_measured = self._aftermath.take_place(flight.generation)
        race = Race(race.policy, submitted_at_s, resumed_at_s=now_s, lingers=flight.is_measured)
        return await self._drive(flight, lane, record.handle, race)

    async def _drive(self, flight: Flight, lane: Lane, handle: Handle, race: Race) -> Verdict:
        flight.delivery = Delivery(lane.provider, handle, race, flight.generation.trace, flight.emit)
        if flight.was_cancelled():
            flight.delivery.cancel()
        return await flight.delivery.run()

    async def _conclude(self, flight: Flight, verdict: Verdict) -> None:
        """Write the outcome, and tell it if it was ours to write."""
        fact, ending = flight.conclude(verdict)
        write = self._keep(self._end(flight, ending))
        await asyncio.wait((write,), timeout=STORE_PATIENCE_S)
        record = ended_record(flight.record, ending)
        if write.done() and not write.result():
            flight.emit(Disowned(verdict.at_s))
            await self._disown(flight)
            flight.finish(await self._store.get(record.id) or record)
        else:
            self._observer(flight.generation, fact)
            flight.finish(record)
            self._aftermath.begin(flight)
        if write.done():
            self._flights.pop(record.id, None)

    async def _disown(self, flight: Flight) -> None:
        """Another process had recorded the outcome: it also finds out the rest."""
        self._aftermath.give_place_back(flight)
        if flight.delivery is not None:
            await flight.delivery.close()

    async def _end(self, flight: Flight, ending: Ending) -> bool:
        """Write the outcome, however long the store takes; only then is the flight forgotten."""
        is_ours = await self._store.end(flight.record.id, ending)
        if not is_ours:
            _logger.warning("another process had recorded the outcome", generation=flight.record.id)
        if flight.ended.done():
            self._flights.pop(flight.record.id, None)
        return is_ours

    def _keep(self, write: Coroutine[None, None, _Result]) -> "asyncio.Task[_Result]":
        """Have a write go on whatever happens to who asked for it."""
        task = asyncio.get_running_loop().create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._written)
        return task

    def _written(self, task: "asyncio.Task[Any]") -> None:
        self._writes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("a record could not be written", error=str(error))

    def _spawn(self, flight: Flight, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
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
            at_s = asyncio.get_running_loop().time()
            verdict = Verdict(Outcome.CANCELLED, Channel.NONE, at_s, reason=Reason.CRASHED, detail=type(error).__name__)
            self._spawn(flight, self._conclude(flight, verdict))

    def _loop_at(self, instant: datetime) -> float:
        """The loop instant of a wall instant of the past."""
        return asyncio.get_running_loop().time() - (self._clock.now() - instant).total_seconds()


def _cancelled(at_s: float) -> Verdict:
    return Verdict(Outcome.CANCELLED, Channel.NONE, at_s, reason=Reason.CALLER)
