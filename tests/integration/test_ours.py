"""Faults on our own side: a store in trouble, an observer that raises, a collector that is away, a clock that jumps."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from monitor.delivery.errors import ChannelError, IdempotencyConflict, Overloaded, ShuttingDown, StoreUnavailable
from monitor.delivery.facts import Fact
from monitor.delivery.model import (
    Channel,
    ErrorKind,
    Generation,
    Outcome,
    Pending,
    Reason,
    Stage,
    State,
)
from monitor.runner import Runner
from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.store.port import Ending, Idempotency, Record
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.scripted_provider import Connection, Say, ScriptedProvider, ready
from tests.serving import running, serve_app, service_settings
from tests.stand import HANDLE, REQUEST, Stand

virtual = pytest.mark.virtual_time


class Refusing(MemoryRecordStore):
    """Takes everything but outcomes, and says so after a while."""

    def __init__(self, after_s: float) -> None:
        super().__init__()
        self._after_s = after_s

    async def end(self, generation_id: str, ending: Ending) -> bool:
        await asyncio.sleep(self._after_s)
        raise StoreUnavailable("the store refuses a row: it does not like it")


@virtual
async def test_a_slow_store_does_not_hold_the_delivery_up_for_long() -> None:
    stand = Stand(store=MemoryRecordStore(delay_s=2.0))
    runner = stand.runner()
    record = await stand.run(runner)
    assert (record.outcome, record.duration_s) == (Outcome.DELIVERED, 3.0)
    await asyncio.sleep(10)
    assert stand.store.records[record.id].outcome is Outcome.DELIVERED
    assert (runner.in_flight, len(stand.observer.ended)) == (0, 1)


@virtual
async def test_a_store_that_fails_for_a_while_is_written_late_and_nothing_is_lost() -> None:
    stand = Stand()
    runner = stand.runner()
    stand.store.is_failing = True
    record = await stand.run(runner)
    assert record.outcome is Outcome.DELIVERED
    assert record.id not in stand.store.records
    assert runner.in_flight == 1
    assert (await runner.get(record.id)) == record
    await asyncio.sleep(10)
    stand.store.is_failing = False
    await asyncio.sleep(1)
    assert stand.store.records[record.id].outcome is Outcome.DELIVERED
    assert (runner.in_flight, len(stand.observer.ended)) == (0, 1)


@virtual
@pytest.mark.parametrize("after_s", [0.0, 5.0])
async def test_an_outcome_that_the_store_refuses_for_good_is_told_and_holds_no_place(after_s: float) -> None:
    stand = Stand(store=Refusing(after_s))
    runner = stand.runner()
    record = await stand.run(runner)
    assert record.outcome is Outcome.DELIVERED
    await asyncio.sleep(10)
    assert (runner.in_flight, len(stand.observer.ended)) == (0, 1)


@virtual
async def test_in_flight_it_shows_its_attempts_and_its_timeline_so_far() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE))
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(25)
    shown = await runner.get(record.id)
    assert shown is not None
    assert (shown.state, shown.attempts) == (State.SUBMITTED, 2)
    assert [entry["event"] for entry in shown.timeline].count("poll") == 2
    await runner.stop(1)


@virtual
async def test_what_happened_before_a_stop_is_in_the_timeline_of_who_resumes() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE))
    stopped = stand.runner()
    record, _ = await stopped.accept("superduperai", REQUEST)
    await asyncio.sleep(25)
    await stopped.stop(1)
    stand.clock.ahead = timedelta(seconds=25)  # of the wall clock, which virtual time does not move
    resumed = stand.runner()
    assert await resumed.resume() == 1
    ended = await resumed.wait(record.id, 1000)
    assert ended is not None
    events = [entry["event"] for entry in ended.timeline]
    assert events.index("submitted") < events.index("poll") < events.index("resumed") < events.index("ended")
    assert [entry["attempt"] for entry in ended.timeline if entry["event"] == "poll"] == [1, 2, 3, 4, 5, 6]
    assert list(ended.timeline) == sorted(ended.timeline, key=lambda entry: entry["at_ms"])
    assert list(stand.store.records[record.id].timeline) == list(ended.timeline)


@virtual
async def test_a_trace_sink_that_raises_harms_nothing() -> None:
    stand = Stand()
    stand.traces.is_broken = True
    assert (await stand.run(stand.runner())).outcome is Outcome.DELIVERED


@virtual
async def test_over_the_limit_and_while_stopping_nothing_is_accepted() -> None:
    stand = Stand()
    runner = stand.runner()
    for _ in range(2):
        await runner.accept("superduperai", REQUEST)
    with pytest.raises(Overloaded):
        await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(5)
    await runner.accept("superduperai", REQUEST)
    await runner.stop(5)
    with pytest.raises(ShuttingDown):
        await runner.accept("superduperai", REQUEST)
    assert stand.provider.open_calls == 0


@virtual
async def test_a_key_that_was_used_gets_its_generation_at_the_limit_too() -> None:
    stand = Stand()
    runner = stand.runner()
    key = Idempotency("tests", "a-key", "same")
    first, _ = await runner.accept("superduperai", REQUEST, idempotency=key)
    await runner.accept("superduperai", REQUEST)
    again, is_new = await runner.accept("superduperai", REQUEST, idempotency=key)
    assert (again.id, is_new) == (first.id, False)
    with pytest.raises(IdempotencyConflict):
        await runner.accept("superduperai", REQUEST, idempotency=Idempotency("tests", "a-key", "other"))
    with pytest.raises(Overloaded):
        await runner.accept("superduperai", REQUEST, idempotency=Idempotency("tests", "new", "same"))
    await runner.stop(5)


@virtual
async def test_what_is_being_recorded_when_the_service_stops_is_refused_and_asked_of_nobody() -> None:
    stand = Stand(store=MemoryRecordStore(delay_s=0.5))
    runner = stand.runner()
    asked = asyncio.create_task(runner.accept("superduperai", REQUEST))
    await asyncio.sleep(0.1)
    await runner.stop(5)
    with pytest.raises(ShuttingDown):
        await asked
    await asyncio.sleep(100)
    assert (stand.provider.calls["create"], runner.in_flight, stand.observer.facts) == (0, 0, [])


@virtual
@pytest.mark.parametrize("hours", [1, -1])
async def test_a_wall_clock_that_jumps_bends_nothing(hours: int) -> None:
    stand = Stand()
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    stand.clock.ahead = timedelta(hours=hours)
    ended = await runner.wait(record.id, 1000)
    assert ended is not None
    assert ended.duration_s == 3.0
    assert ended.ended_at is not None
    assert (ended.ended_at - record.created_at).total_seconds() == pytest.approx(3.0, abs=0.01)


@virtual
@pytest.mark.parametrize("at_s", [0.0, 0.5, 1.0, 2.0, 3.9])
async def test_it_can_be_cancelled_at_every_stage_and_leaves_nothing_open(at_s: float) -> None:
    stand = Stand()
    stand.provider.creates = (Say(1.0, HANDLE),)
    runner = stand.runner()
    record, _ = await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(at_s)
    ended = await runner.cancel(record.id)
    assert ended is not None
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, Reason.CALLER)
    assert (stand.provider.open_calls, runner.in_flight, len(stand.observer.ended)) == (0, 0, 1)


@virtual
async def test_a_bug_in_the_provider_adapters_create_ends_as_crashed() -> None:
    stand = Stand()
    stand.provider.creates = (Say(0.1, RuntimeError("a bug")),)
    record = await stand.run(stand.runner())
    assert (record.outcome, record.reason) == (Outcome.CANCELLED, Reason.CRASHED)


@virtual
async def test_one_key_is_one_generation_and_another_request_with_it_a_conflict() -> None:
    stand = Stand()
    runner = stand.runner()
    key = Idempotency("local", "key", "hash")
    first, is_new = await runner.accept("superduperai", REQUEST, idempotency=key)
    again, is_new_again = await runner.accept("superduperai", REQUEST, idempotency=key)
    assert (first.id, is_new, is_new_again) == (again.id, True, False)
    with pytest.raises(IdempotencyConflict):
        await runner.accept("superduperai", REQUEST, idempotency=Idempotency("local", "key", "another"))
    assert runner.in_flight == 1
    await runner.stop(1)


@virtual
async def test_taken_up_again_inside_its_window_it_is_delivered_and_created_once() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, polls=(Say(0.0, Pending()), Say(0.0, ready()))))
    first = stand.runner()
    record, _ = await first.accept("superduperai", REQUEST)
    await asyncio.sleep(5)
    await first.stop(1)
    assert stand.store.records[record.id].state is State.SUBMITTED
    stand.clock.ahead = timedelta(seconds=-5)  # virtual time has gone on by 5 s, the wall clock has not
    stand.store.records[record.id] = _moved(stand.store.records[record.id], -10)
    second = stand.runner()
    assert await second.resume() == 1
    ended = await second.wait(record.id, 1000)
    assert ended is not None
    assert (ended.outcome, ended.channel) == (Outcome.DELIVERED, Channel.POLLING)
    assert stand.provider.calls["create"] == 1
    assert len(stand.observer.ended) == 1


@virtual
async def test_what_was_cancelled_at_another_service_while_its_owner_was_away_is_not_delivered() -> None:
    stand = Stand()
    first = stand.runner()
    record, _ = await first.accept("superduperai", REQUEST)
    await asyncio.sleep(1)
    await first.stop(1)
    await stand.store.ask_cancel(record.id, stand.clock.now())
    stand.provider.polls = (Say(0.0, ready()),)
    second = stand.runner()
    await second.resume()
    ended = await second.wait(record.id, 1000)
    assert ended is not None
    assert (ended.outcome, ended.reason) == (Outcome.CANCELLED, Reason.CALLER)
    assert stand.provider.open_calls == 0


@virtual
async def test_taken_up_again_it_is_not_measured_as_no_channel_is_to_blame_for_our_absence() -> None:
    stand = Stand(measured_ratio=1.0)
    first = stand.runner()
    record, _ = await first.accept("superduperai", REQUEST)
    await asyncio.sleep(1)
    await first.stop(1)
    stand.provider.connections = (Connection(),)
    stand.provider.polls = (Say(0.0, ready()),)
    await stand.runner().resume()
    await asyncio.sleep(200)
    kept = stand.store.records[record.id]
    assert (kept.outcome, kept.channel) == (Outcome.DELIVERED, Channel.POLLING)
    assert kept.findings.measurement is None


@virtual
async def test_who_followed_until_a_crash_hears_all_that_comes_after_it() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE))
    first = stand.runner()
    record, _ = await first.accept("superduperai", REQUEST)
    await asyncio.sleep(45)
    following = asyncio.create_task(_follow(first, record.id))
    await first.stop(1)
    seen = await following
    stand.store.records[record.id] = replace(stand.store.records[record.id], timeline=())  # a crash keeps nothing
    stand.provider.polls = (Say(0.0, ready()),)
    second = stand.runner()
    await second.resume()
    told = [(id_, entry["event"]) async for id_, entry in second.follow(record.id)]
    assert (told[0][1], told[-1][1]) == ("resumed", "ended")
    ids = [id_ for id_, _ in told]
    assert 2 < len(ids) < len(seen)
    for last in (seen[0], seen[2], seen[-1]):
        assert await _follow(second, record.id, last) == ids
    assert await _follow(second, record.id, ids[1]) == ids[2:]


async def _follow(runner: Runner, generation_id: str, last_id: str = "") -> list[str]:
    return [id_ async for id_, _ in runner.follow(generation_id, last_id)]


@virtual
async def test_taken_up_after_its_window_it_is_expired_and_says_who_was_down() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE))
    first = stand.runner()
    record, _ = await first.accept("superduperai", REQUEST)
    await asyncio.sleep(1)
    await first.stop(1)
    stand.clock.ahead = timedelta(hours=1)
    second = stand.runner()
    await second.resume()
    ended = await second.wait(record.id, 10)
    assert ended is not None
    assert (ended.outcome, ended.reason) == (Outcome.EXPIRED, Reason.MONITOR_DOWN)


def _moved(record: Record, seconds: float) -> Record:
    assert record.submitted_at is not None
    by = timedelta(seconds=seconds)
    return replace(record, created_at=record.created_at + by, submitted_at=record.submitted_at + by)


@virtual
async def test_a_create_that_may_have_worked_is_not_repeated() -> None:
    stand = Stand()
    stand.provider.creates = (
        Say(0.1, ChannelError(ErrorKind.TIMEOUT, Stage.CREATE, "no answer in time", may_have_effect=True)),
    )
    record = await stand.run(stand.runner())
    assert (record.outcome, record.reason) == (Outcome.REJECTED, Reason.CREATE_UNKNOWN)
    assert stand.provider.calls["create"] == 1


class Broken:
    """An observer that always raises."""

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        raise RuntimeError("an observer's bug")


async def test_an_observer_that_raises_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    from aiohttp import web

    from monitor.app import build_app

    registry = CollectorRegistry()
    async with serve_simulator(SimulatorConfig(fixed_render_s=0.1), "127.0.0.1", 0) as provider_url:
        app = build_app(service_settings(tmp_path, provider_url), registry=registry, observers=[Broken()])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"{url}/v1/generations", json={"prompt": "x"}, headers={"Prefer": "wait=20"}) as response,
            ):
                assert (await response.json())["outcome"] == "delivered"
        finally:
            await runner.cleanup()
    failures = registry.get_sample_value("generation_monitor_observer_failures_total", {"observer": "Broken"})
    assert failures is not None
    assert failures > 3


async def test_a_collector_that_is_away_harms_nothing(tmp_path: Path) -> None:
    tracing = {"endpoint": "http://127.0.0.1:9", "sample_ratio": 1.0}
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.1), tracing=tracing) as service:
        assert (await service.generate("a fox"))["outcome"] == "delivered"


async def test_the_application_can_be_built_and_run_again_and_again(tmp_path: Path) -> None:
    async with serve_simulator(SimulatorConfig(fixed_render_s=0.1), "127.0.0.1", 0) as provider_url:
        for _ in range(2):
            async with (
                serve_app(service_settings(tmp_path, provider_url)) as url,
                aiohttp.ClientSession() as http,
                http.get(f"{url}/-/ready") as response,
            ):
                assert response.status == 200
