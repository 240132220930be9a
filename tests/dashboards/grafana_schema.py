"""Holds a dashboard against the models of Grafana's foundation SDK, which are made from Grafana's own schema.

The SDK's readers take anything: keys that they do not know fall away, and values of the wrong type are kept. So a
dashboard is read and written again, what fell away is found by comparing, and each value of a model is held against the
type that the model declares. The SDK knows panels' options and fields, queries, variables, annotations and links.
"""

import enum
import json
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

plugins.register_default_plugins()

UNKNOWN: Final = frozenset(
    {
        "annotations.list.expr",  # the SDK's annotations know only `target`; Grafana's Prometheus plugin reads these
        "annotations.list.step",
        "annotations.list.tagKeys",
        "annotations.list.target.expr",
        "annotations.list.target.interval",
        "annotations.list.target.refId",
        "annotations.list.textFormat",
        "annotations.list.titleFormat",
        "templating.list.definition",  # what the variable's editor shows
    }
)
"""Keys that the SDK drops although Grafana reads them, as paths without numbers."""


def deviations(data: dict[str, Any]) -> list[str]:
    """What Grafana's schema does not know, or knows otherwise."""
    read = models.Dashboard.from_json(json.loads(json.dumps(data)))
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    return [*_lost(data, written, ""), *_wrong(read, "")]


def _lost(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in before.items():
            below = f"{path}.{key}".lstrip(".")
            if key in after:
                yield from _lost(value, after[key], below)
            elif value is not None and below not in UNKNOWN:
                yield f"{below}: there is no such key"
    elif isinstance(before, list) and isinstance(after, list):
        for old, new in zip(before, after, strict=True):
            yield from _lost(old, new, path)
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def _wrong(value: Any, path: str) -> Iterator[str]:
    """Of a model's attributes, those whose value is not of the declared type."""
    hints = typing.get_type_hints(type(value), vars(__import__(type(value).__module__, fromlist=["_"])))
    for name, declared in hints.items():
        yield from _against(getattr(value, name, None), declared, f"{path}.{name}".lstrip("."))


def _against(value: Any, declared: Any, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(declared), typing.get_args(declared)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return
        found = [list(_against(value, argument, path)) for argument in arguments if argument is not type(None)]
        if all(found):
            yield from min(found, key=len)
    elif origin is list:
        for item in _as_list(value):
            yield from _against(item, arguments[0], path)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path}: {value!r} is none of {arguments}"
    elif isinstance(declared, type) and issubclass(declared, enum.Enum):
        if value not in [member.value for member in declared]:
            yield f"{path}: {value!r} is none of {[member.value for member in declared]}"
    elif declared is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield f"{path}: {value!r} is no number"
    elif declared in (str, int, bool):
        if not isinstance(value, declared) or (declared is int and isinstance(value, bool)):
            yield f"{path}: {value!r} is no {declared.__name__}"
    elif hasattr(value, "to_json") and hasattr(value, "__dict__"):
        yield from _wrong(value, path)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
