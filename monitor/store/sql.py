"""Records in SQLite or PostgreSQL, through SQLAlchemy Core."""

from collections.abc import AsyncIterator, Awaitable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import select

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.identity import first_generation_id
from monitor.delivery.model import SEEN_HERE, Channel, Handle, Origin, Outcome
from monitor.delivery.render_interval import RenderInterval
from monitor.settings.addresses import parse_store_url
from monitor.store.databases import Read, build_reader, open_writer, reads_of, render_place
from monitor.store.figures import count_figures
from monitor.store.group_commit import GroupCommit, Transact
from monitor.store.migrate import migrate
from monitor.store.port import (
    Ending,
    Findings,
    Record,
    RecordFilter,
    RenderObservation,
    TimelineEntry,
    WindowFigures,
)
from monitor.store.rows import clean, observation_of, record_of, to_ms
from monitor.store.sql_ledger import SqlCanaryLedger
from monitor.store.tables import generations, unindexed
from monitor.store.trouble import DATABASE_ERRORS, unavailable

DRAIN_S: Final = 10.0
_PRUNE_BATCH: Final = 1_000
"""Some tens of milliseconds, for which writers wait."""
_COLUMNS: Final = generations.c
_FILTERS: Final = ("outcome", "origin", "channel", "provider")
_COMMON: Final = (Outcome.DELIVERED, Origin.API, Channel.SSE, Channel.POLLING)
"""A page is sought by the first filter that is not for one of these: what is rare is not looked for among all."""


class SqlRecordStore:
    """A `RecordStore` on one database. Reads have connections of their own, so that no write holds them up."""

    def __init__(self, read: Read, transact: Transact, commits: GroupCommit) -> None:
        self.ledger = SqlCanaryLedger(read, transact)
        self._read = read
        self._transact = transact
        self._commits = commits

    @property
    def waiting(self) -> int:
        """Writes that are not committed yet."""
        return self._commits.waiting

    @property
    def failures(self) -> int:
        """Commits that failed, in all."""
        return self._commits.failures

    async def add(self, record: Record) -> Record:
        """See `RecordStore`."""
        if await self._commits.add(record):
            return record
        key = record.idempotency
        older = await self.find_key(key.scope, key.key) if key else None
        if older is None:
            raise StoreUnavailable(f"generation {record.id} could not be recorded, and no other has its key")
        return older

    def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> Awaitable[object]:
        """See `RecordStore`."""
        return self._commits.submit(generation_id, handle, submitted_at)

    def end(self, generation_id: str, ending: Ending) -> Awaitable[bool]:
        """See `RecordStore`."""
        return self._commits.end(generation_id, ending)

    async def note(
        self,
        generation_id: str,
        findings: Findings,
        timeline: Sequence[TimelineEntry],
        render: RenderInterval | None = None,
    ) -> None:
        """See `RecordStore`."""
        await self._commits.note(generation_id, findings, timeline, render)

    async def ask_cancel(self, generation_id: str, at: datetime) -> None:
        """See `RecordStore`."""
        is_open = sa.and_(_COLUMNS.id == clean(generation_id), _COLUMNS.outcome.is_(None))
        mark = generations.update().where(is_open).values(cancel_asked_at_ms=to_ms(at))
        try:
            await self._transact(lambda connection: connection.execute(mark).rowcount)
        except DATABASE_ERRORS as error:
            raise unavailable("cannot be written", error) from None

    async def cancels_asked(self, instance: str) -> list[str]:
        """See `RecordStore`."""
        is_asked = sa.and_(_COLUMNS.cancel_asked_at_ms.is_not(None), _COLUMNS.outcome.is_(None))
        query = select(_COLUMNS.id).where(is_asked, _COLUMNS.instance == instance)
        return list(await self._read(lambda connection: connection.execute(query).scalars().all()))

    async def get(self, generation_id: str) -> Record | None:
        """See `RecordStore`."""
        records = await self._read_records(select(generations).where(_COLUMNS.id == clean(generation_id)))
        return records[0] if records else None

    async def find_key(self, scope: str, key: str) -> Record | None:
        """See `RecordStore`."""
        is_held = sa.and_(_COLUMNS.idempotency_scope == clean(scope), _COLUMNS.idempotency_key == clean(key))
        records = await self._read_records(select(generations).where(is_held))
        return records[0] if records else None

    async def page(self, wanted: RecordFilter, *, before_id: str | None, limit: int) -> list[Record]:
        """See `RecordStore`."""
        query = select(generations).order_by(_COLUMNS.id.desc()).limit(limit)
        asked = [(name, value) for name in _FILTERS if (value := getattr(wanted, name)) is not None]
        for place, (name, value) in enumerate(sorted(asked, key=lambda pair: pair[1] in _COMMON)):
            column = unindexed(_COLUMNS[name]) if place else _COLUMNS[name]
            query = query.where(column == clean(value))
        if before_id is not None:
            query = query.where(_COLUMNS.id < clean(before_id))
        return await self._read_records(query)

    async def unfinished(self, instance: str) -> list[Record]:
        """See `RecordStore`."""
        query = select(generations).where(_COLUMNS.instance == instance, _COLUMNS.outcome.is_(None))
        return await self._read_records(query.order_by(_COLUMNS.id))

    async def unreconciled(self, instance: str, *, since: datetime, limit: int) -> list[Record]:
        """See `RecordStore`."""
        is_open = sa.and_(_COLUMNS.outcome == Outcome.EXPIRED, _COLUMNS.reconciled_at_ms.is_(None))
        query = select(generations).where(
            is_open, _COLUMNS.instance == instance, _COLUMNS.ended_at_ms >= to_ms(since), _COLUMNS.handle.is_not(None)
        )
        return await self._read_records(query.order_by(_COLUMNS.ended_at_ms.desc()).limit(limit))

    async def figures(
        self,
        since: datetime,
        *,
        origins: Collection[Origin] = SEEN_HERE,
        bounds_s: Sequence[float] = (),
    ) -> WindowFigures:
        """See `RecordStore`."""
        return await self._read(lambda connection: count_figures(connection, since, origins, bounds_s))

    async def render_observations(
        self, since: datetime, *, limit: int, origins: Collection[Origin] = SEEN_HERE
    ) -> list[RenderObservation]:
        """See `RecordStore`."""
        columns = (_COLUMNS.provider, _COLUMNS.model, _COLUMNS.render_after_s, _COLUMNS.render_by_s)
        in_window = sa.and_(_COLUMNS.ended_at_ms >= to_ms(since), unindexed(_COLUMNS.origin).in_(origins))
        known = sa.and_(in_window, _COLUMNS.render_after_s.is_not(None))
        query = select(*columns).where(known).order_by(_COLUMNS.ended_at_ms.desc()).limit(limit)
        rows = await self._read(lambda connection: connection.execute(query).mappings().all())
        return [observation_of(row) for row in rows]  # type: ignore[arg-type]

    async def prune(self, *, older_than: timedelta, keep_at_most: int, now: datetime) -> int:
        """See `RecordStore`. In small transactions that take turns with the writers'."""
        gone = await self._delete(_COLUMNS.id < first_generation_id(to_ms(now - older_than)))
        for origin in Origin:
            gone += await self._delete_over(origin, keep_at_most)
        return gone

    async def check(self) -> None:
        """See `RecordStore`."""
        if self._commits.trouble is not None:
            raise StoreUnavailable(f"the store cannot be written: {self._commits.trouble}")
        await self._read(lambda connection: connection.execute(select(_COLUMNS.id).limit(1)).all())

    async def _delete_over(self, origin: Origin, keep_at_most: int) -> int:
        """Delete what has ended and is not among the newest of its origin."""
        of_origin = _COLUMNS.origin == origin
        newest_over = select(_COLUMNS.id).where(of_origin).order_by(_COLUMNS.id.desc()).offset(keep_at_most).limit(1)
        last_id = await self._read(lambda connection: connection.execute(newest_over).scalar())
        return 0 if last_id is None else await self._delete(sa.and_(of_origin, _COLUMNS.id <= last_id))

    async def _delete(self, condition: sa.ColumnElement[bool]) -> int:
        """Delete what has ended and meets the condition."""
        ids = select(_COLUMNS.id).where(condition, _COLUMNS.outcome.is_not(None)).order_by(_COLUMNS.id)
        statement = generations.delete().where(_COLUMNS.id.in_(ids.limit(_PRUNE_BATCH).scalar_subquery()))
        gone, number = 0, _PRUNE_BATCH
        while number == _PRUNE_BATCH:
            try:
                number = await self._transact(lambda connection: connection.execute(statement).rowcount)
            except DATABASE_ERRORS as error:
                raise unavailable("cannot delete", error) from None
            gone += number
        return gone

    async def _read_records(self, query: sa.Select[Any]) -> list[Record]:
        rows = await self._read(lambda connection: connection.execute(query).mappings().all())
        return [record_of(row) for row in rows]  # type: ignore[arg-type]


@asynccontextmanager
async def open_sql_store(url: str, *, drain_s: float = DRAIN_S) -> AsyncIterator[SqlRecordStore]:
    """The store at `url`, with its tables brought up to date. What waits at the end has `drain_s` to be written.

    Raises StoreUnavailable.
    """
    parsed = parse_store_url(url)
    try:
        await migrate(parsed)
    except DATABASE_ERRORS as error:
        raise unavailable(f"at {render_place(parsed)} cannot be opened", error) from None
    reader = build_reader(parsed)
    try:
        async with open_writer(parsed) as transact:
            commits = GroupCommit(transact)
            try:
                yield SqlRecordStore(reads_of(reader), transact, commits)
            finally:
                await commits.close(drain_s)
    finally:
        await reader.dispose()
