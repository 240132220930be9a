"""The series of all generations: bound once, and there from the start.

Every combination of labels that can come exists at zero: a series that first appears with its first failure is one that
no alert sees. Of histograms, which cost a sample for each bucket, only what the API makes exists at once.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry

from monitor.delivery.facts import CallResult, Disconnect, EventType, StreamResult
from monitor.delivery.model import REASONS, AssetResult, Channel, ChannelResult, Generation, Origin, Outcome, Stage
from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Metric, Phase
from monitor.telemetry.instruments import build_metric

DELIVERING: Final = (Channel.SSE, Channel.POLLING)
_OK: Final = "200"
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


class Series:
    """All series of the metrics that are made from facts."""

    def __init__(self, registry: CollectorRegistry, providers: Sequence[ProviderSettings]) -> None:
        self._metrics: dict[str, Any] = {metric.name: build_metric(metric, registry) for metric in _METRICS}
        self._models = {provider.name: frozenset(provider.models) for provider in providers}
        self._bound: dict[tuple[str, ...], Any] = {}
        for provider in providers:
            self.of(catalog.OBJECTIVE, provider.name).set(provider.objective)
            self._create_for(provider)
            for model in (*provider.models, catalog.OTHER_MODEL):
                self._create_for_model(provider.name, model)

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

    def _create_for(self, provider: ProviderSettings) -> None:
        name = provider.name
        self._create(catalog.IN_FLIGHT, name, Phase)
        self._create(catalog.SSE_CONNECTIONS, name, StreamResult)
        self._create(catalog.SSE_DISCONNECTS, name, Disconnect)
        self._create(catalog.SSE_EVENTS, name, EventType)
        self._create(catalog.POLLS, name, CallResult)
        self._create(catalog.DETECTION_GAP, name, (provider.policy, *provider.model_policies.values()))
        self._create(catalog.CHANNEL_LAG, name, DELIVERING)
        self._create(catalog.ASSET_CHECKS, name, AssetResult)
        self.of(catalog.LATE, name)
        self.of(catalog.SSE_FIRST_EVENT, name)
        for stage in Stage:
            self.of(catalog.PROVIDER_REQUESTS, name, stage, _OK)

    def _create_for_model(self, name: str, model: str) -> None:
        for origin in Origin:
            self.of(catalog.REQUESTS, name, model, origin)
            for outcome, channel, reason in outcome_labels():
                self.of(catalog.OUTCOMES, name, model, origin, outcome, channel, reason)
        for channel in DELIVERING:
            self.of(catalog.DELIVERY_DURATION, name, model, Origin.API, channel)
            for result in ChannelResult:
                self.of(catalog.CHANNEL_RESULTS, name, model, channel, result)
        for channel in Channel:
            self.of(catalog.POLL_ATTEMPTS, name, model, Origin.API, channel)

    def _create(self, metric: Metric, provider: str, values: Iterable[str]) -> None:
        for value in values:
            self.of(metric, provider, value)


def outcome_labels() -> list[tuple[Outcome, Channel, str]]:
    """The combinations of outcome, channel and reason that exist."""
    brings_news = (Outcome.DELIVERED, Outcome.PROVIDER_FAILED)
    return [
        (outcome, channel, reason or "")
        for outcome, reasons in REASONS.items()
        for reason in sorted(reasons, key=str)
        for channel in (DELIVERING if outcome in brings_news else (Channel.NONE,))
    ]
