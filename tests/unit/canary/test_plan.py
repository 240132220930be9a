"""When canaries are due: the same for all replicas, spread, and once each however the clock jumps."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.canary.plan import Canary, Plan, build_plan
from monitor.canary.turns import Turns
from monitor.settings import load_settings
from monitor.timetable import Period

PROVIDERS = [
    {"name": "one", "base_url": "http://127.0.0.1:9", "models": ["a", "b"], "max_canary_usd_per_day": 5},
    {"name": "two", "base_url": "http://127.0.0.1:9", "models": ["c"]},
]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def plan(*canaries: dict[str, Any], **values: Any) -> Plan:
    given_ones = [{"name": "x", "prompt": "a lighthouse", "price_usd": 0.04, **canary} for canary in canaries]
    return build_plan(load_settings(overrides={"providers": PROVIDERS, "canary": given_ones, **values}))


def canary(**values: Any) -> Canary:
    timetable = {} if "cron" in values else {"interval": 60}
    return plan({**timetable, **values}).canaries[0]


class TestPlan:
    def test_what_is_left_out_is_as_for_a_caller(self) -> None:
        made = plan({"interval": 60}).canaries[0]
        assert (made.provider, made.model, made.kind, made.flow, made.is_enabled) == ("one", "a", "image", "file", True)
        assert (made.jitter, made.price) == (6 * SECOND, 40_000)

    def test_two_of_the_same_settings_are_equal_and_one_that_differs_is_not(self) -> None:
        assert plan({"interval": 60}) == plan({"interval": 60})
        assert plan({"interval": 60}) != plan({"interval": 61})

    def test_canaries_that_are_due_together_are_counted_together(self) -> None:
        own = {"name": "own", "cron": "0 3 * * *", "price_usd": 1}
        off, free = {"name": "off", "interval": 60, "enabled": False}, {"name": "free", "interval": 60, "price_usd": 0}
        made = plan({"interval": 60}, {"name": "y", "interval": 60}, own, off, free)
        each, alone = made.canaries[0].timetable, made.canaries[2].timetable
        assert made.costs == {("one", each): 80_000, ("one", alone): 1_000_000}

    def test_it_finds_a_canary_by_name(self) -> None:
        made = plan({"interval": 60})
        assert made.canary("x") is made.canaries[0]
        assert made.canary("y") is None


class TestTicks:
    def test_they_are_planned_on_the_grid_and_put_off_by_the_jitter_at_most(self) -> None:
        ticks = list(islice(canary(interval=60, jitter=30).ticks_after(NOON), 1000))
        assert [tick.planned_at for tick in ticks] == [NOON + n * MINUTE for n in range(1000)]
        put_off = [tick.due_at - tick.planned_at for tick in ticks]
        assert timedelta() <= min(put_off) < SECOND
        assert 29 * SECOND < max(put_off) < 30 * SECOND

    def test_two_canaries_of_one_timetable_are_spread(self) -> None:
        one, two = canary(name="one"), canary(name="two")
        assert one.tick_after(NOON) != two.tick_after(NOON)

    def test_one_that_is_not_enabled_is_never_due(self) -> None:
        off = canary(enabled=False)
        assert off.tick_after(NOON) is None
        assert off.latest_tick(NOON - HOUR, NOON) is None
        assert off.runs(Period(NOON, NOON + HOUR)) == 0

    @given(st.integers(1, 10**9), st.integers(0, 2), st.integers(0, 10**8))
    def test_whoever_asks_and_whenever_gets_the_same_tick(self, after_us: int, share: int, ahead_us: int) -> None:
        asked = canary(interval=77.5, jitter=share * 19.3)
        moment = NOON + timedelta(microseconds=after_us)
        first = asked.tick_after(moment)
        assert first is not None
        assert first.due_at > moment
        later = moment + timedelta(microseconds=ahead_us)
        if later < first.due_at:
            assert asked.tick_after(later) == first

    @given(st.integers(1, 10**7), st.integers(0, 10**6), st.sampled_from(["*/7 8-20 * * mon-fri", "0 3 * * *"]))
    def test_the_latest_tick_is_the_last_of_all_that_follow(self, after_s: int, length_s: int, line: str) -> None:
        asked = canary(cron=line, jitter=60)
        after = NOON + after_s * SECOND
        until = after + length_s * SECOND
        due = []
        for tick in asked.ticks_after(after):
            if tick.due_at > until:
                break
            due.append(tick)
        assert asked.latest_tick(after, until) == (due[-1] if due else None)
        if due:
            assert asked.missed(after, due[-1]) == len(due) - 1


class TestTurns:
    def taken(self, turns: Turns, start: datetime, end: datetime, step: timedelta) -> list[datetime]:
        found = []
        while start <= end:
            if (turn := turns.take(start)) is not None:
                found.append(turn.tick.planned_at)
            start += step
        return found

    def test_each_tick_is_taken_once(self) -> None:
        turns = Turns(canary(jitter=0), NOON)
        assert self.taken(turns, NOON, NOON + HOUR, SECOND) == [NOON + n * MINUTE for n in range(1, 61)]

    def test_it_says_when_to_ring_next(self) -> None:
        turns = Turns(canary(), NOON)
        wake_at = turns.wake_at
        assert wake_at is not None
        assert turns.take(wake_at - timedelta(microseconds=1)) is None
        turn = turns.take(wake_at)
        assert turn is not None
        assert (turn.tick.due_at, turn.missed) == (wake_at, 0)

    def test_a_clock_set_forward_takes_the_last_tick_of_those_that_it_passed_over(self) -> None:
        turns = Turns(canary(jitter=0), NOON)
        turn = turns.take(NOON + HOUR + SECOND)
        assert turn is not None
        assert (turn.tick.planned_at, turn.missed) == (NOON + HOUR, 59)
        assert turns.take(NOON + HOUR + 2 * SECOND) is None

    def test_a_year_passed_over_is_found_at_once(self) -> None:
        turns = Turns(canary(interval=1, jitter=0.5), NOON)
        turn = turns.take(NOON + timedelta(days=365))
        assert turn is not None
        assert 365 * 86_400 - 3 <= turn.missed <= 365 * 86_400

    @pytest.mark.parametrize("back", [SECOND, MINUTE, 20 * MINUTE, HOUR])
    def test_a_clock_set_back_repeats_no_tick(self, back: timedelta) -> None:
        turns = Turns(canary(jitter=0), NOON)
        before = self.taken(turns, NOON, NOON + HOUR, SECOND)
        after = self.taken(turns, NOON + HOUR - back, NOON + 2 * HOUR, SECOND)
        assert [*before, *after] == [NOON + n * MINUTE for n in range(1, 121)]

    def test_one_that_was_days_ahead_silences_nothing(self) -> None:
        turns = Turns(canary(jitter=0), NOON)
        turns.take(NOON + timedelta(days=3))
        assert self.taken(turns, NOON, NOON + 3 * MINUTE, SECOND) == [NOON + n * MINUTE for n in (1, 2, 3)]

    @given(st.lists(st.integers(-3_000, 3_000), max_size=60))
    def test_no_jump_of_up_to_an_hour_runs_a_tick_twice_or_leaves_it_silent(self, steps_s: list[int]) -> None:
        turns, now, highest, taken = Turns(canary(), NOON), NOON, NOON, []
        for step_s in steps_s:
            now = max(now + step_s * SECOND, highest - HOUR)
            highest = max(now, highest)
            if (turn := turns.take(now)) is not None:
                taken.append(turn.tick)
        assert taken == sorted(set(taken))
        wake_at = turns.wake_at
        assert wake_at is not None
        assert highest < wake_at <= highest + 2 * MINUTE


def test_two_hundred_at_once_are_spread_over_their_jitter() -> None:
    many = plan(*({"name": f"c{n}", "interval": 60, "jitter": 30} for n in range(200))).canaries
    ticks = [tick for tick in (each.tick_after(NOON + 30 * SECOND) for each in many) if tick is not None]
    assert {tick.planned_at for tick in ticks} == {NOON + MINUTE}
    in_a_second = [sum(tick.due_at.second == second for tick in ticks) for second in range(30)]
    assert sum(in_a_second) == 200
    assert max(in_a_second) < 20
