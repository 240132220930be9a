"""Which counts of losses wake a person: the alert rules as values, so that a plan can be made without the rules.

The file beside this one is built from alerts/slo.toml, as the rules themselves are.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from monitor.statistics import wilson_interval

PATH: Final = Path(__file__).with_name("page_rule.json")


@dataclass(frozen=True, slots=True)
class Outage:
    """A page when `min_lost` were lost within `window_s` and none was delivered, if that holds for `hold_s`."""

    window_s: float
    min_lost: int
    hold_s: float = 0.0


class PageRule(BaseModel):
    """What pages over the delivery of a provider; docs/alerting.md has the reasons.

    Pages of the burn rate are not in it: whenever one fires, the upper bound lies below the objective as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: float
    z: float
    min_lost: int
    windows_s: tuple[int, ...]
    outage_min_lost: int
    outage_windows_s: tuple[int, ...]
    canary_min_failed: int
    canary_intervals_s: tuple[int, ...]
    canary_hold_s: int

    def fewest_lost(self, ended: int) -> int | None:
        """The fewest losses of `ended` ones whose upper bound lies below the objective; None: all would be too few."""
        losses = range(self.min_lost, ended + 1)
        at = bisect_left(losses, True, key=lambda lost: self._is_below(ended, lost))
        return losses[at] if at < len(losses) else None

    def outages(self, canary_interval_s: float) -> Iterator[Outage]:
        """All of them, also what `CanaryFailing` pages: three intervals without a success, and nothing else delivered.

        `canary_interval_s` is that of the canary which runs most often; infinite: there is none.
        """
        for window_s in self.outage_windows_s:
            yield Outage(window_s, self.outage_min_lost)
        paces_s = (pace_s for pace_s in self.canary_intervals_s if canary_interval_s <= pace_s)
        if pace_s := next(paces_s, None):
            yield Outage(max(pace_s, 3 * canary_interval_s), self.canary_min_failed, self.canary_hold_s)

    def _is_below(self, ended: int, lost: int) -> bool:
        interval = wilson_interval(ended - lost, ended, self.z)
        return interval is not None and interval[1] < self.objective


@cache
def shipped_rule() -> PageRule:
    """The rule that this release was built with."""
    return PageRule.model_validate_json(PATH.read_text("utf-8"))
