"""Over HTTP, from all sides: words that nobody agreed on never become samples of a scrape."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from monitor.telemetry.catalog import MAX_SAMPLES
from tests.peers import serve
from tests.serving import Running, serve_app, service_settings

GENERATIONS: Final = 150
REPORTS: Final = 2_000
MARK: Final = "hostile"
"""Part of every word that is made up."""
POLICY: Final = {"grace": 0.05, "interval": 0.05, "max_attempts": 4, "window": 0.5}
FLOWS: Final = ("file", "project")


class Hostile:
    """A provider that answers everything with something else each time."""

    def __init__(self) -> None:
        self._random = random.Random(11)
        self.asked = 0

    def word(self) -> str:
        return f'{MARK}-{self._random.getrandbits(64):x}"}}\n'

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if "/events/" in request.path:
            return await self._stream(request)
        if request.method == "POST" and self._random.random() < 0.7:
            return web.json_response({"id": f"5b4f0d1e-0000-4000-8000-{self.asked:012d}", "type": "image"})
        status = self._random.randrange(200, 600)
        if status in (204, 304):
            return web.Response(status=status)
        headers = {"Retry-After": "0"} if status in (429, 503) else {}
        return web.json_response(self._body(), status=status, reason="as it pleases", headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._random.random() < 0.3:
            return web.Response(status=self._random.randrange(400, 600), text=self.word(), reason="as it pleases")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        for _ in range(20):
            event = f"event: {MARK}-{self._random.random()}\nid: {MARK}{self._random.random()}\n"
            await stream.write(f"{event}data: {json.dumps(self._body())}\n\n".encode())
        return stream

    def _body(self) -> Any:
        word = self.word()
        task = {"id": word, "type": word, "status": self._random.choice(["error", "completed", word])}
        url = self._random.choice([None, word, f"https://{MARK}.test/{self._random.random()}.png"])
        bodies = [word, [word], {word: word}, {"id": word, "type": word, "status": word, "url": url, "tasks": [task]}]
        return self._random.choice(bodies)


@asynccontextmanager
async def _service(folder: Path, hostile: Hostile) -> AsyncIterator[Running]:
    provider = {"models": ["comfyui/flux", "comfyui/ltx"], "measured_ratio": 1.0, "checked_ratio": 1.0}
    async with serve(hostile.answer) as peer:
        settings = service_settings(folder, peer.url, provider=provider, policies={"quick": POLICY})
        registry = CollectorRegistry()
        async with serve_app(settings, registry) as url, aiohttp.ClientSession() as http:
            yield Running(url, peer.url, http, registry)


async def test_no_word_of_providers_callers_and_applications_is_in_a_scrape(tmp_path: Path) -> None:
    hostile = Hostile()
    async with _service(tmp_path, hostile) as service:
        before = await _samples(service)
        asked = [service.generate(hostile.word(), wait_s=20, flow=FLOWS[item % 2]) for item in range(GENERATIONS)]
        records = await asyncio.gather(*asked)
        refused = await asyncio.gather(
            *(service.generate("a fox", **_unknown(hostile, item)) for item in range(GENERATIONS))
        )
        results = [await _report(service, hostile) for _ in range(REPORTS // 500)]
        samples = await _samples(service)
    assert {record["state"] for record in records} == {"ended"}
    assert {record["outcome"] for record in records} >= {"expired", "rejected"}
    assert {answer["status"] for answer in refused} <= {400, 422}
    assert sum(result["accepted"] for result in results) == REPORTS // 2
    assert len(before) < len(samples) <= MAX_SAMPLES
    assert not [sample for sample in samples if MARK in sample]
    assert _value(samples, "generation_requests_total", 'model="other",origin="report"') == REPORTS // 2
    assert _value(samples, "generation_monitor_observer_failures_total", 'observer="MetricsObserver"') == 0


def _unknown(hostile: Hostile, item: int) -> dict[str, Any]:
    field = ("model", "provider", "kind", "flow", hostile.word())[item % 5]
    return {field: hostile.word()}


async def _report(service: Running, hostile: Hostile) -> dict[str, int]:
    """Half of them have a model of their own, and half a reason that does not exist."""
    now = datetime.now(UTC).isoformat()
    good = [
        {
            "id": f"{MARK}-{random.getrandbits(64):x}",
            "model": hostile.word().strip(),
            "started_at": now,
            "delivered": True,
            "channel": "sse",
            "latency_seconds": 1.0,
        }
        for _ in range(250)
    ]
    bad = [{**item, "delivered": False, "channel": None, "reason": hostile.word()} for item in good]
    async with service.http.post(f"{service.url}/v1/reports", json=[*good, *bad]) as response:
        answer: dict[str, int] = await response.json()
    return answer


async def _samples(service: Running) -> list[str]:
    async with service.http.get(f"{service.url}/metrics") as response:
        return [line for line in (await response.text()).splitlines() if not line.startswith("#")]


def _value(samples: list[str], name: str, labels: str) -> float:
    (found,) = (sample for sample in samples if sample.startswith(f"{name}{{") and labels in sample)
    return float(found.rsplit(" ", 1)[1])
