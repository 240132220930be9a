"""The series of all generations: bound once, and there from the start.

Every combination of labels that can come exists at zero: a series that first appears with its first failure is one that
no alert sees. Of histograms, which cost a sample for each bucket, only what the API makes exists at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry

from monitor.delivery.facts import CallResult, Disconnect, EventType, StreamResult
from monitor.delivery.model import REASONS, AssetResult, Channel, ChannelResult, Generation, Origin, Outcome, Stage
from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Code, Metric, Phase, Type
from monitor.telemetry.instruments import build_metric

DELIVERING: Final = (Channel.SSE, Channel.POLLING)
_CODES_OF_CHECKS: Final = tuple(code for code in Code if code not in (Code.TIMEOUT, Code.CANCELLED))
"""To a check of an asset, an answer that does not come in time is one of many ways to be unreachable."""
_METRICS: Final = (
    catalog.REQUESTS,
    catalog.OUTCOMES,
    catalog.DELIVERY_DURATION,
    catalog.POLL_ATTEMPTS,
    catalog.IN_FLIGHT,
    catalog.DETECTION_GAP,
    catalog.CHANNEL_RESULTS,
    catalog.CHANNEL_LAG,
    catalog.LATE,
    catalog.ASSET_CHECKS,
    catalog.SSE_CONNECTIONS,
    catalog.SSE_DISCONNECTS,
    catalog.SSE_EVENTS,
    catalog.SSE_FIRST_EVENT,
    catalog.POLLS,
    catalog.PROVIDER_REQUESTS,
    catalog.OBJECTIVE,
)

_Possible = tuple[Metric, tuple[str, ...], bool]
"""A metric, the values of its labels in their order, and whether the series exists from the start."""


class Series:
    """All series of the metrics that are made from facts."""

    def __init__(self, registry: CollectorRegistry, providers: Sequence[ProviderSettings]) -> None:
        self._metrics: dict[str, Any] = {metric.name: build_metric(metric, registry) for metric in _METRICS}
        self._models = {provider.name: frozenset(provider.models) for provider in providers}
        self._schedules = {provider.name: _schedules(provider) for provider in providers}
        self._bound: dict[tuple[str, ...], Any] = {}
        for provider in providers:
            for metric, labels, is_there_at_once in _all_of(provider):
                if is_there_at_once:
                    self.of(metric, *labels)
            self.of(catalog.OBJECTIVE, provider.name).set(provider.objective)

    def of(self, metric: Metric, *labels: str) -> Any:
        """The series of these labels, bound once: looking it up in the library each time costs twice as much."""
        key = (metric.name, *labels)
        series = self._bound.get(key)
        if series is None:
            series = self._bound[key] = self._metrics[metric.name].labels(*labels)
        return series

    def who(self, generation: Generation) -> tuple[str, str, str]:
        """Provider, model and origin; a model that is not in the settings is not told apart."""
        known = self._models.get(generation.provider, ())
        model = generation.model if generation.model in known else catalog.OTHER_MODEL
        return generation.provider, model, generation.origin

    def schedule(self, generation: Generation) -> str:
        """The policy, if the settings still name it."""
        is_known = generation.policy in self._schedules.get(generation.provider, ())
        return generation.policy if is_known else catalog.OTHER_SCHEDULE


def full_spread(providers: Iterable[ProviderSettings]) -> int:
    """How many samples the series of these providers have in a scrape when everything has happened that can."""
    return sum(_samples(metric) for provider in providers for metric, _, _ in _all_of(provider))


def outcome_labels() -> list[tuple[Outcome, Channel, str]]:
    """The combinations of outcome, channel and reason that exist."""
    brings_news = (Outcome.DELIVERED, Outcome.PROVIDER_FAILED)
    return [
        (outcome, channel, reason or "")
        for outcome, reasons in REASONS.items()
        for reason in sorted(reasons, key=str)
        for channel in (DELIVERING if outcome in brings_news else (Channel.NONE,))
    ]


def _schedules(provider: ProviderSettings) -> frozenset[str]:
    return frozenset({provider.policy, *provider.model_policies.values()})


def _samples(metric: Metric) -> int:
    """Of one series. A histogram has one for each bucket, the infinite one, the count and the sum."""
    return len(metric.buckets) + 3 if metric.type is Type.HISTOGRAM else 1


def _all_of(provider: ProviderSettings) -> Iterator[_Possible]:
    """Every series that a provider can have."""
    name = provider.name
    by_one_label: tuple[tuple[Metric, Iterable[str]], ...] = (
        (catalog.IN_FLIGHT, Phase),
        (catalog.SSE_CONNECTIONS, StreamResult),
        (catalog.SSE_DISCONNECTS, Disconnect),
        (catalog.SSE_EVENTS, EventType),
        (catalog.POLLS, CallResult),
        (catalog.CHANNEL_LAG, DELIVERING),
        (catalog.ASSET_CHECKS, AssetResult),
    )
    for metric in (catalog.OBJECTIVE, catalog.LATE, catalog.SSE_FIRST_EVENT):
        yield metric, (name,), True
    for metric, values in by_one_label:
        yield from ((metric, (name, value), True) for value in values)
    for schedule in (*sorted(_schedules(provider)), catalog.OTHER_SCHEDULE):
        yield catalog.DETECTION_GAP, (name, schedule), schedule != catalog.OTHER_SCHEDULE
    for stage in Stage:
        codes = _CODES_OF_CHECKS if stage is Stage.VERIFY else Code
        yield from ((catalog.PROVIDER_REQUESTS, (name, stage, code), code is Code.SUCCESS) for code in codes)
    for model in (*provider.models, catalog.OTHER_MODEL):
        yield from _all_of_model(name, model)


def _all_of_model(name: str, model: str) -> Iterator[_Possible]:
    for origin in Origin:
        yield catalog.REQUESTS, (name, model, origin), True
        for outcome, channel, reason in outcome_labels():
            yield catalog.OUTCOMES, (name, model, origin, outcome, channel, reason), True
        for channel in DELIVERING:
            yield catalog.DELIVERY_DURATION, (name, model, origin, channel), origin is Origin.API
        for channel in Channel:
            yield catalog.POLL_ATTEMPTS, (name, model, origin, channel), origin is Origin.API
    for channel in DELIVERING:
        yield from ((catalog.CHANNEL_RESULTS, (name, model, channel, result), True) for result in ChannelResult)
