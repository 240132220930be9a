"""The processes of a measurement: provider, service, bare client. Each ends with the measurement that began it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import psutil

TOKEN: Final = "benchmark"
RAMP_PER_S: Final = 200.0
"""A stream that stands after its event was published waits for a poll, so thousands are begun at a bearable pace."""
PACE_PER_S: Final = 100.0
"""The same arrivals for both: a burst would let the bare client do a hundred things in one turn of its loop."""
RENDER_S: Final = 10.0
"""Where latency is measured. Renders take seconds to minutes; how long decides how much arrives beside."""
_START_S: Final = 30.0


def arrivals_s(number: int, per_s: float | None) -> list[float]:
    """When to begin each, in seconds from now: at once, or as independent callers would come (a Poisson process).

    Even gaps would make every completion meet an arrival, as the renders all take the same time.
    """
    if per_s is None:
        return [0.0] * number
    random = Random(1)
    return list(accumulate(random.expovariate(per_s) for _ in range(number)))


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that listens on `url`."""

    process: asyncio.subprocess.Process
    url: str

    def cpu_s(self) -> float:
        """Processor time so far, user and system, in seconds."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@asynccontextmanager
async def provider(render_s: float) -> AsyncIterator[Peer]:
    """The simulated provider."""
    arguments = ("-m", "monitor", "simulate-provider", "--port", "0", "--token", TOKEN, "--render", str(render_s))
    async with _listening(arguments, {}) as peer:
        yield peer


@asynccontextmanager
async def service(folder: Path, provider_url: str, collector_url: str, policy: dict[str, Any]) -> AsyncIterator[Peer]:
    """The service with everything on; it notes when it knows of each asset, see `serve`."""
    item = {
        "name": "superduperai",
        "base_url": provider_url,
        "token": TOKEN,
        "models": ["comfyui/flux"],
        "policy": "bench",
        "create_timeout": 60,
        "connect_timeout": 60,
    }
    settings = {
        "MONITOR_PROVIDERS": json.dumps([item]),
        "MONITOR_POLICIES": json.dumps({"bench": policy}),
        "MONITOR_STORE__URL": f"sqlite:///{folder / 'bench.db'}",
        "MONITOR_SERVER__PORT": "0",
        "MONITOR_SERVER__MAX_IN_FLIGHT": "10000",
        "MONITOR_TRACING__ENDPOINT": collector_url,
        "MONITOR_TRACING__SAMPLE_RATIO": "0.1",
        "MONITOR_LOGGING__FORMAT": "json",
        "BENCHMARK_NOTES": str(folder / "notes.json"),
    }
    async with _listening(("-m", "benchmarks.serve"), settings) as peer:
        yield peer


@asynccontextmanager
async def _listening(arguments: tuple[str, ...], variables: dict[str, str]) -> AsyncIterator[Peer]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MONITOR_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=inherited | variables, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    drain: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stderr.readline()
        drain = asyncio.create_task(_drain(process.stderr))
        yield Peer(process, line.decode().split("listens on ")[1].split()[0])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        if drain is not None:
            await drain


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 16):
        pass


async def bare_client(
    provider_url: str, generations: int, concurrency: int, *, report_memory: bool = False, per_s: float = PACE_PER_S
) -> dict[str, Any]:
    """What a bare aiohttp client needs for the same calls, in a process of its own."""
    arguments = (provider_url, str(generations), str(concurrency), "memory" if report_memory else "speed", str(per_s))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bare", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    answer: dict[str, Any] = json.loads(out)
    return answer


async def completed_at_s(http: aiohttp.ClientSession, provider_url: str, file_ids: list[str]) -> dict[str, float]:
    """When each job was completed, on the machine's monotonic clock."""
    times = {}
    for file_id in file_ids:
        async with http.get(f"{provider_url}/-/jobs/{file_id}") as response:
            times[file_id] = float((await response.json())["completed_monotonic_s"])
    return times
