"""How soon a fall of delivery is paged, and how often a page comes for nothing. Pure; docs/canaries.md derives it.

Both are bounds that hold whatever the overlap of the windows: of falls at least so many are paged in time, and at most
so many pages come for nothing. Generations are taken to end evenly, and to be lost each by itself.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from monitor.canary.binomial import chance_of, chances_of_fewer
from monitor.canary.page_rule import Outage, PageRule

PAGING_S: Final = 90.0
"""From a loss that is known to the page: scrape, two evaluations, and the wait of Alertmanager for more of a group."""
_EVALUATED_EVERY_S: Final = 30.0
_DAY_S: Final = 86_400
_YEAR_S: Final = 365 * _DAY_S
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What there is to be seen of one provider. `canary_interval_s` is that of the canary which runs most often."""

    a_day: float
    """Generations of canaries and of callers together."""
    known_after_s: float
    """From a generation's start until it counts as lost: the window of its policy."""
    canary_interval_s: float = math.inf

    @property
    def lag_s(self) -> float:
        """From the start of a generation that is lost to the page that it causes."""
        return self.known_after_s + PAGING_S

    def within(self, span_s: float) -> int:
        """How many begin in any span of that length, at the least."""
        return max(0, math.floor(self.a_day * span_s / _DAY_S + _ROUNDING))

    def in_window(self, window_s: float) -> int:
        """How many a window holds, at the most: the more there are, the more must be lost for a page."""
        return math.ceil(self.a_day * window_s / _DAY_S - _ROUNDING)


@dataclass(frozen=True, slots=True)
class Fall:
    """Delivery falls from one share to another, at once and for good."""

    healthy: float
    fallen: float


def paged_share(rule: PageRule, signal: Signal, fall: Fall, after_s: float) -> float:
    """Of such falls, the share that is paged `after_s` later at the latest: at least this, by the best window."""
    seen = signal.within(after_s - signal.lag_s)
    shares = [_over_window(rule, signal.in_window(window_s), fall, seen) for window_s in rule.windows_s]
    for outage, in_a_row in _visible_outages(rule, signal):
        seen = signal.within(after_s - signal.lag_s - outage.hold_s)
        shares.append(_in_a_row(in_a_row, 1 - fall.fallen, seen))
    return max(shares)


def paged_after_s(rule: PageRule, signal: Signal, fall: Fall, share: float, most_s: float) -> float | None:
    """When `share` of such falls is paged at the latest; None: not within `most_s`. To the second."""
    low_s, high_s = 0, math.floor(most_s)
    if paged_share(rule, signal, fall, high_s) < share:
        return None
    while high_s - low_s > 1:
        middle_s = (low_s + high_s) // 2
        is_enough = paged_share(rule, signal, fall, middle_s) >= share
        low_s, high_s = (low_s, middle_s) if is_enough else (middle_s, high_s)
    return float(high_s)


def false_pages_a_year(rule: PageRule, signal: Signal, healthy: float) -> float:
    """Pages in a year in which `healthy` of all is delivered: no more than this on the average.

    A page begins when the last of a window's losses comes: before it there was one too few, and what left the window
    with it was delivered. How often that happens is an expectation, and those add up, however windows overlap.
    """
    lost = 1 - healthy
    begin = 0.0
    for window_s in rule.windows_s:
        if fewest := rule.fewest_lost(signal.within(window_s)):
            begin += lost * healthy * chance_of(fewest - 1, signal.in_window(window_s) - 1, lost)
    for outage in rule.outages(signal.canary_interval_s):
        begin += healthy * lost ** max(outage.min_lost, signal.within(outage.window_s))
    return begin * signal.a_day / _DAY_S * _YEAR_S


def _over_window(rule: PageRule, ended: int, fall: Fall, seen: int) -> float:
    """That enough of the `ended` in a window were lost, `seen` of them after the fall.

    After longer than a window, windows side by side are looked at; those between them would add to it.
    """
    fewest = rule.fewest_lost(ended)
    if fewest is None or not seen:
        return 0.0
    windows, rest = divmod(seen, ended)
    fallen, healthy = 1 - fall.fallen, 1 - fall.healthy
    if windows:
        too_few, too_few_of_rest = (chances_of_fewer(fewest, of, fallen)[-1] for of in (ended, rest))
        return 1 - too_few**windows * too_few_of_rest
    fewer = chances_of_fewer(fewest, seen, fallen)
    before = (chance_of(lost, ended - seen, healthy) for lost in range(fewest))
    return max(0.0, 1 - sum(share * fewer[fewest - 1 - lost] for lost, share in enumerate(before)))


def _visible_outages(rule: PageRule, signal: Signal) -> Iterator[tuple[Outage, int]]:
    """Each that such a signal can show, and how many lost ones in a row do."""
    for outage in rule.outages(signal.canary_interval_s):
        if signal.within(outage.window_s - _EVALUATED_EVERY_S) + 1 >= outage.min_lost:
            yield outage, max(outage.min_lost, signal.in_window(outage.window_s))


def _in_a_row(wanted: int, lost: float, seen: int) -> float:
    """That `wanted` in a row of the `seen` are lost: exact up to twice as many, and no more than it is after that.

    Let R(m) be that m have no such row. With x = (1 - p) p^w, R(m) = R(m - 1) - x R(m - w - 1) (W. Feller, volume 1,
    chapter XIII.7). R never rises, so each step leaves at most 1 - x of it; w steps before there was that much more.
    """
    if seen < wanted:
        return 0.0
    begins = (1 - lost) * lost**wanted
    exact, more = min(seen, 2 * wanted), max(0, seen - 2 * wanted)
    none = 1 - lost**wanted - (exact - wanted) * begins
    leaves: float = 1 - begins / (1 - begins) ** wanted
    return 1 - none * leaves**more
