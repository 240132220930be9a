"""Counts and measures the facts for Prometheus."""

import platform
from collections.abc import Iterable, Sequence
from typing import Any, Final, assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import monitor
from monitor.delivery.facts import (
    Accepted,
    CallResult,
    CreateEnded,
    Disconnect,
    Disowned,
    Ended,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    PollingStarted,
    PollStarted,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import REASONS, Channel, Generation, Origin, Outcome, Stage
from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Metric, Phase, Type

_CHANNELS: Final = (Channel.SSE, Channel.POLLING)
_CODES: Final = frozenset(
    {200, 204, 301, 302, 307, 308, 400, 401, 402, 403, 404, 409, 410, 422, 429, 500, 502, 503, 504, 524}
)
_KINDS: Final[dict[Type, Any]] = {Type.COUNTER: Counter, Type.GAUGE: Gauge, Type.HISTOGRAM: Histogram}


def build_metric(metric: Metric, registry: CollectorRegistry) -> Any:
    """The client library's object for a metric of the catalogue."""
    name = metric.name.removesuffix("_total")
    more = {"buckets": metric.buckets} if metric.type is Type.HISTOGRAM else {}
    return _KINDS[metric.type](name, metric.says, metric.labels, registry=registry, **more)


class MetricsObserver:
    """An `Observer` that keeps the metrics of all generations.

    Every combination of labels that can come exists from the start, at zero: a series that first appears with its
    first failure is one that no alert sees.
    """

    def __init__(self, registry: CollectorRegistry, providers: Sequence[ProviderSettings]) -> None:
        self._registry = registry
        self._requests: Counter = self._build(catalog.REQUESTS)
        self._outcomes: Counter = self._build(catalog.OUTCOMES)
        self._durations: Histogram = self._build(catalog.DELIVERY_DURATION)
        self._attempts: Histogram = self._build(catalog.POLL_ATTEMPTS)
        self._in_flight: Gauge = self._build(catalog.IN_FLIGHT)
        self._gaps: Histogram = self._build(catalog.DETECTION_GAP)
        self._connections: Counter = self._build(catalog.SSE_CONNECTIONS)
        self._disconnects: Counter = self._build(catalog.SSE_DISCONNECTS)
        self._events: Counter = self._build(catalog.SSE_EVENTS)
        self._first_events: Histogram = self._build(catalog.SSE_FIRST_EVENT)
        self._polls: Counter = self._build(catalog.POLLS)
        self._calls: Histogram = self._build(catalog.PROVIDER_REQUESTS)
        self._models = {provider.name: frozenset(provider.models) for provider in providers}
        self._phases: dict[str, Phase] = {}
        self._pending_at_s: dict[str, float] = {}
        self._bound: dict[tuple[Any, ...], Any] = {}
        self._build(catalog.BUILD_INFO).labels(monitor.__version__, platform.python_version()).set(1)
        objective = self._build(catalog.OBJECTIVE)
        for provider in providers:
            objective.labels(provider.name).set(provider.objective)
            self._create_series(provider)

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Count one fact."""
        match fact:
            case EventSeen():
                self._event(generation, fact)
            case Accepted():
                self._child(self._requests, *self._who(generation)).inc()
                self._enter(generation, Phase.SUBMITTING)
            case CreateEnded():
                self._call(generation, Stage.CREATE, fact, fact.status, fact.error)
            case Submitted() | Resumed():
                self._enter(generation, Phase.STREAMING)
            case StreamOpened():
                self._child(self._connections, generation.provider, StreamResult.OPENED).inc()
                self._call(generation, Stage.SUBSCRIBE, fact, fact.status, None)
            case StreamEnded():
                self._stream_ended(generation, fact)
            case PollingStarted():
                self._enter(generation, Phase.POLLING)
            case PollEnded():
                self._poll_ended(generation, fact)
            case ResolveEnded():
                self._call(generation, Stage.RESOLVE, fact, fact.status, fact.result)
            case Ended():
                self._ended(generation, fact)
            case Disowned():
                self._leave(generation)
            case PollStarted():
                pass
            case _:
                assert_never(fact)

    def _event(self, generation: Generation, fact: EventSeen) -> None:
        self._child(self._events, generation.provider, fact.type).inc()
        if fact.since_open_s is not None:
            self._child(self._first_events, generation.provider).observe(fact.since_open_s)

    def _stream_ended(self, generation: Generation, fact: StreamEnded) -> None:
        if fact.disconnect is not None:
            self._child(self._disconnects, generation.provider, fact.disconnect).inc()
            return
        self._child(self._connections, generation.provider, fact.result).inc()
        self._call(generation, Stage.SUBSCRIBE, fact, fact.status, fact.result)

    def _poll_ended(self, generation: Generation, fact: PollEnded) -> None:
        self._child(self._polls, generation.provider, fact.result).inc()
        self._call(generation, Stage.POLL, fact, fact.status, fact.result)
        if fact.result is CallResult.PENDING:
            self._pending_at_s[generation.id] = fact.at_s
        elif fact.result is CallResult.READY and generation.id in self._pending_at_s:
            gap_s = fact.at_s - self._pending_at_s[generation.id]
            self._child(self._gaps, generation.provider, generation.policy).observe(gap_s)

    def _ended(self, generation: Generation, fact: Ended) -> None:
        self._leave(generation)
        verdict, who = fact.verdict, self._who(generation)
        self._child(self._outcomes, *who, verdict.outcome, verdict.channel, verdict.reason or "").inc()
        if verdict.outcome is Outcome.DELIVERED and fact.submitted_at_s is not None:
            self._child(self._durations, *who, verdict.channel).observe(verdict.at_s - fact.submitted_at_s)
        if fact.submitted_at_s is not None:
            self._child(self._attempts, *who, verdict.channel).observe(verdict.attempts)

    def _call(
        self,
        generation: Generation,
        stage: Stage,
        fact: CreateEnded | StreamOpened | StreamEnded | PollEnded | ResolveEnded,
        status: int | None,
        what: object,
    ) -> None:
        """The code is the HTTP status where there was one, else what went wrong; from a closed set either way."""
        code = (str(status) if status in _CODES else "other") if status is not None else str(what)
        self._child(self._calls, generation.provider, stage, code).observe(fact.at_s - fact.started_at_s)

    def _enter(self, generation: Generation, phase: Phase) -> None:
        self._leave_phase(generation)
        self._phases[generation.id] = phase
        self._child(self._in_flight, generation.provider, phase).inc()

    def _leave(self, generation: Generation) -> None:
        self._leave_phase(generation)
        self._pending_at_s.pop(generation.id, None)

    def _leave_phase(self, generation: Generation) -> None:
        phase = self._phases.pop(generation.id, None)
        if phase is not None:
            self._child(self._in_flight, generation.provider, phase).dec()

    def _who(self, generation: Generation) -> tuple[str, str, str]:
        known = self._models.get(generation.provider, frozenset())
        model = generation.model if generation.model in known else catalog.OTHER_MODEL
        return generation.provider, model, generation.origin

    def _child(self, metric: Any, *labels: str) -> Any:
        """The series of these labels, bound once: looking it up each time costs twice as much."""
        key = (metric, *labels)
        child = self._bound.get(key)
        if child is None:
            child = self._bound[key] = metric.labels(*labels)
        return child

    def _build(self, metric: Metric) -> Any:
        return build_metric(metric, self._registry)

    def _create_series(self, provider: ProviderSettings) -> None:
        name = provider.name
        for phase in Phase:
            self._child(self._in_flight, name, phase)
        self._create(self._connections, name, StreamResult)
        self._create(self._disconnects, name, Disconnect)
        self._create(self._events, name, EventType)
        self._create(self._polls, name, CallResult)
        self._child(self._first_events, name)
        for model in (*provider.models, catalog.OTHER_MODEL):
            self._create_model_series(name, model)

    def _create_model_series(self, name: str, model: str) -> None:
        """For every origin what an alert may ask for; of histograms only what the API makes."""
        for origin in Origin:
            self._child(self._requests, name, model, origin)
            for outcome, channel, reason in outcome_labels():
                if origin is Origin.API or outcome in (Outcome.DELIVERED, Outcome.EXPIRED):
                    self._child(self._outcomes, name, model, origin, outcome, channel, reason)
        for channel in _CHANNELS:
            self._child(self._durations, name, model, Origin.API, channel)
            self._child(self._attempts, name, model, Origin.API, channel)

    def _create(self, metric: Any, provider: str, values: Iterable[str]) -> None:
        for value in values:
            self._child(metric, provider, value)


def outcome_labels() -> list[tuple[Outcome, Channel, str]]:
    """The combinations of outcome, channel and reason that exist."""
    with_channel = (Outcome.DELIVERED, Outcome.PROVIDER_FAILED)
    return [
        (outcome, channel, reason or "")
        for outcome, reasons in REASONS.items()
        for reason in sorted(reasons, key=str)
        for channel in (_CHANNELS if outcome in with_channel else (Channel.NONE,))
    ]
