"""Where things are on the charts of a report."""

import re
from typing import Any

import pytest

from monitor.cli.charts import (
    Bar,
    Dot,
    attempt_labels,
    bar_rows,
    curve,
    ratio_chart,
    second_labels,
    trimmed,
)

NOTHING: dict[str, Any] = {"ratio": None, "interval": None}


def _figure(ratio: float, low: float, high: float) -> dict[str, Any]:
    return {"ratio": ratio, "interval": [low, high]}


def test_ratios_near_to_one_are_told_apart() -> None:
    chart = ratio_chart([_figure(0.995, 0.992, 0.998)], 0.99)
    assert [tick.says for tick in chart.ticks] == ["98%", "98.4%", "98.8%", "99.2%", "99.6%", "100%"]
    assert chart.objective == pytest.approx(50)
    assert chart.dots == [Dot(75.0, 60.0, 90.0)]


def test_the_axis_holds_every_interval() -> None:
    chart = ratio_chart([_figure(0.63, 0.6, 0.66), _figure(0.02, 0.0, 0.1), NOTHING])
    assert [tick.says for tick in chart.ticks] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert chart.dots == [Dot(63.0, 60.0, 66.0), Dot(2.0, 0.0, 10.0), Dot(None, None, None)]
    assert chart.objective is None


@pytest.mark.parametrize("objective", [0.5, 0.9, 0.99, 0.999, 0.9999])
def test_of_nothing_there_is_an_axis_with_the_objective_on_it(objective: float) -> None:
    chart = ratio_chart([NOTHING], objective)
    assert chart.objective is not None
    assert 0 < chart.objective < 100
    assert len({tick.says for tick in chart.ticks}) == 6


def test_bars_are_shares_of_their_column_and_the_longest_is_full() -> None:
    rows = bar_rows(["a", "b", "c", "d"], [[0, 1, 3, 0], [0, 5, 5, 0]])
    assert rows[1].bars == [Bar(1, 0.25, 33.33), Bar(5, 0.5, 66.67)]
    assert rows[2].bars[0] == Bar(3, 0.75, 100.0)
    assert [row.label for row in trimmed(rows)] == ["b", "c"]


def test_what_lies_between_is_not_trimmed() -> None:
    assert len(trimmed(bar_rows(["a", "b", "c"], [[1, 0, 1]]))) == 3


def test_of_nothing_there_are_no_bars() -> None:
    rows = bar_rows(["a"], [[0], [0]])
    assert rows[0].bars == [Bar(0, 0.0, 0.0)] * 2
    assert trimmed(rows) == []


def test_every_bucket_has_a_label_and_the_last_is_open() -> None:
    assert second_labels((0.5, 1, 120)) == ["up to 0.5 s", "0.5 to 1 s", "1 to 120 s", "over 120 s"]
    assert attempt_labels((0, 1, 2)) == ["0", "1", "2", "over 2"]


def _points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path)]


def test_the_band_goes_up_along_the_sooner_ends_and_down_along_the_later() -> None:
    drawn = curve([[0.0, 0.0], [10.0, 1.0]], [[0.5, 0.0, 5.0], [1.0, 2.5, 10.0]])
    assert [tick.says for tick in drawn.ticks] == ["0", "2", "4", "6", "8", "10"]
    assert _points(drawn.line) == [(0, 100), (100, 0)]
    up, down = [(0, 100), (0, 50), (25, 50), (25, 0)], [(100, 0), (100, 50), (50, 50), (50, 100)]
    assert _points(drawn.band) == up + down


def test_what_was_never_seen_ready_leaves_the_chart_on_the_right() -> None:
    drawn = curve([[0.0, 0.0], [5.0, 0.5]], [[0.5, 1.0, 5.0], [1.0, 4.0, None]])
    assert max(x for x, _ in _points(drawn.band)) > 100
    assert drawn.ticks[-1].says == "5"


def test_a_straggler_does_not_squeeze_the_rest() -> None:
    steps = [[(number + 1) / 50, number / 10, number / 10 + 1] for number in range(49)]
    drawn = curve([], [*steps, [1.0, 600.0, 600.0]])
    assert drawn.ticks[-1].says == "6"
    assert drawn.line == ""


@pytest.mark.parametrize("end_s", [0.0, 0.001, 0.15, 1.0, 7.3, 60.0, 99.9, 1_000.0, 86_400.0])
def test_an_axis_of_time_has_round_marks_and_reaches_as_far_as_it_must(end_s: float) -> None:
    ticks = curve([], [[1.0, 0.0, end_s]]).ticks
    assert 2 <= len(ticks) <= 6
    assert float(ticks[-1].says) >= end_s
    assert ticks[0].at == 0
    assert ticks[-1].at == pytest.approx(100, abs=0.01)
