"""The instants at which polls may be due. Multiples of a power of two are exact, so that edges can be asked for."""

import math

from hypothesis import given
from hypothesis import strategies as st

from monitor.delivery.polling_channel import next_on_grid

_EXACT_S = st.integers(-64, 64).map(lambda eighths: eighths / 8)
_INTERVALS_S = st.integers(1, 32).map(lambda eighths: eighths / 8)


@given(at_s=_EXACT_S, grid_from_s=_EXACT_S, interval_s=_INTERVALS_S)
def test_it_is_the_first_whole_interval_that_is_not_sooner(at_s: float, grid_from_s: float, interval_s: float) -> None:
    due_at_s = next_on_grid(at_s, grid_from_s, interval_s)
    assert due_at_s >= at_s
    assert due_at_s >= grid_from_s
    assert (due_at_s - grid_from_s) % interval_s == 0.0
    assert due_at_s == grid_from_s or due_at_s - interval_s < at_s


@given(slot=st.integers(0, 32), grid_from_s=_EXACT_S, interval_s=_INTERVALS_S)
def test_an_instant_of_the_grid_is_its_own_next_and_a_moment_later_is_the_one_after(
    slot: int, grid_from_s: float, interval_s: float
) -> None:
    at_s = grid_from_s + slot * interval_s
    assert next_on_grid(at_s, grid_from_s, interval_s) == at_s
    assert next_on_grid(math.nextafter(at_s, math.inf), grid_from_s, interval_s) == at_s + interval_s


@given(at_s=st.floats(-1e6, 1e6), grid_from_s=st.floats(-1e6, 1e6), interval_s=st.floats(0.001, 1e3))
def test_on_any_numbers_it_is_not_sooner_and_hardly_later(at_s: float, grid_from_s: float, interval_s: float) -> None:
    due_at_s = next_on_grid(at_s, grid_from_s, interval_s)
    assert max(at_s, grid_from_s) <= due_at_s <= max(at_s, grid_from_s) + 1.001 * interval_s + 1e-6


def test_there_is_none_after_all_time() -> None:
    assert next_on_grid(math.inf, 10.0, 10.0) == math.inf
