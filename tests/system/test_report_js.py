"""The browser module in a real Chromium, on a page of another origin: who delivers, what is closed and reported."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page
from prometheus_client import CollectorRegistry

from monitor.settings import hash_token
from tests.peers import Peer, serve
from tests.serving import Running, serve_app, service_settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

URL = "https://cdn.example/a.webp"
NEVER_MS = 120_000
SOON = {"grace": 100, "interval": 100, "window": NEVER_MS}
DELIVER = """
async ([service, job, options, reportTo]) => {
  const { deliver } = await import(`${service}/static/report.js`);
  const poll = async ({ attempt, signal }) => {
    const answer = await fetch(`/jobs/${job}?attempt=${attempt}`, { signal });
    if (!answer.ok) throw Object.assign(Error("no answer"), { reason: "unavailable" });
    return (await answer.json()).url;
  };
  const read = (data) => {
    const event = JSON.parse(data);
    if (event.failed) throw Object.assign(Error("it failed"), { reason: "task_error" });
    return event.url;
  };
  if (options.abortAfter !== undefined) {
    const controller = new AbortController();
    options.signal = controller.signal;
    if (options.abortAfter) setTimeout(() => controller.abort(), options.abortAfter);
    else controller.abort();
  }
  const about = { provider: "superduperai", model: "comfyui/flux" };
  const asked = { eventsUrl: `/events/${job}`, read, poll, reportTo, about, ...options };
  const delivery = deliver(asked).then(
    ({ result, report }) => ({ result, report }),
    (error) => ({ message: error.message, report: error.report }),
  );
  return options.leave ? null : delivery;
}
"""


@dataclass(slots=True)
class Backend:
    """What a page asks for its jobs. The name of a job says what happens: first the stream's part, then the polls'."""

    polls: list[str] = field(default_factory=list)
    streams: int = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        what, _, job = request.path.strip("/").partition("/")
        if what == "events":
            return await self._stream(request, job)
        if what == "jobs":
            return self._look(job, int(request.query["attempt"]))
        return web.Response(text="<!doctype html><title>an application</title>", content_type="text/html")

    async def _stream(self, request: web.Request, job: str) -> web.StreamResponse:
        if job.startswith("refused"):
            raise web.HTTPNotFound
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": welcome\n\ndata: {}\n\ndata: no JSON\n\n")
        if job.startswith("tells"):
            await response.write(b'data: {"url": "%s"}\n\n' % URL.encode())
        if job.startswith("fails"):
            await response.write(b'data: {"failed": true}\n\n')
        self.streams += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.streams -= 1
        return response

    def _look(self, job: str, attempt: int) -> web.Response:
        self.polls.append(job)
        if job.endswith("broken"):
            return web.Response(status=500)
        is_ready = job.endswith("second") and attempt >= 2
        return web.json_response({"url": URL if is_ready else None})


@dataclass(slots=True)
class Stage:
    """A service, the application's backend, and a page of its origin."""

    service: Running
    backend: Backend
    peer: Peer
    page: Page

    async def deliver(self, job: str, **options: Any) -> Any:
        """Have the page wait for a job; what it came to."""
        report_to = {"url": f"{self.service.url}/v1/reports", "token": options.pop("token", None)}
        return await self.page.evaluate(DELIVER, [self.service.url, job, options, report_to])

    async def reported(self, number: int = 1) -> list[dict[str, Any]]:
        """The generations that reports became, oldest first, as soon as there are so many."""
        items: list[dict[str, Any]] = []
        while len(items) < number:
            items = (await self.service.get("/v1/generations?origin=report"))["items"]
            await asyncio.sleep(0.02)
        return items[::-1]

    async def closed(self) -> None:
        """As soon as no stream is open."""
        while self.backend.streams:
            await asyncio.sleep(0.02)

    def counted(self) -> float:
        """Reports in the metrics."""
        labels = {"provider": "superduperai", "model": "comfyui/flux", "origin": "report"}
        return self.service.registry.get_sample_value("generation_requests_total", labels) or 0.0


@asynccontextmanager
async def on_stage(browser: Browser, folder: Path, *, listed: bool = True, **changes: Any) -> AsyncIterator[Stage]:
    """The service lets pages of the application report if they are `listed`."""
    backend, registry = Backend(), CollectorRegistry()
    async with serve(backend) as peer:
        reports = {"allowed_origins": [peer.url] if listed else []}
        settings = service_settings(folder, "http://127.0.0.1:9", reports=reports, **changes)
        async with serve_app(settings, registry) as url, aiohttp.ClientSession() as http:
            page = await browser.new_page()
            await page.goto(peer.url)
            yield Stage(Running(url, peer.url, http, registry), backend, peer, page)
            await page.close()


@pytest_asyncio.fixture
async def stage(browser: Browser, tmp_path: Path) -> AsyncIterator[Stage]:
    async with on_stage(browser, tmp_path) as stage:
        yield stage


async def test_sse_delivers_and_nobody_polls(stage: Stage) -> None:
    told = await stage.deliver("tells-pending", grace=NEVER_MS, window=NEVER_MS)
    assert told["result"] == URL
    assert (told["report"]["channel"], told["report"]["attempts"]) == ("sse", 0)
    (generation,) = await stage.reported()
    assert (generation["outcome"], generation["channel"], generation["attempts"]) == ("delivered", "sse", 0)
    assert generation["duration_seconds"] == pytest.approx(told["report"]["latency_seconds"], abs=0.001)
    assert (stage.counted(), stage.backend.polls) == (1, [])
    await stage.closed()


async def test_polling_delivers_when_sse_stays_silent_and_then_everything_is_closed(stage: Stage) -> None:
    told = await stage.deliver("silent-second", grace=100, interval=600, window=NEVER_MS)
    assert (told["result"], told["report"]["channel"], told["report"]["attempts"]) == (URL, "polling", 2)
    (generation,) = await stage.reported()
    assert (generation["outcome"], generation["channel"], generation["attempts"]) == ("delivered", "polling", 2)
    await stage.closed()
    await asyncio.sleep(1.5)  # more than two intervals, in which nobody asks any more
    assert len(stage.backend.polls) == 2
    assert stage.counted() == 1


async def test_a_stream_that_is_refused_is_not_waited_for(stage: Stage) -> None:
    told = await stage.deliver("refused-second", grace=NEVER_MS, interval=100, window=NEVER_MS)
    assert (told["result"], told["report"]["channel"]) == (URL, "polling")
    assert (await stage.reported())[0]["outcome"] == "delivered"


@pytest.mark.parametrize(("job", "reason"), [("silent-pending", "pending"), ("silent-broken", "unavailable")])
async def test_when_nothing_delivers_it_has_expired_with_what_the_last_poll_said(
    stage: Stage, job: str, reason: str
) -> None:
    told = await stage.deliver(job, grace=50, interval=50, maxAttempts=3, window=1_500)
    assert (told["message"], told["report"]["attempts"]) == (reason, 3)
    (generation,) = await stage.reported()
    ended = (generation["outcome"], generation["channel"], generation["reason"], generation["attempts"])
    assert ended == ("expired", "none", reason, 3)
    assert generation["duration_seconds"] == pytest.approx(told["report"]["latency_seconds"], abs=0.001)
    assert len(stage.backend.polls) == 3
    await stage.closed()


async def test_without_a_poll_it_has_expired_unasked(stage: Stage) -> None:
    assert (await stage.deliver("silent-pending", grace=NEVER_MS, window=200))["message"] == "not_polled"
    assert (await stage.reported())[0]["reason"] == "not_polled"


async def test_a_render_that_failed_is_no_failure_to_deliver(stage: Stage) -> None:
    told = await stage.deliver("fails-pending", grace=NEVER_MS, window=NEVER_MS)
    assert told["message"] == "task_error"
    (generation,) = await stage.reported()
    assert (generation["outcome"], generation["channel"]) == ("provider_failed", "sse")
    await stage.closed()


@pytest.mark.parametrize("after_ms", [0, 300])
async def test_who_aborts_has_cancelled(stage: Stage, after_ms: int) -> None:
    told = await stage.deliver("silent-pending", abortAfter=after_ms, **SOON)
    assert told["message"] == "caller"
    (generation,) = await stage.reported()
    assert (generation["outcome"], generation["reason"]) == ("cancelled", "caller")
    await stage.closed()


async def test_who_leaves_the_page_has_cancelled_and_the_report_still_arrives(stage: Stage) -> None:
    await stage.deliver("silent-pending", leave=True, **SOON)
    while not stage.backend.polls:
        await asyncio.sleep(0.02)
    await stage.page.goto("about:blank")
    (generation,) = await stage.reported()
    assert (generation["outcome"], generation["reason"]) == ("cancelled", "caller")
    assert generation["attempts"] >= 1
    await stage.closed()


@pytest.mark.parametrize("beacon", ["() => false", "() => { throw new TypeError('no') }", "undefined"])
async def test_where_there_is_no_beacon_a_fetch_reports(stage: Stage, beacon: str) -> None:
    await stage.page.evaluate(f"() => {{ Navigator.prototype.sendBeacon = {beacon} }}")
    await stage.deliver("tells-pending", grace=NEVER_MS, window=NEVER_MS)
    assert (await stage.reported())[0]["outcome"] == "delivered"


async def test_each_delivery_of_a_page_is_a_report_of_its_own(stage: Stage) -> None:
    ended = await asyncio.gather(*(stage.deliver("silent-second", **SOON) for _ in range(3)))
    assert len({told["report"]["id"] for told in ended}) == 3
    assert len(await stage.reported(3)) == 3
    assert stage.counted() == 3


async def test_a_report_that_cannot_be_sent_harms_no_delivery(stage: Stage) -> None:
    options = {"reportTo": {"url": "http://[no address"}, "grace": NEVER_MS, "window": NEVER_MS}
    assert (await stage.deliver("tells-pending", **options))["result"] == URL


async def test_a_page_shows_its_token_in_the_body(browser: Browser, tmp_path: Path) -> None:
    tokens = [
        {"name": "page", "scopes": ["report"], "sha256": hash_token("token-page")},
        {"name": "reader", "scopes": ["read"], "sha256": hash_token("token-reader")},
    ]
    async with on_stage(browser, tmp_path, tokens=tokens) as stage:
        stage.service.http.headers["Authorization"] = "Bearer token-reader"
        await stage.deliver("tells-pending", token="token-page", grace=NEVER_MS, window=NEVER_MS)
        assert (await stage.reported())[0]["outcome"] == "delivered"


async def test_a_page_that_is_not_listed_delivers_all_the_same_but_cannot_report(
    browser: Browser, tmp_path: Path
) -> None:
    async with on_stage(browser, tmp_path, listed=False) as stage:
        async with stage.page.expect_response("**/v1/reports") as answered:
            told = await stage.deliver("tells-pending", grace=NEVER_MS, window=NEVER_MS)
        assert told["result"] == URL
        assert (await answered.value).status == 403
        assert (await stage.service.get("/v1/generations"))["items"] == []
        assert stage.counted() == 0


async def test_a_page_may_also_send_json_and_read_the_answer(stage: Stage) -> None:
    told = await stage.page.evaluate(
        """async (url) => {
          const report = (id) => ({ id, started_at: new Date(), delivered: true, channel: "sse", latency_seconds: 0 });
          const type = "application/json";
          navigator.sendBeacon(url, new Blob([JSON.stringify(report("beacon"))], { type }));
          const asked = { method: "POST", headers: { "Content-Type": type }, body: JSON.stringify([report("fetch")]) };
          return (await fetch(url, asked)).json();
        }""",
        f"{stage.service.url}/v1/reports",
    )
    assert told["accepted"] == 1
    assert len(await stage.reported(2)) == 2
