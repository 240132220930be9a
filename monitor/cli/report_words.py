"""What a report says in words, in the terminal and on the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from monitor.web.wording import percentage

CHANNELS: Final[Mapping[str, str]] = {"sse": "SSE", "polling": "polling"}
_UNITS: Final = ((86_400, "day", 2), (3_600, "hour", 1), (60, "minute", 1), (1, "second", 0))
"""Seconds, name, and from how many on it is spoken of in this unit: one day is 24 hours."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a report comes from, and when it was made."""

    url: str
    made_at: datetime

    @property
    def made(self) -> str:
        """When, to the minute."""
        return f"{self.made_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def window_words(window_s: float) -> str:
    """A window as it follows on *the last*, in the largest unit in which it is whole."""
    whole = (unit for unit in _UNITS if window_s % unit[0] == 0 and window_s >= unit[0] * unit[2])
    unit_s, name, _ = next(whole, _UNITS[-1])
    number = int(window_s // unit_s)
    return name if number == 1 else f"{number} {name}s"


def objective_words(summary: Mapping[str, Any]) -> str:
    """Whether the objective was met, and whether the figures are enough to say so."""
    objective, delivery = summary["objective"], summary["delivery"]
    told = f"objective {objective * 100:.6g}%"
    if delivery["ratio"] is None:
        return f"nothing was delivered or expired; {told}"
    low, high = delivery["interval"]
    met = "met" if delivery["ratio"] >= objective else "missed"
    if low < objective <= high:
        return f"{told}: {met}, but too few to be sure"
    return f"{told}: {met}"


def reported_words(summary: Mapping[str, Any]) -> str | None:
    """What applications say they saw, which counts in nothing else; None where none says anything."""
    reported = summary["delivery_by_origin"]["report"]
    if not reported["total"]:
        return None
    counted = f"{reported['good']:,} of {reported['total']:,}"
    return f"apart from that, applications reported {percentage(reported['ratio'], 2)} delivered, {counted}"


def interval_words(interval: list[float] | None, digits: int = 1) -> str:
    """The ends of an interval of ratios."""
    return "–" if interval is None else f"{percentage(interval[0], digits)} to {percentage(interval[1], digits)}"
