"""Expressions in PromQL, made from the catalogue's metrics, so that no name is typed twice.

Every selector is narrowed by the variables of its dashboard: `traffic` by provider, model and origin, as far as the
metric has them; `service` by job and instance, which also tell our process from others that export the same names.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from alerts.promql import Wanted, matcher
from monitor.delivery.model import Origin
from monitor.telemetry.catalog import Foreign, Label, Metric

RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
"""All of the time that is shown."""
TRAFFIC_VARIABLES: Final = (Label.PROVIDER, Label.MODEL, Label.ORIGIN)
CANARY_VARIABLES: Final = (Label.PROVIDER, Label.CANARY)


class Target(StrEnum):
    """The labels that Prometheus itself gives to what it scrapes. They are variables too."""

    JOB = "job"
    INSTANCE = "instance"


class Own(StrEnum):
    """What Prometheus itself writes down."""

    ALERTS = "ALERTS"
    ALERT_NAME = "alertname"
    ALERT_STATE = "alertstate"
    SEVERITY = "severity"
    BUCKET = "le"


class Part(StrEnum):
    """Which series of a histogram."""

    BUCKET = "_bucket"
    COUNT = "_count"
    SUM = "_sum"


def traffic(metric: Metric, part: Part | None = None, **wanted: Wanted) -> str:
    """A selector, narrowed by the variables provider, model and origin. `wanted` has labels and their values."""
    variables = [label for label in TRAFFIC_VARIABLES if label in metric.labels]
    if not variables:
        raise ValueError(f"{metric.name} knows no provider; `service` selects it")
    return _selector(metric, part, variables, wanted)


def canaries(metric: Metric, part: Part | None = None, **wanted: Wanted) -> str:
    """A selector of what canaries did, narrowed by the variables provider and canary, as far as the metric has them."""
    if Label.ORIGIN in metric.labels:
        wanted = {Label.ORIGIN: Origin.CANARY, **wanted}
    return _selector(metric, part, [label for label in CANARY_VARIABLES if label in metric.labels], wanted)


def recorded(name: str) -> str:
    """A series that a rule recorded for each provider."""
    return _braced(name, [_by_variable(Label.PROVIDER)])


def service(metric: Metric | Foreign, part: Part | None = None, **wanted: Wanted) -> str:
    """A selector, narrowed by the variables job and instance: for the service itself, whoever the provider is."""
    if isinstance(metric, Foreign):
        return _braced(metric, [_by_variable(label) for label in Target])
    return _selector(metric, part, Target, wanted)


def rate(selector: str, by: Iterable[str] = ()) -> str:
    """A second, summed."""
    return total(f"rate({selector}[{RATE}])", by)


def increase(selector: str, by: Iterable[str] = (), over: str = RANGE) -> str:
    """How many within `over`, summed."""
    return total(f"increase({selector}[{over}])", by)


def total(expression: str, by: Iterable[str] = ()) -> str:
    """The sum of it, for each value of the labels `by`."""
    grouping = ", ".join(by)
    return f"sum by ({grouping}) ({expression})" if grouping else f"sum({expression})"


def quantile(share: float, selector: str, by: Iterable[str] = (), over: str = RATE) -> str:
    """Of a histogram's buckets."""
    return f"histogram_quantile({share:g}, {total(f'rate({selector}[{over}])', (Own.BUCKET, *by))})"


def ratio(part: str, whole: str) -> str:
    """Sums over sums; nothing where there was nothing."""
    return f"{part} / ({whole} > 0)"


def _selector(metric: Metric, part: Part | None, variables: Iterable[str], wanted: dict[str, Wanted]) -> str:
    unknown = set(wanted) - set(metric.labels) - ({Own.BUCKET} if part == Part.BUCKET else set())
    if unknown:
        raise ValueError(
            f"{metric.name} has no label {sorted(unknown)}; it has {[str(item) for item in metric.labels]}"
        )
    matchers = [matcher(label, values) for label, values in wanted.items()]
    return _braced(
        metric.name + (part or ""), [_by_variable(label) for label in variables if label not in wanted] + matchers
    )


def _braced(name: str, matchers: Iterable[str]) -> str:
    return f"{name}{{{', '.join(matchers)}}}"


def _by_variable(label: str) -> str:
    return f'{label}=~"${label}"'
