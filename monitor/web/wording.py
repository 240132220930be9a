"""Figures as people read them, on every page and in the terminal. What there is none of is a dash."""

from collections.abc import Sequence


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
