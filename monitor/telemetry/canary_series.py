"""The metrics of canaries: what their runs came to, which were left out, what they cost."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry

from monitor.delivery.clock import Clock
from monitor.delivery.facts import Ended, Fact
from monitor.delivery.model import Generation, Outcome
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Metric, Skip
from monitor.telemetry.instruments import build_metric

SAMPLES_EACH: Final = len(Outcome) + len(Skip) + 4
"""Of one canary in a scrape, beside those of its limits."""
_MICROS: Final = 1_000_000

_Canary = tuple[str, str]
"""Provider and name."""


class CanarySeries:
    """An `Observer` that counts what runs came to; the rest is told by whoever makes them.

    Every series of the canaries that there are exists at zero, and none of those that are gone: an alert would wait
    for their next run for ever.
    """

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._metrics: dict[str, Any] = {metric.name: build_metric(metric, registry) for metric in catalog.OF_CANARIES}
        self._kept: frozenset[_Canary] = frozenset()
        self._limits: frozenset[str] = frozenset()

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Count the end of a run."""
        if generation.canary is None or not isinstance(fact, Ended):
            return
        who = (generation.provider, generation.canary)
        if who in self._kept:
            self._of(catalog.CANARY_RUNS, *who, fact.verdict.outcome).inc()
            if fact.verdict.outcome is Outcome.DELIVERED:
                self._of(catalog.CANARY_LAST_SUCCESS, *who).set(self._clock.now().timestamp())

    def keep(self, canaries: Iterable[_Canary]) -> None:
        """From now on there are these canaries, and no others. What was counted of those that stay goes on."""
        kept = frozenset(canaries)
        for who in self._kept - kept:
            for metric, labels in (*_of_each(who), (catalog.CANARY_INTERVAL, who)):
                self._metrics[metric.name].remove(*labels)
        for who in kept - self._kept:
            for metric, labels in _of_each(who):
                self._of(metric, *labels)
        self._kept = kept

    def skipped(self, provider: str, canary: str, skip: Skip, number: int = 1) -> None:
        """So many runs were due and not made."""
        if (provider, canary) in self._kept:
            self._of(catalog.CANARY_SKIPPED, provider, canary, skip).inc(number)

    def spent(self, provider: str, canary: str, micros: int) -> None:
        """A create call is sent, and costs millionths of a US dollar."""
        if (provider, canary) in self._kept:
            self._of(catalog.CANARY_SPEND, provider, canary).inc(micros / _MICROS)

    def last_success(self, provider: str, canary: str, since_1970_s: float) -> None:
        """When a run was delivered before this process began."""
        self._of(catalog.CANARY_LAST_SUCCESS, provider, canary).set(since_1970_s)

    def pauses(self, paused: Collection[str]) -> None:
        """The names of those that are paused now."""
        for provider, canary in self._kept:
            self._of(catalog.CANARY_PAUSED, provider, canary).set(canary in paused)

    def interval(self, provider: str, canary: str, seconds: float | None) -> None:
        """From the run that was due last to the next; None: none is due."""
        if seconds is None:
            self._metrics[catalog.CANARY_INTERVAL.name].remove(provider, canary)
        else:
            self._of(catalog.CANARY_INTERVAL, provider, canary).set(seconds)

    def limits(self, used: Mapping[str, float]) -> None:
        """The share of each limit that is spent, by what the limit is called."""
        for limit in self._limits - used.keys():
            self._metrics[catalog.CANARY_LIMIT_USED.name].remove(limit)
        for limit, share in used.items():
            self._of(catalog.CANARY_LIMIT_USED, limit).set(share)
        self._limits = frozenset(used)

    def _of(self, metric: Metric, *labels: str) -> Any:
        return self._metrics[metric.name].labels(*labels)


def _of_each(who: _Canary) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """The series that a canary has from the start."""
    for outcome in Outcome:
        yield catalog.CANARY_RUNS, (*who, outcome)
    for skip in Skip:
        yield catalog.CANARY_SKIPPED, (*who, skip)
    for metric in (catalog.CANARY_SPEND, catalog.CANARY_LAST_SUCCESS, catalog.CANARY_PAUSED):
        yield metric, who
