"""Reads dashboards' JSON, and asks a Prometheus what their panels would ask."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboards.build import JSON
from tests.prometheus import Prometheus

ALL: Final = "$__all"
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600}

Board = dict[str, Any]
Series = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Time:
    """What is shown of the time: from, to, and how far apart points are. `times_faster` as the rules beneath."""

    start_s: float
    end_s: float
    step_s: float
    scrape_s: float
    times_faster: float = 1

    @property
    def range_s(self) -> float:
        return self.end_s - self.start_s

    def interval_s(self, panel: Mapping[str, Any]) -> float:
        """Grafana's `$__interval`: no less than the panel asks for."""
        wanted = panel.get("interval")
        least_s = 0.0 if wanted is None else int(wanted[:-1]) * _UNITS_S[wanted[-1]] / self.times_faster
        return max(self.step_s, least_s)

    def rate_interval_s(self, panel: Mapping[str, Any]) -> float:
        """Grafana's `$__rate_interval`: at least four scrapes, and one more than an interval."""
        return max(self.interval_s(panel) + self.scrape_s, 4 * self.scrape_s)


def boards() -> dict[str, Board]:
    """All dashboards, by the name of their file without its ending."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(JSON.glob("*.json"))}


def panels(board: Board) -> Iterator[dict[str, Any]]:
    """Those that ask for something, from top to bottom."""
    yield from (panel for panel in board["panels"] if panel["type"] != "row")


def chosen(board: Board) -> dict[str, str]:
    """What its variables stand for when it is opened."""
    return {item["name"]: _value(item) for item in board["templating"]["list"] if item["type"] == "query"}


def _value(variable: Mapping[str, Any]) -> str:
    values = variable["current"]["value"]
    return str(variable.get("allValue", ".*")) if ALL in values else f"({'|'.join(values)})"


def fill_in(expr: str, values: Mapping[str, str]) -> str:
    """With values in place of variables. Raises KeyError naming a variable that nobody gave."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expr)


def expression(board: Board, panel: Mapping[str, Any], target: Mapping[str, Any], time: Time) -> str:
    """What Grafana would send."""
    values = {
        **chosen(board),
        "__range": _duration(time.range_s),
        "__rate_interval": _duration(time.rate_interval_s(panel)),
        "__interval": _duration(time.interval_s(panel)),
    }
    return fill_in(target["expr"], values)


def _duration(seconds: float) -> str:
    return f"{max(1, math.ceil(seconds * 1_000))}ms"


async def ask(
    prometheus: Prometheus, board: Board, panel: Mapping[str, Any], target: Mapping[str, Any], time: Time
) -> list[Series]:
    """The series that a query finds: each has `metric` and `values`, pairs of seconds and numbers."""
    query = expression(board, panel, target, time)
    if target["instant"]:
        found = (await prometheus.api("query", query=query, time=f"{time.end_s:.3f}"))["result"]
        return [{"metric": item["metric"], "values": [_point(item["value"])]} for item in found]
    step = f"{time.interval_s(panel):.3f}"
    limits = {"start": f"{time.start_s:.3f}", "end": f"{time.end_s:.3f}", "step": step}
    found = (await prometheus.api("query_range", query=query, **limits))["result"]
    return [{"metric": item["metric"], "values": [_point(pair) for pair in item["values"]]} for item in found]


def _point(pair: tuple[float, str]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def has_data(series: list[Series]) -> bool:
    """At least one number."""
    return any(not math.isnan(value) for item in series for _, value in item["values"])
