"""A report in the terminal."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from monitor.cli.report_table import MOST_MODELS, render_tables
from monitor.cli.report_words import Source

SOURCE = Source("http://127.0.0.1:8080", datetime(2026, 1, 31, 12, 0, tzinfo=UTC))
LATENCY = {"p50": 3.214, "p95": 9.5, "p99": None}


def _summary(**changes: Any) -> dict[str, Any]:
    success = {"ratio": 0.631, "interval": [0.601, 0.66], "n": 1_000}
    figures = {"won": 1_034, "share": 0.68, "success": success, "latency_seconds": LATENCY}
    summary: dict[str, Any] = {
        "window_seconds": 86_400.0,
        "objective": 0.99,
        "delivery": {"good": 1_520, "total": 1_540, "ratio": 1_520 / 1_540, "interval": [0.9799, 0.9916]},
        "delivery_by_origin": {"report": {"good": 0, "total": 0, "ratio": None}},
        "outcomes": {"delivered": 1_520, "provider_failed": 7, "rejected": 0, "expired": 20, "cancelled": 0},
        "channels": {"sse": figures, "polling": {**figures, "attempts": {"mean": 1.84, "p95": 4}}},
        "render_times": [],
        "in_flight": 0,
    }
    return summary | changes


def _render(model: str, n: int = 1, provider: str = "superduperai") -> dict[str, Any]:
    seconds = {"p50": [3.0, 10.0], "p95": [10.0, None], "p99": None}
    return {"provider": provider, "model": model, "n": n, "seconds": seconds}


def _said(summary: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, soft_wrap=True, highlight=False)
    with console.capture() as told:
        console.print(render_tables(summary, SOURCE))
    return told.get()


def _rows(said: str) -> list[list[str]]:
    return [[part.strip() for part in line.split("  ") if part.strip()] for line in said.splitlines()]


def test_delivery_stands_against_the_objective_and_the_channels_side_by_side() -> None:
    said = _said(_summary())
    rows = _rows(said)
    assert "the last 24 hours at http://127.0.0.1:8080, as of 2026-01-31 12:00 UTC" in said
    assert "98.70% delivered, 1,520 of 1,540 (95% interval 97.99% to 99.16%)" in said
    assert "objective 99%: missed, but too few to be sure" in said
    for row in (
        ["channel", "SSE", "polling"],
        ["success on its own", "63.1%", "63.1%"],
        ["95% interval", "60.1% to 66.0%", "60.1% to 66.0%"],
        ["measured", "1,000", "1,000"],
        ["latency p50", "3.21 s", "3.21 s"],
        ["p99", "–", "–"],
        ["attempts mean", "–", "1.8"],
        ["p95", "–", "4"],
        ["delivered", "1,520", "98.2%"],
        ["cancelled", "0", "0.0%"],
    ):
        assert row in rows


def test_render_times_are_intervals_of_those_that_were_observed_most() -> None:
    models = [_render(f"model-{number}", number) for number in range(MOST_MODELS + 5)]
    rows = _rows(_said(_summary(render_times=models)))
    assert [f"model-{MOST_MODELS + 4}", str(MOST_MODELS + 4), "3.0 to 10.0 s", "over 10.0 s", "–"] in rows
    assert ["and 5 models less observed"] in rows
    assert not any(row[:1] == ["model-4"] for row in rows)


def test_the_provider_is_named_where_there_are_several() -> None:
    said = _said(_summary(render_times=[_render("m"), _render("m", provider="other")]), 120)
    assert "superduperai m" in said
    assert "other m" in said


def test_names_from_outside_do_nothing_to_the_terminal() -> None:
    said = _said(_summary(render_times=[_render("[red]a\x1b[31mb\u202ec" + "W" * 300)]))
    assert "[red]a" in said
    assert "\x1b[31m" not in said
    assert "\u202e" not in said
    assert len(said.splitlines()) < 40
    assert all(len(line) <= 80 for line in said.splitlines() if "WW" in line)


def test_where_nothing_ended_no_table_of_dashes_is_shown() -> None:
    nothing = {"good": 0, "total": 0, "ratio": None, "interval": None}
    said = _said(_summary(delivery=nothing, outcomes=dict.fromkeys(_summary()["outcomes"], 0)))
    assert "nothing was delivered or expired; objective 99%" in said
    assert "channel" not in said


def test_what_applications_report_is_told_apart_and_only_where_they_do() -> None:
    assert "reported" not in _said(_summary())
    reported = {"good": 34, "total": 35, "ratio": 34 / 35}
    said = _said(_summary(delivery_by_origin={"report": reported}))
    assert "apart from that, applications reported 97.14% delivered, 34 of 35" in said
    assert "98.70% delivered, 1,520 of 1,540" in said
