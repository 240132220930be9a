"""Render-time estimates where the answer can be worked out by hand."""

import math
from collections import Counter

import pytest

from monitor.render_times import Interval, Mass, RenderTimes, estimate_render_times

NEVER = math.inf


def shares(estimate: RenderTimes) -> list[tuple[float, float, float]]:
    return [(mass.after_s, mass.by_s, round(mass.share, 6)) for mass in estimate.masses]


def test_nothing_observed_tells_nothing() -> None:
    estimate = estimate_render_times([])
    assert estimate.n == 0
    assert estimate.quantile(0.5) is None
    assert estimate.likeliest_quantile(0.5) is None
    assert estimate.cumulative == ()


def test_one_interval_is_all_that_is_known() -> None:
    estimate = estimate_render_times([(10, 20)])
    assert (estimate.n, estimate.masses) == (1, (Mass(10, 20, 1.0),))
    assert estimate.likeliest_quantile(0.5) == (10, 20)
    assert estimate.quantile(0.01) == estimate.quantile(1) == (10, 20)


def test_exact_times_are_themselves() -> None:
    estimate = estimate_render_times([(3, 3), (1, 1), (2, 2), (2, 2)])
    assert shares(estimate) == [(1, 1, 0.25), (2, 2, 0.5), (3, 3, 0.25)]
    assert estimate.quantile(0.5) == (2, 2)
    assert estimate.quantile(0.75) == (2, 2)
    assert estimate.quantile(0.76) == (3, 3)


def test_what_was_never_seen_ready_has_no_end() -> None:
    estimate = estimate_render_times([(4, 4), (75, NEVER)])
    assert shares(estimate) == [(4, 4, 0.5), (75, NEVER, 0.5)]
    assert estimate.quantile(0.5) == (4, 4)
    assert estimate.quantile(0.9) == (75, NEVER)


def test_only_what_was_never_seen_ready_leaves_the_longest_wait() -> None:
    assert shares(estimate_render_times([(75, NEVER), (60, NEVER)])) == [(75, NEVER, 1.0)]


def test_intervals_that_meet_share_no_time() -> None:
    """Ready by 10 and ready after 10 are different jobs: the first end is included, the second beginning is not."""
    assert shares(estimate_render_times([(0, 10), (10, 20), (10, 20)])) == [(0, 10, 0.333333), (10, 20, 0.666667)]


def test_an_exact_time_lies_in_the_interval_that_ends_with_it_only() -> None:
    estimate = estimate_render_times([(10, 10), (0, 10), (10, 20)])
    assert shares(estimate) == [(10, 10, 0.666667), (10, 20, 0.333333)]


def test_mass_lies_where_intervals_overlap() -> None:
    assert shares(estimate_render_times([(0, 10), (5, 15), (8, 30)])) == [(8, 10, 1.0)]


def test_of_overlapping_intervals_in_a_chain_the_middle_may_be_either() -> None:
    """The middle one is explained by what it shares with either neighbour, in any proportion."""
    estimate = estimate_render_times([(0, 4), (3, 8), (7, 12), (20, NEVER)])
    spans = {(mass.after_s, mass.by_s): mass.share for mass in estimate.masses}
    assert spans[(20, NEVER)] == pytest.approx(0.25, abs=1e-4)
    assert set(spans) <= {(3, 4), (7, 8), (20, NEVER)}
    assert spans[(3, 4)] >= 0.25 - 1e-4
    assert spans[(7, 8)] >= 0.25 - 1e-4


def test_the_likeliest_may_be_a_sliver_of_what_is_certain() -> None:
    """Two polls of two jobs, 1 ms apart: the likeliest time is that millisecond, and certain is nothing of the kind."""
    estimate = estimate_render_times({(10.0, 20.001): 500, (20.0, 30.0): 500})
    assert estimate.likeliest_quantile(0.1) == (20.001, 20.001)
    assert estimate.quantile(0.1) == (10.0, 20.001)
    assert estimate.quantile(0.9) == (20.0, 30.0)


def test_a_mapping_says_how_often() -> None:
    often = {(0, 10): 30, (10, 20): 60, (20.0, NEVER): 10}
    estimate = estimate_render_times(often)
    assert estimate.n == 100
    assert estimate == estimate_render_times(Counter(often).elements())
    assert shares(estimate) == [(0, 10, 0.3), (10, 20, 0.6), (20, NEVER, 0.1)]


def test_times_are_rounded_to_the_millisecond() -> None:
    estimate = estimate_render_times([(1.0004, 1.0004), (0.9996, 0.9996), (2.00041, 2.00049)])
    assert shares(estimate) == [(1, 1, 0.666667), (2, 2, 0.333333)]


def test_the_chart_is_level_where_known_and_ends_with_what_was_seen() -> None:
    estimate = estimate_render_times([(0, 10), (12, 12), (15, 20), (30, NEVER)])
    assert [(at_s, round(share, 6)) for at_s, share in estimate.cumulative] == [
        (0, 0),
        (10, 0.25),
        (12, 0.25),
        (12, 0.5),
        (15, 0.5),
        (20, 0.75),
        (30, 0.75),
    ]


BAD: dict[str, Interval] = {
    "ends before it begins": (2, 1),
    "begins before 0": (-1, 1),
    "begins at no time": (NEVER, NEVER),
    "no number": (math.nan, 1),
    "ends at no number": (1, math.nan),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_interval_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not an interval of time"):
        estimate_render_times([(1, 2), BAD[name]])


@pytest.mark.parametrize("p", [0, -0.1, 1.01, math.nan])
def test_a_quantile_is_of_a_share(p: float) -> None:
    estimate = estimate_render_times([(1, 2)])
    for ask in (estimate.quantile, estimate.likeliest_quantile):
        with pytest.raises(ValueError, match="p must be"):
            ask(p)
