"""What holds of render-time estimates for any observations, beside estimators too simple to be wrong."""

import math
import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.likelihood import CellRange, Likelihood, ascent
from monitor.render_times import Interval, RenderTimes, _innermost, _ranges, _span, estimate_render_times

NEVER = math.inf
SURE = 1e-9
"""How often a test against chance may fail on some draw of the random numbers."""

ticks = st.integers(0, 12)
instants = ticks.map(lambda at: (float(at), float(at)))
never_ready = ticks.map(lambda at: (float(at), NEVER))
between = st.tuples(ticks, ticks).map(lambda ends: (float(min(ends)), float(max(ends))))
observations = st.lists(between | between | instants | never_ready, min_size=1, max_size=40)
seeds = st.integers(0, 2**32)


def product_limit(seen: list[Interval]) -> dict[float, Fraction]:
    """Kaplan and Meier's share ready by each time that was seen exactly."""
    left, ready = Fraction(1), {}
    for at_s in sorted({after_s for after_s, by_s in seen if after_s == by_s}):
        at_risk = sum(after_s > at_s or (after_s, by_s) == (at_s, at_s) or after_s == at_s for after_s, by_s in seen)
        left *= 1 - Fraction(seen.count((at_s, at_s)), at_risk)
        ready[at_s] = 1 - left
    return ready


def share_ready(estimate: RenderTimes, by_s: float) -> float:
    return sum(mass.share for mass in estimate.masses if mass.by_s <= by_s)


def chance(estimate: RenderTimes, interval: Interval) -> float:
    """That a render time lies in the interval, masses being points at their ends: they never straddle one."""
    after_s, by_s = interval
    return sum(
        mass.share
        for mass in estimate.masses
        if (after_s < mass.by_s <= by_s) or (mass.after_s == mass.by_s == after_s == by_s)
    )


@given(observations)
def test_shares_are_a_distribution_in_order_of_time(seen: list[Interval]) -> None:
    estimate = estimate_render_times(seen)
    assert estimate.n == len(seen)
    assert math.isclose(sum(mass.share for mass in estimate.masses), 1, abs_tol=1e-9)
    assert all(mass.share > 0 and mass.after_s <= mass.by_s for mass in estimate.masses)
    assert all(before.by_s <= mass.after_s for before, mass in pairwise(estimate.masses))
    assert all(here <= there for here, there in pairwise(estimate.cumulative))


@given(observations, st.integers(1, 40), st.data())
def test_whatever_the_times_were_their_quantile_is_in_the_certain_interval(
    seen: list[Interval], parts: int, data: st.DataObject
) -> None:
    """Any times that the observations allow, in quarters of a second."""
    truth_s = sorted(data.draw(times_within(interval), label=f"within {interval}") for interval in seen)
    p = min(parts, len(seen)) / len(seen)
    true_s = truth_s[min(parts, len(seen)) - 1]
    certain, likeliest = estimate_render_times(seen).quantile(p), estimate_render_times(seen).likeliest_quantile(p)
    assert certain is not None
    assert likeliest is not None
    assert certain[0] <= true_s <= certain[1]
    assert certain[0] <= likeliest[0] <= likeliest[1] <= certain[1]


def times_within(interval: Interval) -> st.SearchStrategy[float]:
    after_s, by_s = interval
    if after_s == by_s:
        return st.just(after_s)
    end_s = min(by_s, after_s + 20)
    return st.integers(int(after_s * 4) + 1, int(end_s * 4)).map(lambda quarters: quarters / 4)


@given(observations)
def test_no_other_distribution_is_likelier(seen: list[Interval]) -> None:
    """The condition for the maximum of a concave function, at every time at which mass could be (Turnbull, 1976).

    Times are whole, so that a millisecond after each and the time itself stand for all.
    """
    estimate = estimate_render_times(seen)
    chances = {interval: chance(estimate, interval) for interval in seen}
    assert min(chances.values()) > 0
    for at_s in [*range(14), *(tick + 0.001 for tick in range(14))]:
        holding = [
            interval for interval in seen if interval[0] < at_s <= interval[1] or (interval[0] == interval[1] == at_s)
        ]
        assert sum(1 / chances[interval] for interval in holding) <= len(seen) * (1 + 1e-6)


@given(observations, st.randoms(use_true_random=False))
def test_the_order_of_observations_tells_nothing(seen: list[Interval], random_: random.Random) -> None:
    shuffled = list(seen)
    random_.shuffle(shuffled)
    assert_same(estimate_render_times(seen), estimate_render_times(shuffled), seen)


@given(observations, st.integers(2, 5))
def test_the_same_many_times_over_is_the_same_estimate(seen: list[Interval], times: int) -> None:
    often = Counter({interval: times * count for interval, count in Counter(seen).items()})
    assert_same(estimate_render_times(seen), estimate_render_times(often), seen)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60))
def test_exact_times_give_the_empirical_distribution(at_ms: list[int]) -> None:
    estimate = estimate_render_times([(at / 1000, at / 1000) for at in at_ms])
    ordered = sorted(at_ms)
    assert [mass.by_s for mass in estimate.masses] == [at / 1000 for at in sorted(set(at_ms))]
    for rank, at in enumerate(ordered, start=1):
        for quantile in (estimate.quantile, estimate.likeliest_quantile):
            assert quantile(rank / len(ordered)) == (at / 1000, at / 1000)


@given(st.lists(instants | never_ready, min_size=1, max_size=40))
def test_exact_times_and_some_never_ready_give_the_product_limit(seen: list[Interval]) -> None:
    estimate = estimate_render_times(seen)
    for at_s, ready in product_limit(seen).items():
        assert math.isclose(share_ready(estimate, at_s), ready, abs_tol=1e-3)


@st.composite
def ranges_on_cells(draw: st.DrawFn) -> tuple[list[CellRange], int]:
    """Ranges of which every cell is the last one of some."""
    cells = draw(st.integers(1, 12))
    ends = [*range(1, cells + 1), *draw(st.lists(st.integers(1, cells), max_size=20))]
    weights = st.integers(1, 5)
    return [CellRange(draw(st.integers(0, end - 1)), end, draw(weights)) for end in ends], cells


@given(ranges_on_cells())
def test_the_likelihood_never_falls_and_the_search_ends(problem: tuple[list[CellRange], int]) -> None:
    likelihood = Likelihood(*problem)
    rounds = list(ascent(likelihood))
    logs = [likelihood.log_of(masses) for masses in rounds]
    assert all(after >= before - 1e-9 for before, after in pairwise(logs))
    assert all(math.isclose(sum(masses), 1, abs_tol=1e-9) and min(masses) >= 0 for masses in rounds)
    assert likelihood.reserve(rounds[-1]) <= 1e-8
    assert len(rounds) <= 200


@given(ranges_on_cells(), st.randoms(use_true_random=False))
def test_a_step_of_self_consistency_never_loses(problem: tuple[list[CellRange], int], random_: random.Random) -> None:
    likelihood = Likelihood(*problem)
    drawn = [random_.random() + 1e-6 for _ in range(likelihood.cells)]
    masses = [mass / sum(drawn) for mass in drawn]
    least = likelihood.log_of(masses)
    for better in (
        likelihood.self_consistent(masses),
        likelihood.extrapolated(masses),
        likelihood.convex_minorant(masses),
        likelihood.on_fewer_cells(masses),
    ):
        assert likelihood.log_of(better) >= least - 1e-9


def polled(random_: random.Random, n: int, jitter_s: float, told_exactly: float) -> list[Interval]:
    """Log-normal render times (median 20 s), polled every 10 s until a window of 75 s ends; some are told exactly."""
    seen: list[Interval] = []
    for _ in range(n):
        ready_s = random_.lognormvariate(math.log(20), 0.5)
        after_s, poll_s = 0.0, 10 + jitter_s * random_.random()
        while poll_s < ready_s and poll_s < 75:
            after_s, poll_s = poll_s, poll_s + 10 + jitter_s * random_.random()
        if random_.random() < told_exactly:
            seen.append((ready_s, ready_s))
        else:
            seen.append((after_s, poll_s if poll_s < 75 else NEVER))
    return seen


@settings(max_examples=25)
@given(seeds, st.sampled_from([0.0, 0.01, 0.5, 10.0]), st.sampled_from([0.0, 0.01, 0.5]))
def test_true_quantiles_lie_within_the_bounds(seed: int, jitter_s: float, told_exactly: float) -> None:
    """Bounds are widened by what chance does to so many jobs (Dvoretzky, Kiefer, Wolfowitz, Massart)."""
    n = 1_000
    estimate = estimate_render_times(polled(random.Random(seed), n, jitter_s, told_exactly))
    chance_ratio = math.sqrt(math.log(2 / SURE) / (2 * n))
    for p, true_s in ((0.3, 15.387), (0.5, 20.0), (0.7, 25.996)):
        low, high = estimate.quantile(p - chance_ratio), estimate.quantile(p + chance_ratio)
        assert low is not None
        assert high is not None
        assert low[0] <= true_s <= high[1]


@settings(max_examples=10)
@given(seeds, st.sampled_from([0.0, 0.5]))
def test_the_likeliest_median_is_near_when_looks_are_spread_out(seed: int, told_exactly: float) -> None:
    """Polls that begin anywhere in the first 10 s leave no time unobserved: then the estimate is consistent.

    Its errors shrink with the cube root of n only (Groeneboom and Wellner, 1992), so the margin is generous.
    """
    random_ = random.Random(seed)
    estimate = estimate_render_times(polled(random_, 2_000, 10.0, told_exactly))
    median = estimate.likeliest_quantile(0.5)
    assert median is not None
    assert 16 < median[0] <= median[1] < 24


def test_the_fixed_schedule_brackets_the_median() -> None:
    """Polls at 10, 20, … s can only say between which two of them."""
    random_ = random.Random(3)
    seen = [
        (10.0 * (math.ceil(at_s / 10) - 1), 10.0 * math.ceil(at_s / 10))
        for at_s in (random_.lognormvariate(math.log(25), 0.4) for _ in range(2_000))
    ]
    estimate = estimate_render_times(seen)
    assert estimate.quantile(0.5) == estimate.likeliest_quantile(0.5) == (20.0, 30.0)


def test_polls_are_not_mistaken_for_render_times() -> None:
    """Nearly the same polls for every job: a third of the jobs is certainly ready between the first two, no more."""
    seen = polled(random.Random(4), 1_000, 0.01, 0.0)
    certain = estimate_render_times(seen).quantile(0.3)
    assert certain is not None
    assert certain[0] < 10.1
    assert certain[1] > 20


@pytest.mark.parametrize("told_exactly", [0.0, 0.01, 0.1, 0.5])
def test_thousands_of_different_intervals_take_few_rounds(told_exactly: float) -> None:
    """Effort is counted, not timed: rounds over all cells, each of some passes over the observations."""
    seen = polled(random.Random(1), 5_000, 1.0, told_exactly)
    spans = Counter(map(_span, seen))
    cells = _innermost(spans)
    rounds = list(ascent(Likelihood(_ranges(spans, cells), len(cells))))
    assert len(rounds) <= 12


def assert_same(one: RenderTimes, other: RenderTimes, seen: list[Interval]) -> None:
    """The chances of what was observed are the same: they, unlike the masses, have but one maximum."""
    for interval in seen:
        assert math.isclose(chance(one, interval), chance(other, interval), abs_tol=1e-3)
