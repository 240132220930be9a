"""Canaries at work, in virtual time: each tick runs once, alone and paid for, however the clock goes."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.canary.keeper import LOOK_EVERY_S
from monitor.canary.plan import Canary, Plan
from monitor.canary.runs import RunRefused
from monitor.delivery.errors import Overloaded, ShuttingDown, StoreUnavailable
from monitor.delivery.facts import Ended
from monitor.delivery.model import Channel, Origin, Outcome, Reason, Verdict
from monitor.store.ledger import AccountKey
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Skip
from monitor.testing.virtual_time import VirtualClock
from monitor.timetable import Period
from tests.records import new_record
from tests.unit.canary.guard import NOON, Guard
from tests.unit.canary.test_plan import DAY, HOUR, MINUTE, SECOND, plan

pytestmark = pytest.mark.virtual_time

EARLY = NOON - 3 * SECOND
WHO = {"provider": "two", "canary": "x"}


def guard(*canaries: dict[str, Any], at: datetime = EARLY, **values: Any) -> Guard:
    return Guard(planned(*(canaries or ({"interval": 60, "jitter": 0},)), **values), VirtualClock(at))


def planned(*canaries: dict[str, Any], **values: Any) -> Plan:
    """They ask the provider that has no limit."""
    return plan(*({"provider": "two", **each} for each in canaries), **values)


def only(guard: Guard) -> Canary:
    (canary,) = guard.keeper.plan.canaries
    return canary


def minutes_past_noon(times: list[datetime]) -> list[float]:
    return [round((at - NOON) / MINUTE, 3) for at in times]


async def test_each_tick_runs_when_it_is_due_and_not_sooner() -> None:
    async with guard() as made:
        await asyncio.sleep(3 + 2.5 * 60)
    assert made.launched.times()[0] == EARLY, "the one before was due within the last minutes, and nobody had run it"
    assert [at - NOON for at in made.launched.times()[1:]] == [n * MINUTE + timedelta(milliseconds=1) for n in range(3)]
    assert {request.prompt for request in made.launched.asked} == {"a lighthouse"}


async def test_what_was_due_while_the_service_restarted_is_made_up_for_once() -> None:
    daily = {"cron": "58 11 * * *"}
    first = guard(daily, at=NOON)
    async with first:
        await asyncio.sleep(60)
    assert len(first.launched.runs) == 1
    again = Guard(first.plan, first.clock, first)
    async with again:
        await asyncio.sleep(60)
    assert again.launched.runs == []


async def test_what_was_due_long_ago_is_not_made_up_for() -> None:
    async with guard({"cron": "50 11 * * *"}, at=NOON) as made:
        await asyncio.sleep(HOUR.total_seconds())
    assert made.launched.runs == []


async def test_of_two_services_on_one_store_one_runs_each_tick() -> None:
    one = guard()
    two = Guard(one.plan, one.clock, one)
    async with one, two:
        await asyncio.sleep(HOUR.total_seconds())
    times = one.launched.times() + two.launched.times()
    assert len(times) == 60 + 1
    assert len(set(times)) == len(times)
    spent = one.value(catalog.CANARY_SPEND, **WHO), two.value(catalog.CANARY_SPEND, **WHO)
    assert sum(filter(None, spent)) == pytest.approx(61 * 0.04)


async def test_a_run_that_takes_longer_than_its_interval_is_not_overlapped() -> None:
    made = guard()
    made.launched.takes_s = 90
    async with made:
        await asyncio.sleep(10 * 60)
    assert minutes_past_noon(made.launched.times()) == pytest.approx([-0.05, 2, 4, 6, 8], abs=0.01)
    assert made.skipped("overlap") == 6


async def test_a_run_whose_service_died_does_not_silence_the_canary_for_ever() -> None:
    made = guard()
    made.launched.takes_s = DAY.total_seconds()
    async with made:
        await asyncio.sleep(7 * 60 + 30)
    assert made.skipped("overlap") > 0
    assert len(made.launched.runs) == 3, "one each three minutes, which is the longest that a run can take"


async def test_a_run_that_began_by_a_clock_far_ahead_and_never_ended_does_not_silence_the_canary() -> None:
    made = guard()
    made.launched.takes_s = 30 * DAY.total_seconds()
    async with made:
        await asyncio.sleep(1)
        made.clock.move(DAY)
        await asyncio.sleep(60)
        made.clock.move(-DAY)
        before = len(made.launched.runs)
        await asyncio.sleep(120)
    assert len(made.launched.runs) > before


class TestMoney:
    async def test_a_run_is_counted_in_the_store_and_in_the_metric(self) -> None:
        made = guard()
        async with made:
            await asyncio.sleep(2.9 * 60)
        runs = len(made.launched.runs)
        assert made.value(catalog.CANARY_SPEND, **WHO) == pytest.approx(runs * 0.04)
        day = AccountKey("canary", "x", "day", datetime(2026, 11, 24, tzinfo=UTC))
        assert await made.ledger.spent([day]) == {day: runs * 40_000}

    async def test_at_the_limit_runs_are_left_out_and_counted_until_midnight(self) -> None:
        hourly = {"interval": 3600, "jitter": 0, "price_usd": 1, "max_usd_per_day": 4}
        made = guard(hourly, at=datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC) - 2 * SECOND)
        async with made:
            await asyncio.sleep(DAY.total_seconds())
        runs = made.launched.times()
        in_the_day = [at for at in runs if at.day == 24]
        assert len(in_the_day) == 4
        assert all(2 * HOUR <= later - earlier <= 10 * HOUR for earlier, later in pairwise(in_the_day))
        assert made.skipped("thinned") > 0
        assert made.skipped("thinned") + made.skipped("limit") == 20
        assert made.value(catalog.CANARY_LIMIT_USED, limit="canary x, day") is not None

    async def test_what_others_spend_meanwhile_counts(self) -> None:
        made = guard({"interval": 60, "enabled": False, "price_usd": 1, "max_usd_per_day": 2})
        day = AccountKey("canary", "x", "day", datetime(2026, 11, 24, tzinfo=UTC))
        await made.ledger.spend(1_500_000, {day: None})
        async with made:
            with pytest.raises(RunRefused) as refused:
                await made.keeper.run_now(only(made))
        assert refused.value.skip is Skip.LIMIT
        assert "canary x" in str(refused.value)
        assert await made.ledger.spent([day]) == {day: 1_500_000}

    async def test_what_costs_nothing_runs_although_a_limit_was_passed(self) -> None:
        made = guard({"interval": 60, "enabled": False, "price_usd": 0}, canaries={"max_usd_per_day": 1})
        total = AccountKey("total", "", "day", datetime(2026, 11, 24, tzinfo=UTC))
        await made.ledger.spend(2_000_000, {total: None})
        async with made:
            assert (await made.keeper.run_now(only(made))).canary == "x"

    async def test_of_two_services_that_spend_the_rest_at_once_one_does(self) -> None:
        one = guard({"interval": 60, "enabled": False, "price_usd": 1, "max_usd_per_day": 1})
        two = Guard(one.plan, one.clock, one)
        async with one, two:
            asked = (made.keeper.run_now(only(made)) for made in (one, two))
            answers = await asyncio.gather(*asked, return_exceptions=True)
        (refused,) = (str(answer) for answer in answers if isinstance(answer, RunRefused))
        assert refused == "canary x does not run: the limit a day of canary x was spent up by others meanwhile"
        assert len(one.launched.runs) + len(two.launched.runs) == 1

    async def test_each_limit_has_a_share_that_is_spent_while_it_stands(self) -> None:
        priced = {"interval": 60, "enabled": False, "price_usd": 1, "max_usd_per_day": 2}
        async with guard(priced, canaries={"max_usd_per_month": 4}) as made:
            await made.keeper.run_now(only(made))
            await asyncio.sleep(LOOK_EVERY_S + 1)
            assert made.value(catalog.CANARY_LIMIT_USED, limit="canary x, day") == 0.5
            assert made.value(catalog.CANARY_LIMIT_USED, limit="all canaries, month") == 0.25
            await made.keeper.replace(planned())
            assert made.value(catalog.CANARY_LIMIT_USED, limit="canary x, day") is None
            assert made.value(catalog.CANARY_LIMIT_USED, limit="all canaries, month") is None

    @pytest.mark.parametrize(
        "refusal", [Overloaded(1, 1), ShuttingDown("stops"), StoreUnavailable("full")], ids=["busy", "stops", "store"]
    )
    async def test_a_run_that_was_not_taken_on_gives_its_money_back(self, refusal: Exception) -> None:
        made = guard()
        made.launched.refusal = refusal
        async with made:
            await asyncio.sleep(60)
        day = AccountKey("canary", "x", "day", datetime(2026, 11, 24, tzinfo=UTC))
        assert await made.ledger.spent([day]) == {day: 0}
        assert made.value(catalog.CANARY_SPEND, **WHO) == 0
        assert made.skipped("store" if isinstance(refusal, StoreUnavailable) else "busy") > 0

    async def test_what_cannot_be_given_back_stays_counted_and_the_canary_goes_on(self) -> None:
        made = guard()
        made.launched.refusal, made.launched.breaks_store = StoreUnavailable("full"), True
        async with made:
            await asyncio.sleep(1)
            made.launched.refusal, made.store.is_failing = None, False
            await asyncio.sleep(60)
        day = AccountKey("canary", "x", "day", datetime(2026, 11, 24, tzinfo=UTC))
        assert (made.skipped("store"), len(made.launched.runs)) == (1, 1)
        assert await made.ledger.spent([day]) == {day: 2 * 40_000}

    async def test_a_day_of_twenty_at_one_a_minute_costs_what_the_plan_says(self) -> None:
        several = [{"name": f"c{number}", "interval": 60, "jitter": 0} for number in range(20)]
        midnight = datetime(2026, 11, 25, tzinfo=UTC)
        made = guard(*several, at=midnight - 30 * SECOND)
        async with made:
            await asyncio.sleep(DAY.total_seconds())
        total = AccountKey("total", "", "day", midnight)
        planned = sum(canary.runs(Period(midnight, midnight + DAY)) * canary.cost for canary in made.plan.canaries)
        assert (await made.ledger.spent([total]))[total] == planned == 20 * 1440 * 40_000


class TestPauses:
    async def test_a_paused_canary_does_not_run_and_says_so_and_resumes_by_itself(self) -> None:
        async with guard() as made:
            await asyncio.sleep(10)
            await made.keeper.pause(only(made), "maintenance", NOON + 5 * MINUTE - SECOND)
            assert made.value(catalog.CANARY_PAUSED, **WHO) == 1
            await asyncio.sleep(5 * 60 + 5)
            assert made.value(catalog.CANARY_PAUSED, **WHO) == 0
            (view,) = await made.keeper.view()
            assert view.pause is None
        assert minutes_past_noon(made.launched.times())[1:] == pytest.approx([0, 5], abs=0.01)
        assert made.skipped("paused") == 4

    async def test_a_pause_holds_for_the_other_service_too_until_it_is_resumed(self) -> None:
        one = guard()
        two = Guard(one.plan, one.clock, one)
        async with one, two:
            await asyncio.sleep(10)
            await one.keeper.pause(only(one), "maintenance", NOON + HOUR)
            before = len(one.launched.runs) + len(two.launched.runs)
            await asyncio.sleep(120)
            assert two.value(catalog.CANARY_PAUSED, **WHO) == 1
            assert len(one.launched.runs) + len(two.launched.runs) == before
            await two.keeper.resume(only(two))
            assert two.value(catalog.CANARY_PAUSED, **WHO) == 0
            await asyncio.sleep(60)
            assert one.value(catalog.CANARY_PAUSED, **WHO) == 0
        assert len(one.launched.runs) + len(two.launched.runs) == before + 1

    async def test_a_pause_of_another_canary_does_not_hold(self) -> None:
        each = {"interval": 60, "jitter": 0}
        async with guard(each, {**each, "name": "y"}) as made:
            await made.keeper.pause(made.keeper.plan.canaries[1], "maintenance", NOON + HOUR)
            await asyncio.sleep(60)
        assert minutes_past_noon(made.launched.times("x"))[-1] == 0
        assert made.skipped("paused") == 0

    async def test_a_canary_that_comes_back_by_a_reload_is_known_to_be_paused_at_once(self) -> None:
        async with guard() as made:
            await made.keeper.pause(only(made), "maintenance", NOON + HOUR)
            await made.keeper.replace(planned())
            await made.keeper.replace(made.plan)
            assert made.value(catalog.CANARY_PAUSED, **WHO) == 1

    async def test_a_paused_canary_runs_when_somebody_asks(self) -> None:
        async with guard({"interval": 3600, "jitter": 0}, at=NOON + 30 * MINUTE) as made:
            await made.keeper.pause(only(made), "maintenance", NOON + HOUR)
            await made.keeper.run_now(only(made))
        assert len(made.launched.runs) == 1


class TestOnDemand:
    async def test_one_that_is_not_enabled_runs_on_demand_only(self) -> None:
        async with guard({"interval": 60, "enabled": False}) as made:
            await asyncio.sleep(300)
            assert made.launched.runs == []
            assert made.value(catalog.CANARY_INTERVAL, **WHO) is None
            record = await made.keeper.run_now(only(made))
        assert record.canary == "x"

    async def test_two_who_ask_at_once_get_one_run(self) -> None:
        async with guard({"interval": 3600, "jitter": 0}, at=NOON + 30 * MINUTE) as made:
            asked = (made.keeper.run_now(only(made)), made.keeper.run_now(only(made)))
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Record", "RunRefused"]
        assert len(made.launched.runs) == 1


class TestReload:
    async def test_a_canary_that_is_not_changed_keeps_its_turns_and_runs_go_on(self) -> None:
        async with guard() as made:
            made.launched.takes_s = 30
            await asyncio.sleep(4)
            in_flight = made.launched.runs[-1]
            await made.keeper.replace(
                planned({"interval": 60, "jitter": 0}, {"name": "y", "interval": 60, "jitter": 0})
            )
            await asyncio.sleep(2 * 60)
        assert in_flight in made.launched.runs
        assert len(set(made.launched.times("x"))) == len(made.launched.times("x"))
        assert minutes_past_noon(made.launched.times("x"))[-2:] == pytest.approx([1, 2], abs=0.01)
        assert minutes_past_noon(made.launched.times("y"))[-2:] == pytest.approx([1, 2], abs=0.01)

    async def test_series_of_what_is_gone_are_gone_and_those_that_stay_keep_counting(self) -> None:
        async with guard({"interval": 60, "jitter": 0}, {"name": "y", "interval": 60, "jitter": 0}) as made:
            await asyncio.sleep(60)
            spent = made.value(catalog.CANARY_SPEND, **WHO)
            await made.keeper.replace(planned({"interval": 30, "jitter": 0}))
            assert made.value(catalog.CANARY_SPEND, **WHO) == spent
            assert made.value(catalog.CANARY_SPEND, provider="two", canary="y") is None
            assert made.value(catalog.CANARY_INTERVAL, provider="two", canary="y") is None
            assert made.value(catalog.CANARY_INTERVAL, **WHO) == 30

    async def test_a_canary_that_is_changed_goes_by_its_new_timetable_from_then_on(self) -> None:
        async with guard({"interval": 3600, "jitter": 0}, at=NOON + 10 * MINUTE) as made:
            await asyncio.sleep(1)
            await made.keeper.replace(planned({"interval": 3, "jitter": 0, "prompt": "another"}))
            assert made.launched.runs == [], "what was due by the new one before it was in force is not made up for"
            await asyncio.sleep(7)
        assert [at - NOON - 10 * MINUTE for at in made.launched.times()] == [
            timedelta(seconds=second, milliseconds=1) for second in (3, 6)
        ]
        assert {request.prompt for request in made.launched.asked} == {"another"}

    async def test_what_was_due_before_a_reload_and_not_heard_yet_runs_by_the_plan_before(self) -> None:
        async with guard() as made:
            await asyncio.sleep(5)
            made.clock.move(MINUTE)
            await made.keeper.replace(planned({"interval": 60, "jitter": 0, "prompt": "another"}))
            await asyncio.sleep(1)
        assert minutes_past_noon(made.launched.times())[-1] == pytest.approx(1, abs=0.1)
        assert {request.prompt for request in made.launched.asked} == {"a lighthouse"}

    async def test_whoever_looks_while_the_plan_changes_sees_the_one_before(self) -> None:
        async with guard() as made:
            made.store.delay_s = 1.0
            looking = asyncio.create_task(made.keeper.view())
            await asyncio.sleep(0.5)
            await made.keeper.replace(planned({"name": "y", "interval": 60}))
            assert [view.canary.name for view in await looking] == ["x"]

    async def test_a_store_that_does_not_answer_leaves_the_plan_as_it_is(self) -> None:
        async with guard() as made:
            before = made.keeper.plan
            made.store.is_failing = True
            with pytest.raises(StoreUnavailable):
                await made.keeper.replace(planned({"name": "y", "interval": 60}))
            assert made.keeper.plan is before


class TestClock:
    async def test_set_forward_it_runs_the_last_tick_and_counts_the_others(self) -> None:
        async with guard() as made:
            await asyncio.sleep(10)
            made.clock.move(HOUR)
            await asyncio.sleep(20)
        assert minutes_past_noon(made.launched.times())[-1] == pytest.approx(60, abs=0.5)
        assert made.skipped("missed") == 59

    async def test_set_back_a_little_nothing_runs_twice(self) -> None:
        async with guard() as made:
            await asyncio.sleep(10)
            made.clock.move(-30 * SECOND)
            runs = len(made.launched.runs)
            await asyncio.sleep(60)
            assert len(made.launched.runs) == runs
            await asyncio.sleep(60)
        assert len(made.launched.runs) == runs + 1

    async def test_set_back_by_a_day_it_goes_on_after_moments(self) -> None:
        async with guard() as made:
            await asyncio.sleep(10)
            made.clock.move(-DAY)
            runs = len(made.launched.runs)
            await asyncio.sleep(120)
        assert len(made.launched.runs) == runs + 2

    @pytest.mark.parametrize(
        ("day", "runs"),
        [(datetime(2026, 3, 29, tzinfo=UTC), 23), (datetime(2026, 10, 25, tzinfo=UTC), 25)],
        ids=["forward", "back"],
    )
    async def test_an_hourly_line_runs_every_hour_that_passes_when_clocks_are_moved(
        self, day: datetime, runs: int
    ) -> None:
        hourly = {"cron": "30 * * * *", "time_zone": "Europe/Berlin"}
        begin = day - timedelta(hours=2 if day.month == 10 else 1)  # Berlin's midnight
        async with guard(hourly, at=begin) as made:
            await asyncio.sleep(timedelta(hours=runs).total_seconds())
        assert len(made.launched.runs) == runs


async def test_two_hundred_at_once_each_run_once() -> None:
    several = [{"name": f"c{number}", "interval": 300, "jitter": 0} for number in range(200)]
    async with guard(*several, at=NOON - 2 * SECOND) as made:
        await asyncio.sleep(1)
        made.launched.runs.clear()
        await asyncio.sleep(10)
    assert sorted({name for name, _ in made.launched.runs}) == sorted(f"c{number}" for number in range(200))
    assert len(made.launched.runs) == 200


async def test_of_several_each_runs_when_it_is_due() -> None:
    seldom = {"name": "y", "interval": 3600, "jitter": 0}
    async with guard({"interval": 3, "jitter": 0}, seldom, at=NOON + 10 * MINUTE) as made:
        await asyncio.sleep(7)
    assert len(made.launched.times("x")) == 3, "one that is made up for, and two"


async def test_a_tick_that_was_left_out_is_told_until_a_run_comes_after_it() -> None:
    async with guard() as made:
        made.launched.refusal = Overloaded(1, 1)
        await asyncio.sleep(10)
        (view,) = await made.keeper.view()
        assert view.left_out is not None
        assert (view.left_out.skip, view.left_out.at - NOON < SECOND) == (Skip.BUSY, True)
        made.launched.refusal = None
        await asyncio.sleep(60)
        (view,) = await made.keeper.view()
        assert view.left_out is None


async def test_a_view_tells_what_each_canary_spent_itself() -> None:
    each = {"interval": 60, "enabled": False, "price_usd": 1, "max_usd_per_day": 2}
    async with guard(each, {**each, "name": "y"}) as made:
        for canary in made.keeper.plan.canaries:
            await made.keeper.run_now(canary)
        views = await made.keeper.view()
    assert [[(account.title, micros) for account, micros in view.spent.items()] for view in views] == [
        [(f"canary {name}, day", 1_000_000), (f"canary {name}, month", 1_000_000)] for name in "xy"
    ]


async def test_a_stop_waits_for_a_run_that_is_just_beginning_and_not_for_ever() -> None:
    made = guard()
    async with made:
        await asyncio.sleep(2)
        made.store.delay_s = 600.0
        await asyncio.sleep(2)
        at_s = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - at_s == 1.0


async def test_a_run_that_ends_before_the_canaries_begin_is_counted() -> None:
    """One of the last process, that is taken up while this one starts."""
    made = guard()
    run = new_record(provider="two", origin=Origin.CANARY, canary="x").generation
    made.series(run, Ended(0.0, Verdict(Outcome.EXPIRED, Channel.NONE, 0.0, reason=Reason.MONITOR_DOWN), None))
    async with made:
        assert made.value(catalog.CANARY_RUNS, **WHO, outcome=Outcome.EXPIRED) == 1


async def test_a_store_in_trouble_leaves_runs_out_and_afterwards_they_go_on() -> None:
    async with guard() as made:
        await asyncio.sleep(10)
        runs = len(made.launched.runs)
        made.store.is_failing = True
        await asyncio.sleep(120)
        assert len(made.launched.runs) == runs
        assert made.skipped("store") == 2
        made.store.is_failing = False
        await asyncio.sleep(60)
    assert len(made.launched.runs) == runs + 1


async def test_of_a_store_in_trouble_the_log_hears_once_until_it_is_well_again() -> None:
    async with guard({"interval": 60, "enabled": False}) as made:
        with capture_logs() as logged:
            for is_failing in (True, False, True):
                made.store.is_failing = is_failing
                await asyncio.sleep(5 * LOOK_EVERY_S)
    assert [line["log_level"] for line in logged] == ["warning", "warning"]


async def test_an_empty_plan_asks_nothing_of_the_store() -> None:
    made = Guard(plan(), VirtualClock(NOON))
    made.store.is_failing = True
    async with made:
        assert await made.keeper.view() == []


async def test_the_last_success_is_known_after_a_restart() -> None:
    first = guard()
    async with first:
        await asyncio.sleep(30)
    again = Guard(first.plan, first.clock, first)
    async with again:
        told = again.value(catalog.CANARY_LAST_SUCCESS, **WHO)
        assert told == pytest.approx(NOON.timestamp() + 1, abs=5)
