"""Finds the masses of ordered cells under which observations, each "in one of these adjacent cells", are likeliest.

Every round takes an extrapolated step of self-consistency (B. W. Turnbull, 1976: each observation is shared out over
its cells as the masses say; R. Varadhan and C. Roland, "Simple and globally convergent methods for accelerating the
convergence of any EM algorithm", Scandinavian Journal of Statistics 35 (2008) 335), then one of the iterative convex
minorant (P. Groeneboom, 1991), halved until it gains (G. Jongbloed, 1998). The first is quick where much is known
exactly, the second where little is, and both together converge from anywhere (J. A. Wellner and Y. Zhan, "A hybrid
algorithm for computation of the nonparametric maximum likelihood estimator from censored data", JASA 92 (1997) 945).
Few cells keep their mass, so most rounds are on those alone; whether that was right, the others then tell.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

Masses = list[float]

_TOLERANCE: Final = 1e-8
"""Per observation, how much likelier (in nats) other masses may at the most be when the search ends."""
_MAX_ROUNDS: Final = 1_000
"""Far more than any data tried have taken, which were 40."""
_MIN_PROBABILITY: Final = 1e-12
"""An observation less likely than this is left to no step: sums of its reciprocal would drown the others."""
_HALVINGS: Final = 12
_LONGEST_STRIDES: Final = 4
_HARDLY_HELD: Final = 1e-3
"""A cell with less mass than this share of one observation is tried without."""
_ROUNDS_ON_FEWER_CELLS: Final = 50


@dataclass(frozen=True, slots=True)
class CellRange:
    """`weight` observations that lie in one of the cells from `first` to before `end`."""

    first: int
    end: int
    weight: int


class Likelihood:
    """The log-likelihood of masses, and the steps that raise it. Every cell is the last one of some range."""

    def __init__(self, ranges: Sequence[CellRange], cells: int) -> None:
        self.cells = cells
        self._rows = [(seen.first, seen.end, seen.weight) for seen in ranges]
        self._total = sum(seen.weight for seen in ranges)

    def log_of(self, masses: Masses) -> float:
        """Minus infinity where the masses all but rule an observation out."""
        below = [0.0, *accumulate(masses)]
        chances = [below[end] - below[first] for first, end, _ in self._rows]
        if min(chances) < _MIN_PROBABILITY:
            return -math.inf
        return sum(weight * math.log(chance) for chance, (_, _, weight) in zip(chances, self._rows, strict=True))

    def pulls(self, masses: Masses) -> list[float]:
        """What a little more mass in each cell would gain, per observation: at the maximum, 1 where there is mass.

        And at the most 1 elsewhere.
        """
        below = [0.0, *accumulate(masses)]
        changes = [0.0] * (self.cells + 1)
        for first, end, weight in self._rows:
            share = weight / (below[end] - below[first])
            changes[first] += share
            changes[end] -= share
        changes.pop()
        return [pull / self._total for pull in accumulate(changes)]

    def reserve(self, masses: Masses) -> float:
        """No masses are likelier than these by more than this, in nats per observation."""
        return max(self.pulls(masses)) - 1

    def self_consistent(self, masses: Masses) -> Masses:
        """Each observation shared out as `masses` say: never less likely."""
        return _shares(mass * pull for mass, pull in zip(masses, self.pulls(masses), strict=True))

    def extrapolated(self, masses: Masses) -> Masses:
        """Two steps of self-consistency, or where many more of them would lead, if that is likelier."""
        once = self.self_consistent(masses)
        twice = self.self_consistent(once)
        first = [after - before for before, after in zip(masses, once, strict=True)]
        bend = [after - before - step for before, after, step in zip(once, twice, first, strict=True)]
        bent = math.hypot(*bend)
        stride = math.hypot(*first) / bent if bent else 0.0
        least = self.log_of(twice)
        for _ in range(_LONGEST_STRIDES):
            if stride <= 1.0:
                break
            far = _shares(
                max(mass + 2 * stride * step + stride * stride * turn, 0.0)
                for mass, step, turn in zip(masses, first, bend, strict=True)
            )
            if self.log_of(far) >= least:
                return self.self_consistent(far)
            stride /= 4
        return twice

    def convex_minorant(self, masses: Masses) -> Masses:
        """Towards the best monotone fit to Newton steps that see one cell border at a time, as far as it gains."""
        below = [0.0, *accumulate(masses)]
        target = [0.0, *(min(max(level, 0.0), 1.0) for level in _monotone(*self._newton(below))), 1.0]
        least, stride = self.log_of(masses), 1.0
        for _ in range(_HALVINGS):
            there = [at + stride * (to - at) for at, to in zip(below, target, strict=True)]
            nearer = _shares(max(after - before, 0.0) for before, after in pairwise(there))
            if self.log_of(nearer) > least:
                return nearer
            stride /= 2
        return masses

    def _newton(self, below: list[float]) -> tuple[list[float], list[float]]:
        """For the border after each cell but the last: where its Newton step leads, and the curvature there."""
        slopes, curvatures = [0.0] * (self.cells + 1), [0.0] * (self.cells + 1)
        for first, end, weight in self._rows:
            chance = below[end] - below[first]
            slope = weight / chance
            curvature = slope / chance
            slopes[end] += slope
            slopes[first] -= slope
            curvatures[end] += curvature
            curvatures[first] += curvature
        borders = range(1, self.cells)
        return [below[at] + slopes[at] / curvatures[at] for at in borders], [curvatures[at] for at in borders]

    def on_fewer_cells(self, masses: Masses) -> Masses:
        """Many rounds on only the cells that hold mass, where that is far less work; never less likely."""
        held = [cell for cell, mass in enumerate(masses) if mass * self._total > _HARDLY_HELD]
        if 2 * len(held) > self.cells:
            return masses
        within = self._within(held)
        parts = _shares(masses[cell] for cell in held)
        for _ in range(_ROUNDS_ON_FEWER_CELLS):
            if within.reserve(parts) <= _TOLERANCE / 4:
                break
            parts = within.convex_minorant(within.extrapolated(parts))
        found = [0.0] * self.cells
        for cell, part in zip(held, parts, strict=True):
            found[cell] = part
        return found if self.log_of(found) >= self.log_of(masses) else masses

    def _within(self, held: Sequence[int]) -> "Likelihood":
        """The same observations with only the cells `held`. Those that the others alone explain are left out.

        Many observations then differ no more. Still, every cell is the last one of some range.
        """
        weights: Counter[tuple[int, int]] = Counter()
        for first, end, weight in self._rows:
            weights[bisect_left(held, first), bisect_left(held, end)] += weight
        ranges = [CellRange(first, end, weight) for (first, end), weight in weights.items() if first < end]
        return Likelihood(ranges, len(held))


def ascent(likelihood: Likelihood) -> Iterator[Masses]:
    """Masses, none less likely than those before, to the maximum or as near as makes no difference."""
    masses = [1 / likelihood.cells] * likelihood.cells
    for _ in range(_MAX_ROUNDS):
        yield masses
        if likelihood.reserve(masses) <= _TOLERANCE:
            return
        masses = likelihood.convex_minorant(likelihood.extrapolated(masses))
        masses = likelihood.on_fewer_cells(masses)
    yield masses


def likeliest(ranges: Sequence[CellRange], cells: int) -> Masses:
    """The masses under which `ranges` are likeliest; they sum to 1. Every cell must be the last one of some range."""
    *_, masses = ascent(Likelihood(ranges, cells))
    return masses


def _monotone(levels: list[float], weights: list[float]) -> list[float]:
    """The nearest levels that never fall, by weighted least squares: neighbours in the wrong order are pooled."""
    pools: list[tuple[float, float, int]] = []
    for level, weight in zip(levels, weights, strict=True):
        pool = (level, weight, 1)
        while pools and pools[-1][0] >= pool[0]:
            before, its_weight, its_size = pools.pop()
            together = its_weight + pool[1]
            pool = ((before * its_weight + pool[0] * pool[1]) / together, together, its_size + pool[2])
        pools.append(pool)
    return [level for level, _, size in pools for _ in range(size)]


def _shares(parts: Iterator[float]) -> Masses:
    """`parts`, so that they sum to 1."""
    masses = list(parts)
    total = math.fsum(masses)
    return [mass / total for mass in masses]
