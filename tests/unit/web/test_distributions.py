"""What charts are drawn from: bounded whatever was observed, and no bolder than what is known."""

import math
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from monitor.delivery.model import Channel
from monitor.render_times import Interval, estimate_render_times
from monitor.store.port import WindowFigures
from monitor.web.distributions import MOST_ATTEMPTS, MOST_CURVES, STEPS, render_distributions, thinned

NOTHING = WindowFigures(
    by_origin={},
    outcomes={},
    won={},
    latency_s={},
    polling_attempts_mean=None,
    polling_attempts_p95=None,
    attempts={},
    latency_counts={},
    measured={},
)


def _curves(intervals: list[Interval]) -> dict[str, Any]:
    (curves,) = render_distributions(NOTHING, (1,), {("p", "m"): estimate_render_times(intervals)})["render_times"]
    assert isinstance(curves, dict)
    return curves


def test_of_nothing_there_are_zeros_and_no_curves() -> None:
    assert render_distributions(NOTHING, (1, 10), {}) == {
        "latency_seconds": {"bounds": [1, 10], "counts": {"sse": [0, 0, 0], "polling": [0, 0, 0]}},
        "attempts": {"bounds": [0], "counts": {"sse": [0, 0], "polling": [0, 0], "none": [0, 0]}},
        "render_times": [],
    }


def test_attempts_are_told_apart_up_to_a_bound() -> None:
    few = replace(NOTHING, attempts={Channel.POLLING: Counter({1: 4, 3: 2}), Channel.NONE: Counter({6: 1})})
    assert render_distributions(few, (1,), {})["attempts"] == {
        "bounds": [0, 1, 2, 3, 4, 5, 6],
        "counts": {"sse": [0] * 8, "polling": [0, 4, 0, 2, 0, 0, 0, 0], "none": [0, 0, 0, 0, 0, 0, 1, 0]},
    }
    many = replace(NOTHING, attempts={Channel.SSE: Counter(range(1_000))})
    told = render_distributions(many, (1,), {})["attempts"]
    assert told["bounds"] == list(range(MOST_ATTEMPTS + 1))
    assert told["counts"]["sse"] == [1] * (MOST_ATTEMPTS + 1) + [1_000 - MOST_ATTEMPTS - 1]


def test_only_the_models_that_were_observed_most_get_a_curve() -> None:
    estimates = {("p", f"m{number:02}"): estimate_render_times([(1.0, 1.0)] * number) for number in range(1, 40)}
    told = render_distributions(NOTHING, (1,), estimates)["render_times"]
    assert [item["n"] for item in told] == list(range(39, 39 - MOST_CURVES, -1))


def test_what_is_certain_is_told_step_by_step() -> None:
    assert _curves([(1.0, 2.0), (1.5, 4.0), (3.0, math.inf)])["certain"] == [
        [pytest.approx(1 / 3), 1.0, 2.0],
        [pytest.approx(2 / 3), 1.5, 4.0],
        [1.0, 3.0, None],
    ]


def test_steps_that_stand_for_many_jobs_hold_all_of_them() -> None:
    rng = random.Random(5)
    intervals = [(after_s, after_s + rng.random() * 10) for after_s in (rng.random() * 60 for _ in range(977))]
    certain = _curves(intervals)["certain"]
    assert len(certain) == STEPS
    estimate = estimate_render_times(intervals)
    for job in range(1, 978):
        low, high = estimate.quantile(job / 977) or (math.nan, math.nan)
        for share, after_s, by_s in certain:
            if (job - 1) / 977 < share - 1e-6 and share - 1 / STEPS < job / 977 - 1e-6:
                assert after_s <= low
                assert high <= by_s


def test_a_line_is_thinned_and_yet_nowhere_far_off() -> None:
    rng = random.Random(6)
    corners, share = [(0.0, 0.0)], 0.0
    while share < 1:
        share = min(
            1.0, share + rng.choice([0.0, 0.0, 0.0001, 0.0001, 0.001, 0.03] if share > 0.5 else [0.0, 0.0002, 0.001])
        )
        corners.append((corners[-1][0] + rng.random(), share))
    kept = thinned(corners, 0.01)
    assert (kept[0], kept[-1]) == ([0.0, 0.0], [corners[-1][0], 1.0])
    assert len(kept) <= 202 < len(corners)
    for at_s, true in corners:
        assert abs(_on_line(kept, at_s) - true) < 0.01 + 1e-6


def _on_line(line: list[list[float]], at_s: float) -> float:
    for (left_s, low), (right_s, high) in pairwise(line):
        if left_s <= at_s <= right_s:
            return low + (high - low) * ((at_s - left_s) / (right_s - left_s) if right_s > left_s else 1.0)
    raise AssertionError("off the line")


def test_a_step_stays_a_step() -> None:
    assert thinned([(2.0, 0.0), (2.0, 0.5), (9.0, 0.5), (9.0, 1.0)], 0.01) == [[2, 0], [2, 0.5], [9, 0.5], [9, 1]]
    assert thinned([], 0.01) == []
    assert thinned([(1.0, 0.0)], 0.01) == [[1.0, 0.0]]


def test_twenty_thousand_moments_make_a_small_answer() -> None:
    rng = random.Random(7)
    curves = _curves([(at_s, at_s) for at_s in (round(rng.expovariate(0.1), 3) for _ in range(20_000))])
    assert len(curves["certain"]) == STEPS
    assert len(curves["likeliest"]) <= 4 * STEPS + 2
