"""What `monitor check` tells of the plan of canaries."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from monitor.cli.check_canaries import render_plan
from monitor.settings import load_settings

NOW = datetime(2026, 3, 28, 22, tzinfo=UTC)
FLUX = {"name": "flux", "interval": 60, "jitter": 0, "price_usd": 0.04}


def told(*canaries: dict[str, Any], **of_provider: Any) -> str:
    provider = {"name": "one", "base_url": "http://127.0.0.1:9", "models": ["a"], **of_provider}
    given = [{"prompt": "a fox", **canary} for canary in canaries]
    settings = load_settings(overrides={"providers": [provider], "canary": given})
    console = Console(width=120, file=StringIO(), record=True)
    console.print(render_plan(settings, NOW))
    return " ".join(console.export_text().split())


def test_each_canary_has_its_next_three_runs_what_it_does_a_day_and_what_that_costs() -> None:
    row = "flux 2026-03-28 22:01:00 UTC 1,440 $57.60 $1,728.00 2026-03-28 22:02:00 2026-03-28 22:03:00"
    assert row in told(FLUX)


def test_runs_are_told_by_the_clocks_of_the_canary_s_zone_also_when_these_go_forward() -> None:
    night = {"name": "night", "cron": "30 1,3 * * *", "time_zone": "Europe/Berlin"}
    assert "night 2026-03-29 01:30:00 Europe/Berlin" in told(night)
    assert "2026-03-29 03:30:00 2026-03-30 01:30:00" in told(night)


def test_a_loss_is_weighed_by_what_the_provider_s_canaries_do_together() -> None:
    said = told(FLUX, {**FLUX, "name": "other"})
    assert "one: 2,880 runs a day, for $3,456.00 in 30 days." in said
    assert "Without other traffic one loss is 0.11% of the error budget of 30 days, at 99%." in said
    seldom = told({"name": "seldom", "cron": "0 3 * * *", "price_usd": 1}, objective=0.995)
    assert "one loss is 666.66% of the error budget of 30 days, at 99.5%" in seldom


def test_what_does_not_run_by_itself_weighs_nothing_and_what_has_no_price_has_a_dash() -> None:
    said = told({**FLUX, "enabled": False})
    assert "flux on demand only 0 $0.00 $0.00" in said
    assert "budget" not in said
    assert "at prices that are not known" in told({"name": "x", "interval": 60})


@pytest.mark.parametrize(
    ("canary", "provider", "said"),
    [
        ({"max_usd_per_day": 57.59}, {}, "The limit a day of canary flux, $57.59, does not pay for it"),
        ({"max_usd_per_day": 57.6}, {}, ""),
        ({}, {"max_canary_usd_per_month": 1_000}, "The limit a month of provider one, $1,000.00, does not pay for it"),
    ],
)
def test_limits_that_do_not_pay_for_the_plan_are_told(canary: Any, provider: Any, said: str) -> None:
    shown = told({**FLUX, **canary}, **provider)
    assert said in shown
    assert ("limit" in shown) is bool(said)
