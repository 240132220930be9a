"""One service an instance: a second one of the same name on the same store would take its generations for its own."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from monitor.delivery.errors import StoreUnavailable
from monitor.settings.addresses import parse_store_url
from monitor.store.databases import POSTGRESQL
from monitor.store.trouble import DATABASE_ERRORS, first_line, unavailable

LOOK_EVERY_S: Final = 5.0
"""How often a service looks whether it holds its name still."""

_logger = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def hold_instance(url: str, instance: str, *, look_every_s: float = LOOK_EVERY_S) -> AsyncIterator[None]:
    """Hold the name on this store until the block is left, or the process dies however it dies.

    PostgreSQL forgets it when it starts again; `look_every_s` says how soon that is seen, and mended.
    Raises StoreUnavailable when another process holds it, or nobody can.
    """
    parsed = parse_store_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    async with _hold_file(parsed, instance) if is_file else _hold_advisory_lock(parsed, instance, look_every_s):
        yield


@asynccontextmanager
async def _hold_file(url: sa.URL, instance: str) -> AsyncIterator[None]:
    """A locked file beside the database. It stays; the lock goes with the process."""
    mark = hashlib.blake2b(instance.encode(), digest_size=4).hexdigest()
    file = Path(f"{url.database}.{mark}.lock")
    with _open(file) as held:
        if not _lock(held):
            raise _taken(instance)
        yield


def _open(file: Path) -> IO[str]:
    try:
        return file.open("w")
    except OSError as error:
        raise unavailable(f"cannot lock {file}", error) from None


def _lock(file: IO[str]) -> bool:
    """Whether nobody else has locked it. There is no such lock on Windows."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def _hold_advisory_lock(url: sa.URL, instance: str, look_every_s: float) -> AsyncIterator[None]:
    lock = _AdvisoryLock(url, instance)
    try:
        await lock.take()
    except DATABASE_ERRORS as error:
        raise unavailable("cannot be locked", error) from None
    keeping = asyncio.create_task(lock.keep(look_every_s))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait({keeping})
        await lock.give_back()


class _AdvisoryLock:
    """A lock of a session of its own (PostgreSQL, section 13.3.5). The server gives it up with the session."""

    def __init__(self, url: sa.URL, instance: str) -> None:
        self._instance = instance
        self._number = int.from_bytes(hashlib.blake2b(instance.encode(), digest_size=8).digest(), signed=True)
        self._engine = create_async_engine(
            url, poolclass=NullPool, connect_args=dict(POSTGRESQL), isolation_level="AUTOCOMMIT"
        )
        self._session: AsyncConnection | None = None

    async def take(self) -> None:
        """Take it in a new session. Raises StoreUnavailable when another has it, and what the driver raises."""
        async with AsyncExitStack() as opened:
            session = await opened.enter_async_context(self._engine.connect())
            if not (await session.execute(sa.select(sa.func.pg_try_advisory_lock(self._number)))).scalar():
                raise _taken(self._instance)
            opened.pop_all()
        self._session = session

    async def keep(self, look_every_s: float) -> None:
        """Take it again whenever the session has broken, as it does when the server starts again."""
        trouble = None
        while True:
            await asyncio.sleep(look_every_s)
            try:
                if not await self._is_held():
                    await self.take()
                    trouble = None
                    _logger.warning("the store had let go of this service's name, which is held again")
            except (*DATABASE_ERRORS, StoreUnavailable) as error:
                if trouble != (trouble := first_line(error)):
                    _logger.warning("the store has let go of this service's name; trying again", error=trouble)

    async def _is_held(self) -> bool:
        """Whether the session stands; one that does not is closed."""
        try:
            if self._session is not None:
                await self._session.execute(sa.select(1))
        except DATABASE_ERRORS:
            await self.give_back()
        return self._session is not None

    async def give_back(self) -> None:
        """Close the session, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(*DATABASE_ERRORS):
                await session.close()


def _taken(instance: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"another service runs as {instance!r} on this store; give each its own server.instance, "
        "so that none takes the other's generations for its own"
    )
