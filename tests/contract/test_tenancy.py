"""An instance is one process at a time on a store."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from structlog.testing import capture_logs

from monitor.delivery.errors import StoreUnavailable
from monitor.store.tenancy import hold_instance


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store's address."""
    is_file = request.param == "sqlite"
    if is_file:
        return f"sqlite:///{tmp_path / 'monitor.db'}"
    return str(request.getfixturevalue("postgres_url"))


async def test_a_second_service_of_the_same_name_is_refused_until_the_first_is_gone(url: str) -> None:
    async with hold_instance(url, "one"):
        with pytest.raises(StoreUnavailable, match=r"another service runs as 'one'.*server\.instance"):
            async with hold_instance(url, "one"):
                pass
        async with hold_instance(url, "two"):
            pass
    async with hold_instance(url, "one"):
        pass


_LOCKS = sa.text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")


@pytest.mark.system
async def test_a_name_whose_session_was_ended_by_the_server_is_taken_again(postgres_url: str) -> None:
    server = create_async_engine(sa.make_url(postgres_url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with hold_instance(postgres_url, "one", look_every_s=0.05), server.connect() as connection:
        lost = (await connection.execute(_LOCKS)).scalar_one()
        await connection.execute(sa.select(sa.func.pg_terminate_backend(lost)))
        async with asyncio.timeout(30):
            while (await connection.execute(_LOCKS)).scalars().all() in ([], [lost]):
                await asyncio.sleep(0.02)
        with pytest.raises(StoreUnavailable, match="another service runs as 'one'"):
            async with hold_instance(postgres_url, "one"):
                pass


@pytest.mark.system
async def test_a_name_that_another_took_meanwhile_is_told_and_taken_when_it_is_free(
    postgres_url: str,
) -> None:
    server = create_async_engine(sa.make_url(postgres_url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    async with hold_instance(postgres_url, "one", look_every_s=0.3), server.connect() as connection:
        lost = (await connection.execute(_LOCKS)).scalar_one()
        await connection.execute(sa.select(sa.func.pg_terminate_backend(lost)))
        async with asyncio.timeout(30):
            while (await connection.execute(_LOCKS)).scalars().all():
                await asyncio.sleep(0.02)
            with capture_logs() as lines:
                async with hold_instance(postgres_url, "one"):
                    while not lines:
                        await asyncio.sleep(0.02)
            assert "another service runs as 'one'" in lines[0]["error"]
            while not (await connection.execute(_LOCKS)).scalars().all():
                await asyncio.sleep(0.02)


async def test_what_goes_wrong_while_it_is_held_is_not_blamed_on_the_lock(url: str) -> None:
    with pytest.raises(OSError, match="port taken"):
        async with hold_instance(url, "one"):
            raise OSError("port taken")


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot lock"):
        async with hold_instance(f"sqlite:///{tmp_path}/nowhere/monitor.db", "one"):
            pass


async def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be locked"):
        async with hold_instance("postgresql://nobody@127.0.0.1:1/none", "one"):
            pass
