"""Simulated years and falls: seldom woken for nothing, soon when it matters."""

import numpy as np
import pytest

from alerts.backtest import false_pages, minutes_to_page
from alerts.objective import read_objective

OBJECTIVE = read_objective()


@pytest.mark.parametrize("per_day", [50, 500, 5_000, 50_000])
def test_a_year_at_995_in_a_thousand_wakes_nobody_more_than_once(per_day: int) -> None:
    assert false_pages(np.random.default_rng(per_day), per_day, 0.995, OBJECTIVE) <= 1


@pytest.mark.parametrize("per_day", [500, 5_000, 50_000])
def test_years_at_992_in_a_thousand_wake_hardly_anybody_more_than_once_each(per_day: int) -> None:
    rng = np.random.default_rng(per_day)
    assert np.mean([false_pages(rng, per_day, 0.992, OBJECTIVE) for _ in range(3)]) <= 1.5


def test_two_and_a_half_sigmas_and_three_losses_would_wake_somebody_every_other_day() -> None:
    lax = OBJECTIVE.confidence.model_copy(update={"z": 2.58, "min_lost": 3})
    assert false_pages(np.random.default_rng(1), 5_000, 0.995, OBJECTIVE.model_copy(update={"confidence": lax})) > 100


@pytest.mark.parametrize(("per_day", "success", "most"), [(20_000, 0.95, 15), (5_000, 0.8, 15), (500, 0.0, 15)])
def test_half_of_the_falls_page_within_a_quarter_of_an_hour(per_day: int, success: float, most: int) -> None:
    rng = np.random.default_rng(2)
    assert np.median([minutes_to_page(rng, per_day, success, OBJECTIVE) for _ in range(100)]) <= most
