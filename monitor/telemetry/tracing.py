"""Decides which traces are worth keeping, knowing how they went, and exports them without ever holding anybody up."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, cast

import structlog

from monitor.delivery.facts import Ended, Fact
from monitor.delivery.model import Generation, Origin, Outcome
from monitor.settings import TracingSettings
from monitor.telemetry.catalog import SpanResult
from monitor.telemetry.http_attributes import HttpCalls

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    from monitor.telemetry.partial_success import Rejections

MAX_WAITING_SPANS: Final = 4_096
EXPORT_TIMEOUT_S: Final = 5.0
CLOSE_S: Final = 3.0

_logger = structlog.stdlib.get_logger(__name__)

CountSpans = Callable[[SpanResult, int], None]


class TraceSink(Protocol):
    """Takes what happened to one generation when it is over."""

    def write(
        self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime], began_at_s: float
    ) -> None: ...

    def add(self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime]) -> None:
        """What happened later to a generation whose trace was kept in any case."""
        ...

    async def close(self) -> None: ...


class NoTraces:
    """Where no endpoint is set: nothing is exported, and nothing is spent."""

    def write(
        self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime], began_at_s: float
    ) -> None:
        """Nothing."""

    def add(self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime]) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""


def build_trace_sink(settings: TracingSettings, count: CountSpans, http: HttpCalls | None = None) -> TraceSink:
    """Where traces go by the settings. OpenTelemetry is only imported when it is used."""
    if settings.endpoint is None:
        return NoTraces()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    from monitor.telemetry.partial_success import Rejections

    endpoint = settings.endpoint if settings.endpoint.endswith("/v1/traces") else f"{settings.endpoint}/v1/traces"
    rejections = Rejections()
    exporter = OTLPSpanExporter(endpoint, timeout=EXPORT_TIMEOUT_S, session=rejections.session)
    return OtlpTraces(settings, exporter, rejections, count, http)


def is_worth_keeping(generation: Generation, end: Ended | None, settings: TracingSettings) -> bool:
    """Every failed, slow or canary one, those that the caller samples, and a share of the rest, the same everywhere.

    Without its end, whether it will be kept however it goes.
    """
    trace = generation.trace
    if generation.origin is Origin.CANARY or trace.sampled_by_caller:
        return True
    if end is not None and end.verdict.outcome is not Outcome.DELIVERED:
        return True
    if end is not None and end.submitted_at_s is not None and end.verdict.at_s - end.submitted_at_s >= settings.slow:
        return True
    return int(trace.trace_id[16:], 16) < settings.sample_ratio * 2.0**64


class OtlpTraces:
    """Exports over OTLP/HTTP from a thread. What does not fit into the queue is dropped and counted."""

    def __init__(
        self,
        settings: TracingSettings,
        exporter: "SpanExporter",
        rejections: "Rejections",
        count: CountSpans,
        http: HttpCalls | None = None,
    ) -> None:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from monitor.telemetry.spans import build_resource, build_spans

        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):  # told in metrics and in one line of our own
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._settings = settings
        self._count = count
        self._exporter = exporter
        self._build_spans = partial(build_spans, http=http)
        self._resource = build_resource()
        self._waiting = 0
        self._lock = threading.Lock()
        counting = cast("SpanExporter", _Counting(exporter, rejections, self._exported))
        self._processor = BatchSpanProcessor(counting, max_queue_size=2 * MAX_WAITING_SPANS)

    def write(
        self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime], began_at_s: float
    ) -> None:
        """Keep the trace if it is worth it and there is room: all of its spans, or none."""
        end = next((fact for fact in reversed(facts) if isinstance(fact, Ended)), None)
        if end is None or not is_worth_keeping(generation, end, self._settings):
            return
        self._queue(self._build_spans(generation, facts, wall_of, began_at_s, self._resource))

    def add(self, generation: Generation, facts: Sequence[Fact], wall_of: Callable[[float], datetime]) -> None:
        """More spans of a trace: all of them, or none."""
        self._queue(self._build_spans(generation, facts, wall_of, 0.0, self._resource))

    def _queue(self, spans: "Sequence[ReadableSpan]") -> None:
        with self._lock:
            has_room = self._waiting + len(spans) <= MAX_WAITING_SPANS
            self._waiting += len(spans) if has_room else 0
        if not has_room:
            self._count(SpanResult.DROPPED, len(spans))
            return
        for span in spans:
            self._processor.on_end(span)

    async def close(self) -> None:
        """Export what waits, for `CLOSE_S` at most: a collector that hangs cannot hold the exit up."""
        closing = threading.Thread(target=self._close, name="trace-export-close", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, CLOSE_S)
        if closing.is_alive():
            self._exporter.shutdown()  # it tries no more
            _logger.warning("the trace collector does not answer; spans are lost", spans=self._waiting)

    def _close(self) -> None:
        self._processor.force_flush(int(CLOSE_S * 1000))
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _exported(self, number: int, failed: int) -> None:
        """Called on the exporter's thread."""
        with self._lock:
            self._waiting -= number
        for result, counted in ((SpanResult.EXPORTED, number - failed), (SpanResult.FAILED, failed)):
            if counted:
                self._count(result, counted)


class _Counting:
    """An exporter that tells what became of the spans. Quacks like `SpanExporter`, which is imported late."""

    def __init__(self, exporter: "SpanExporter", rejections: "Rejections", told: Callable[[int, int], None]) -> None:
        self._exporter = exporter
        self._rejections = rejections
        self._told = told
        self._is_failing = False

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        """Called on the processor's thread, for one batch at a time."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever the exporter raises, these spans are lost
            result = SpanExportResult.FAILURE
        number = len(spans)
        failed = self._rejections.take(number) if result is SpanExportResult.SUCCESS else number
        self._told(number, failed)
        is_success = not failed
        if self._is_failing == is_success:
            self._is_failing = not is_success
            _logger.warning("traces are exported again" if is_success else "traces cannot be exported")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
