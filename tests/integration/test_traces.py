"""Traces of a whole service: which are exported, what they hold, what providers get of them, and that trouble with the
collector is nobody else's."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client import CollectorRegistry

from monitor import reconciler
from monitor.simulator.app import build_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry import tracing
from tests.collector import Collector, attributes_of, collecting
from tests.serving import Running, running, serve_app, service_settings

POLICY: Final = {"grace": 0.2, "interval": 0.2, "max_attempts": 4, "window": 1.0}
SIMULATOR: Final = SimulatorConfig(time_scale=0.02, fixed_render_s=15)  # 0.3 s; `late` is ready after 1.8 s
CALLERS_TRACE, CALLERS_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLERS_HEADERS: Final = {
    "traceparent": f"00-{CALLERS_TRACE}-{CALLERS_SPAN}-01",
    "tracestate": "vendor=of-the-caller,other=00f067aa0ba902b7",
    "baggage": "user=jane,plan=gold;secret=1",
    "b3": f"{CALLERS_TRACE}-{CALLERS_SPAN}-1",
    "Prefer": "wait=30",
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def _changes(collector: Collector, **provider: Any) -> dict[str, Any]:
    """Nothing is sampled: what is kept is kept for how it went."""
    return {
        "policies": {"quick": POLICY},
        "tracing": {"endpoint": collector.url, "sample_ratio": 0.0},
        "provider": {"measured_ratio": 0.0, "checked_ratio": 0.0, "check_private_assets": True, **provider},
    }


def _by_trace(collector: Collector) -> dict[str, list[Span]]:
    traces = defaultdict[str, list[Span]](list)
    for span in collector.spans():
        traces[span.trace_id.hex()].append(span)
    return traces


def _root(trace: list[Span]) -> Span:
    (root,) = (span for span in trace if span.name == "generation")
    return root


async def test_with_nothing_sampled_all_that_failed_is_exported_and_nothing_else(
    tmp_path: Path, collector: Collector
) -> None:
    failing = ("never", "task_error", "create_422", "create_500_after_effect", "poll_500_always")
    async with running(tmp_path, SIMULATOR, **_changes(collector)) as service:
        fine = await asyncio.gather(*(service.generate(f"a fox [fault:{fault}]") for fault in ("healthy", "silent")))
        failed = await asyncio.gather(*(service.generate(f"a fox [fault:{fault}]") for fault in failing))
    assert {record["outcome"] for record in fine} == {"delivered"}
    assert {record["outcome"] for record in failed} == {"expired", "provider_failed", "rejected"}
    traces = _by_trace(collector)
    assert traces.keys() == {record["trace_id"] for record in failed}
    for record in failed:
        root = _root(traces[record["trace_id"]])
        attributes = attributes_of(root)
        assert (attributes["generation.id"], attributes["generation.outcome"]) == (record["id"], record["outcome"])
        assert root.status.code == Status.STATUS_CODE_ERROR
        assert not root.parent_span_id


async def test_a_trace_is_one_tree_whose_calls_tell_where_they_went(tmp_path: Path, collector: Collector) -> None:
    async with running(tmp_path, SIMULATOR, **_changes(collector)) as service:
        record = await service.generate("a fox [fault:poll_500_always]")
        port = int(service.provider_url.rsplit(":", 1)[1])
    trace = _by_trace(collector)[record["trace_id"]]
    root = _root(trace)
    assert [event.name for event in root.events][:2] == ["fallback scheduled", "polling started"]
    children = {span.name: span for span in trace if span is not root}
    assert children.keys() == {"create", "stream", "poll"}
    for span in children.values():
        attributes = attributes_of(span)
        assert span.parent_span_id == root.span_id
        assert span.kind == Span.SPAN_KIND_CLIENT
        assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", port)
        assert attributes["url.full"].startswith(f"{service.provider_url}/api/v1/")
    poll = attributes_of(children["poll"])
    assert (poll["http.response.status_code"], poll["error.type"]) == (500, "unavailable")
    assert attributes_of(children["create"])["http.request.method"] == "POST"


async def test_the_events_of_a_stream_and_the_check_of_its_asset_are_in_the_trace_that_the_caller_sampled(
    tmp_path: Path, collector: Collector
) -> None:
    changes = _changes(collector, checked_ratio=1.0, measured_ratio=1.0)
    async with running(tmp_path, SIMULATOR, **changes) as service:
        await _generate(service, "a fox [fault:malformed]")
    trace = _by_trace(collector)[CALLERS_TRACE]
    root = _root(trace)
    assert root.parent_span_id.hex() == CALLERS_SPAN
    (stream,) = (span for span in trace if span.name == "stream")
    assert {"sse.malformed", "sse.result"} <= {event.name for event in stream.events}
    (verify,) = (span for span in trace if span.name == "verify")
    assert verify.parent_span_id == root.span_id
    assert verify.start_time_unix_nano >= root.end_time_unix_nano
    assert attributes_of(verify)["generation.verify.result"] == "ok"
    measured = [attributes_of(event) for event in root.events if event.name == "channels measured"]
    assert measured == [{"sse": "won", "polling": "confirmed"}]


async def test_the_looks_again_of_a_late_one_arrive_under_its_trace(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "LOOKS_AFTER_S", (0.1, 1.5, 3.0))
    async with running(tmp_path, SIMULATOR, **_changes(collector)) as service:
        record = await service.generate("a fox [fault:late]")
        async with asyncio.timeout(30):
            while (await service.get(f"/v1/generations/{record['id']}"))["late"] is None:
                await asyncio.sleep(0.05)
    assert record["outcome"] == "expired"
    (trace,) = _by_trace(collector).values()
    root = _root(trace)
    looks = sorted((span for span in trace if span.name == "look again"), key=lambda span: span.start_time_unix_nano)
    assert [attributes_of(span)["generation.look"] for span in looks] == [1, 2]
    assert {span.parent_span_id for span in looks} == {root.span_id}
    assert attributes_of(looks[-1])["generation.poll.result"] == "ready"
    (reconciled,) = looks[-1].events
    assert reconciled.name == "reconciled"
    assert attributes_of(reconciled)["late"] is True


@dataclass
class Recorded:
    """Requests that reached the provider: path and headers."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @web.middleware
    async def take(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.method, request.path, headers))
        return await handler(request)


@asynccontextmanager
async def _recorded(folder: Path, collector: Collector) -> AsyncIterator[tuple[Running, Recorded]]:
    """A service whose provider's requests are noted."""
    recorded = Recorded()
    provider = build_simulator(SIMULATOR)
    provider.middlewares.insert(0, recorded.take)
    runner = web.AppRunner(provider, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        settings = service_settings(folder, provider_url, **_changes(collector, checked_ratio=1.0, measured_ratio=1.0))
        registry = CollectorRegistry()
        async with serve_app(settings, registry) as url, aiohttp.ClientSession() as http:
            yield Running(url, provider_url, http, registry), recorded
    finally:
        await runner.cleanup()


async def _generate(service: Running, prompt: str, **body: Any) -> dict[str, Any]:
    """As a caller with a trace of its own."""
    url, asked = f"{service.url}/v1/generations", {"prompt": prompt, **body}
    async with service.http.post(url, json=asked, headers=CALLERS_HEADERS) as response:
        record: dict[str, Any] = await response.json()
    assert record["trace_id"] == CALLERS_TRACE
    async with asyncio.timeout(30):
        while (await service.get(f"/v1/generations/{record['id']}"))["asset_check"] is None:
            await asyncio.sleep(0.02)
    return record


@pytest.mark.parametrize(("fault", "flow"), [("file_id_only", "file"), ("resolve_pending", "project")])
async def test_a_provider_gets_the_context_of_each_call_and_nothing_else_of_the_caller(
    tmp_path: Path, collector: Collector, fault: str, flow: str
) -> None:
    async with _recorded(tmp_path, collector) as (service, recorded):
        await _generate(service, f"a fox [fault:{fault}]", flow=flow)
    spans = {span.span_id.hex(): span for span in collector.spans()}
    assert {span.trace_state for span in spans.values()} == {CALLERS_HEADERS["tracestate"]}
    calls = [request for request in recorded.requests if request[1].startswith("/api/v1/")]
    assert len(calls) >= 4
    for method, path, headers in calls:
        assert not {"baggage", "b3"} & headers.keys()
        assert headers["tracestate"] == CALLERS_HEADERS["tracestate"]
        assert "jane" not in str(headers)
        version, trace_id, span_id, flags = headers["traceparent"].split("-")
        assert (version, trace_id, flags) == ("00", CALLERS_TRACE, "01")
        if flow == "project" and path.startswith("/api/v1/file/"):
            assert spans[span_id].name == "resolve"
        attributes = attributes_of(spans[span_id])
        assert attributes["http.request.method"] == method
        assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", attributes["url.template"]), path)
        assert path.rsplit("/", 1)[1] not in str(collector.requests) or method == "POST", "an id is nobody's business"


async def test_a_fetch_of_the_asset_knows_neither_trace_nor_token(tmp_path: Path, collector: Collector) -> None:
    async with _recorded(tmp_path, collector) as (service, recorded):
        await _generate(service, "a fox [fault:signed_url]")
    ((_, path, headers),) = (request for request in recorded.requests if not request[1].startswith("/api/v1/"))
    assert not {"traceparent", "tracestate", "baggage", "authorization"} & headers.keys()
    assert path.rsplit("/", 1)[1] not in str(collector.requests), "a signed URL is not traced"


async def test_a_collector_that_answers_nobody_harms_no_delivery_and_is_counted(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "MAX_WAITING_SPANS", 40)
    monkeypatch.setattr(tracing, "EXPORT_TIMEOUT_S", 60.0)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    collector.may_answer.clear()
    async with running(tmp_path, SIMULATOR, **_changes(collector)) as service:
        failed = [service.generate("a fox [fault:create_422]") for _ in range(40)]
        fine = [service.generate("a fox") for _ in range(10)]
        records = await asyncio.gather(*failed, *fine)
        assert [record["outcome"] for record in records] == ["rejected"] * 40 + ["delivered"] * 10
        assert not collector.requests, "all that while, nothing was answered"
        dropped = service.registry.get_sample_value("generation_monitor_trace_spans_total", {"result": "dropped"})
        assert dropped == 40 * 2 - 40, "a root and a create each"
        failures = service.registry.get_sample_value(
            "generation_monitor_observer_failures_total", {"observer": "MetricsObserver"}
        )
        assert failures == 0


async def test_a_collector_that_refuses_is_counted(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    collector.status = 400
    async with running(tmp_path, SIMULATOR, **_changes(collector)) as service:
        record = await service.generate("a fox [fault:create_422]")
        assert record["outcome"] == "rejected"
        async with asyncio.timeout(30):
            labels = {"result": "failed"}
            while service.registry.get_sample_value("generation_monitor_trace_spans_total", labels) != 2:
                await asyncio.sleep(0.02)
        assert (await service.generate("a fox"))["outcome"] == "delivered"
