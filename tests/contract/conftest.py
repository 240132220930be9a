"""Every store that there is, empty: one suite holds them all to the same contract."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.store.ledger import CanaryLedger
from monitor.store.port import RecordStore
from monitor.store.sql import SqlRecordStore, open_sql_store
from monitor.store.tables import metadata
from monitor.testing.memory_ledger import MemoryCanaryLedger
from monitor.testing.memory_store import MemoryRecordStore
from tests.programs import free_port, not_installed


def _find_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of our own on loopback, which ends with the session."""
    binaries = _find_postgres()
    if binaries is None:
        not_installed("PostgreSQL")
    folder = Path("/tmp") / f"monitor-postgres-{os.getpid()}"
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data, port = folder / "data", free_port()
    initialise = (str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "monitor", "-E", "UTF8", "--no-sync")
    subprocess.run(initialise, check=True, capture_output=True, cwd=folder, user=_user())
    options = ("-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F")
    command = (str(binaries / "postgres"), *options)
    server = subprocess.Popen(command, cwd=folder, user=_user(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"postgresql://monitor@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.3)
                return
        time.sleep(0.1)
    raise TimeoutError("PostgreSQL does not start")


async def _empty(url: str) -> None:
    engine = create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    await engine.dispose()


@pytest_asyncio.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RecordStore]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryRecordStore()
        return
    url = f"sqlite:///{tmp_path / 'monitor.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        await _empty(url)
    async with open_sql_store(url) as opened:
        yield opened


@pytest.fixture
def ledger(store: RecordStore) -> CanaryLedger:
    """The ledger beside `store`."""
    if isinstance(store, SqlRecordStore):
        return store.ledger
    assert isinstance(store, MemoryRecordStore)
    return MemoryCanaryLedger(store)
