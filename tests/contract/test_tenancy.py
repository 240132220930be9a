"""An instance is one process at a time on a store."""

from pathlib import Path

import pytest

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
