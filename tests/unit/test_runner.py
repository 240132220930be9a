"""Owning generations in flight: who follows, waits and cancels, and how it stops. In virtual time, on doubles."""

import asyncio
import gc
from typing import Any

import pytest

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import Handle, Outcome, Reason, State
from monitor.delivery.ports import Cursor, Notify
from monitor.delivery.trace_context import TraceHeaders
from monitor.runner import KEY_PATIENCE_S, Runner
from monitor.store.port import Ending, Idempotency
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.scripted_provider import HANG, Say, ScriptedProvider
from tests.stand import HANDLE, REQUEST, Stand

pytestmark = pytest.mark.virtual_time

KEY = Idempotency("tests", "a-key", "same")


async def followed(runner: Runner, generation_id: str) -> list[str]:
    return [entry["event"] async for _, entry in runner.follow(generation_id)]


def kept(kind: type[object]) -> int:
    gc.collect()
    return sum(type(item) is kind for item in gc.get_objects())


async def test_of_who_stops_following_nothing_is_kept() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE))
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(1)
    before = kept(asyncio.Event)
    for _ in range(20):
        following = runner.follow(record.id)
        await anext(following)
        await following.aclose()  # type: ignore[attr-defined]
    assert kept(asyncio.Event) == before
    await runner.stop(1)


async def test_of_generations_that_are_over_no_task_is_kept() -> None:
    stand = Stand(measured_ratio=1.0, checked_ratio=1.0)
    runner = stand.runner()
    counts = []
    for _ in range(4):
        await stand.run(runner)
        await asyncio.sleep(100)
        counts.append(kept(asyncio.Task))
    assert counts[-1] == counts[0]


async def test_who_follows_or_waits_is_let_go_as_soon_as_the_doors_close() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE))
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    following = asyncio.create_task(followed(runner, record.id))
    waiting = asyncio.create_task(runner.wait(record.id, 1000))
    await asyncio.sleep(4.5)
    runner.close_doors()
    assert await following == ["create", "submitted", "sse_opened"]
    shown = await waiting
    assert shown is not None
    assert (shown.state, shown.outcome) == (State.SUBMITTED, None)
    assert asyncio.get_running_loop().time() == 4.5
    await runner.stop(1)


async def test_a_stop_waits_for_the_answer_of_a_create_so_that_the_job_is_not_lost() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, creates=(Say(2.0, HANDLE),)))
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(0.5)
    await runner.stop(10)
    written = stand.store.records[record.id]
    assert (written.state, written.handle) == (State.SUBMITTED, HANDLE)


async def test_a_create_that_hangs_does_not_hold_a_stop_up_beyond_its_grace() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, creates=(HANG,)))
    runner = stand.runner()
    await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(0.5)
    await runner.stop(10)
    assert asyncio.get_running_loop().time() <= 10.5
    assert stand.provider.open_calls == 0


async def test_a_stop_waits_until_the_streams_are_closed() -> None:
    class Slow(ScriptedProvider):
        """Takes a while to let go of its stream."""

        closed = 0

        async def subscribe(
            self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders
        ) -> None:
            try:
                await super().subscribe(handle, cursor, notify, trace_headers=trace_headers)
            finally:
                await asyncio.sleep(0.5)
                self.closed += 1

    provider = Slow(HANDLE)
    runner = Stand(provider=provider).runner()
    await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(5)
    await runner.stop(10)
    assert provider.closed == 1


async def test_a_caller_who_cancels_and_goes_takes_the_end_from_nobody_else() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE), store=MemoryRecordStore(delay_s=0.5))
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(5)
    gone = asyncio.create_task(runner.cancel(record.id))
    await asyncio.sleep(0.1)
    gone.cancel()
    ended = await runner.cancel(record.id)
    assert ended is not None
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, Reason.CALLER)


async def test_a_slow_store_is_waited_for_by_who_has_a_key_so_that_it_stays_one_generation() -> None:
    stand = Stand(store=MemoryRecordStore(delay_s=2.0))
    runner = stand.runner()
    asked = (runner.accept("superduperai", REQUEST, idempotency=KEY) for _ in range(2))
    (first, is_first_new), (second, is_second_new) = await asyncio.gather(*asked)
    assert first.id == second.id
    assert sorted((is_first_new, is_second_new)) == [False, True]
    await asyncio.sleep(10)
    assert stand.provider.calls["create"] == 1


async def test_with_a_key_a_store_that_says_nothing_is_told_in_time() -> None:
    stand = Stand()
    stand.store.is_failing = True
    runner = stand.runner()
    with pytest.raises(StoreUnavailable, match="ask again with the same Idempotency-Key"):
        await runner.accept("superduperai", REQUEST, idempotency=KEY)
    assert asyncio.get_running_loop().time() == KEY_PATIENCE_S
    await runner.stop(1)


async def test_what_is_refused_to_a_caller_who_has_gone_is_no_trouble() -> None:
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    runner = Stand(store=MemoryRecordStore(delay_s=0.5)).runner()
    gone = asyncio.create_task(runner.accept("superduperai", REQUEST))
    await asyncio.sleep(0.1)
    gone.cancel()
    await asyncio.wait([gone])
    del gone  # who holds on to it would hear of the trouble
    runner.close_doors()
    await asyncio.sleep(1)
    gc.collect()
    assert troubles == []


async def test_a_bug_in_writing_ends_is_not_run_into_again_and_again() -> None:
    class Broken(MemoryRecordStore):
        """Has a bug where ends are written."""

        asked = 0

        def end(self, generation_id: str, ending: Ending) -> Any:
            self.asked += 1
            if self.asked > 10:
                return super().end(generation_id, ending)
            raise TypeError("a bug")

    store = Broken()
    stand = Stand(store=store)
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    shown = await runner.wait(record.id, 100)
    assert store.asked == 2, "for the outcome, and for the crash"
    assert shown is not None
    assert shown.outcome is None, "it stands open, to be taken up at the next start"
    assert [item.id for item in await store.unfinished("monitor")] == [record.id]
