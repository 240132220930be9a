"""The measurements: each starts its own peers, and compares the service with the bare client in one run."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.peers import (
    PACE_PER_S,
    RAMP_PER_S,
    RENDER_S,
    Peer,
    arrivals_s,
    bare_client,
    completed_at_s,
    provider,
    service,
)

FIXED: Final[dict[str, Any]] = {"check_on_open": False, "early_fallback": False}
PATIENT: Final[dict[str, Any]] = {"grace": 200, "window": 300, "check_on_open": False, "early_fallback": False}
_WARM_UP: Final = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the result: what was measured, for both, and what the ratio may be at most."""

    what: str
    ours: float
    bare: float
    unit: str
    limit: float | None

    @property
    def ratio(self) -> float:
        """Ours over the bare client's (or over the other of two runs of ours)."""
        return self.ours / self.bare


async def measure_processor_time(generations: int, concurrency: int) -> list[Figure]:
    """Processor time of the service for a generation delivered over its API, SSE path, everything on."""
    async with provider(1.0) as simulator:
        with tempfile.TemporaryDirectory() as folder:
            async with _serving(simulator, FIXED, folder) as (ours, http):
                await _generate(http, ours.url, _WARM_UP, concurrency)
                before_s = ours.cpu_s()
                await _generate(http, ours.url, generations, concurrency, per_s=PACE_PER_S)
                ours_ms = (ours.cpu_s() - before_s) / generations * 1000
        bare = await bare_client(simulator.url, generations, concurrency)
    bare_ms = bare["cpu_s"] / generations * 1000
    return [Figure("processor time for a generation", ours_ms, bare_ms, "ms", 2.0)]


async def measure_latency(generations: int, in_flight: int) -> list[Figure]:
    """From the provider's completion until the asset is known, with and without scrapes."""
    per_s = in_flight / RENDER_S
    async with provider(RENDER_S) as simulator:
        ours_ms = await _latencies(simulator, generations, in_flight, per_s, is_scraped=False)
        scraped_ms = await _latencies(simulator, generations, in_flight, per_s, is_scraped=True)
        bare = await bare_client(simulator.url, generations, in_flight, per_s=per_s)
        bare_ms = await _added(simulator.url, bare["known_at_s"])
    return [
        Figure("added latency, median", statistics.median(ours_ms), statistics.median(bare_ms), "ms", 1.3),
        Figure("added latency, p99", _p99(ours_ms), _p99(bare_ms), "ms", None),
        Figure("added latency, p99, scraped every 2 s against not scraped", _p99(scraped_ms), _p99(ours_ms), "ms", 2.0),
    ]


async def measure_memory(generations: int) -> list[Figure]:
    """Memory of each of many generations in flight with an open stream, and a scrape while they run."""
    async with provider(60.0) as simulator:
        with tempfile.TemporaryDirectory() as folder:
            async with _serving(simulator, PATIENT, folder) as (ours, http):
                before = ours.rss_bytes()
                await _generate(http, ours.url, generations, generations, wait_s=None, per_s=RAMP_PER_S)
                await _until_open(http, simulator.url, generations)
                ours_kib = (ours.rss_bytes() - before) / generations / 1024
                scrape_ms = [await _scrape_ms(http, ours.url) for _ in range(5)]
                delivered = await _until_delivered(http, ours.url, generations)
        bare = await bare_client(simulator.url, generations, generations, report_memory=True)
    assert delivered == generations == bare["delivered"], "some were not delivered"
    bare_kib = bare["bytes_per_generation"] / 1024
    return [
        Figure(f"memory of one of {generations:,} in flight", ours_kib, bare_kib, "KiB", 1.5),
        Figure(
            f"a scrape while {generations:,} are in flight (slowest of 5) against 100 ms", max(scrape_ms), 100, "ms", 1
        ),
    ]


async def _until_delivered(http: aiohttp.ClientSession, url: str, generations: int) -> int:
    """How many the service says were delivered, once all have ended."""
    while True:
        async with http.get(f"{url}/v1/summary?window=1h") as response:
            summary = await response.json()
        if not summary["in_flight"] and sum(summary["outcomes"].values()) >= generations:
            return int(summary["outcomes"]["delivered"])
        await asyncio.sleep(1)


async def _latencies(
    simulator: Peer, generations: int, in_flight: int, per_s: float, *, is_scraped: bool
) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        async with _serving(simulator, FIXED, folder) as (ours, http):
            await _generate(http, ours.url, _WARM_UP, in_flight)
            scraping = asyncio.create_task(_scrape_on(http, ours.url)) if is_scraped else None
            await _generate(http, ours.url, generations, in_flight, per_s=per_s)
            if scraping is not None:
                scraping.cancel()
        known_at_s = json.loads((Path(folder) / "notes.json").read_text("utf-8"))
    return await _added(simulator.url, dict(list(known_at_s.items())[_WARM_UP:]))


async def _added(provider_url: str, known_at_s: dict[str, float]) -> list[float]:
    async with aiohttp.ClientSession() as http:
        done_at_s = await completed_at_s(http, provider_url, list(known_at_s))
    return [(known_at_s[file_id] - done_at_s[file_id]) * 1000 for file_id in known_at_s]


@asynccontextmanager
async def _serving(
    simulator: Peer, policy: dict[str, Any], folder: str
) -> AsyncIterator[tuple[Peer, aiohttp.ClientSession]]:
    """The service, and a caller of it. Its database is in `folder`, and its notes once it has stopped."""
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)
    async with (
        _collector() as collector_url,
        aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
        service(Path(folder), simulator.url, collector_url, policy) as ours,
    ):
        yield ours, http


@asynccontextmanager
async def _collector() -> AsyncIterator[str]:
    """An OTLP collector that takes everything and keeps nothing."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _generate(
    http: aiohttp.ClientSession,
    url: str,
    generations: int,
    concurrency: int,
    *,
    wait_s: int | None = 60,
    per_s: float | None = None,
) -> int:
    """Run generations through the API, at most `per_s` begun in a second; how many were delivered."""
    free, headers = asyncio.Semaphore(concurrency), ({} if wait_s is None else {"Prefer": f"wait={wait_s}"})

    async def one(at_s: float) -> int:
        await asyncio.sleep(at_s)
        async with free, http.post(f"{url}/v1/generations", json={"prompt": "a red fox"}, headers=headers) as response:
            return int((await response.json())["outcome"] == "delivered")

    return sum(await asyncio.gather(*(one(at_s) for at_s in arrivals_s(generations, per_s))))


async def _until_open(http: aiohttp.ClientSession, provider_url: str, streams: int) -> None:
    for _ in range(600):
        async with http.get(f"{provider_url}/-/counts") as response:
            if (await response.json())["streams_open"] >= streams:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError("the streams did not all open")


async def _scrape_ms(http: aiohttp.ClientSession, url: str) -> float:
    before_s = time.perf_counter()
    async with http.get(f"{url}/metrics") as response:
        await response.read()
    return (time.perf_counter() - before_s) * 1000


async def _scrape_on(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        await _scrape_ms(http, url)
        await asyncio.sleep(2)


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
