"""Figures as people read them, on every page and in the terminal. What there is none of is a dash."""

from collections.abc import Sequence
from datetime import datetime


def percentage(value: float | None, digits: int = 1) -> str:
    """A ratio for people; never rounded up to a success that was not had."""
    if value is None:
        return "–"
    scale = 10**digits
    return f"{int(value * 100 * scale + 1e-9) / scale:.{digits}f}%"


def seconds(value: float | None) -> str:
    """A time for people."""
    return "–" if value is None else f"{value:.2f} s"


def span(interval: Sequence[float | None] | None) -> str:
    """An interval of seconds for people: between two looks, at a moment that SSE told, or after the last look."""
    if interval is None:
        return "–"
    after_s, by_s = interval
    if by_s is None:
        return f"over {after_s:.1f} s"
    after, by = f"{after_s:.1f}", f"{by_s:.1f}"
    return f"{by} s" if after == by else f"{after} to {by} s"


def ahead(moment: datetime | None, now: datetime) -> str:
    """How long it is until then, for people."""
    return "–" if moment is None else f"in {_lasting((moment - now).total_seconds())}"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago it was, for people."""
    return f"{_lasting((now - moment).total_seconds())} ago"


def _lasting(seconds: float) -> str:
    whole = max(0, round(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
