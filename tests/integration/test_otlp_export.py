"""Traces over OTLP/HTTP to a real receiver; and that one which refuses or hangs holds nobody up."""

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from monitor.delivery.facts import Ended, Fact
from monitor.delivery.model import Outcome, Reason, TraceContext
from monitor.settings import TracingSettings
from monitor.telemetry.catalog import SpanResult
from monitor.telemetry.tracing import CLOSE_S, TraceSink, build_trace_sink
from tests.unit.telemetry.facts_of import GENERATION, delivered_by_polling, like, span_id, verdict

EPOCH = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENDED_BADLY: list[Fact] = [Ended(175.5, verdict(Outcome.EXPIRED, 175.5, reason=Reason.PENDING), 100.5)]


def _wall(at_s: float) -> datetime:
    return EPOCH + timedelta(seconds=at_s - 100.0)


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP and keeps it; while `hangs` is set, it answers nobody."""

    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.status = status
        self.paths: set[str] = set()
        self.requests: list[ExportTraceServiceRequest] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Receiver(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.may_answer.wait(30)
        self.server.paths.add(self.path)
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: the test's output is its own."""


@contextmanager
def _collecting(status: int = 200) -> Iterator[Collector]:
    collector = Collector(status)
    thread = threading.Thread(target=collector.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield collector
    finally:
        collector.may_answer.set()
        collector.shutdown()
        thread.join()
        collector.server_close()


class Counted:
    """Traces, with what became of their spans."""

    def __init__(self, url: str) -> None:
        self.spans = Counter[str]()
        settings = TracingSettings(endpoint=url, sample_ratio=1.0)
        self.traces: TraceSink = build_trace_sink(settings, lambda result, number: self.spans.update({result: number}))

    def write(self, facts: list[Fact], number: int = 0) -> None:
        generation = like(trace=TraceContext(f"{number + 1:032x}", "b" * 16, "c" * 16, sampled_by_caller=True))
        self.traces.write(generation, facts, _wall, 100.0)


async def test_a_trace_arrives_with_its_ids_times_and_attributes() -> None:
    with _collecting() as collector:
        counted = Counted(collector.url)
        counted.write(delivered_by_polling())
        await counted.traces.close()
    spans = {span.name: span for span in collector.spans() if span.name != "poll"}
    polls = [span for span in collector.spans() if span.name == "poll"]
    assert collector.paths == {"/v1/traces"}
    assert {name: span.span_id.hex() for name, span in spans.items()} == {
        "create": span_id(1),
        "stream": span_id(2),
        "resolve": span_id(3),
        "generation": "b" * 16,
    }
    assert {span.trace_id.hex() for span in collector.spans()} == {f"{1:032x}"}
    assert spans["generation"].parent_span_id.hex() == "c" * 16
    assert spans["create"].parent_span_id.hex() == spans["stream"].parent_span_id.hex() == "b" * 16
    assert spans["resolve"].parent_span_id.hex() == polls[1].span_id.hex() == span_id(102)
    root = spans["generation"]
    assert root.start_time_unix_nano == int(EPOCH.timestamp()) * 10**9
    assert root.end_time_unix_nano - root.start_time_unix_nano == 20_700_000_000
    attributes = {item.key: item.value for item in root.attributes}
    assert attributes["generation.channel"].string_value == "polling"
    assert attributes["generation.attempts"].int_value == 2
    assert GENERATION.id == attributes["generation.id"].string_value
    resource = {
        item.key: item.value.string_value for item in collector.requests[0].resource_spans[0].resource.attributes
    }
    assert resource["service.name"] == "generation-monitor"
    assert counted.spans == {SpanResult.EXPORTED: 6}


async def test_a_call_that_ended_after_its_generation_does_not_lose_the_trace() -> None:
    with _collecting() as collector:
        counted = Counted(collector.url)
        told = delivered_by_polling()
        counted.write([*told[:3], told[-1], told[3]])
        await counted.traces.close()
    assert sorted(span.name for span in collector.spans()) == ["create", "generation", "stream"]


async def test_an_endpoint_that_refuses_costs_only_the_spans() -> None:
    with _collecting() as collector:
        gone = collector.url
    counted = Counted(gone)
    with capture_logs() as lines:
        began_s = time.monotonic()
        counted.write(ENDED_BADLY)
        assert time.monotonic() - began_s < 0.5
        await counted.traces.close()
        assert time.monotonic() - began_s < CLOSE_S + 2.0
    assert counted.spans[SpanResult.EXPORTED] == 0
    assert len(lines) == 1, "one line, not one for each batch"


async def test_an_endpoint_that_answers_with_an_error_is_counted_as_failed() -> None:
    with _collecting(status=400) as collector, capture_logs() as lines:
        counted = Counted(collector.url)
        counted.write(ENDED_BADLY)
        await counted.traces.close()
    assert counted.spans == {SpanResult.FAILED: 1}
    assert [line["event"] for line in lines] == ["traces cannot be exported"]


async def test_an_endpoint_that_hangs_holds_up_neither_deliveries_nor_the_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.telemetry.tracing.MAX_WAITING_SPANS", 300)
    with _collecting() as collector, capture_logs() as lines:
        collector.may_answer.clear()
        counted = Counted(collector.url)
        began_s = time.monotonic()
        for number in range(400):
            counted.write(ENDED_BADLY, number)
        written_s = time.monotonic() - began_s
        assert counted.spans == {SpanResult.DROPPED: 100}, "what does not fit is dropped, and counted"
        assert written_s < 2.0
        began_s = time.monotonic()
        closing = asyncio.create_task(counted.traces.close())
        await asyncio.sleep(0.2)
        assert time.monotonic() - began_s < 1.0, "the loop turns meanwhile"
        await closing
        assert time.monotonic() - began_s < CLOSE_S + 2.0
    assert [line["event"] for line in lines] == ["the trace collector does not answer; spans are lost"]


async def test_after_a_time_of_trouble_traces_are_exported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with _collecting(status=400) as collector, capture_logs() as lines:
        counted = Counted(collector.url)
        counted.write(ENDED_BADLY, 0)
        await _until(lambda: counted.spans[SpanResult.FAILED] == 1)
        collector.status = 200
        counted.write(ENDED_BADLY, 1)
        await _until(lambda: counted.spans[SpanResult.EXPORTED] == 1)
        await counted.traces.close()
    assert [line["event"] for line in lines] == ["traces cannot be exported", "traces are exported again"]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def test_without_an_endpoint_opentelemetry_is_not_even_imported() -> None:
    program = (
        "import sys; from monitor.settings import Settings, ProviderSettings; "
        "from monitor.telemetry.setup import build_telemetry; "
        "build_telemetry(Settings(providers=(ProviderSettings(name='p', base_url='http://p', models=('m',)),))); "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_a_process_whose_collector_hangs_exits_in_time_and_without_noise() -> None:
    program = """
import asyncio, sys, time
from datetime import UTC, datetime
from monitor.settings import TracingSettings
from monitor.telemetry.tracing import build_trace_sink
from tests.integration.test_otlp_export import ENDED_BADLY, GENERATION
async def main():
    traces = build_trace_sink(TracingSettings(endpoint=sys.argv[1]), lambda result, number: None)
    traces.write(GENERATION, ENDED_BADLY, lambda at_s: datetime.now(UTC), 100.0)
    await traces.close()
asyncio.run(main())
"""
    with _collecting() as collector:
        collector.may_answer.clear()
        began_s = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-c", program, collector.url],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert time.monotonic() - began_s < CLOSE_S + 5.0
    assert ran.returncode == 0
    assert ran.stderr == ""
    assert ran.stdout.count("\n") == 1
