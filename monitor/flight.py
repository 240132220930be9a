"""One generation in flight: what is known of it, who listens, and how it looks as a record at any moment."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.delivery.clock import Clock, to_millisecond
from monitor.delivery.driver import Delivery
from monitor.delivery.facts import Ended, Fact
from monitor.delivery.model import Handle, Measurement, State, Verdict
from monitor.delivery.ports import Observer
from monitor.delivery.render_interval import render_interval
from monitor.delivery.waiting import settled
from monitor.store.port import Ending, Record, TimelineEntry
from monitor.telemetry.journal import Journal
from monitor.telemetry.timeline import render_timeline


class Flight:
    """The state of one generation from accept to its recorded end. Lives on the event loop only.

    Wall stamps are counted from `record.created_at` with the loop's clock, so that a jump of the wall clock between
    does not bend them.
    """

    def __init__(self, record: Record, accepted_at_s: float, observer: Observer) -> None:
        self.record = record
        self.generation = record.generation
        self.accepted_at_s = accepted_at_s
        self.submitted_at_s: float | None = None
        self.journal = Journal()
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Record] = loop.create_future()
        self.delivery: Delivery | None = None
        self.submission: asyncio.Task[Handle] | None = None
        self._is_cancelled = False
        self.has_crashed = False
        self.is_measured = False
        """Whether it holds one of the places for generations whose channels are both measured."""
        self._before = tuple(record.timeline)
        self._observer = observer
        self._listeners: set[Callable[[], None]] = set()
        self._released: asyncio.Future[None] = loop.create_future()

    @classmethod
    def taken_up(cls, record: Record, clock: Clock, observer: Observer) -> "Flight":
        """One that another process began, as far as it has come."""
        flight = cls(record, clock.loop_s(record.created_at), observer)
        if record.submitted_at is not None:
            flight.submitted_at_s = clock.loop_s(record.submitted_at)
        return flight

    def emit(self, fact: Fact) -> None:
        """Keep the fact and tell everybody."""
        self._observer(self.generation, fact)
        if self.journal.append(fact):
            self.wake()

    def tell(self, fact: Fact) -> None:
        """Tell the observers of a fact that is kept already."""
        self._observer(self.generation, fact)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called whenever the timeline grows or the record ends; call what is returned to stop that."""
        self._listeners.add(wake)
        return lambda: self._listeners.discard(wake)

    async def wait(self, at_most_s: float) -> None:
        """Until the end is told, `at_most_s` is over, or everybody was let go."""
        await settled(self._released, at_most_s)

    @property
    def measurement(self) -> Measurement | None:
        """How both channels did, once that is known; None where it was not measured."""
        return None if self.delivery is None else self.delivery.measurement

    def wall_at(self, at_s: float) -> datetime:
        """The wall instant of a loop instant."""
        return self.record.created_at + timedelta(seconds=at_s - self.accepted_at_s)

    def submitted(self, handle: Handle, at_s: float) -> None:
        """The provider has the job."""
        self.submitted_at_s = at_s
        at = to_millisecond(self.wall_at(at_s))
        self.record = replace(self.record, state=State.SUBMITTED, handle=handle, submitted_at=at)

    def cancel(self) -> None:
        """The caller wants it no more. No effect once there is a verdict."""
        self._is_cancelled = True
        if self.delivery is not None:
            self.delivery.cancel()
        elif self.submission is not None:
            self.submission.cancel()

    def was_cancelled(self) -> bool:
        """Whether the caller cancelled it, at whatever stage."""
        return self._is_cancelled

    def timeline(self) -> list[TimelineEntry]:
        """What happened so far. Nothing until t = 0 is known."""
        if self.submitted_at_s is None and self.record.outcome is None:
            return []
        return self._entries()

    def snapshot(self) -> Record:
        """The record as it stands, with its timeline."""
        if self.submitted_at_s is None or self.record.outcome is not None:
            return self.record
        attempts = self.delivery.attempts if self.delivery is not None else 0
        return replace(self.record, attempts=attempts, timeline=self.timeline())

    def conclude(self, verdict: Verdict) -> tuple[Ended, Ending]:
        """The end as a fact and as it is written. The fact is kept here, and told by whoever knows that it stands."""
        fact = Ended(verdict.at_s, verdict, self.submitted_at_s)
        self.journal.append(fact)
        ending = Ending(
            ended_at=to_millisecond(self.wall_at(verdict.at_s)),
            duration_s=None if self.submitted_at_s is None else verdict.at_s - self.submitted_at_s,
            outcome=verdict.outcome,
            reason=verdict.reason,
            detail=verdict.detail,
            channel=verdict.channel,
            attempts=verdict.attempts,
            asset=verdict.asset,
            timeline=self._entries(),
            render=render_interval(self.journal.facts, self.submitted_at_s, verdict),
        )
        return fact, ending

    def finish(self, record: Record) -> None:
        """The record has its outcome: everybody who waits is told."""
        self.record = record
        if not self.ended.done():
            self.ended.set_result(record)
        self.let_go()

    def let_go(self) -> None:
        """Nobody waits any longer, and everybody who listens looks again."""
        if not self._released.done():
            self._released.set_result(None)
        self.wake()

    def wake(self) -> None:
        """Have everybody who listens look again."""
        for wake in tuple(self._listeners):
            wake()

    def _entries(self) -> list[TimelineEntry]:
        """What the process before kept, and what happened in this one."""
        return [*self._before, *render_timeline(self.journal.facts, self._origin_s)]

    @property
    def _origin_s(self) -> float:
        return self.accepted_at_s if self.submitted_at_s is None else self.submitted_at_s


def ended_record(record: Record, ending: Ending) -> Record:
    """The record with its outcome."""
    return replace(
        record,
        state=State.ENDED,
        ended_at=ending.ended_at,
        duration_s=ending.duration_s,
        outcome=ending.outcome,
        reason=ending.reason,
        detail=ending.detail,
        channel=ending.channel,
        attempts=ending.attempts,
        asset=ending.asset,
        render=ending.render,
        timeline=ending.timeline,
    )
