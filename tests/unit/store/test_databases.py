"""The connections of a SQLite file: how they are set, and what becomes of the writer's after trouble."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.settings.addresses import parse_store_url
from monitor.store.databases import build_reader, open_writer, reads_of, render_place

_FULL = 2


def settings_of(connection: sa.Connection) -> tuple[object, ...]:
    return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous"))


def write(connection: sa.Connection, number: int) -> None:
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)")
    connection.exec_driver_sql(f"INSERT INTO numbers VALUES ({number})")


def url_in(folder: Path) -> sa.URL:
    (folder / "monitor.db").touch()
    return parse_store_url(f"sqlite:///{folder / 'monitor.db'}")


async def test_what_is_committed_survives_a_power_cut_and_no_reader_waits_for_a_writer(tmp_path: Path) -> None:
    url = url_in(tmp_path)
    async with open_writer(url) as transact:
        assert await transact(settings_of) == ("wal", _FULL)
        reader = build_reader(url)
        try:
            assert await reads_of(reader)(settings_of) == ("wal", _FULL)
        finally:
            await reader.dispose()


async def test_of_a_transaction_that_failed_nothing_is_kept_and_the_next_goes_through(tmp_path: Path) -> None:
    def fail(connection: sa.Connection) -> None:
        write(connection, 2)
        raise ZeroDivisionError

    async with open_writer(url_in(tmp_path)) as transact:
        await transact(lambda connection: write(connection, 1))
        with pytest.raises(ZeroDivisionError):
            await transact(fail)
        await transact(lambda connection: write(connection, 3))
        numbers = await transact(lambda connection: connection.exec_driver_sql("SELECT number FROM numbers").all())
    assert [row.number for row in numbers] == [1, 3]


def test_an_address_for_people_tells_neither_password_nor_options() -> None:
    url = parse_store_url("postgresql://monitor:hunter2@db:5432/monitor?ssl=require")
    assert render_place(url) == "postgresql://monitor:***@db:5432/monitor"
