"""What `monitor canary list` shows of each canary."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

from rich.console import Console

from monitor.cli.canary_commands import _table

NOTHING = {"spent_usd": 0.0, "limit_usd": None}


def shown(**changes: Any) -> str:
    """The one row below the heads."""
    canary = {
        "name": "fox",
        "model": "comfyui/flux",
        "enabled": True,
        "next_at": "2020-01-01T00:00:00.000Z",
        "pause": None,
        "last_skip": None,
        "runs": [],
        "spending": {"day": NOTHING, "month": NOTHING},
        **changes,
    }
    console = Console(file=StringIO(), width=200)
    console.print(_table([canary]))
    assert isinstance(console.file, StringIO)
    (_, row) = console.file.getvalue().splitlines()
    return " ".join(row.split())


def test_the_newest_run_stands_at_the_right() -> None:
    runs = [{"outcome": outcome} for outcome in (None, "delivered", "delivered")]
    assert "fox comfyui/flux ■■□ " in shown(runs=runs)
    assert "fox comfyui/flux none yet " in shown()


def test_money_is_told_to_the_smallest_part_that_was_spent() -> None:
    day = {"spent_usd": 0.003, "limit_usd": 1250.0}
    assert shown(spending={"day": day, "month": NOTHING}).endswith("$0.003 of $1,250.00 $0.00")


def test_why_it_does_not_run_stands_where_the_next_run_would() -> None:
    pause = {"reason": "moving [red]house", "until": "2026-11-24T12:00:00.000Z"}
    assert "paused until 2026-11-24 12:00:00 UTC: moving [red]house" in shown(pause=pause)
    assert "on demand" in shown(enabled=False, next_at=None)


def test_a_run_that_was_left_out_is_told_with_how_long_ago_as_the_cause_may_be_gone() -> None:
    two_days_ago = (datetime.now(UTC) - timedelta(days=2, minutes=1)).isoformat()
    skip = {"at": two_days_ago, "reason": "limit", "detail": "the limit a day of all canaries is reached"}
    assert "(left out 2 d ago: the limit a day of all canaries is reached)" in shown(last_skip=skip)
