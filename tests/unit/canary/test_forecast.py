"""What the plan comes to in a month."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.canary.detection import Signal
from monitor.canary.forecast import Forecast, budget_share, forecasts, planned_signal
from monitor.canary.plan import build_plan
from monitor.settings import load_settings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROVIDERS = [{"name": "one", "base_url": "http://127.0.0.1:9", "models": ["a"]}]


def made(*canaries: dict[str, Any]) -> tuple[Forecast, ...]:
    given = [{"name": f"x{number}", "prompt": "a fox", "jitter": 0, **each} for number, each in enumerate(canaries)]
    return forecasts(build_plan(load_settings(overrides={"providers": PROVIDERS, "canary": given})), NOON)


def test_one_a_minute_costs_what_a_minute_costs_times_the_minutes() -> None:
    (found,) = made({"interval": 60, "price_usd": 0.04})
    assert (found.runs, found.runs_a_day) == (43_200, 1_440)
    assert (found.cost, found.cost_a_day) == (1_728_000_000, 57_600_000)
    assert [tick.due_at - NOON for tick in found.next_ticks] == [timedelta(minutes=each) for each in (1, 2, 3)]


def test_what_has_no_price_has_no_cost_and_what_is_off_does_not_run() -> None:
    unpriced, off = made({"interval": 60}, {"interval": 60, "enabled": False, "price_usd": 1})
    assert (unpriced.cost, unpriced.cost_a_day) == (None, None)
    assert (off.runs, off.next_ticks, off.cost) == (0, (), 0)


@pytest.mark.parametrize(
    ("timetable", "is_even"),
    [
        ({"interval": 77.5}, True),
        ({"cron": "*/5 * * * *"}, True),
        ({"cron": "0 3 * * *"}, True),
        ({"interval": 60, "window": "08:00-20:00"}, False),
        ({"cron": "*/5 * * * mon-fri"}, False),
    ],
)
def test_hours_without_runs_are_known(timetable: dict[str, Any], is_even: bool) -> None:
    assert made(timetable)[0].is_even is is_even


def test_a_loss_weighs_the_more_the_fewer_runs_there_are() -> None:
    assert budget_share(made({"interval": 60}), 0.99) == pytest.approx(1 / 432)
    assert budget_share(made({"interval": 60}, {"interval": 60}), 0.99) == pytest.approx(1 / 864)
    assert budget_share(made({"cron": "0 3 * * *"}), 0.99) == pytest.approx(1 / 0.3)
    assert budget_share(made({"interval": 60, "enabled": False}), 0.99) is None


def test_canaries_add_to_the_traffic_and_the_one_that_runs_most_often_counts_by_itself() -> None:
    traffic = Signal(a_day=100, known_after_s=75)
    signal = planned_signal(made({"interval": 60}, {"interval": 300}, {"interval": 1, "enabled": False}), traffic)
    assert signal == Signal(a_day=100 + 1_440 + 288, known_after_s=75, canary_interval_s=60)
    assert planned_signal((), traffic) == traffic
