"""Draws the inside of each kind of panel on axes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from dashboards.promql import Own
from tests.dashboards.asking import Series, Time
from tests.dashboards.preview.looks import CARD, EDGE, INK, QUIET, Drawn, Panel, drawn
from tests.dashboards.preview.values import written

SMALL: Final = 7.5


@dataclass(frozen=True, slots=True)
class Found:
    """What a panel's queries found: a list of series for each, and the exemplars as time and value."""

    time: Time
    series: list[list[Series]]
    exemplars: list[tuple[float, float]] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    """Annotations: when, and in which colour."""


Kind = Callable[[Axes, Panel, Found], None]


def draw(axes: Axes, panel: Panel, found: Found) -> None:
    """Whatever kind it is; what nothing was found for says what the panel says then."""
    axes.set_facecolor(CARD)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(colors=QUIET, labelsize=SMALL, length=0)
    if not any(found.series):
        _bare(axes)
        none = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        axes.text(0.5, 0.5, none, ha="center", va="center", color=QUIET, fontsize=11, transform=axes.transAxes)
        return
    KINDS[panel["type"]](axes, panel, found)


def _stat(axes: Axes, panel: Panel, found: Found) -> None:
    _bare(axes)
    defaults, all_drawn = panel["fieldConfig"]["defaults"], drawn(panel, found.series)
    is_named = len(all_drawn) > 1 or panel["options"]["textMode"] == "value_and_name"
    for at, series in enumerate(all_drawn):
        middle = (at + 0.5) / len(all_drawn)
        said = written(series.values[-1], defaults["unit"], defaults.get("decimals"))
        colour = series.colour
        has_line = panel["options"]["graphMode"] == "area" and len(series.values) > 2
        size = 25 if len(said) < 8 and len(all_drawn) < 3 else 19
        axes.text(
            middle, 0.62 if is_named or has_line else 0.5, said, ha="center", va="center", color=colour, fontsize=size
        )
        if is_named:
            axes.text(middle, 0.2, series.name, ha="center", va="center", color=QUIET, fontsize=9)
        if has_line:
            _sparkline(axes, series, colour)


def _sparkline(axes: Axes, series: Drawn, colour: str) -> None:
    values = np.array(series.values)
    span = float(np.nanmax(values) - np.nanmin(values)) or 1.0
    x = (np.array(series.times) - series.times[0]) / max(1e-9, series.times[-1] - series.times[0])
    y = 0.02 + (values - np.nanmin(values)) / span * 0.3
    axes.plot(x, y, color=colour, linewidth=1, transform=axes.transAxes)
    axes.fill_between(x, 0, y, color=colour, alpha=0.25, linewidth=0, transform=axes.transAxes)


def _time_series(axes: Axes, panel: Panel, found: Found) -> None:
    defaults, all_drawn = panel["fieldConfig"]["defaults"], drawn(panel, found.series)
    custom, time = defaults["custom"], found.time
    is_stacked = custom["stacking"]["mode"] == "normal"
    for at_s, colour in found.marks:
        axes.axvline(at_s - time.start_s, color=colour, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.8)
    if is_stacked:
        _stack(axes, all_drawn, time, found.time.interval_s(panel))
    else:
        for series in all_drawn:
            x = [at - time.start_s for at in series.times]
            axes.plot(
                x, series.values, color=series.colour, linestyle=series.line, linewidth=1.5, solid_capstyle="round"
            )
    if found.exemplars:
        x = [at - time.start_s for at, _ in found.exemplars]
        axes.scatter(x, [value for _, value in found.exemplars], marker="D", s=7, color="#FFFFFF", alpha=0.55, zorder=5)
    _scale(axes, panel, all_drawn, is_stacked=is_stacked)
    for step in defaults["thresholds"]["steps"][1:]:
        axes.axhline(step["value"], color=step["color"], linewidth=0.9, linestyle=(0, (6, 4)), alpha=0.8)
    _time_axis(axes, time)
    _legend(axes, {series.name: (series.colour, series.line) for series in all_drawn})


def _stack(axes: Axes, all_drawn: list[Drawn], time: Time, width_s: float) -> None:
    """Bars on each other; series that are not there at a moment count nothing."""
    bottoms: dict[float, float] = {}
    for series in all_drawn:
        pairs = [(at, value) for at, value in zip(series.times, series.values, strict=True) if not math.isnan(value)]
        x = [at - time.start_s for at, _ in pairs]
        below = [bottoms.get(at, 0.0) for at, _ in pairs]
        axes.bar(x, [value for _, value in pairs], width_s * 0.92, below, color=series.colour, linewidth=0)
        bottoms.update({at: bottoms.get(at, 0.0) + value for at, value in pairs})


def _scale(axes: Axes, panel: Panel, all_drawn: list[Drawn], *, is_stacked: bool) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    if defaults["custom"]["scaleDistribution"]["type"] == "log":
        axes.set_yscale("log")
    elif not is_stacked:
        tops = [value for series in all_drawn for value in series.values if not math.isnan(value)]
        lowest, highest = defaults.get("min"), defaults.get("max")
        top = (max([*tops, 0]) or 1) * 1.08 if highest is None else highest * 1.02
        axes.set_ylim(0 if lowest is None else lowest, top)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, unit)))
    if defaults["custom"]["scaleDistribution"]["type"] != "log":
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=EDGE, linewidth=0.6)
    axes.set_axisbelow(True)


def _time_axis(axes: Axes, time: Time) -> None:
    axes.set_xlim(0, time.range_s)
    axes.xaxis.set_major_locator(MultipleLocator(60))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{int(at) // 60}:{int(at) % 60:02d}"))
    axes.grid(axis="x", color=EDGE, linewidth=0.4)


def _legend(axes: Axes, names: Mapping[str, tuple[str, Any]]) -> None:
    handles = [
        axes.plot([], [], color=colour, linestyle=line, linewidth=2.2, label=name)[0]
        for name, (colour, line) in names.items()
    ]
    columns = max(1, min(len(handles), int(axes.bbox.width // (14 + 7 * max(map(len, names))))))
    legend = axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -0.1),
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0,
        labelspacing=0.25,
    )
    for text in legend.get_texts():
        text.set_color(INK)


def _bar_gauge(axes: Axes, panel: Panel, found: Found) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    all_drawn = drawn(panel, found.series)
    _bare(axes)
    highest = defaults.get("max") or max(*(series.values[-1] for series in all_drawn), 1e-9)
    widest = max(len(series.name) for series in all_drawn)
    left = min(0.45, (widest * 6.2 + 8) / axes.bbox.width)
    right = 1 - 62 / axes.bbox.width
    for at, series in enumerate(all_drawn):
        middle = 1 - (at + 0.5) / len(all_drawn)
        height = min(0.72 / len(all_drawn), 0.22)
        value = series.values[-1]
        length = (right - left) * max(0.0, min(1.0, value / highest))
        axes.barh(middle, right - left, height, left, color="#22262B", linewidth=0)
        axes.barh(middle, length, height, left, color=series.colour, linewidth=0)
        axes.text(left - 6 / axes.bbox.width, middle, series.name, ha="right", va="center", color=INK, fontsize=8.5)
        said = written(value, defaults["unit"], defaults.get("decimals"))
        axes.text(1, middle, said, ha="right", va="center", color=INK, fontsize=9.5)


def _heatmap(axes: Axes, panel: Panel, found: Found) -> None:
    """Buckets come summed up from below, so each is less by the one before."""
    (buckets,) = found.series
    ordered = sorted(buckets, key=lambda item: float(item["metric"][Own.BUCKET]))
    times = sorted({at for item in ordered for at, _ in item["values"]})
    columns = {at: number for number, at in enumerate(times)}
    counts = np.zeros((len(ordered), len(times)))
    for row, item in enumerate(ordered):
        for at, value in item["values"]:
            counts[row, columns[at]] = value
    counts = np.diff(counts, axis=0, prepend=0)
    used = [row for row in range(len(ordered)) if counts[row].max() > 0.01]
    low, high = (min(used), max(used) + 1) if used else (0, len(ordered))
    shown = np.ma.masked_less(counts[low:high], 0.01)
    edges = np.array([*times, times[-1] + found.time.interval_s(panel)]) - found.time.start_s
    scheme = f"{panel['options']['color']['scheme']}_r"
    axes.pcolormesh(
        edges, np.arange(high - low + 1), np.ma.power(shown, 0.5), cmap=scheme, edgecolors=CARD, linewidth=0.4
    )
    _marks(axes, found, [float(item["metric"][Own.BUCKET]) for item in ordered], low, high)
    bounds = [ordered[row - 1]["metric"][Own.BUCKET] if row else "0" for row in range(low, high + 1)]
    every = max(1, math.ceil(len(bounds) / 9))
    axes.set_yticks(
        range(0, len(bounds), every),
        [written(float(bound), panel["options"]["yAxis"]["unit"]) for bound in bounds[::every]],
    )
    axes.set_ylim(0, high - low)
    _time_axis(axes, found.time)
    axes.grid(visible=False)


def _marks(axes: Axes, found: Found, bounds: list[float], low: int, high: int) -> None:
    """Exemplars at their place between the bounds of their bucket."""
    edges = [0.0, *bounds]
    for at_s, value in found.exemplars:
        for row, (below, above) in enumerate(pairwise(edges)):
            if below < value <= above and low <= row < high:
                share = 0.5 if math.isinf(above) else (value - below) / (above - below)
                axes.plot(at_s - found.time.start_s, row - low + share, "D", color="#D5375B", markersize=2.4, alpha=0.9)


def _table(axes: Axes, panel: Panel, found: Found) -> None:
    _bare(axes)
    options = panel["transformations"][0]["options"]
    columns = sorted(options["includeByName"], key=lambda name: int(options["indexByName"][name]))
    rows = [
        series["metric"] | {"Value": series["values"][-1][1]} for all_series in found.series for series in all_series
    ]
    height = 0.155
    starts = np.concatenate(([0.0], np.cumsum([0.5] + [0.3] * (len(columns) - 2)))) if len(columns) > 1 else [0.0]
    for start, name in zip(starts, columns, strict=True):
        axes.text(start, 0.97, options["renameByName"][name], va="top", color="#6E9FFF", fontsize=8.5, weight="bold")
        for at, row in enumerate(sorted(rows, key=lambda item: [str(item.get(key, "")) for key in columns])):
            if (at + 2) * height < 1.05:
                axes.text(start, 0.97 - (at + 1) * height, str(row.get(name, "")), va="top", color=INK, fontsize=8.5)


def _state_timeline(axes: Axes, panel: Panel, found: Found) -> None:
    states = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    all_drawn = sorted(drawn(panel, found.series), key=lambda series: series.name, reverse=True)
    step_s = found.time.interval_s(panel)
    for row, series in enumerate(all_drawn):
        for at, value in zip(series.times, series.values, strict=True):
            colour = states[f"{value:g}"]["color"]
            axes.barh(row, step_s * 1.02, 0.7, at - found.time.start_s, color=colour, linewidth=0)
    axes.set_yticks(range(len(all_drawn)), [series.name for series in all_drawn])
    axes.set_ylim(-0.6, max(len(all_drawn) - 0.4, 2.4))
    _time_axis(axes, found.time)
    axes.set_axisbelow(True)
    _legend(axes, {state["text"]: (state["color"], "-") for state in states.values()})


def _bare(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])


KINDS: Final[Mapping[str, Kind]] = {
    "stat": _stat,
    "timeseries": _time_series,
    "bargauge": _bar_gauge,
    "heatmap": _heatmap,
    "table": _table,
    "state-timeline": _state_timeline,
}
