"""Where things are on the charts of a report, in percent of their width and height: no pixels, no colours."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

FULL: Final = 100.0
_FLOORS: Final = (0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
"""Where the axis of a chart of ratios may begin, so that ratios near to 1 can be told apart."""
_DIVISIONS: Final = 5
_STEPS: Final = (1, 2, 2.5, 5, 10)
_NEARLY_ALL: Final = 0.97
"""The axis of render times goes as far as this share of them: one straggler would squeeze the rest together."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and what stands there."""

    at: float
    says: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A ratio with its interval; all None where there is none."""

    at: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class RatioChart:
    """Ratios with their intervals above one axis, and where the objective is, if there is one."""

    dots: Sequence[Dot]
    ticks: Sequence[Tick]
    objective: float | None


@dataclass(frozen=True, slots=True)
class Bar:
    """A count, its share of all in its column, and how long its bar is."""

    count: int
    share: float
    length: float


@dataclass(frozen=True, slots=True)
class BarRow:
    """One bucket, with a bar for each column."""

    label: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Curve:
    """How the share that is ready rises with time: the likeliest line, and the band in which it lies for certain."""

    line: str
    band: str
    ticks: Sequence[Tick]


def ratio_chart(figures: Sequence[Mapping[str, Any]], objective: float | None = None) -> RatioChart:
    """`figures` have `ratio` and `interval`, or None for both."""
    lows = [item["interval"][0] for item in figures if item["interval"] is not None]
    least = min([*lows, *([] if objective is None else [objective])], default=0.0)
    floor = next((floor for floor in _FLOORS if floor < least), 0.0)
    width = 1 - floor

    def place(value: float) -> float:
        return _rounded((value - floor) / width)

    dots = [
        Dot(None, None, None)
        if item["interval"] is None
        else Dot(place(item["ratio"]), *(place(end) for end in item["interval"]))
        for item in figures
    ]
    marks = [floor + width * step / _DIVISIONS for step in range(_DIVISIONS + 1)]
    return RatioChart(
        dots,
        [Tick(place(mark), f"{mark * 100:.4g}%") for mark in marks],
        None if objective is None else place(objective),
    )


def bar_rows(labels: Sequence[str], columns: Sequence[Sequence[int]]) -> list[BarRow]:
    """A row for each label. The longest bar is full."""
    totals = [sum(counts) for counts in columns]
    shares = [
        [counts[row] / total if total else 0.0 for counts, total in zip(columns, totals, strict=True)]
        for row in range(len(labels))
    ]
    most = max((share for row in shares for share in row), default=0.0)
    return [
        BarRow(label, [Bar(counts[at], share, _rounded(share / most) if most else 0.0) for counts, share in pairs])
        for at, label in enumerate(labels)
        for pairs in [list(zip(columns, shares[at], strict=True))]
    ]


def trimmed(rows: Sequence[BarRow]) -> Sequence[BarRow]:
    """Without those before and after all that was counted."""
    used = [at for at, row in enumerate(rows) if any(bar.count for bar in row.bars)]
    return rows[used[0] : used[-1] + 1] if used else []


def second_labels(bounds: Sequence[float]) -> list[str]:
    """The buckets of latencies, with the one above all bounds."""
    lows = [f"{bound:g}" for bound in bounds]
    between = [f"{low} to {high} s" for low, high in pairwise(lows)]
    return [f"up to {lows[0]} s", *between, f"over {lows[-1]} s"]


def attempt_labels(bounds: Sequence[int]) -> list[str]:
    """The numbers of attempts, with the one above all."""
    return [*map(str, bounds), f"over {bounds[-1]}"]


def curve(likeliest: Sequence[Sequence[float]], certain: Sequence[Sequence[float | None]]) -> Curve:
    """`likeliest` are corners (seconds, share), `certain` steps (share, after, by); see the summary."""
    end_s, marks = _time_axis(_reach(certain))

    def x(at_s: float | None) -> float:
        return 2 * FULL if at_s is None else min(_rounded(at_s / end_s), 2 * FULL)

    line = _path((x(at_s), _height(share)) for at_s, share in likeliest)
    band = _path(_outline([(share or 0.0, x(after_s), x(by_s)) for share, after_s, by_s in certain]))
    return Curve(line, f"{band}Z" if band else "", [Tick(x(mark), f"{mark:g}") for mark in marks])


def _outline(steps: Sequence[tuple[float, float, float]]) -> Iterator[tuple[float, float]]:
    """Up along the sooner ends of all steps, and down along the later ones."""
    lows = [0.0, *(share for share, _, _ in steps)]
    for low, (share, after, _) in zip(lows, steps, strict=False):
        yield after, _height(low)
        yield after, _height(share)
    for low, (share, _, by) in reversed(list(zip(lows, steps, strict=False))):
        yield by, _height(share)
        yield by, _height(low)


def _reach(certain: Sequence[Sequence[float | None]]) -> float:
    """The time by which nearly all were ready for certain, or the latest that is known."""
    known = [(share or 0.0, after_s or 0.0, by_s) for share, after_s, by_s in certain]
    ends = (by_s for share, _, by_s in known if share >= _NEARLY_ALL and by_s is not None)
    return next(ends, max((max(after_s, by_s or 0.0) for _, after_s, by_s in known), default=0.0))


def _time_axis(reach_s: float) -> tuple[float, list[float]]:
    """A round end at or beyond `reach_s`, and three to five round marks up to it."""
    rough = max(reach_s, 0.001) / _DIVISIONS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(times * power for times in _STEPS if times * power >= rough * 0.999)
    number = math.ceil(reach_s / step - 0.001) or 1
    return step * number, [round(step * at, 6) for at in range(number + 1)]


def _path(points: Iterator[tuple[float, float]]) -> str:
    drawn = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f"M{drawn}" if drawn else ""


def _height(share: float) -> float:
    return round(FULL * (1 - share), 2)


def _rounded(part: float) -> float:
    return round(FULL * part, 2)
