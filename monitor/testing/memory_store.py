"""Records in memory: the twin of the SQL store, for tests. It can be slow, or fail, on purpose."""

import asyncio
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import SEEN_HERE, Channel, ChannelResult, Handle, Origin, Outcome, State
from monitor.delivery.render_interval import RenderInterval
from monitor.flight import ended_record
from monitor.store.port import (
    Ending,
    Findings,
    Quantiles,
    Record,
    RecordFilter,
    RenderObservation,
    TimelineEntry,
    WindowFigures,
)

_Result = TypeVar("_Result")

_FINDINGS: Final = tuple(field.name for field in fields(Findings))


class MemoryRecordStore:
    """A `RecordStore` of one process. Writes wait while `is_failing`, as with a database that is in trouble."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.is_failing = False
        self.records: dict[str, Record] = {}
        self.cancels: set[str] = set()
        self.waiting = 0
        self.failures = 0
        self._writes: set[asyncio.Task[object]] = set()

    async def add(self, record: Record) -> Record:
        """See `RecordStore`."""
        return await self._kept(self._add(record))

    async def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> None:
        """See `RecordStore`."""
        await self._kept(self._submit(generation_id, handle, submitted_at))

    async def end(self, generation_id: str, ending: Ending) -> bool:
        """See `RecordStore`."""
        return await self._kept(self._end(generation_id, ending))

    async def note(
        self,
        generation_id: str,
        findings: Findings,
        timeline: Sequence[TimelineEntry],
        render: RenderInterval | None = None,
    ) -> None:
        """See `RecordStore`."""
        await self._kept(self._note(generation_id, findings, timeline, render))

    async def ask_cancel(self, generation_id: str, at: datetime) -> None:
        """See `RecordStore`."""
        await self._write()
        self.cancels.add(generation_id)

    async def cancels_asked(self, instance: str) -> list[str]:
        """See `RecordStore`."""
        return [record.id for record in await self.unfinished(instance) if record.id in self.cancels]

    async def get(self, generation_id: str) -> Record | None:
        """See `RecordStore`."""
        return self.records.get(generation_id)

    async def find_key(self, scope: str, key: str) -> Record | None:
        """See `RecordStore`."""
        keys = ((record, record.idempotency) for record in self.records.values())
        return next((record for record, held in keys if held and (held.scope, held.key) == (scope, key)), None)

    async def page(self, wanted: RecordFilter, *, before_id: str | None, limit: int) -> list[Record]:
        """See `RecordStore`."""
        newest = sorted(self.records.values(), key=lambda record: record.id, reverse=True)
        return [item for item in newest if _passes(item, wanted) and (before_id is None or item.id < before_id)][:limit]

    async def unfinished(self, instance: str) -> list[Record]:
        """See `RecordStore`."""
        oldest = sorted(self.records.values(), key=lambda record: record.id)
        return [record for record in oldest if record.outcome is None and record.instance == instance]

    async def unreconciled(self, instance: str, *, since: datetime, limit: int) -> list[Record]:
        """See `RecordStore`."""
        wanted = [
            (record.ended_at, record)
            for record in self.records.values()
            if record.outcome is Outcome.EXPIRED
            and record.instance == instance
            and record.handle is not None
            and record.findings.reconciled_at is None
            and record.ended_at is not None
            and record.ended_at >= since
        ]
        return [record for _, record in sorted(wanted, key=lambda pair: pair[0], reverse=True)][:limit]

    async def figures(
        self,
        since: datetime,
        *,
        origins: Collection[Origin] = SEEN_HERE,
        bounds_s: Sequence[float] = (),
    ) -> WindowFigures:
        """See `RecordStore`."""
        of_all = [
            record for record in self.records.values() if record.ended_at is not None and record.ended_at >= since
        ]
        ended = [record for record in of_all if record.origin in origins]
        delivered = [record for record in ended if record.outcome is Outcome.DELIVERED]
        won = Counter(record.channel for record in delivered if record.channel is not None)
        polled = sorted(record.attempts for record in delivered if record.channel is Channel.POLLING)
        expired = [record for record in ended if record.outcome is Outcome.EXPIRED]
        by_winner = {channel: _attempts(delivered, channel) for channel in won}
        return WindowFigures(
            by_origin={origin: _outcomes(of_all, (origin,)) for origin in {record.origin for record in of_all}},
            outcomes=_outcomes(of_all, origins),
            won=won,
            latency_s={channel: _quantiles(delivered, channel) for channel in won},
            polling_attempts_mean=sum(polled) / len(polled) if polled else None,
            polling_attempts_p95=polled[_rank(0.95, len(polled))] if polled else None,
            attempts=by_winner | ({Channel.NONE: Counter(record.attempts for record in expired)} if expired else {}),
            latency_counts={channel: _counts(delivered, channel, bounds_s) for channel in won if bounds_s},
            measured={channel: _measured(ended, channel) for channel in (Channel.SSE, Channel.POLLING)},
        )

    async def render_observations(
        self, since: datetime, *, limit: int, origins: Collection[Origin] = SEEN_HERE
    ) -> list[RenderObservation]:
        """See `RecordStore`."""
        known = [
            (record.ended_at, RenderObservation(record.provider, record.model, record.render))
            for record in self.records.values()
            if record.ended_at is not None
            and record.ended_at >= since
            and record.render is not None
            and record.origin in origins
        ]
        return [observation for _, observation in sorted(known, key=lambda pair: pair[0], reverse=True)][:limit]

    async def prune(self, *, older_than: timedelta, keep_at_most: int, now: datetime) -> int:
        """See `RecordStore`."""
        newest = {origin: sorted(self._ids_of(origin), reverse=True)[:keep_at_most] for origin in Origin}
        kept = {generation_id for ids in newest.values() for generation_id in ids}
        gone = [
            record.id
            for record in self.records.values()
            if record.outcome is not None and (record.id not in kept or record.created_at < now - older_than)
        ]
        for generation_id in gone:
            del self.records[generation_id]
        return len(gone)

    async def check(self) -> None:
        """See `RecordStore`."""
        if self.is_failing:
            raise StoreUnavailable("the store was told to fail")

    def _ids_of(self, origin: Origin) -> list[str]:
        return [record.id for record in self.records.values() if record.origin is origin]

    async def _add(self, record: Record) -> Record:
        await self._write()
        if record.idempotency is not None:
            older = await self.find_key(record.idempotency.scope, record.idempotency.key)
            if older is not None:
                return older
        return self.records.setdefault(record.id, record)

    async def _submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> None:
        await self._write()
        record = self.records.get(generation_id)
        if record is not None and record.outcome is None:
            changed = replace(record, state=State.SUBMITTED, handle=handle, submitted_at=submitted_at)
            self.records[generation_id] = changed

    async def _end(self, generation_id: str, ending: Ending) -> bool:
        await self._write()
        record = self.records.get(generation_id)
        if record is None or record.outcome is not None:
            return False
        self.records[generation_id] = ended_record(record, replace(ending, timeline=tuple(ending.timeline)))
        return True

    async def _note(
        self, generation_id: str, findings: Findings, timeline: Sequence[TimelineEntry], render: RenderInterval | None
    ) -> None:
        await self._write()
        record = self.records.get(generation_id)
        if record is not None:
            found = {name: value for name in _FINDINGS if (value := getattr(findings, name)) is not None}
            self.records[generation_id] = replace(
                record,
                findings=replace(record.findings, **found),
                timeline=tuple(timeline),
                render=render or record.render,
            )

    async def _kept(self, write: Coroutine[None, None, _Result]) -> _Result:
        """Who stops waiting does not take the write back."""
        task = asyncio.ensure_future(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write(self) -> None:
        self.waiting += 1
        try:
            await asyncio.sleep(self.delay_s)
            while self.is_failing:
                self.failures += 1
                await asyncio.sleep(0.05)
        finally:
            self.waiting -= 1


def _passes(record: Record, wanted: RecordFilter) -> bool:
    pairs = (
        (wanted.outcome, record.outcome),
        (wanted.channel, record.channel),
        (wanted.provider, record.provider),
        (wanted.origin, record.origin),
    )
    return all(want is None or want == has for want, has in pairs)


def _outcomes(ended: Sequence[Record], origins: Collection[Origin]) -> Counter[Outcome]:
    return Counter(record.outcome for record in ended if record.outcome is not None and record.origin in origins)


def _measured(ended: Sequence[Record], channel: Channel) -> Counter[ChannelResult]:
    measurements = (record.findings.measurement for record in ended)
    return Counter(measurement.of(channel) for measurement in measurements if measurement is not None)


def _attempts(delivered: Sequence[Record], channel: Channel) -> Counter[int]:
    return Counter(record.attempts for record in delivered if record.channel is channel)


def _counts(delivered: Sequence[Record], channel: Channel, bounds_s: Sequence[float]) -> list[int]:
    buckets = Counter(
        bisect_left(bounds_s, record.duration_s or 0.0) for record in delivered if record.channel is channel
    )
    return [buckets[place] for place in range(len(bounds_s) + 1)]


def _quantiles(delivered: Sequence[Record], channel: Channel) -> Quantiles:
    times_s = sorted(record.duration_s or 0.0 for record in delivered if record.channel is channel)
    p50, p95, p99 = (times_s[_rank(share, len(times_s))] for share in (0.5, 0.95, 0.99))
    return Quantiles(p50, p95, p99)


def _rank(share: float, number: int) -> int:
    return math.ceil(share * number) - 1
