"""Traces over OTLP/HTTP to a real receiver; and that one which refuses or hangs holds nobody up."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from structlog.testing import capture_logs

from monitor.delivery.facts import Ended, Fact
from monitor.delivery.model import Outcome, Reason, TraceContext
from monitor.settings import TracingSettings
from monitor.telemetry import tracing
from monitor.telemetry.catalog import SpanResult
from monitor.telemetry.tracing import TraceSink, build_trace_sink
from tests.collector import collecting
from tests.unit.telemetry.facts_of import GENERATION, delivered_by_polling, like, span_id, verdict

EPOCH = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENDED_BADLY: list[Fact] = [Ended(175.5, verdict(Outcome.EXPIRED, 175.5, reason=Reason.PENDING), 100.5)]


def _wall(at_s: float) -> datetime:
    return EPOCH + timedelta(seconds=at_s - 100.0)


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
    with collecting() as collector:
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


async def test_an_endpoint_may_be_told_with_its_path() -> None:
    with collecting() as collector:
        counted = Counted(f"{collector.url}/v1/traces")
        counted.write(ENDED_BADLY)
        await counted.traces.close()
    assert collector.paths == {"/v1/traces"}


async def test_a_call_that_ended_after_its_generation_does_not_lose_the_trace() -> None:
    with collecting() as collector:
        counted = Counted(collector.url)
        told = delivered_by_polling()
        counted.write([*told[:3], told[-1], told[3]])
        await counted.traces.close()
    assert sorted(span.name for span in collector.spans()) == ["create", "generation", "stream"]


async def test_an_endpoint_that_refuses_costs_only_the_spans() -> None:
    with collecting() as collector:
        gone = collector.url
    counted = Counted(gone)
    with capture_logs() as lines:
        counted.write(ENDED_BADLY)
        assert not counted.spans, "nobody was waited for"
        await counted.traces.close()
    assert counted.spans[SpanResult.EXPORTED] == 0
    assert len(lines) == 1, "one line, not one for each batch"


async def test_an_endpoint_that_answers_with_an_error_is_counted_as_failed() -> None:
    with collecting(status=400) as collector, capture_logs() as lines:
        counted = Counted(collector.url)
        counted.write(ENDED_BADLY)
        await counted.traces.close()
    assert counted.spans == {SpanResult.FAILED: 1}
    assert [line["event"] for line in lines] == ["traces cannot be exported"]


@pytest.mark.parametrize(("rejected", "failed"), [(0, 0), (2, 2), (10**12, 5), (-7, 0)])
async def test_spans_that_are_left_out_of_a_batch_that_was_taken_count_as_failed(rejected: int, failed: int) -> None:
    with collecting() as collector, capture_logs() as lines:
        partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message="too old")
        collector.answer = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
        counted = Counted(collector.url)
        for number in range(5):
            counted.write(ENDED_BADLY, number)
        await counted.traces.close()
    assert counted.spans == Counter({SpanResult.EXPORTED: 5 - failed, SpanResult.FAILED: failed})
    assert [line["event"] for line in lines] == (["traces cannot be exported"] if failed else [])


async def test_an_answer_that_is_no_protobuf_says_nothing() -> None:
    with collecting() as collector:
        collector.answer = b"<html>thank you</html>"
        counted = Counted(collector.url)
        counted.write(ENDED_BADLY)
        await counted.traces.close()
    assert counted.spans == {SpanResult.EXPORTED: 1}


async def test_an_endpoint_that_hangs_holds_up_neither_deliveries_nor_the_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("monitor.telemetry.tracing.MAX_WAITING_SPANS", 300)
    with collecting() as collector, capture_logs() as lines:
        collector.may_answer.clear()
        counted = Counted(collector.url)
        for number in range(400):
            counted.write(ENDED_BADLY, number)
        assert counted.spans == {SpanResult.DROPPED: 100}, "what does not fit is dropped, and counted"
        closing, turns = asyncio.create_task(counted.traces.close()), 0
        while not closing.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 1, "the loop turns meanwhile"
        assert not collector.requests, "nothing was answered, and all the same it is closed"
    assert [line["event"] for line in lines] == ["the trace collector does not answer; spans are lost"]


async def test_after_a_time_of_trouble_traces_are_exported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting(status=400) as collector, capture_logs() as lines:
        counted = Counted(collector.url)
        counted.write(ENDED_BADLY, 0)
        await _until(lambda: counted.spans[SpanResult.FAILED] == 1)
        collector.status = 200
        counted.write(ENDED_BADLY, 1)
        await _until(lambda: counted.spans[SpanResult.EXPORTED] == 1)
        await counted.traces.close()
    assert [line["event"] for line in lines] == ["traces cannot be exported", "traces are exported again"]


async def test_what_was_exported_makes_room_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setattr(tracing, "MAX_WAITING_SPANS", 300)
    with collecting() as collector:
        counted = Counted(collector.url)
        for wave in range(1, 4):
            for number in range(40):
                counted.write(delivered_by_polling(), number)
            await _until(lambda: counted.spans[SpanResult.EXPORTED] == wave * 240)  # noqa: B023 - awaited here
        await counted.traces.close()
    assert counted.spans == {SpanResult.EXPORTED: 720}


async def test_what_waits_for_a_collector_that_hangs_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setattr(tracing, "MAX_WAITING_SPANS", 300)
    with collecting() as collector:
        collector.may_answer.clear()
        counted = Counted(collector.url)
        for number in range(60):
            counted.write(delivered_by_polling(), number)
        assert counted.spans == {SpanResult.DROPPED: 60}, "ten traces as wholes"
        collector.may_answer.set()
        await _until(lambda: counted.spans[SpanResult.EXPORTED] == 300)
        for number in range(50):
            counted.write(delivered_by_polling(), number)
        await counted.traces.close()
    assert counted.spans == {SpanResult.DROPPED: 60, SpanResult.EXPORTED: 600}


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
    with collecting() as collector:
        collector.may_answer.clear()
        ran = subprocess.run(
            [sys.executable, "-c", program, collector.url],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert not collector.requests, "nothing was answered, and all the same it has ended"
    assert ran.returncode == 0
    assert ran.stderr == ""
    assert ran.stdout.count("\n") == 1
