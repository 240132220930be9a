"""How a panel's JSON wants its series to be called and drawn."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.dashboards.asking import Series

INK: Final = "#CCCCDC"
QUIET: Final = "#8E8E9C"
GROUND: Final = "#111217"
CARD: Final = "#181B1F"
EDGE: Final = "#2C3036"
_SHADES: Final = (1.0, 0.7, 1.25, 0.5, 0.85, 0.6)
"""How bright series without a colour of their own are, one after the other."""
_LEGEND_LABEL: Final = re.compile(r"\{\{(\w+)\}\}")
_DASHES: Final[Mapping[str, Any]] = {"solid": "-", "dash": (0, (5, 3)), "dot": (0, (1.2, 2.2))}

Panel = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series with its name, its colour and its line."""

    name: str
    colour: str
    line: Any
    times: list[float]
    values: list[float]
    metric: Mapping[str, str]
    shows_exemplars: bool


def drawn(panel: Panel, found: list[list[Series]]) -> list[Drawn]:
    """All series of a panel, in the order of its queries."""
    return [
        _one(panel, target, series, position)
        for target, all_series in zip(panel["targets"], found, strict=True)
        for position, series in enumerate(sorted(all_series, key=lambda item: sorted(item["metric"].items())))
    ]


def _one(panel: Panel, target: Mapping[str, Any], series: Series, position: int) -> Drawn:
    name = _LEGEND_LABEL.sub(lambda label: series["metric"].get(label[1], ""), target["legendFormat"]).strip()
    wanted = properties(panel, name, target["refId"])
    values = [value for _, value in series["values"]]
    colour = wanted.get("color", {}).get("fixedColor")
    return Drawn(
        name=name,
        colour=colour or _default_colour(panel, position, values),
        line=_DASHES[wanted.get("custom.lineStyle", {}).get("fill", "solid")],
        times=[at for at, _ in series["values"]],
        values=values,
        metric=series["metric"],
        shows_exemplars=target["exemplar"],
    )


def properties(panel: Panel, name: str, ref: str) -> dict[str, Any]:
    """What the overrides say of a series by its name, or by its query."""
    wanted = ({"id": "byName", "options": name}, {"id": "byFrameRefID", "options": ref})
    return {
        item["id"]: item["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"] in wanted
        for item in override["properties"]
    }


def _default_colour(panel: Panel, position: int, values: list[float]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["color"]["mode"] == "thresholds":
        return by_steps(defaults["thresholds"]["steps"], values[-1])
    return _shade(defaults["color"]["fixedColor"], _SHADES[position % len(_SHADES)])


def _shade(colour: str, brightness: float) -> str:
    parts = (min(255, round(int(colour[at : at + 2], 16) * brightness)) for at in (1, 3, 5))
    return "#" + "".join(f"{part:02X}" for part in parts)


def by_steps(steps: list[dict[str, Any]], value: float) -> str:
    """The colour of the highest step that the value reaches."""
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return INK if reached[-1] == "text" else str(reached[-1])
