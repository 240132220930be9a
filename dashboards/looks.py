"""How series are drawn: units, colours, lines and thresholds, as Grafana's fieldConfig has them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase
from typing import Any, Final

from dashboards import colours


class Unit(StrEnum):
    """Grafana's names of the units that are used here."""

    SHARE = "percentunit"
    SECONDS = "s"
    COUNT = "short"
    CALLS_A_SECOND = "reqps"
    EVENTS_A_SECOND = "eps"
    BYTES = "bytes"
    DOLLARS = "currencyUSD"
    TIMES = "suffix:×"
    WHEN = "dateTimeFromNow"
    PLAIN = "none"


class Line(StrEnum):
    """How a line is drawn; quantiles of one channel have its colour, and differ in this."""

    SOLID = "solid"
    DASHED = "dash"
    DOTTED = "dot"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and how its series are called and drawn.

    `words` are the values that the legend's label can have: each is drawn in its own colour.
    """

    expr: str
    legend: str
    words: Iterable[str] = ()
    colour: str | None = None
    line: Line = Line.SOLID
    exemplars: bool = False


Step = tuple[float | None, str]
"""From this value on, this colour; the first is from nowhere on."""
PLAIN: Final[tuple[Step, ...]] = ((None, "text"),)


def fields(
    unit: Unit,
    steps: Sequence[Step],
    queries: Sequence[Query],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    decimals: int | None = None,
    none: str | None = None,
    custom: dict[str, Any] | None = None,
    by_steps: bool = True,
) -> dict[str, Any]:
    """A panel's fieldConfig: the unit, the limits and the colours.

    What has no colour of its own, as instances have none, is drawn in shades of one: Grafana's palette has the blue of
    SSE in it.
    """
    defaults: dict[str, Any] = {
        "color": {"mode": "thresholds"} if by_steps else {"mode": "shades", "fixedColor": colours.LILAC},
        "custom": custom or {},
        "decimals": decimals,
        "mappings": [],
        "max": at_most,
        "min": at_least,
        "noValue": none,
        "thresholds": thresholds(steps),
        "unit": unit.value,
    }
    overrides = [item for ref, query in with_refs(queries) for item in _looks(ref, query)]
    return {"defaults": {key: value for key, value in defaults.items() if value is not None}, "overrides": overrides}


def with_refs(queries: Sequence[Query]) -> Iterable[tuple[str, Query]]:
    """A letter for each query."""
    return zip(ascii_uppercase, queries, strict=False)


def _looks(ref: str, query: Query) -> list[dict[str, Any]]:
    """The overrides that give a query's series their colours and lines."""
    looks = [override(word, {"color": _fixed(colours.of_word(word))}) for word in query.words]
    properties: dict[str, Any] = {}
    if query.colour is not None:
        properties["color"] = _fixed(query.colour)
    if query.line is not Line.SOLID:
        dash = [8, 6] if query.line is Line.DASHED else [2, 5]
        properties["custom.lineStyle"] = {"fill": query.line.value, "dash": dash}
    if not properties:
        return looks
    is_templated = "{{" in query.legend  # then the series' name is known only when it is drawn
    all_of_query = override(ref, properties, by="byFrameRefID")
    return [*looks, all_of_query if is_templated else override(query.legend, properties)]


def override(which: str, properties: Mapping[str, Any], *, by: str = "byName") -> dict[str, Any]:
    """For one series by its name, or for all of a query."""
    matcher = {"id": by, "options": which}
    return {"matcher": matcher, "properties": [{"id": key, "value": value} for key, value in properties.items()]}


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}


def thresholds(steps: Sequence[Step]) -> dict[str, Any]:
    """The lowest has no bound, which in JSON must be null."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}
