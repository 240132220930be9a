"""How seldom canaries may run so that a fall of delivery is paged in time, without too many pages for nothing. Pure."""

import math
from dataclasses import dataclass, replace
from typing import Final

from monitor.canary.detection import Fall, Signal, false_pages_a_year, paged_share
from monitor.canary.page_rule import PageRule

FASTEST_S: Final = 1
"""The shortest interval that the settings allow."""
_DAY_S: Final = 86_400
_ROUND_INTERVALS_S: Final = tuple(
    sorted(
        {
            *(tenths / 10 for tenths in range(FASTEST_S * 10, 100)),
            *range(10, 60),
            *range(60, 600, 5),
            *range(600, 3_600, 60),
            *range(3_600, 6 * 3_600, 600),
            *range(6 * 3_600, _DAY_S + 1, 3_600),
        },
        reverse=True,
    )
)
"""What the settings allow and people write, the longest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be paged, how soon, of how many such falls, and with how many pages a year for nothing."""

    fall: Fall
    within_s: float
    share: float
    false_pages: float

    def is_paged_by(self, rule: PageRule, signal: Signal) -> bool:
        """Whether `signal` is enough to page such a fall in time."""
        return paged_share(rule, signal, self.fall, self.within_s) >= self.share

    def is_met_by(self, rule: PageRule, signal: Signal) -> bool:
        """Whether it also pages seldom enough for nothing."""
        is_quiet = false_pages_a_year(rule, signal, self.fall.healthy) <= self.false_pages
        return is_quiet and self.is_paged_by(rule, signal)


def with_canary(traffic: Signal, interval_s: float) -> Signal:
    """`traffic`, and a canary that runs every `interval_s`; infinite: none."""
    return replace(traffic, a_day=traffic.a_day + _DAY_S / interval_s, canary_interval_s=interval_s)


def longest_interval_s(rule: PageRule, wish: Wish, traffic: Signal) -> float | None:
    """The longest round interval of one canary that meets `wish`; infinite: traffic alone does. None: none does.

    All are tried, as more runs are not always better: where one more loss comes to be wanted, it can be the other way.
    """
    tried = (math.inf, *_ROUND_INTERVALS_S)
    return next((each for each in tried if wish.is_met_by(rule, with_canary(traffic, each))), None)
