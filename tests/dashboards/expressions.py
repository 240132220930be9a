"""What an expression of PromQL asks for, by a parser."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import promql_parser

from tests.dashboards.asking import fill_in

RATE: Final = "7m"
RANGE: Final = "11h"
"""They stand for Grafana's variables while an expression is parsed; nothing else has these lengths."""
_WINDOWS: Final = {"__rate_interval": RATE, "__range": RANGE, "__interval": "3m"}
_NAMED: Final = {
    timedelta(minutes=7): "$__rate_interval",
    timedelta(hours=11): "$__range",
    timedelta(minutes=3): "$__interval",
}
_VARIABLE: Final = re.compile(r"\$(\w+)")


class NoPromql(ValueError):
    """It cannot be parsed."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector: `matchers` as label, operator and value; variables stand as they are written."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    window: str | None
    """Of a range selector, as it is written if it is one of Grafana's variables."""
    function: str | None
    """The one that is called with the range."""


def selectors(expr: str) -> list[Selector]:
    """All of an expression. Raises NoPromql."""
    return list(_found(parse(expr), None))


def parse(expr: str) -> Any:
    """The syntax tree. Raises NoPromql."""
    others = {name: f"${name}" for name in _VARIABLE.findall(expr)}
    try:
        return promql_parser.parse(fill_in(expr, {**others, **_WINDOWS}))
    except ValueError as error:
        raise NoPromql(f"{error}: {expr}") from error


def _found(node: Any, function: str | None) -> Iterator[Selector]:
    match type(node).__name__:
        case "VectorSelector":
            yield _selector(node, None, function)
        case "MatrixSelector":
            yield _selector(node.vector_selector, _NAMED.get(node.range, str(node.range)), function)
        case _:
            inner = node.func.name if type(node).__name__ == "Call" else function
            for child in _children(node):
                yield from _found(child, inner)


def _children(node: Any) -> Iterable[Any]:
    if hasattr(node, "args"):
        yield from node.args
    for name in ("expr", "lhs", "rhs"):
        if (child := getattr(node, name, None)) is not None:
            yield child


def _selector(node: Any, window: str | None, function: str | None) -> Selector:
    matchers = tuple((item.name, str(item.op).rpartition(".")[2], item.value) for item in node.matchers.matchers)
    return Selector(node.name or "", matchers, window, function if window is not None else None)


def names(expressions: Iterable[str]) -> set[str]:
    """The names of all series that are asked for."""
    return {selector.name for expression in expressions for selector in selectors(expression)}


def variables_of(selector: Selector) -> Mapping[str, str]:
    """The labels that are matched with a variable, and which."""
    return {label: value[1:] for label, op, value in selector.matchers if op == "Re" and value.startswith("$")}
