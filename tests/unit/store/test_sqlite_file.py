"""What becomes of a service whose database file is taken away under it."""

import asyncio
from pathlib import Path

import pytest

from monitor.delivery.errors import StoreUnavailable
from monitor.store.port import RecordFilter
from monitor.store.sql import SqlRecordStore, open_sql_store
from tests.records import new_record

GONE = "its file was deleted or replaced; start the service again"


async def _is_in_trouble(store: SqlRecordStore) -> bool:
    for _ in range(200):
        if store.failures:
            return True
        await asyncio.sleep(0.01)
    return False


@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_file_that_was_taken_away_is_told_and_nothing_is_written_to_where_nobody_finds_it(
    tmp_path: Path, how: str
) -> None:
    file, second = tmp_path / "monitor.db", new_record(2)
    async with open_sql_store(f"sqlite:///{file}", drain_s=0.1) as store:
        await store.add(new_record(1))
        await store.check()
        file.rename(tmp_path / "taken.db")
        if how == "replaced":
            file.write_bytes((tmp_path / "taken.db").read_bytes())
        adding = asyncio.ensure_future(store.add(second))
        assert await _is_in_trouble(store)
        with pytest.raises(StoreUnavailable, match=GONE):
            await store.check()
        with pytest.raises(StoreUnavailable, match=GONE):
            await store.page(RecordFilter(), before_id=None, limit=1)
        (tmp_path / "taken.db").rename(file)
        assert await adding == second
        assert len(await store.page(RecordFilter(), before_id=None, limit=9)) == 2
