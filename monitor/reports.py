"""Takes in what applications saw themselves of deliveries: one record for each report, told once to the observers."""

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import structlog

from monitor.delivery.clock import Clock
from monitor.delivery.errors import Overloaded, ShuttingDown, StoreUnavailable
from monitor.delivery.facts import Accepted, Ended
from monitor.delivery.identity import new_generation_id
from monitor.delivery.model import Channel, Flow, Kind, Origin, Outcome, Reason, State, Verdict
from monitor.delivery.ports import Observer
from monitor.delivery.trace_context import new_trace
from monitor.store.port import Idempotency, Record, RecordStore
from monitor.telemetry.timeline import render_timeline
from monitor.telemetry.tracing import TraceSink

PATIENCE_S: Final = 10.0
"""How long an application waits to hear what became of its reports."""
MAX_WAITING: Final = 2_000
"""Reports that wait for the store; it takes more writes than that, so that there is always room for generations."""
POLICY: Final = "reported"
"""Stands for the policy of a report: what the application did is its own."""
_BATCH: Final = 100
_STORE_RETRY_S: Final = 5

_logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an application saw of one delivery. `id` is its own; `started_at` is t = 0, in UTC, whole milliseconds."""

    id: str
    provider: str
    model: str
    kind: Kind
    started_at: datetime
    outcome: Outcome
    channel: Channel
    attempts: int
    waited_s: float | None
    """From t = 0 until it was delivered, or given up; None where that is not known."""
    reason: Reason | None
    said: bytes
    """What the application wrote: with the same id it is the same report only when it says the same."""


class Receipt(StrEnum):
    """What became of a report that could be understood."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """It had been reported before; the first report counts."""
    CONFLICT = "conflict"
    """Another report had this id; that one counts."""


class ReportIntake:
    """Records reports, and tells the observers of each that is new."""

    def __init__(
        self,
        *,
        store: RecordStore,
        observer: Observer,
        traces: TraceSink,
        clock: Clock,
        instance: str,
        max_per_minute: int,
    ) -> None:
        self._store = store
        self._observer = observer
        self._traces = traces
        self._clock = clock
        self._instance = instance
        self._max_per_minute = max_per_minute
        self._allowances: dict[str, _Allowance] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopping = False

    async def take(self, caller: str, reports: Sequence[Report]) -> list[tuple[Receipt, str]]:
        """Record them; for each, what became of it and the id of the generation that stands for it, in order.

        Raises Overloaded before anything is recorded, and ShuttingDown or StoreUnavailable when it is not known
        of all: they can be sent again, and each counts once. Who stops waiting does not take them back.
        """
        if self._is_stopping:
            raise ShuttingDown("the service is stopping; send the reports to another one, or again in a moment")
        self._spend(caller, len(reports))
        task = asyncio.get_running_loop().create_task(self._take(caller, reports))
        self._tasks.add(task)
        task.add_done_callback(self._taken)
        done, _ = await asyncio.wait((task,), timeout=PATIENCE_S)
        if not done or task.cancelled():
            raise StoreUnavailable("the store does not answer; send the reports again, each counts once")
        return task.result()

    async def stop(self, grace_s: float) -> None:
        """Take no more, and let those that wait for the store be recorded and told, for `grace_s` at most."""
        self._is_stopping = True
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _spend(self, caller: str, number: int) -> None:
        """Refuse early what would fill the store, or drive out what it holds."""
        if self._waiting + number > MAX_WAITING:
            raise Overloaded(MAX_WAITING, _STORE_RETRY_S, "reports wait for the store")
        allowance = self._allowances.setdefault(caller, _Allowance(self._max_per_minute))
        wait_s = allowance.spend(number, asyncio.get_running_loop().time())
        if wait_s:
            raise Overloaded(self._max_per_minute, wait_s, f"reports of {caller!r} came in a minute")

    async def _take(self, caller: str, reports: Sequence[Report]) -> list[tuple[Receipt, str]]:
        """In parts, so that the loop turns between them. Of those with the same id the first one wins."""
        self._waiting += len(reports)
        try:
            receipts: list[tuple[Receipt, str]] = []
            for start in range(0, len(reports), _BATCH):
                part = [self._record(caller, report) for report in reports[start : start + _BATCH]]
                done = await asyncio.gather(*part, return_exceptions=True)
                receipts += [_result(item) for item in done]
            return receipts
        finally:
            self._waiting -= len(reports)

    async def _record(self, caller: str, report: Report) -> tuple[Receipt, str]:
        now = self._clock.now()
        record, end = self._record_of(caller, report, now)
        kept = await self._store.add(record)
        if kept.id == record.id:
            self._tell(record, end)
            return Receipt.ACCEPTED, kept.id
        ours, theirs = record.idempotency, kept.idempotency
        is_same = ours is not None and theirs is not None and ours.request_hash == theirs.request_hash
        return Receipt.DUPLICATE if is_same else Receipt.CONFLICT, kept.id

    def _record_of(self, caller: str, report: Report, now: datetime) -> tuple[Record, Ended]:
        """The ended record and its end. On the loop's clock t = 0 is a whole second: so a wait is exact to the bit, and
        one of 10 s is counted in the bucket up to 10.
        """
        waited_s = report.waited_s or 0.0
        age_s = (now - report.started_at).total_seconds()
        submitted_at_s = math.floor(asyncio.get_running_loop().time() - age_s)
        at_s = submitted_at_s + waited_s
        verdict = Verdict(report.outcome, report.channel, at_s, report.attempts, reason=report.reason)
        end = Ended(at_s, verdict, submitted_at_s)
        told = {"at_ms": round(age_s * 1000), "event": "reported"}
        record = Record(
            id=new_generation_id(int(report.started_at.timestamp() * 1000)),
            origin=Origin.REPORT,
            provider=report.provider,
            model=report.model,
            kind=report.kind,
            flow=Flow.FILE,
            policy=POLICY,
            trace=new_trace(),
            instance=self._instance,
            created_at=report.started_at,
            idempotency=_idempotency(caller, report),
            state=State.ENDED,
            submitted_at=report.started_at,
            ended_at=report.started_at + timedelta(milliseconds=round(waited_s * 1000)),
            duration_s=report.waited_s,
            outcome=report.outcome,
            reason=report.reason,
            channel=report.channel,
            attempts=report.attempts,
            timeline=(*render_timeline((end,), submitted_at_s), told),
        )
        return record, end

    def _tell(self, record: Record, end: Ended) -> None:
        """Once for each report: this is only reached by the one that the store took as new."""
        generation = record.generation
        began_at_s = end.at_s if end.submitted_at_s is None else end.submitted_at_s
        self._observer(generation, Accepted(began_at_s))
        self._observer(generation, end)

        def wall_at(at_s: float) -> datetime:
            return record.created_at + timedelta(seconds=at_s - began_at_s)

        try:
            self._traces.write(generation, (end,), wall_at, began_at_s)
        except Exception:
            _logger.exception("a trace could not be written", generation=record.id)

    def _taken(self, task: "asyncio.Task[Any]") -> None:
        """What failed after its caller had stopped waiting is at least said."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("reports could not be recorded", error=str(error))


class _Allowance:
    """How many reports a caller may still send: `per_minute` at once, and as many each minute from then on.

    What is there may be overdrawn once, or a batch over the whole allowance could never be sent.
    """

    __slots__ = ("_at_s", "_left", "_per_minute")

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left = float(per_minute)
        self._at_s = -math.inf

    def spend(self, number: int, now_s: float) -> int:
        """0, or how many seconds to wait where there is nothing left."""
        per_s = self._per_minute / 60
        self._left = min(float(self._per_minute), self._left + (now_s - self._at_s) * per_s)
        self._at_s = now_s
        if self._left < 1:
            return math.ceil((1 - self._left) / per_s)
        self._left -= number
        return 0


def _idempotency(caller: str, report: Report) -> Idempotency:
    """The key of a report. It has a space, as no `Idempotency-Key` of a generation has, so that they never meet."""
    return Idempotency(caller, f"report {report.id}", hashlib.sha256(report.said).hexdigest())


def _result(done: "tuple[Receipt, str] | BaseException") -> tuple[Receipt, str]:
    if isinstance(done, BaseException):
        raise done
    return done
