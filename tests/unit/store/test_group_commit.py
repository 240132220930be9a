"""The one writer: what it commits together, and what its callers hear when it cannot."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
import sqlalchemy as sa
from structlog.testing import capture_logs

from monitor.delivery.errors import StoreUnavailable
from monitor.store.group_commit import MAX_WAITING, GroupCommit
from monitor.store.port import Record
from monitor.store.sql import SqlRecordStore, open_sql_store
from monitor.store.tables import generations, metadata
from tests.records import HANDLE, NOW, new_ending, new_record

pytestmark = pytest.mark.usefixtures("no_stray_tasks")

BEYOND_64_BITS = 2**70

_Result = TypeVar("_Result")


class Transactions:
    """A database in memory behind a gate. While that is closed, commits wait; while it is in trouble, they fail."""

    def __init__(self) -> None:
        self.begun_at_s: list[float] = []
        self.is_in_trouble = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._engine = sa.create_engine("sqlite://")
        metadata.create_all(self._engine)

    async def __call__(self, work: Callable[[sa.Connection], _Result], /) -> _Result:
        await self.gate.wait()
        self.begun_at_s.append(asyncio.get_running_loop().time())
        if self.is_in_trouble:
            raise OSError("the disk is full")
        with self._engine.begin() as connection:
            return work(connection)

    @property
    def number(self) -> int:
        return len(self.begun_at_s)

    def ids(self) -> set[str]:
        with self._engine.connect() as connection:
            return set(connection.execute(sa.select(generations.c.id)).scalars())

    def close(self) -> None:
        self._engine.dispose()


@pytest_asyncio.fixture
async def transactions() -> AsyncIterator[Transactions]:
    made = Transactions()
    yield made
    made.close()


@pytest_asyncio.fixture
async def commits(transactions: Transactions) -> AsyncIterator[GroupCommit]:
    made = GroupCommit(transactions)
    yield made
    transactions.gate.set()
    await made.close(5)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlRecordStore]:
    async with open_sql_store(f"sqlite:///{tmp_path / 'monitor.db'}") as opened:
        yield opened


async def test_what_many_generations_write_at_once_is_one_transaction(
    transactions: Transactions, commits: GroupCommit
) -> None:
    records = [new_record(number) for number in range(300)]
    assert all(await asyncio.gather(*(commits.add(record) for record in records)))
    assert transactions.number == 1
    submits = [commits.submit(record.id, HANDLE, NOW) for record in records]
    ends = [commits.end(record.id, new_ending()) for record in records]
    assert all((await asyncio.gather(*submits, *ends))[300:])
    assert transactions.number == 2
    assert transactions.ids() == {record.id for record in records}
    assert commits.waiting == 0


async def test_what_comes_while_a_commit_is_under_way_is_the_next_one(
    transactions: Transactions, commits: GroupCommit
) -> None:
    transactions.gate.clear()
    first = asyncio.ensure_future(commits.add(new_record()))
    await asyncio.sleep(0.05)
    others = [asyncio.ensure_future(commits.add(new_record(number))) for number in range(50)]
    await asyncio.sleep(0)
    assert commits.waiting == 51
    transactions.gate.set()
    await asyncio.gather(first, *others)
    assert transactions.number == 2


@pytest.mark.virtual_time
async def test_commits_begin_a_gap_apart_and_one_after_a_pause_is_not_held_up(
    transactions: Transactions, commits: GroupCommit
) -> None:
    for number in range(3):
        await commits.add(new_record(number))
    await asyncio.sleep(1)
    await commits.add(new_record(3))
    assert transactions.begun_at_s == pytest.approx([0.0, 0.05, 0.1, 1.1])


@pytest.mark.virtual_time
async def test_a_database_in_trouble_is_asked_again_every_two_seconds_at_the_latest(
    transactions: Transactions, commits: GroupCommit
) -> None:
    transactions.is_in_trouble = True
    write = asyncio.ensure_future(commits.add(new_record()))
    await asyncio.sleep(120)
    gaps_s = [after - before for before, after in pairwise(transactions.begun_at_s)]
    assert max(gaps_s) <= 2.0
    assert (commits.failures, commits.trouble) == (transactions.number, "the disk is full")
    assert transactions.number < 300, "a database in trouble is not beset"
    transactions.is_in_trouble = False
    assert await write
    assert commits.trouble is None


@pytest.mark.parametrize("place", [0, 7, 19])
async def test_a_row_that_the_database_refuses_fails_alone(
    transactions: Transactions, commits: GroupCommit, place: int
) -> None:
    records = [new_record(number) for number in range(20)]
    asked = [*records[:place], replace(records[place], attempts=BEYOND_64_BITS), *records[place + 1 :]]
    with capture_logs() as lines:
        came = await asyncio.gather(*(commits.add(record) for record in asked), return_exceptions=True)
    assert [line["generation"] for line in lines] == [records[place].id]
    assert commits.failures == 1
    assert isinstance(came[place], StoreUnavailable)
    assert [answer for number, answer in enumerate(came) if number != place] == [True] * 19
    assert transactions.ids() == {record.id for record in records} - {records[place].id}
    assert commits.waiting == 0
    assert commits.trouble is None


async def test_a_refused_end_leaves_its_generation_open_for_another(store: SqlRecordStore) -> None:
    record, neighbour = new_record(0), new_record(1)
    await asyncio.gather(store.add(record), store.add(neighbour))
    ends = (store.end(record.id, new_ending(attempts=BEYOND_64_BITS)), store.end(neighbour.id, new_ending()))
    refused, written = await asyncio.gather(*ends, return_exceptions=True)
    assert isinstance(refused, StoreUnavailable)
    assert written is True
    assert await store.end(record.id, new_ending())


async def test_a_locked_file_is_waited_for_and_nothing_is_lost(store: SqlRecordStore, tmp_path: Path) -> None:
    records = [new_record(number) for number in range(10)]
    assert store.failures == 0
    with closing(sqlite3.connect(tmp_path / "monitor.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [asyncio.ensure_future(store.add(record)) for record in records]
        while not store.failures:
            await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.check()
        assert store.waiting == 10
        other.execute("COMMIT")
    assert await asyncio.gather(*writes) == records
    await store.check()
    assert [await store.get(record.id) for record in records] == records


async def test_a_closed_store_takes_nothing_more(tmp_path: Path) -> None:
    async with open_sql_store(f"sqlite:///{tmp_path / 'monitor.db'}") as store:
        record = new_record()
        await store.add(record)
    with pytest.raises(StoreUnavailable, match="clos"):
        await store.add(new_record())
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.submit(record.id, HANDLE, NOW)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.end(record.id, new_ending())


async def test_a_closing_writer_commits_what_waits(transactions: Transactions) -> None:
    commits, records = GroupCommit(transactions), [new_record(number) for number in range(10)]
    writes = [asyncio.ensure_future(commits.add(record)) for record in records]
    await asyncio.sleep(0)
    await commits.close(5)
    assert all(await asyncio.gather(*writes))
    assert transactions.ids() == {record.id for record in records}


async def test_while_it_closes_it_takes_no_new_generation_but_the_ends_of_others(transactions: Transactions) -> None:
    commits, record = GroupCommit(transactions), new_record()
    await commits.add(record)
    transactions.gate.clear()
    end = commits.end(record.id, new_ending())
    closed = asyncio.ensure_future(commits.close(5))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closing"):
        await commits.add(new_record())
    submit = commits.submit("another", HANDLE, NOW)
    transactions.gate.set()
    await closed
    assert await end
    await submit


async def test_whoever_waits_for_a_database_that_hangs_is_told_at_the_close(transactions: Transactions) -> None:
    commits, records = GroupCommit(transactions), [new_record(), new_record(1)]
    transactions.gate.clear()
    under_way = asyncio.ensure_future(commits.add(records[0]))
    await asyncio.sleep(0.05)
    queued = asyncio.ensure_future(commits.add(records[1]))
    await asyncio.sleep(0)
    with capture_logs() as lines:
        await commits.close(0.05)
    for write in (under_way, queued):
        with pytest.raises(StoreUnavailable, match="closed before it answered"):
            await write
    assert commits.waiting == 0
    assert [(line["writes"], line["generations"]) for line in lines] == [(2, [record.id for record in records])]


async def test_too_many_waiting_writes_refuse_new_generations_but_not_the_ends_of_others(
    transactions: Transactions, commits: GroupCommit
) -> None:
    transactions.gate.clear()
    first = new_record()
    waiting = [asyncio.ensure_future(commits.add(record)) for record in _many(first, MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match=f"{MAX_WAITING} writes wait"):
        await commits.add(new_record())
    end = asyncio.ensure_future(commits.end(first.id, new_ending()))
    await asyncio.sleep(0)
    transactions.gate.set()
    assert await end
    assert all(await asyncio.gather(*waiting))
    assert await commits.add(new_record())
    assert transactions.number >= 5, "no transaction holds them all: others want to write between"


def _many(first: Record, number: int) -> list[Record]:
    return [first, *(replace(first, id=f"{first.id[:24]}{place:012x}") for place in range(1, number))]
