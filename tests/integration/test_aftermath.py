"""What is found out after the outcome: the channel that lost, the asset, lateness. In virtual time, on doubles."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from monitor import aftermath
from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import (
    AssetChecked,
    ChannelsMeasured,
    Fact,
    LookedAgain,
    PollStarted,
    Reconciled,
    StreamEnded,
)
from monitor.delivery.model import (
    UNMEASURED,
    AssetResult,
    Channel,
    ChannelResult,
    ErrorKind,
    Failed,
    Kind,
    Measurement,
    Outcome,
    Pending,
    Stage,
)
from monitor.reconciler import LOOKS_AFTER_S, looks_due
from monitor.store.port import Record
from monitor.testing.memory_store import MemoryRecordStore
from monitor.testing.scripted_provider import HANG, Connection, Say, ScriptedProvider, ready
from tests.stand import DELIVERS, HANDLE, REQUEST, FakeChecker, Found, Stand

_Kind = TypeVar("_Kind", bound=Fact)

pytestmark = pytest.mark.virtual_time

WON, CONFIRMED, MISSED, FAILED = (
    ChannelResult.WON,
    ChannelResult.CONFIRMED,
    ChannelResult.MISSED,
    ChannelResult.FAILED,
)
PENDING, READY = Say(0.0, Pending()), Say(0.0, ready())
SILENT = (Connection(),)
REFUSED = Connection(refusal=ChannelError(ErrorKind.UNAUTHORIZED, Stage.SUBSCRIBE, "no", retryable=False))
BROKEN = Say(0.0, ChannelError(ErrorKind.UNAVAILABLE, Stage.POLL, "broken"))


def facts_of(stand: Stand, kind: type[_Kind]) -> list[_Kind]:
    return [fact for fact in stand.observer.facts if isinstance(fact, kind)]


async def settled(stand: Stand, **options: object) -> Record:
    """The record when nothing more will be found out about it."""
    ended = await stand.run(stand.runner(), **options)
    await asyncio.sleep(1000)
    return stand.store.records[ended.id]


SCRIPTS = {
    "sse wins, polling confirms at its next slot": (
        ScriptedProvider(HANDLE, connections=DELIVERS, polls=(READY,)),
        Channel.SSE,
        Measurement(WON, CONFIRMED, 7.0),
    ),
    "sse wins, polling never has it": (
        ScriptedProvider(HANDLE, connections=DELIVERS),
        Channel.SSE,
        Measurement(WON, MISSED),
    ),
    "sse wins, polling only fails": (
        ScriptedProvider(HANDLE, connections=DELIVERS, polls=(BROKEN,)),
        Channel.SSE,
        Measurement(WON, FAILED),
    ),
    "sse wins, polling says that it failed": (
        ScriptedProvider(HANDLE, connections=DELIVERS, polls=(Say(0.0, Failed("no")),)),
        Channel.SSE,
        Measurement(WON, MISSED),
    ),
    "polling wins, sse tells later": (
        ScriptedProvider(HANDLE, connections=(Connection(says=(Say(14.0, ready()),)),), polls=(READY,)),
        Channel.POLLING,
        Measurement(CONFIRMED, WON, 4.0),
    ),
    "polling wins, sse stays silent": (
        ScriptedProvider(HANDLE, connections=SILENT, polls=(READY,)),
        Channel.POLLING,
        Measurement(MISSED, WON),
    ),
    "polling wins, sse is refused": (
        ScriptedProvider(HANDLE, connections=(REFUSED,), polls=(READY,)),
        Channel.POLLING,
        Measurement(FAILED, WON),
    ),
    "nobody has it": (ScriptedProvider(HANDLE, connections=SILENT), Channel.NONE, Measurement(MISSED, MISSED)),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_each_channel_is_measured_on_its_own(name: str) -> None:
    provider, winner, measurement = SCRIPTS[name]
    stand = Stand(provider=replace(provider), measured_ratio=1.0)
    record = await settled(stand)
    assert record.channel is winner
    assert record.findings.measurement == measurement
    assert [fact.measurement for fact in facts_of(stand, ChannelsMeasured)] == [measurement]
    assert stand.provider.open_calls == 0


@pytest.mark.parametrize("polls", [(READY,), (PENDING,)], ids=["confirmed after 7 s", "missed"])
async def test_a_measurement_counts_when_the_window_has_ended_however_it_went(polls: tuple[Say, ...]) -> None:
    stand = Stand(
        provider=ScriptedProvider(HANDLE, connections=DELIVERS, polls=polls), measured_ratio=1.0, max_measured=1
    )
    record = await stand.run(stand.runner())
    await asyncio.sleep(74.9 - asyncio.get_running_loop().time())
    assert facts_of(stand, ChannelsMeasured) == []
    assert stand.store.records[record.id].findings.measurement is None
    assert not stand.after.take_place(stand.last_generation()), "its place is not free either"
    await asyncio.sleep(0.2)
    assert len(facts_of(stand, ChannelsMeasured)) == 1
    assert stand.store.records[record.id].findings.measurement is not None


async def test_a_stop_cuts_off_what_confirmed_like_what_would_have_missed() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=DELIVERS, polls=(READY,)), measured_ratio=1.0)
    record = await stand.run(stand.runner())
    await asyncio.sleep(30)
    assert len(stand.traces.written) == 1, "it is through, and its trace tells all"
    await stand.after.stop()
    assert facts_of(stand, ChannelsMeasured) == []
    assert stand.store.records[record.id].findings.measurement is None


async def test_a_loser_that_is_through_while_the_outcome_is_written_is_closed() -> None:
    late = (Connection(says=(Say(10.2, ready()),)),)
    stand = Stand(
        provider=ScriptedProvider(HANDLE, connections=late, polls=(READY,)),
        store=MemoryRecordStore(delay_s=0.5),
        measured_ratio=1.0,
    )
    record = await stand.run(stand.runner())
    await asyncio.sleep(1)
    assert stand.provider.open_calls == 0
    await asyncio.sleep(75)
    measurement = stand.store.records[record.id].findings.measurement
    assert measurement is not None
    assert (measurement.sse, measurement.polling) == (CONFIRMED, WON)
    assert measurement.lag_s == pytest.approx(0.2)


async def test_a_stop_while_the_outcome_is_written_closes_the_loser() -> None:
    stand = Stand(
        provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(READY,)),
        store=MemoryRecordStore(delay_s=0.5),
        measured_ratio=1.0,
    )
    runner = stand.runner()
    await runner.accept("superduperai", REQUEST)
    await asyncio.sleep(10.2)
    assert stand.provider.open_calls == 1
    await runner.stop(10.0)
    await stand.after.stop()
    assert stand.provider.open_calls == 0


async def test_the_caller_does_not_wait_for_the_channel_that_lost() -> None:
    stand = Stand(measured_ratio=1.0)
    runner = stand.runner()
    record = await stand.run(runner)
    assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.1)
    assert (record.outcome, record.attempts, runner.in_flight) == (Outcome.DELIVERED, 0, 0)
    await stand.after.stop()
    assert stand.provider.open_calls == 0


async def test_one_poll_is_enough_to_confirm_polling() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=DELIVERS, polls=(READY,)), measured_ratio=1.0)
    await settled(stand)
    assert stand.provider.polled_at_s == [10.0]
    assert [fact.lingering for fact in facts_of(stand, PollStarted)] == [True]


async def test_outside_the_sample_nothing_goes_on() -> None:
    stand = Stand()
    record = await settled(stand)
    assert stand.provider.polled_at_s == []
    assert record.findings.measurement is None
    assert [fact.measurement for fact in facts_of(stand, ChannelsMeasured)] == [UNMEASURED]


async def test_a_canary_is_always_measured_and_its_asset_checked() -> None:
    stand = Stand(max_measured=0)
    record = await settled(stand, canary="fox")
    assert record.findings.measurement == Measurement(WON, MISSED)
    assert record.findings.asset_check is AssetResult.OK


async def test_only_so_many_assets_are_checked_at_a_time_but_of_canaries_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "MAX_CHECKS", 1)
    stand = Stand(checked_ratio=1.0, max_in_flight=3)
    runner = stand.runner()
    await asyncio.gather(*(stand.run(runner, canary=canary) for canary in (None, None, "fox")))
    await asyncio.sleep(1000)
    checked = [record.canary for record in stand.store.records.values() if record.findings.asset_check is not None]
    assert sorted(map(str, checked)) == ["None", "fox"]
    later = await stand.run(runner)
    await asyncio.sleep(5)
    assert stand.store.records[later.id].findings.asset_check is AssetResult.OK, "its place is free again"


async def test_whose_asset_is_checked_says_nothing_about_who_is_measured() -> None:
    stand = Stand(measured_ratio=0.5, checked_ratio=0.5)
    records = [await settled(stand) for _ in range(100)]
    drawn = {(item.findings.measurement is not None, item.findings.asset_check is not None) for item in records}
    assert len(drawn) == 4, "each with and without the other"


async def test_only_so_many_are_measured_at_a_time_and_the_place_is_given_back() -> None:
    stand = Stand(measured_ratio=1.0, max_measured=1)
    runner = stand.runner()
    first, second = await asyncio.gather(stand.run(runner), stand.run(runner))
    await asyncio.sleep(1000)
    measured = [stand.store.records[record.id].findings.measurement for record in (first, second)]
    assert sorted(item is None for item in measured) == [False, True]
    third = await stand.run(runner)
    await asyncio.sleep(1000)
    assert stand.store.records[third.id].findings.measurement is not None


async def test_what_ends_otherwise_is_not_measured_and_gives_its_place_back() -> None:
    stand = Stand(measured_ratio=1.0, max_measured=1)
    stand.provider = ScriptedProvider(HANDLE, connections=(Connection(says=(Say(1.0, Failed("no")),)),))
    runner = stand.runner()
    for _ in range(2):
        assert (await stand.run(runner)).outcome is Outcome.PROVIDER_FAILED
    await asyncio.sleep(1)
    assert facts_of(stand, ChannelsMeasured) == []
    assert stand.after.take_place(stand.last_generation())


async def test_the_trace_is_written_when_all_is_known() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=DELIVERS, polls=(READY,)), measured_ratio=1.0)
    await settled(stand)
    (facts,) = stand.traces.written
    assert any(isinstance(fact, ChannelsMeasured) for fact in facts)


async def test_a_stop_closes_what_lingers_and_tells_nothing_of_it() -> None:
    stand = Stand(measured_ratio=1.0)
    runner = stand.runner()
    record = await stand.run(runner)
    await runner.stop(1)
    await stand.after.stop()
    assert stand.provider.open_calls == 0
    assert stand.store.records[record.id].findings.measurement is None
    assert facts_of(stand, ChannelsMeasured) == []


async def test_a_stop_closes_the_stream_that_lingers_and_writes_the_trace_of_what_was_seen() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(READY,)), measured_ratio=1.0)
    await stand.run(stand.runner())
    await asyncio.sleep(5)
    assert stand.provider.open_calls == 1
    await stand.after.stop()
    assert stand.provider.open_calls == 0
    (facts,) = stand.traces.written
    assert [type(fact) for fact in facts].count(StreamEnded) == 1


@pytest.mark.parametrize("result", AssetResult)
async def test_the_asset_is_checked_for_a_sample(result: AssetResult) -> None:
    stand = Stand(checked_ratio=1.0)
    stand.checker.found = Found(result, 200, "seen")
    record = await settled(stand)
    assert record.asset is not None
    assert stand.checker.urls == [record.asset.url]
    assert record.findings.asset_check is result
    assert [(fact.result, fact.detail) for fact in facts_of(stand, AssetChecked)] == [(result, "seen")]
    assert [entry["result"] for entry in record.timeline if entry["event"] == "asset_checked"] == [result]


async def test_a_bug_in_the_check_of_an_asset_closes_what_lingers_and_gives_the_place_back() -> None:
    class Broken(FakeChecker):
        """Raises, which a checker never should."""

        async def check(self, url: str, kind: Kind) -> Found:
            await asyncio.sleep(1)
            raise RuntimeError("a bug")

    stand = Stand(
        provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(READY,)),
        checker=Broken(),
        measured_ratio=1.0,
        checked_ratio=1.0,
        max_measured=1,
    )
    record = await stand.run(stand.runner())
    assert stand.provider.open_calls == 1, "the stream, which has lost"
    with capture_logs() as lines:
        await asyncio.sleep(1.1)
    assert [(line["event"], line["log_level"]) for line in lines] == [("what follows an outcome crashed", "error")]
    assert stand.provider.open_calls == 0
    assert len(stand.traces.written) == 1, "of what is known"
    assert stand.after.take_place(stand.last_generation())
    await asyncio.sleep(100)
    assert stand.store.records[record.id].findings.measurement is None
    assert facts_of(stand, ChannelsMeasured) == []


# Reconciliation

EXPIRES = (PENDING,) * 6


async def test_an_asset_that_comes_after_the_window_is_late() -> None:
    polls = (*EXPIRES, PENDING, READY)
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT, polls=polls))
    record = await settled(stand)
    assert (record.outcome, record.asset) == (Outcome.EXPIRED, None)
    assert record.findings.late_s == pytest.approx(LOOKS_AFTER_S[1])
    assert record.findings.late_asset == ready().asset
    assert record.findings.reconciled_at is not None
    assert record.render is not None
    assert record.render.after_s == pytest.approx(75 + 30)
    assert record.render.by_s == pytest.approx(75 + 90)
    assert [fact.number for fact in facts_of(stand, LookedAgain)] == [1, 2]
    assert [entry["event"] for entry in record.timeline[-3:]] == ["looked_again", "looked_again", "reconciled"]


async def test_one_that_never_comes_is_settled_in_the_end() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT))
    record = await settled(stand)
    ends = [fact.at_s for fact in stand.observer.ended]
    assert [fact.late_s for fact in facts_of(stand, Reconciled)] == [None]
    assert [fact.at_s - ends[0] for fact in facts_of(stand, LookedAgain)] == pytest.approx(list(LOOKS_AFTER_S))
    assert record.findings.late_s is None
    assert record.findings.reconciled_at is not None


async def test_trouble_while_looking_is_no_answer() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(*EXPIRES, BROKEN, READY)))
    assert (await settled(stand)).findings.late_s == pytest.approx(LOOKS_AFTER_S[1])


async def test_a_job_that_failed_meanwhile_is_settled() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(*EXPIRES, Say(0.0, Failed("no")))))
    record = await settled(stand)
    assert len(facts_of(stand, LookedAgain)) == 1
    assert record.findings.late_s is None


async def test_after_a_restart_it_looks_on_where_it_was() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(*EXPIRES, PENDING, PENDING, READY)))
    runner = stand.runner()
    record = await stand.run(runner)
    await asyncio.sleep(100)
    await runner.stop(1)
    await stand.after.stop()
    assert stand.store.records[record.id].findings.reconciled_at is None
    await asyncio.sleep(200)
    stand.clock.ahead = timedelta(seconds=asyncio.get_running_loop().time())  # it is the machine's, which stands still
    assert await stand.reconciler().resume() == 1
    await asyncio.sleep(1000)
    kept = stand.store.records[record.id]
    assert kept.findings.late_s == pytest.approx(300.0, abs=1.0)
    assert [entry["number"] for entry in kept.timeline if entry["event"] == "looked_again"] == [3]
    assert await stand.reconciler().resume() == 0


async def test_a_look_that_hangs_ends_with_the_stop() -> None:
    stand = Stand(provider=ScriptedProvider(HANDLE, connections=SILENT, polls=(*EXPIRES, HANG)))
    await stand.run(stand.runner())
    await asyncio.sleep(50)
    await stand.after.stop()
    assert stand.provider.open_calls == 0


def test_the_looks_come_at_growing_gaps_within_ten_minutes() -> None:
    gaps = [after - before for before, after in zip((0.0, *LOOKS_AFTER_S), LOOKS_AFTER_S, strict=False)]
    assert gaps == sorted(gaps)
    assert (gaps[0], LOOKS_AFTER_S[-1]) == (30.0, 600.0)
    assert max(gaps) <= 300


@pytest.mark.parametrize(
    ("now_s", "numbers", "first_at_s"),
    [
        (0.0, [1, 2, 3, 4, 5], 30.0),
        (29.0, [1, 2, 3, 4, 5], 30.0),
        (100.0, [2, 3, 4, 5], 100.0),
        (9_999.0, [5], 9_999.0),
    ],
)
def test_looks_that_were_missed_are_one_look_at_once(now_s: float, numbers: list[int], first_at_s: float) -> None:
    due = looks_due(0.0, now_s)
    assert [number for number, _ in due] == numbers
    assert due[0][1] == first_at_s
