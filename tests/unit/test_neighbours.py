"""Generations of another service, seen through the store, in virtual time."""

import asyncio

import pytest

from monitor.delivery.clock import Clock
from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import Outcome, Reason
from monitor.neighbours import CANCEL_PATIENCE_S, Neighbours
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.scripted_provider import ScriptedProvider
from tests.records import NOW, new_ending, new_record
from tests.stand import HANDLE, REQUEST, Stand

pytestmark = pytest.mark.virtual_time


async def test_one_whose_owner_is_away_is_shown_as_it_stands_and_stays_marked() -> None:
    store, record = MemoryRecordStore(), new_record()
    await store.add(record)
    began_at_s = asyncio.get_running_loop().time()
    shown = await Neighbours(store, Clock(), asyncio.Event()).cancel(record.id)
    assert shown == record
    assert asyncio.get_running_loop().time() - began_at_s == CANCEL_PATIENCE_S
    assert await store.cancels_asked(record.instance) == [record.id]


async def test_one_that_has_ended_or_never_was_is_not_marked() -> None:
    store, record = MemoryRecordStore(), new_record()
    await store.add(record)
    await store.end(record.id, new_ending())
    neighbours = Neighbours(store, Clock(), asyncio.Event())
    ended = await neighbours.cancel(record.id)
    assert ended is not None
    assert ended.outcome is Outcome.DELIVERED
    assert await neighbours.cancel("nobody") is None
    assert store.cancels == set()


async def test_who_waits_is_let_go_at_once_when_the_service_stops() -> None:
    store, record, stopping = MemoryRecordStore(), new_record(), asyncio.Event()
    await store.add(record)
    waiting = asyncio.create_task(Neighbours(store, Clock(), stopping).wait(record.id))
    await asyncio.sleep(3.25)
    stopping.set()
    assert await waiting == record
    assert asyncio.get_running_loop().time() == 3.25


async def test_the_owner_heeds_a_mark_and_outlives_a_store_that_fails_for_a_while() -> None:
    class Failing(MemoryRecordStore):
        """Cannot be read the first time."""

        looks = 0

        async def cancels_asked(self, instance: str) -> list[str]:
            self.looks += 1
            if self.looks == 1:
                raise StoreUnavailable("locked")
            return await super().cancels_asked(instance)

    stand = Stand(provider=ScriptedProvider(HANDLE), store=Failing())
    runner = stand.runner()
    heeding = asyncio.create_task(runner.heed_cancels())
    record, _ = await runner.accept("superduperai", REQUEST)
    await stand.store.ask_cancel(record.id, NOW)
    ended = await runner.wait(record.id, 60)
    heeding.cancel()
    assert ended is not None
    assert (ended.outcome, ended.reason, ended.duration_s) == (Outcome.CANCELLED, Reason.CALLER, 2.0)
    assert stand.provider.open_calls == 0
