"""Opens the databases: addresses, connections and their settings, and the one writer of each."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from monitor.store.group_commit import Transact
from monitor.store.trouble import DATABASE_ERRORS, unavailable

_BUSY_S: Final = 1.0
"""How long SQLite waits for another process that holds the file; then the writer backs off and tries again."""
_CLOSE_S: Final = 5.0
SQLITE: Final[Mapping[str, Any]] = {"timeout": _BUSY_S, "check_same_thread": False}
POSTGRESQL: Final[Mapping[str, Any]] = {"timeout": 10, "command_timeout": 60}
"""Seconds to connect, and for one statement: a server that vanished silently must not hold the writer for ever."""

_Result = TypeVar("_Result")


def render_place(url: sa.URL) -> str:
    """The address for people. A password may also stand among the options, so these are left out."""
    return url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)


class Read(Protocol):
    """Runs a function that only reads, off the event loop, and returns its result. Raises StoreUnavailable."""

    async def __call__(self, work: Callable[[sa.Connection], _Result], /) -> _Result: ...


def reads_of(engine: AsyncEngine) -> Read:
    """Reads over the connections of `engine`."""

    async def read(work: Callable[[sa.Connection], _Result], /) -> _Result:
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        except DATABASE_ERRORS as error:
            raise unavailable("cannot be read", error) from None

    return read


def build_reader(url: sa.URL) -> AsyncEngine:
    """The connections that reads use, so that no write holds them up, and none of them a write."""
    if url.get_backend_name() == "postgresql":
        return create_async_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True, connect_args=dict(POSTGRESQL))
    engine = create_async_engine(url, pool_size=4, max_overflow=0, connect_args=dict(SQLITE))
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    file = _File(url)
    event.listen(engine.sync_engine, "checkout", lambda *_: file.check())
    return engine


@asynccontextmanager
async def open_writer(url: sa.URL) -> AsyncIterator[Transact]:
    """The one connection that writes: whoever writes takes turns, first come, first served."""
    opened = _open_postgresql_writer if url.get_backend_name() == "postgresql" else _open_sqlite_writer
    async with opened(url) as transact:
        yield transact


@asynccontextmanager
async def _open_postgresql_writer(url: sa.URL) -> AsyncIterator[Transact]:
    engine = create_async_engine(url, pool_size=1, max_overflow=0, connect_args=dict(POSTGRESQL))

    async def transact(work: Callable[[sa.Connection], _Result], /) -> _Result:
        async with engine.begin() as connection:
            return await connection.run_sync(work)

    try:
        yield transact
    finally:
        await engine.dispose()


@asynccontextmanager
async def _open_sqlite_writer(url: sa.URL) -> AsyncIterator[Transact]:
    """A thread of its own. aiosqlite hops to its thread and back for every statement, which costs more than they do."""
    writer = _SqliteWriter(url)
    thread = ThreadPoolExecutor(1, "store-writer")
    loop = asyncio.get_running_loop()

    async def transact(work: Callable[[sa.Connection], _Result], /) -> _Result:
        return await loop.run_in_executor(thread, writer.commit, work)

    try:
        yield transact
    finally:
        await asyncio.wait({loop.run_in_executor(thread, writer.close)}, timeout=_CLOSE_S)
        thread.shutdown(wait=False, cancel_futures=True)


class _File:
    """The file of an open database. SQLite goes on with one that was deleted: all seems well, and nothing is kept."""

    def __init__(self, url: sa.URL) -> None:
        self._path = Path(str(url.database))
        self._opened = self._path.stat()

    def check(self) -> None:
        """Raises sqlite3.OperationalError when its name leads to it no more."""
        try:
            is_there = os.path.samestat(self._path.stat(), self._opened)
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise sqlite3.OperationalError("its file was deleted or replaced; start the service again")


class _SqliteWriter:
    """Keeps its connection from one transaction to the next: to take it from a pool each time costs a fifth of one."""

    def __init__(self, url: sa.URL) -> None:
        self._file = _File(url)
        self._engine = sa.create_engine(url.set(drivername="sqlite"), connect_args=dict(SQLITE))
        event.listen(self._engine, "connect", _prepare_sqlite)
        self._connection: sa.Connection | None = None

    def commit(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Run `work` in a transaction. The pool looks after a connection on which one failed."""
        self._file.check()
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                return work(self._connection)
        except BaseException:
            self._let_go()
            raise

    def close(self) -> None:
        """Close the file."""
        self._let_go()
        self._engine.dispose()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _prepare_sqlite(connection: Any, _: object) -> None:
    """WAL: readers and the writer do not wait for each other. FULL: what is committed survives a power cut."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
