"""What is known of render times when a job was only looked at now and then: not ready at a, ready at b.

Two answers, for two uses. **Certain** is what the looks themselves say: the k-th shortest of the jobs took at least
the k-th smallest a and at most the k-th smallest b (the worst-case bounds of C. F. Manski, "Partial Identification of
Probability Distributions", 2003). **Likeliest** is the non-parametric maximum likelihood estimate for interval-censored
data (R. Peto, "Experimental survival curves for interval-censored data", Applied Statistics 22 (1973) 86; B. W.
Turnbull, "The empirical distribution function with arbitrarily grouped, censored and truncated data", Journal of the
Royal Statistical Society B 38 (1976) 290). It assumes no shape, only that when one looks does not depend on how long
the job still takes. From exact times alone both are the empirical distribution; with some never seen ready, the
likeliest is Kaplan and Meier's.

The likeliest always lies within the certain, but it may look far more precise than it is. Where many jobs are looked at
at nearly the same times, as polling does, it gathers their mass in the slivers where intervals happen to overlap, that
is at the polls. Who must not mistake the time of a poll for a render time shows what is certain.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final

from monitor.likelihood import CellRange, likeliest

Interval = tuple[float, float]
"""Ready after the first second and by the other. Equal where the moment is known, infinite where it never was seen."""

_MS_PER_S: Final = 1000
_NEGLIGIBLE: Final = 1e-6
"""Mass of less than this share of one observation is what the search left behind."""
_SAME_SHARE: Final = 1e-6
"""Shares that differ by less are the same: the search is no more exact."""

_Span = tuple[int, float]
"""The first and the last millisecond, both included; the last may be infinite."""


@dataclass(frozen=True, slots=True)
class Mass:
    """A `share` of all jobs: those that take longer than `after_s` and at most `by_s`, or exactly that, being equal."""

    after_s: float
    by_s: float
    share: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """Times in order, and how many jobs have this one or a smaller."""

    times_s: tuple[float, ...]
    jobs: tuple[int, ...]

    def nth(self, rank: int) -> float:
        """The time of the job with this rank, counted from 1."""
        return self.times_s[bisect_left(self.jobs, rank)]


@dataclass(frozen=True)
class RenderTimes:
    """What `n` observations tell. Certain bounds cost nothing; what is likeliest is searched when it is asked for."""

    n: int
    afters: Ranked
    bys: Ranked
    _spans: Counter[_Span] = field(repr=False)

    @cached_property
    def masses(self) -> tuple[Mass, ...]:
        """The likeliest ones, in order of time; their shares sum to 1."""
        return _likeliest_masses(self._spans)

    def quantile(self, p: float) -> Interval | None:
        """The interval in which, for certain, the time lies by which a share `p` of these jobs was ready.

        None for no observations. Both ends are included; the later is infinite where too few were seen ready.
        """
        _require_share(p)
        if not self.n:
            return None
        rank = max(1, math.ceil(p * self.n - _SAME_SHARE))
        return self.afters.nth(rank), self.bys.nth(rank)

    def likeliest_quantile(self, p: float) -> Interval | None:
        """The same time, where it is likeliest to lie: within `quantile(p)`, and not to be trusted to its digits."""
        _require_share(p)
        shares = accumulate(mass.share for mass in self.masses)
        reached = (mass for mass, share in zip(self.masses, shares, strict=True) if share >= p - _SAME_SHARE)
        mass = next(reached, None)
        return None if mass is None else (mass.after_s, mass.by_s)

    @property
    def cumulative(self) -> tuple[tuple[float, float], ...]:
        """Corners (seconds, share ready) of the likeliest line, which never falls: a step at an exact time.

        It slopes where the likelihood cannot tell how it rises, and ends where nothing was seen ready any more. For
        what is certain, ask for quantiles from 0 to 1.
        """
        return tuple(self._corners())

    def _corners(self) -> Iterator[tuple[float, float]]:
        ready = 0.0
        for mass in self.masses:
            yield mass.after_s, ready
            ready = min(ready + mass.share, 1.0)
            if mass.by_s < math.inf:
                yield mass.by_s, ready


def estimate_render_times(observed: Iterable[Interval] | Mapping[Interval, int]) -> RenderTimes:
    """What `observed` tells, to the millisecond; a mapping says how often each interval was observed.

    Raises ValueError for an interval that ends before it begins, begins before 0 or at no finite time.
    """
    spans: Counter[_Span] = Counter()
    for interval, jobs in Counter(observed).items():
        spans[_span(interval)] += jobs
    spans = +spans
    times = {span: _interval(span) for span in spans}
    afters = _ranked((times[span][0], jobs) for span, jobs in spans.items())
    bys = _ranked((times[span][1], jobs) for span, jobs in spans.items())
    return RenderTimes(spans.total(), afters, bys, spans)


def _require_share(p: float) -> None:
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, not {p}")


def _ranked(times_s: Iterable[tuple[float, int]]) -> Ranked:
    ordered = sorted(times_s)
    return Ranked(tuple(at_s for at_s, _ in ordered), tuple(accumulate(jobs for _, jobs in ordered)))


def _likeliest_masses(spans: Counter[_Span]) -> tuple[Mass, ...]:
    if not spans:
        return ()
    cells = _innermost(spans)
    shares = likeliest(_ranges(spans, cells), len(cells))
    least = _NEGLIGIBLE / spans.total()
    kept = [(cell, share) for cell, share in zip(cells, shares, strict=True) if share > least]
    whole = math.fsum(share for _, share in kept)
    return tuple(Mass(*_interval(cell), share / whole) for cell, share in kept)


def _span(interval: Interval) -> _Span:
    after_s, by_s = interval
    if not 0 <= after_s <= by_s or after_s == math.inf:
        raise ValueError(f"not an interval of time: after {after_s} s, by {by_s} s")
    after_ms = round(after_s * _MS_PER_S)
    by_ms = math.inf if by_s == math.inf else round(by_s * _MS_PER_S)
    return (after_ms + 1, by_ms) if after_ms < by_ms else (after_ms, after_ms)


def _innermost(spans: Iterable[_Span]) -> list[_Span]:
    """The spans, each from a beginning to the end that follows it with no beginning between, that can hold mass."""
    begins = {(first, False) for first, _ in spans}
    ends = {(last, True) for _, last in spans}
    steps = pairwise(sorted(begins | ends))  # at the same millisecond, what begins comes before what ends
    return [(int(at), until) for (at, is_end), (until, ends_then) in steps if ends_then and not is_end]


def _ranges(spans: Mapping[_Span, int], cells: Sequence[_Span]) -> list[CellRange]:
    """Which cells each span holds: adjacent ones, and at least one. Spans that hold the same are one."""
    begins, ends = [first for first, _ in cells], [last for _, last in cells]
    weights: Counter[tuple[int, int]] = Counter()
    for (first, last), jobs in spans.items():
        weights[bisect_left(begins, first), bisect_right(ends, last)] += jobs
    return [CellRange(first, end, weight) for (first, end), weight in weights.items()]


def _interval(span: _Span) -> Interval:
    first, last = span
    after_ms = first if first == last else first - 1
    return after_ms / _MS_PER_S, last / _MS_PER_S
