"""Puts the observers together for the composition root."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

import monitor
from monitor.delivery.clock import Clock
from monitor.delivery.ports import Observer
from monitor.settings import Settings
from monitor.telemetry import catalog
from monitor.telemetry.canary_series import SAMPLES_EACH, CanarySeries
from monitor.telemetry.catalog import SpanResult
from monitor.telemetry.exemplars import Exemplars
from monitor.telemetry.fanout import Fanout, observer_name
from monitor.telemetry.http_attributes import HttpCalls, UrlTemplate
from monitor.telemetry.instruments import build_metric
from monitor.telemetry.log_observer import LogObserver
from monitor.telemetry.metrics import MetricsObserver
from monitor.telemetry.series import full_spread
from monitor.telemetry.tracing import TraceSink, build_trace_sink

LAG_INTERVAL_S: Final = 0.5
REVISION_VARIABLE: Final = "MONITOR_REVISION"
"""The commit that was built; whoever builds an image sets it."""
OWN_SAMPLES: Final = 150
"""What a scrape has beside the generations and canaries: of this process, the store, traces."""

_logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the service is seen by."""

    registry: CollectorRegistry
    observer: Observer
    canaries: CanarySeries
    traces: TraceSink
    note_store: Callable[[int, int], None]
    """Told how many writes wait for the store, and how many commits failed in all."""
    note_reload: Callable[[bool], None]
    """Told of each try to take changed settings whether it went well."""
    note_refusal: Callable[[], None]
    """Told of each call that was refused because a limit was reached."""
    observe_lag: Callable[[float], None]

    async def watch_loop(self) -> None:
        """Measure for ever how late the event loop is."""
        loop = asyncio.get_running_loop()
        while True:
            due_at_s = loop.time() + LAG_INTERVAL_S
            await asyncio.sleep(LAG_INTERVAL_S)
            self.observe_lag(max(0.0, loop.time() - due_at_s))

    async def close(self) -> None:
        """Let go of what was kept for later."""
        await self.traces.close()


def build_telemetry(
    settings: Settings,
    registry: CollectorRegistry | None = None,
    more: Sequence[Observer] = (),
    url_template: UrlTemplate | None = None,
    clock: Clock | None = None,
) -> Telemetry:
    """All observers, `more` behind our own; on a registry of their own unless one is given.

    `url_template` says to traces where the calls to providers go.
    """
    if registry is None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
    _say_what_runs(registry)
    build_metric(catalog.CLOCK, registry).set_function(lambda: datetime.now(UTC).timestamp())
    build_metric(catalog.IN_FLIGHT_LIMIT, registry).set(settings.server.max_in_flight)
    _warn_of_samples(full_spread(settings.providers) + OWN_SAMPLES + len(settings.canary) * SAMPLES_EACH)
    canaries = CanarySeries(registry, clock or Clock())
    observers: list[Observer] = [
        MetricsObserver(registry, settings.providers, Exemplars(settings.tracing)),
        canaries,
        LogObserver(),
        *more,
    ]
    failures = build_metric(catalog.OBSERVER_FAILURES, registry)
    for observer in observers:
        failures.labels(observer_name(observer))
    return Telemetry(
        registry=registry,
        observer=Fanout(observers, lambda name: failures.labels(name).inc()),
        canaries=canaries,
        traces=_build_traces(settings, registry, HttpCalls(settings.providers, url_template)),
        note_store=_build_store_notes(registry),
        note_reload=_build_reload_note(registry),
        note_refusal=build_metric(catalog.REFUSALS, registry).inc,
        observe_lag=build_metric(catalog.LOOP_LAG, registry).observe,
    )


def _say_what_runs(registry: CollectorRegistry) -> None:
    revision = os.environ.get(REVISION_VARIABLE, "") or "unknown"
    build_metric(catalog.BUILD_INFO, registry).labels(monitor.__version__, revision).set(1)


def _warn_of_samples(samples: int) -> None:
    """Each model of each provider costs samples; a scrape of any size is answered all the same."""
    if samples > catalog.MAX_SAMPLES:
        said = "so many providers and models make large scrapes; a service for each provider keeps them small"
        _logger.warning(said, samples_at_most=samples, recommended=catalog.MAX_SAMPLES)


def _build_traces(settings: Settings, registry: CollectorRegistry, http: HttpCalls) -> TraceSink:
    spans = build_metric(catalog.TRACE_SPANS, registry)
    for result in SpanResult:
        spans.labels(result)
    return build_trace_sink(settings.tracing, lambda result, number: spans.labels(result).inc(number), http)


def _build_reload_note(registry: CollectorRegistry) -> Callable[[bool], None]:
    reloaded = build_metric(catalog.RELOADED, registry)
    reloaded.set(1)  # the settings that it started with
    note: Callable[[bool], None] = reloaded.set
    return note


def _build_store_notes(registry: CollectorRegistry) -> Callable[[int, int], None]:
    waiting = build_metric(catalog.STORE_WAITING, registry)
    failures = build_metric(catalog.STORE_FAILURES, registry)
    counted = 0

    def note(now_waiting: int, failed_in_all: int) -> None:
        nonlocal counted
        waiting.set(now_waiting)
        failures.inc(failed_in_all - counted)
        counted = failed_in_all

    return note
