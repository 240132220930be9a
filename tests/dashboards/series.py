"""Which series there are for dashboards and rules to ask for, and with which labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from dashboards.promql import Own, Part, Target
from monitor.telemetry.catalog import ALL, Foreign, Label, Metric, Type

RULES: Final = Path(__file__).parents[2] / "alerts" / "rules"
_COUNTS_UP: Final = frozenset({Foreign.CPU})


class Kind(StrEnum):
    """How a series may be used: what counts up is asked for its growth only."""

    COUNTS_UP = "counts up"
    STANDS = "stands"


@dataclass(frozen=True, slots=True)
class Known:
    """A series that exists."""

    kind: Kind
    labels: frozenset[str]
    metric: Metric | None = None


@cache
def known() -> dict[str, Known]:
    """By name: the catalogue's, those of the client library and of Prometheus, and what rules record."""
    target = frozenset(Target)
    found = {
        name: Known(kind, target | set(metric.labels) | extra, metric)
        for metric in ALL
        for name, kind, extra in _parts(metric)
    }
    for name in Foreign:
        found[name] = Known(Kind.COUNTS_UP if name in _COUNTS_UP else Kind.STANDS, target)
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = Known(Kind.STANDS, frozenset({Label.PROVIDER}))
    found[Own.ALERTS] = Known(Kind.STANDS, frozenset({Own.ALERT_NAME, Own.ALERT_STATE, Own.SEVERITY, Label.PROVIDER}))
    return found


@cache
def rules() -> list[dict[str, Any]]:
    """All rules that are committed."""
    files = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(RULES.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def _parts(metric: Metric) -> Iterator[tuple[str, Kind, frozenset[str]]]:
    if metric.type is Type.HISTOGRAM:
        for part in Part:
            extra = frozenset({str(Own.BUCKET)}) if part is Part.BUCKET else frozenset()
            yield metric.name + part, Kind.COUNTS_UP, extra
    else:
        yield metric.name, Kind.COUNTS_UP if metric.type is Type.COUNTER else Kind.STANDS, frozenset()
