"""One service an instance: a second one of the same name on the same store would take its generations for its own."""

import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from monitor.delivery.errors import StoreUnavailable
from monitor.settings.addresses import parse_store_url
from monitor.store.databases import POSTGRESQL
from monitor.store.trouble import DATABASE_ERRORS, unavailable


@asynccontextmanager
async def hold_instance(url: str, instance: str) -> AsyncIterator[None]:
    """Hold the name on this store until the block is left, or the process dies however it dies.

    Raises StoreUnavailable when another process holds it, or nobody can.
    """
    parsed = parse_store_url(url)
    holding = _hold_advisory_lock if parsed.get_backend_name() == "postgresql" else _hold_file
    async with holding(parsed, instance):
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
async def _hold_advisory_lock(url: sa.URL, instance: str) -> AsyncIterator[None]:
    """A lock of a session of its own (PostgreSQL, section 13.3.5). A connection that breaks gives it up."""
    number = int.from_bytes(hashlib.blake2b(instance.encode(), digest_size=8).digest(), signed=True)
    engine = create_async_engine(url, poolclass=NullPool, connect_args=dict(POSTGRESQL), isolation_level="AUTOCOMMIT")
    async with AsyncExitStack() as held:
        try:
            connection = await held.enter_async_context(engine.connect())
            is_ours = (await connection.execute(sa.select(sa.func.pg_try_advisory_lock(number)))).scalar()
        except DATABASE_ERRORS as error:
            raise unavailable("cannot be locked", error) from None
        if not is_ours:
            raise _taken(instance)
        yield


def _taken(instance: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"another service runs as {instance!r} on this store; give each its own server.instance, "
        "so that none takes the other's generations for its own"
    )
