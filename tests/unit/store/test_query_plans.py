"""What the store reads comes from an index: what a read costs grows with its result, not with the table."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import event

from monitor.delivery.model import Channel, Origin, Outcome
from monitor.store.port import RecordFilter
from monitor.store.sql import SqlRecordStore, open_sql_store
from tests.records import NOW, new_ending, new_record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "monitor.db"


@pytest_asyncio.fixture
async def store(file: Path) -> AsyncIterator[SqlRecordStore]:
    async with open_sql_store(f"sqlite:///{file}") as opened:
        yield opened


@contextmanager
def _heard() -> Iterator[list[tuple[str, Any]]]:
    """The statements on the table that are executed inside, with their parameters."""
    said: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if "generations" in statement:
            said.append((statement, parameters))

    event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(sa.Engine, "before_cursor_execute", hear)


def _plans(file: Path, said: list[tuple[str, Any]]) -> list[str]:
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        explained = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", tuple(given)) for words, given in said]
        plans = [row.detail for rows in explained for row in rows]
    engine.dispose()
    return plans


async def test_no_read_looks_at_every_row(store: SqlRecordStore, file: Path) -> None:
    with _heard() as said:
        await store.get("x")
        await store.find_key("local", "x")
        await store.unfinished("monitor")
        await store.cancels_asked("monitor")
        await store.unreconciled("monitor", since=NOW, limit=100)
        await store.figures(NOW, bounds_s=(1.0, 2.0))
        await store.render_observations(NOW, limit=100)
        await store.prune(older_than=timedelta(days=1), keep_at_most=10, now=NOW)
    plans = [plan for plan in _plans(file, said) if "generations" in plan]
    assert len(plans) >= 10
    scans = [plan for plan in plans if not plan.startswith("SEARCH")]
    assert all("COVERING INDEX" in plan for plan in scans), scans
    assert len(scans) <= 1, "only what counts how many are kept may look at the ids of all"


async def test_figures_are_sought_by_time_alone_whatever_else_they_ask_for(store: SqlRecordStore, file: Path) -> None:
    for record in (new_record(), new_record()):
        await store.add(record)
        await store.end(record.id, new_ending())
    with _heard() as said:
        await store.figures(NOW, bounds_s=(1.0, 2.0))
        await store.render_observations(NOW, limit=100)
    plans = [plan for plan in _plans(file, said) if "generations" in plan]
    assert len(plans) >= 8
    by_time = tuple(f"ix_generations_{name} (ended_at_ms>" for name in ("ended", "measured"))
    assert [plan for plan in plans if not any(how in plan for how in by_time)] == []
    assert [plan for plan in plans[:-1] if "COVERING" not in plan] == []


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (RecordFilter(outcome=Outcome.EXPIRED), "outcome"),
        (RecordFilter(channel=Channel.POLLING), "channel"),
        (RecordFilter(provider="superduperai"), "provider"),
        (RecordFilter(origin=Origin.CANARY), "origin"),
        (RecordFilter(outcome=Outcome.EXPIRED, channel=Channel.SSE, provider="superduperai"), "outcome"),
        (RecordFilter(outcome=Outcome.DELIVERED, origin=Origin.REPORT), "origin"),
        (RecordFilter(outcome=Outcome.DELIVERED, provider="nobody"), "provider"),
    ],
)
async def test_a_filtered_page_is_read_in_its_order(
    store: SqlRecordStore, file: Path, wanted: RecordFilter, name: str
) -> None:
    with _heard() as said:
        await store.page(wanted, before_id="x", limit=50)
    plans = _plans(file, said)
    assert [plan for plan in plans if f"ix_generations_{name} ({name}=? AND id<?)" in plan], plans
    assert not [plan for plan in plans if "TEMP B-TREE" in plan]
