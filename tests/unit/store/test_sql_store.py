"""What only a database has: it cannot be opened, fails under way, is closed in the end, is pruned in steps."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import SEEN_HERE, Channel, Outcome
from monitor.store import sql
from monitor.store.figures import count_figures, p95_of
from monitor.store.port import RecordFilter
from monitor.store.sql import open_sql_store
from tests.records import NOW, new_ending, new_record


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_a_database_that_is_not_there_is_told_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"at postgresql://monitor:.* cannot be opened") as caught:
        async with open_sql_store("postgresql://monitor:hunter2@127.0.0.1:1/monitor"):
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened: unable to open database file"):
        async with open_sql_store(f"sqlite:///{tmp_path}/nowhere/monitor.db"):
            pass


async def test_what_waits_is_written_before_the_store_is_closed(tmp_path: Path) -> None:
    url, record = f"sqlite:///{tmp_path / 'monitor.db'}", new_record()
    async with open_sql_store(url) as store:
        adding = asyncio.ensure_future(store.add(record))
        await asyncio.sleep(0)
        assert store.waiting == 1
    assert adding.done()
    async with open_sql_store(url) as store:
        assert await store.get(record.id) == record


async def test_a_store_that_was_closed_leaves_a_single_file(tmp_path: Path) -> None:
    async with open_sql_store(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        await store.add(new_record())
        await store.page(RecordFilter(), before_id=None, limit=1)
    assert names_in(tmp_path) == ["monitor.db"]


async def test_a_database_that_fails_is_told_as_a_store_that_is_not_available(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    async with open_sql_store(f"sqlite:///{file}", drain_s=0.1) as store:
        record = new_record()
        await store.add(record)
        with closing(sqlite3.connect(file)) as other:
            for change in ("UPDATE", "DELETE"):
                refusal = f"BEFORE {change} ON generations BEGIN SELECT RAISE(FAIL, 'full'); END"
                other.execute(f"CREATE TRIGGER no_{change} {refusal}")
        with pytest.raises(StoreUnavailable, match="cannot be written: full"):
            await store.ask_cancel(record.id, NOW)
        await store.add(new_record(outcome=Outcome.DELIVERED, ended_at=NOW))
        with pytest.raises(StoreUnavailable, match="cannot delete: full"):
            await store.prune(older_than=timedelta(0), keep_at_most=0, now=NOW + timedelta(days=1))


async def test_a_store_that_was_read_well_and_cannot_be_written_is_not_healthy(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    async with open_sql_store(f"sqlite:///{file}", drain_s=0.1) as store:
        await store.check()
        with closing(sqlite3.connect(file)) as other:
            other.execute("BEGIN IMMEDIATE")
            adding = asyncio.ensure_future(store.add(new_record()))
            while not store.failures:
                await asyncio.sleep(0.01)
            with pytest.raises(StoreUnavailable, match="cannot be written: database is locked"):
                await store.check()
            other.rollback()
        await adding
        await store.check()


async def test_more_than_a_batch_is_pruned_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_PRUNE_BATCH", 2)
    async with open_sql_store(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        for number in range(7):
            record = new_record(number)
            await store.add(record)
            await store.end(record.id, new_ending())
        assert await store.prune(older_than=timedelta(days=1), keep_at_most=2, now=NOW) == 5
        assert len(await store.page(RecordFilter(), before_id=None, limit=10)) == 2


@pytest.mark.parametrize(("last", "p95"), [(5, 1), (6, 2)])
def test_the_95th_percentile_of_counts_is_the_nearest_rank(last: int, p95: int) -> None:
    assert p95_of({2: last, 1: 100 - last}) == p95


async def test_figures_are_of_one_moment_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    file, record, counted = tmp_path / "monitor.db", new_record(), []

    def meddle(*_: object) -> None:
        counted.append(True)
        if len(counted) > 2:  # the snapshot stands since the first count
            with closing(sqlite3.connect(file)) as other, other:
                other.execute("UPDATE generations SET duration_s = 99.0")

    async with open_sql_store(f"sqlite:///{file}") as store:
        await store.add(record)
        await store.end(record.id, new_ending(duration_s=20.25))
        engine = sa.create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            sa.event.listen(connection, "before_cursor_execute", meddle)
            figures = count_figures(connection, NOW, SEEN_HERE, (50.0,))
        engine.dispose()
        assert figures.latency_s[Channel.POLLING].p99 == 20.25
        assert figures.latency_counts[Channel.POLLING] == [1, 0]
        assert (await store.figures(NOW)).latency_s[Channel.POLLING].p99 == 99.0
