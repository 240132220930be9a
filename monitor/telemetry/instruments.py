"""The client library's metrics, which keep the text of their samples, so that a scrape only formats the values.

The library makes an object, a dict and a line anew for each sample of each scrape. Here a sample's name and labels are
written once. What comes out is the library's own text, byte for byte, but for the `_created` samples, which nobody
asks for here and which would cost one sample more a series. This is the one module that knows the library's inside.
"""

from abc import abstractmethod
from collections.abc import Iterable
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric as Collected
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from monitor.telemetry.catalog import Metric, Type

_EXPONENT_FROM: Final = 1e6


class Family(Collected):
    """What a scrape collects of one metric: its text. Samples are only made where somebody asks for them."""

    def __init__(self, metric: "_Quick") -> None:
        self._metric = metric
        head = next(iter(metric.describe()))
        self.name, self.documentation, self.type, self.unit = head.name, head.documentation, head.type, head.unit

    @property
    def samples(self) -> list[Sample]:  # type: ignore[override]
        """As the library makes them."""
        return self._metric.collect_plainly().samples

    def write(self, lines: list[str], *, openmetrics: bool) -> None:
        """Append the text. OpenMetrics names a counter without `_total` in its header, and has exemplars."""
        name = self.name if openmetrics or self.type != Type.COUNTER else f"{self.name}_total"
        says = _quoted(self.documentation) if openmetrics else _escaped(self.documentation)
        lines.append(f"# HELP {name} {says}\n# TYPE {name} {self.type}\n")
        for series in self._metric.series():
            series.write(lines, openmetrics=openmetrics)


class _Quick(MetricWrapperBase):
    """What is added to a metric of the library. A metric, and its series for each combination of labels, is one."""

    _prefixes: tuple[str, ...] = ()

    def _raise_if_not_observable(self) -> None:
        """Nothing: the library asks at each use whether labels are missing. Where they are, nothing can be changed."""

    def collect(self) -> Iterable[Collected]:
        """One family, which costs nothing until it is written, or its samples are asked for."""
        return [Family(self)]

    def collect_plainly(self) -> Collected:
        """What the library itself collects."""
        return next(iter(super().collect()))

    def series(self) -> "list[_Quick]":
        """One for each combination of labels; only this when there are no labels."""
        if not self._labelnames:
            return [self]
        with self._lock:
            children: list[Any] = list(self._metrics.values())
        return children

    def write(self, lines: list[str], *, openmetrics: bool) -> None:
        """Append one line for each sample of this series."""
        if not self._prefixes:
            self._prefixes = tuple(self._new_prefixes())
        written = [f"{prefix}{_number(value)}" for prefix, value in zip(self._prefixes, self._read_all(), strict=True)]
        if openmetrics:
            for at, exemplar in enumerate(self._exemplars()):
                written[at] += "" if exemplar is None else _exemplar(exemplar)
        lines += [f"{line}\n" for line in written]

    def _new_prefixes(self) -> Iterable[str]:
        own = dict(zip(self._labelnames, self._labelvalues, strict=True))
        for suffix, labels, *_ in self._child_samples():
            if suffix != "_created":
                yield f"{self._name}{suffix}{_labels(own | labels)} "

    @abstractmethod
    def _read_all(self) -> Iterable[float]:
        """The values of the samples, in the library's order."""

    def _exemplars(self) -> Iterable[Exemplar | None]:
        """Those of the first samples."""
        return ()


class QuickCounter(_Quick, Counter):
    """A counter."""

    def _read_all(self) -> Iterable[float]:
        return (self._value.get(),)

    def _exemplars(self) -> Iterable[Exemplar | None]:
        return (self._value.get_exemplar(),)


class QuickGauge(_Quick, Gauge):
    """A gauge; with `set_function` its value is asked for at each scrape."""

    def _read_all(self) -> Iterable[float]:
        return [value for _, _, value, *_ in self._child_samples()]


class QuickHistogram(_Quick, Histogram):
    """A histogram."""

    def _read_all(self) -> Iterable[float]:
        buckets = list(accumulate(bucket.get() for bucket in self._buckets))
        return (*buckets, buckets[-1], self._sum.get())

    def _exemplars(self) -> Iterable[Exemplar | None]:
        return (bucket.get_exemplar() for bucket in self._buckets)


_KINDS: Final[dict[Type, type[_Quick]]] = {
    Type.COUNTER: QuickCounter,
    Type.GAUGE: QuickGauge,
    Type.HISTOGRAM: QuickHistogram,
}


def build_metric(metric: Metric, registry: CollectorRegistry) -> Any:
    """The client library's object for a metric of the catalogue: a `Counter`, a `Gauge` or a `Histogram`."""
    more: dict[str, Any] = {"buckets": metric.buckets} if metric.type is Type.HISTOGRAM else {}
    labels = tuple(str(label) for label in metric.labels)
    return _KINDS[metric.type](metric.name.removesuffix("_total"), metric.says, labels, registry=registry, **more)


def _labels(labels: dict[str, str]) -> str:
    pairs = ",".join(f'{name}="{_quoted(value)}"' for name, value in sorted(labels.items()))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _number(value: float) -> str:
    """As Go writes it: like Python, as long as it is not large."""
    return repr(value) if 0 <= value < _EXPONENT_FROM else str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _exemplar(exemplar: Exemplar) -> str:
    at = "" if exemplar.timestamp is None else f" {exemplar.timestamp}"
    return f" # {_labels(exemplar.labels) or '{}'} {_number(exemplar.value)}{at}"
