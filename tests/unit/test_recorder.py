"""Only who wrote the outcome first tells it: another process on the same store was faster. In virtual time."""

import asyncio
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.facts import Disowned
from monitor.delivery.model import Handle, Outcome, Reason
from monitor.store.port import Record
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.scripted_provider import Connection, Say, ScriptedProvider, ready
from tests.records import new_ending
from tests.stand import HANDLE, REQUEST, Stand

pytestmark = pytest.mark.virtual_time


def wins_by_polling() -> ScriptedProvider:
    return ScriptedProvider(HANDLE, connections=(Connection(),), polls=(Say(0.0, ready()),))


class Unreadable(MemoryRecordStore):
    """Takes writes, and cannot be read."""

    async def get(self, generation_id: str) -> Record | None:
        raise StoreUnavailable("the store cannot be read")


async def overtaken(stand: Stand) -> Record:
    """The end that a caller hears of, where another process had recorded one."""
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    waiting = asyncio.create_task(runner.wait(record.id, 1000))
    await asyncio.sleep(5)
    assert await stand.store.end(record.id, new_ending(outcome=Outcome.CANCELLED, reason=Reason.CALLER))
    ended = await waiting
    assert ended is not None
    assert runner.in_flight == 0
    return ended


async def test_what_another_process_recorded_is_what_the_caller_hears_and_nothing_is_told_twice() -> None:
    stand = Stand(provider=wins_by_polling())
    ended = await overtaken(stand)
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, Reason.CALLER)
    await asyncio.sleep(100)
    assert stand.observer.ended == []
    assert [type(fact) for fact in stand.observer.facts].count(Disowned) == 1
    assert stand.traces.written == []


async def test_where_it_was_overtaken_what_lingers_is_closed_and_its_place_is_free() -> None:
    stand = Stand(provider=wins_by_polling(), measured_ratio=1.0, max_measured=1)
    await overtaken(stand)
    assert stand.provider.open_calls == 0
    assert stand.after.take_place(stand.last_generation())


async def test_where_it_was_overtaken_and_the_store_cannot_be_read_its_own_end_is_told_once() -> None:
    stand = Stand(provider=wins_by_polling(), store=Unreadable())
    assert (await overtaken(stand)).outcome is Outcome.DELIVERED
    assert [type(fact) for fact in stand.observer.facts].count(Disowned) == 1


async def test_a_write_that_the_store_refuses_is_in_the_log() -> None:
    class Refusing(MemoryRecordStore):
        """Takes no handle."""

        async def submit(self, generation_id: str, handle: Handle, submitted_at: datetime) -> None:
            raise StoreUnavailable("the store refuses a row")

    stand = Stand(store=Refusing())
    with capture_logs() as lines:
        record = await stand.run(stand.runner())
    assert record.outcome is Outcome.DELIVERED
    assert [(line["event"], line["error"]) for line in lines] == [
        ("a record could not be written", "the store refuses a row")
    ]
