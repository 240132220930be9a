"""What a report says in words."""

from typing import Any

import pytest

from monitor.cli.report_words import interval_words, objective_words, window_words


@pytest.mark.parametrize(
    ("window_s", "said"),
    [
        (1, "second"),
        (90, "90 seconds"),
        (60, "minute"),
        (900, "15 minutes"),
        (3_600, "hour"),
        (5_400, "90 minutes"),
        (86_400, "24 hours"),
        (604_800, "7 days"),
    ],
)
def test_a_window_is_told_in_its_own_unit(window_s: float, said: str) -> None:
    assert window_words(window_s) == said


@pytest.mark.parametrize(
    ("ratio", "interval", "said"),
    [
        (0.995, [0.991, 0.998], "objective 99%: met"),
        (0.95, [0.94, 0.96], "objective 99%: missed"),
        (0.995, [0.98, 0.999], "objective 99%: met, but too few to be sure"),
        (0.985, [0.98, 0.995], "objective 99%: missed, but too few to be sure"),
        (0.99, [0.99, 0.999], "objective 99%: met"),
        (None, None, "nothing was delivered or expired; objective 99%"),
    ],
)
def test_an_objective_is_met_or_missed_or_open(ratio: float | None, interval: Any, said: str) -> None:
    assert objective_words({"objective": 0.99, "delivery": {"ratio": ratio, "interval": interval}}) == said


def test_an_objective_keeps_its_digits() -> None:
    said = objective_words({"objective": 0.9995, "delivery": {"ratio": None, "interval": None}})
    assert said.endswith("objective 99.95%")


def test_an_interval_is_told_by_its_ends() -> None:
    assert interval_words([0.5, 0.75]) == "50.0% to 75.0%"
    assert interval_words(None) == "–"
