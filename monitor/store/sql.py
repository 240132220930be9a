"""Records in SQLite or PostgreSQL, through SQLAlchemy Core."""

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, func, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import Channel, Handle, Outcome, State
from monitor.store.group_commit import GroupCommit, Transact
from monitor.store.migrate import migrate
from monitor.store.port import Ending, Quantiles, Record, RecordFilter, WindowFigures
from monitor.store.rows import record_of, to_ms
from monitor.store.tables import generations

DRAIN_S: Final = 10.0
_PRUNE_BATCH: Final = 5_000
_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_COLUMNS: Final = generations.c
_SQLITE: Final = {"timeout": 1.0, "check_same_thread": False}


class SqlRecordStore:
    """A `RecordStore` on one database. Reads have connections of their own, so that no write holds them up."""

    def __init__(self, engine: AsyncEngine, commits: GroupCommit) -> None:
        self._engine = engine
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
        older = await self.find_key(key.scope, key.key) if key else await self.get(record.id)
        if older is None:
            raise StoreUnavailable(f"generation {record.id} could not be recorded, and no other has its key")
        return older

    async def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> None:
        """See `RecordStore`."""
        await self._commits.submit(generation_id, handle, submitted_at)

    async def end(self, generation_id: str, ending: Ending) -> bool:
        """See `RecordStore`."""
        return await self._commits.end(generation_id, ending)

    async def get(self, generation_id: str) -> Record | None:
        """See `RecordStore`."""
        rows = await self._read_records(select(generations).where(_COLUMNS.id == generation_id))
        return rows[0] if rows else None

    async def find_key(self, scope: str, key: str) -> Record | None:
        """See `RecordStore`."""
        query = select(generations).where(_COLUMNS.idempotency_scope == scope, _COLUMNS.idempotency_key == key)
        rows = await self._read_records(query)
        return rows[0] if rows else None

    async def page(self, wanted: RecordFilter, *, before_id: str | None, limit: int) -> list[Record]:
        """See `RecordStore`."""
        query = select(generations).order_by(_COLUMNS.id.desc()).limit(limit)
        for name in ("outcome", "channel", "provider", "origin"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(_COLUMNS[name] == value)
        if before_id is not None:
            query = query.where(_COLUMNS.id < before_id)
        return await self._read_records(query)

    async def unfinished(self, instance: str) -> list[Record]:
        """See `RecordStore`."""
        states = (State.ACCEPTED, State.SUBMITTED)
        query = select(generations).where(_COLUMNS.instance == instance, _COLUMNS.state.in_(states))
        return await self._read_records(query.order_by(_COLUMNS.id))

    async def figures(self, since: datetime) -> WindowFigures:
        """See `RecordStore`."""
        in_window = _COLUMNS.ended_at_ms >= to_ms(since)
        counts = await self._read(
            select(_COLUMNS.outcome, _COLUMNS.channel, func.count(), func.avg(_COLUMNS.attempts))
            .where(in_window)
            .group_by(_COLUMNS.outcome, _COLUMNS.channel)
        )
        outcomes: dict[Outcome, int] = {}
        won: dict[Channel, int] = {}
        attempts_mean: float | None = None
        for row in counts:
            outcome, channel, number, mean = tuple[Any, ...](row)
            outcomes[Outcome(outcome)] = outcomes.get(Outcome(outcome), 0) + number
            if outcome == Outcome.DELIVERED:
                won[Channel(channel)] = number
                attempts_mean = float(mean) if channel == Channel.POLLING else attempts_mean
        latency_s = {channel: await self._quantiles(in_window, channel, number) for channel, number in won.items()}
        polled = won.get(Channel.POLLING, 0)
        attempts_p95 = await self._ranked(in_window, Channel.POLLING, _COLUMNS.attempts, 0.95, polled)
        return WindowFigures(
            outcomes=outcomes,
            won=won,
            latency_s=latency_s,
            polling_attempts_mean=attempts_mean,
            polling_attempts_p95=attempts_p95,
        )

    async def prune(self, *, older_than: timedelta, keep_at_most: int, now: datetime) -> int:
        """See `RecordStore`. In small transactions, so that writers get their turn."""
        oldest = _COLUMNS.created_at_ms < to_ms(now - older_than)
        gone = await self._delete(select(_COLUMNS.id).where(_COLUMNS.state == State.ENDED, oldest))
        first_over = await self._read(select(_COLUMNS.id).order_by(_COLUMNS.id.desc()).offset(keep_at_most).limit(1))
        if first_over:
            over = select(_COLUMNS.id).where(_COLUMNS.state == State.ENDED, _COLUMNS.id <= first_over[0][0])
            gone += await self._delete(over)
        return gone

    async def check(self) -> None:
        """See `RecordStore`."""
        await self._read(select(sa.literal(1)))

    async def _quantiles(self, in_window: sa.ColumnElement[bool], channel: Channel, number: int) -> Quantiles:
        p50, p95, p99 = [
            await self._ranked(in_window, channel, _COLUMNS.duration_s, share, number) for share in (0.5, 0.95, 0.99)
        ]
        return Quantiles(p50, p95, p99)

    async def _ranked(
        self, in_window: sa.ColumnElement[bool], channel: Channel, column: sa.Column[Any], share: float, number: int
    ) -> Any:
        """The nearest-rank quantile of a column over what `channel` delivered; None of nothing."""
        if not number:
            return None
        query = select(column).where(in_window, _COLUMNS.outcome == Outcome.DELIVERED, _COLUMNS.channel == channel)
        rank = math.ceil(share * number) - 1
        rows = await self._read(query.order_by(column).offset(rank).limit(1))
        return rows[0][0] if rows else None

    async def _delete(self, ids: sa.Select[Any]) -> int:
        gone = 0
        statement = generations.delete().where(_COLUMNS.id.in_(ids.limit(_PRUNE_BATCH).scalar_subquery()))
        while True:
            try:
                async with self._engine.begin() as connection:
                    number = (await connection.execute(statement)).rowcount
            except (SQLAlchemyError, OSError) as error:
                raise _unavailable("cannot delete", error) from None
            gone += number
            if number < _PRUNE_BATCH:
                return gone

    async def _read_records(self, query: sa.Select[Any]) -> list[Record]:
        return [record_of(dict(zip(row._fields, row, strict=True))) for row in await self._read(query)]

    async def _read(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        try:
            async with self._engine.connect() as connection:
                return list((await connection.execute(query)).all())
        except (SQLAlchemyError, OSError) as error:
            raise _unavailable("cannot be read", error) from None


@asynccontextmanager
async def open_sql_store(url: str) -> AsyncIterator[SqlRecordStore]:
    """The store at `url`, with its tables brought up to date. Raises StoreUnavailable."""
    engine = _build_engine(url)
    try:
        try:
            if engine.dialect.name == "sqlite":
                await asyncio.to_thread(_look_into, str(engine.url.database))
            await migrate(engine)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            place = sa.make_url(url).render_as_string(hide_password=True)
            raise _unavailable(f"at {place} cannot be opened", error) from None
        async with _open_writer(engine) as transact:
            commits = GroupCommit(transact)
            try:
                yield SqlRecordStore(engine, commits)
            finally:
                await commits.close(DRAIN_S)
    finally:
        await engine.dispose()


def _build_engine(url: str) -> AsyncEngine:
    try:
        parsed = sa.make_url(url)
        parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    except (ArgumentError, KeyError):
        raise StoreUnavailable(
            "store.url is no database; write sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from None
    if not parsed.drivername.startswith("sqlite"):
        return create_async_engine(parsed, pool_size=4, max_overflow=4, pool_pre_ping=True)
    engine = create_async_engine(parsed, pool_size=4, max_overflow=0, connect_args=_SQLITE)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


@asynccontextmanager
async def _open_writer(engine: AsyncEngine) -> AsyncIterator[Transact]:
    """How batches are committed: on PostgreSQL over the engine; on SQLite in one go on a thread of their own.

    aiosqlite hops to its thread and back for every statement, which costs more than the statements.
    """

    async def transact(work: Callable[[sa.Connection], set[str]]) -> set[str]:
        async with engine.begin() as connection:
            return await connection.run_sync(work)

    if engine.dialect.name != "sqlite":
        yield transact
        return
    writer = sa.create_engine(engine.url.set(drivername="sqlite"), connect_args=_SQLITE)
    event.listen(writer, "connect", _prepare_sqlite)
    with ThreadPoolExecutor(1, "store-writer") as thread:

        def commit(work: Callable[[sa.Connection], set[str]]) -> set[str]:
            with writer.begin() as connection:
                return work(connection)

        try:
            yield lambda work: asyncio.get_running_loop().run_in_executor(thread, commit, work)
        finally:
            writer.dispose()


def _look_into(file: str) -> None:
    """Raises sqlite3.Error when `file` is no database; aiosqlite would leave a thread behind on finding out."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA schema_version")


def _prepare_sqlite(connection: Any, _: object) -> None:
    """WAL: readers and the writer do not wait for each other. FULL: what is committed survives a power cut."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _unavailable(what: str, error: Exception) -> StoreUnavailable:
    cause = getattr(error, "orig", None) or error
    return StoreUnavailable(f"the store {what}: {(str(cause).splitlines() or [type(cause).__name__])[0][:300]}")
