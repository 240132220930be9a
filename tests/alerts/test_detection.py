"""What `monitor canary plan` promises, against simulated falls and years that go through the rules' own arithmetic."""

from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.backtest import STEP_S, YEAR_S, Counts, draw, incidents, pages
from alerts.objective import read_objective
from monitor.canary.detection import PAGING_S, Fall, Signal, false_pages_a_year, paged_share
from monitor.canary.page_rule import shipped_rule

OBJECTIVE, RULE = read_objective(), shipped_rule()
HEALTHY, FALLS, BEFORE_S = 0.995, 400, 21_600
SCARCELY: Final = 0.991
"""What is delivered where pages for nothing are counted: nearer to the objective there are enough of them."""


def _canary(interval_s: float) -> Signal:
    """Losses are known and paged at once, as in the simulation."""
    return Signal(a_day=86_400 / interval_s, known_after_s=-PAGING_S)


def _runs(rng: np.random.Generator, interval_s: float, success: NDArray[np.float64]) -> tuple[Counts, Counts]:
    """Delivered and expired runs of a canary in each step, at a regular interval."""
    steps = len(success)
    step = (np.arange(rng.random() * interval_s, steps * STEP_S, interval_s) // STEP_S).astype(int)
    expired = np.bincount(step[rng.random(len(step)) > success[step]], minlength=steps)
    return np.bincount(step, minlength=steps) - expired, expired


def _is_paged(rng: np.random.Generator, interval_s: float, fallen: float, after_s: int) -> bool:
    steps = np.arange((BEFORE_S + after_s) // STEP_S)
    counts = _runs(rng, interval_s, np.where(steps < BEFORE_S // STEP_S, HEALTHY, fallen))
    return bool(pages(*counts, OBJECTIVE)[BEFORE_S // STEP_S :].any())


@pytest.mark.parametrize(
    ("interval_s", "fallen", "after_s"),
    [(2, 0.95, 720), (10, 0.95, 3_420), (60, 0.95, 21_420), (30, 0.8, 720), (60, 0.5, 720), (300, 0.8, 14_400)],
)
def test_within_the_longest_window_as_many_falls_are_paged_as_predicted(
    interval_s: float, fallen: float, after_s: int
) -> None:
    rng = np.random.default_rng(after_s)
    paged = sum(_is_paged(rng, interval_s, fallen, after_s) for _ in range(FALLS)) / FALLS
    predicted = paged_share(RULE, _canary(interval_s), Fall(HEALTHY, fallen), after_s)
    chance = 3 * (predicted * (1 - predicted) / FALLS) ** 0.5
    assert predicted - chance <= paged <= predicted + chance + 0.05  # another window may see it first


def test_after_longer_than_the_longest_window_no_fewer_are_paged_than_predicted() -> None:
    rng = np.random.default_rng(7)
    paged = sum(_is_paged(rng, 200, 0.95, 86_400) for _ in range(FALLS)) / FALLS
    predicted = paged_share(RULE, _canary(200), Fall(HEALTHY, 0.95), 86_400)
    assert 0.5 < predicted <= paged


def test_an_outage_is_paged_when_predicted_and_hardly_before_three_runs() -> None:
    rng = np.random.default_rng(8)
    for interval_s, after_s in ((60, 330), (120, 390)):
        assert paged_share(RULE, _canary(interval_s), Fall(HEALTHY, 0.0), after_s) == 1
        assert all(_is_paged(rng, interval_s, 0.0, after_s) for _ in range(50))
        assert paged_share(RULE, _canary(interval_s), Fall(HEALTHY, 0.0), 3 * interval_s - 1) < 0.001


@pytest.mark.parametrize(("interval_s", "years"), [(5, 2), (10, 4), (30, 4)])
def test_no_more_pages_come_for_nothing_than_predicted_and_not_far_fewer(interval_s: float, years: int) -> None:
    rng = np.random.default_rng(int(interval_s))
    well = np.full(years * YEAR_S // STEP_S, SCARCELY)
    came = incidents(pages(*_runs(rng, interval_s, well), OBJECTIVE))
    predicted = false_pages_a_year(RULE, _canary(interval_s), SCARCELY) * years
    assert predicted / 3 <= came <= predicted + 3 * predicted**0.5  # they come in clusters, so years differ much


def test_traffic_that_comes_at_random_pages_for_nothing_no_more_often() -> None:
    rng = np.random.default_rng(9)
    years, per_day = 4, 2_880
    came = incidents(pages(*draw(rng, per_day, np.full(years * YEAR_S // STEP_S, SCARCELY)), OBJECTIVE))
    predicted = false_pages_a_year(RULE, Signal(a_day=per_day, known_after_s=75), SCARCELY) * years
    assert predicted / 4 <= came <= predicted + 3 * predicted**0.5
