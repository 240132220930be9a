"""Limits hold whatever is asked, in whichever order; where money is short, runs are left out evenly."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.canary.money import Micros
from monitor.canary.plan import Plan, Tick
from monitor.canary.spending import (
    Account,
    Choice,
    Decision,
    Span,
    accounts,
    decide_on_demand,
    decide_tick,
)
from monitor.timetable import Period
from tests.unit.canary.test_plan import plan

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
Spent = dict[Account, Micros]


def run_all(made: Plan, period: Period) -> tuple[list[tuple[Tick, Decision]], Spent]:
    """Every tick of the period in the order of their times, each counted when it runs."""
    ticks = sorted(
        ((tick, canary) for canary in made.canaries for tick in canary.ticks_planned(period)), key=lambda pair: pair[0]
    )
    spent: Spent = defaultdict(lambda: Micros(0))
    decided = []
    for tick, canary in ticks:
        decision = decide_tick(made, canary, tick, tick.due_at, spent)
        decided.append((tick, decision))
        if decision.choice is Choice.ALLOW:
            for account in accounts(made, canary, tick.due_at):
                spent[account] = Micros(spent[account] + canary.cost)
    return decided, spent


def ran(decided: Iterable[tuple[Tick, Decision]]) -> list[datetime]:
    return [tick.planned_at for tick, decision in decided if decision.choice is Choice.ALLOW]


def test_where_a_quarter_can_be_paid_every_fourth_runs_all_day_long_and_the_money_is_spent() -> None:
    made = plan({"interval": 60, "jitter": 0, "provider": "two", "max_usd_per_day": 14.4})
    decided, _ = run_all(made, Period(MIDNIGHT, MIDNIGHT + DAY))
    times = ran(decided)
    assert len(times) == 360
    assert max(later - earlier for earlier, later in pairwise(times)) <= 8 * MINUTE
    assert min(times) < MIDNIGHT + HOUR
    assert max(times) > MIDNIGHT + DAY - HOUR
    assert {decision.choice for _, decision in decided} == {Choice.ALLOW, Choice.THIN}


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([300, 900, 1_000, 3_600]), st.integers(1, 90)), min_size=1, max_size=4),
    st.decimals("0.9", "8", places=2),
    st.booleans(),
)
def test_no_limit_is_ever_passed(canaries: list[tuple[int, int]], limit: Any, is_month: bool) -> None:
    given_ones = [
        {"name": f"c{number}", "interval": interval, "price_usd": cents / 100, "max_usd_per_day": 5}
        for number, (interval, cents) in enumerate(canaries)
    ]
    key = "max_usd_per_month" if is_month else "max_usd_per_day"
    made = plan(*given_ones, canaries={key: limit})
    _, spent = run_all(made, Period(MIDNIGHT, MIDNIGHT + 2 * DAY))
    assert all(amount <= account.limit for account, amount in spent.items() if account.limit is not None)


def test_at_the_limit_it_stops_and_says_whose_and_midnight_of_the_zone_begins_anew() -> None:
    made = plan(
        {"interval": 3_600, "jitter": 0, "provider": "two", "price_usd": 1},
        canaries={"time_zone": "Europe/Berlin", "max_usd_per_day": 2},
    )
    (canary,) = made.canaries
    before, after = MIDNIGHT - HOUR - timedelta(seconds=1), MIDNIGHT - HOUR  # Berlin's midnight is at 23:00 UTC
    spent = {account: Micros(2_000_000) for account in accounts(made, canary, before)}
    decision = decide_tick(made, canary, Tick(before, before), before, spent)
    assert decision.choice is Choice.STOP
    assert str(decision) == "the limit a day of all canaries is reached: $0.00 of $2.00 left"
    assert decide_on_demand(made, canary, before, spent).choice is Choice.STOP
    assert decide_on_demand(made, canary, after, spent).choice is Choice.ALLOW


def test_a_month_ends_where_the_zone_says() -> None:
    made = plan({"interval": 3_600, "price_usd": 1}, canaries={"time_zone": "America/New_York", "max_usd_per_month": 1})
    (canary,) = made.canaries
    last = datetime(2026, 12, 1, 4, 59, 59, tzinfo=UTC)
    spent = {account: Micros(1_000_000) for account in accounts(made, canary, last) if account.span is Span.MONTH}
    assert decide_on_demand(made, canary, last, spent).choice is Choice.STOP
    assert decide_on_demand(made, canary, last + timedelta(seconds=1), spent).choice is Choice.ALLOW


def test_where_more_was_spent_than_a_new_limit_allows_nothing_is_left() -> None:
    made = plan({"interval": 3_600, "provider": "two", "price_usd": 1}, canaries={"max_usd_per_day": 2})
    (canary,) = made.canaries
    spent = {account: Micros(5_000_000) for account in accounts(made, canary, MIDNIGHT)}
    assert str(decide_on_demand(made, canary, MIDNIGHT, spent)).endswith("is reached: $0.00 of $2.00 left")


@pytest.mark.parametrize("price", [0, None])
def test_what_costs_nothing_needs_no_money(price: int | None) -> None:
    made = plan({"interval": 60, "price_usd": price, "provider": "two"})
    (canary,) = made.canaries
    assert decide_tick(made, canary, Tick(MIDNIGHT, MIDNIGHT), MIDNIGHT, {}).choice is Choice.ALLOW
