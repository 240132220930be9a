"""The service, its provider and a Prometheus with our rules, all on loopback, under a mix of faults that is chosen."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

from alerts.build import render_rules
from alerts.objective import read_objective
from alerts.rule import Timing
from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry.catalog import Foreign
from tests.prometheus import Prometheus, open_prometheus
from tests.serving import serve_app, service_settings

MODELS: Final = ("comfyui/flux", "google-cloud/imagen4")
PROVIDER: Final = {
    "models": MODELS,
    "measured_ratio": 1.0,
    "max_measured": 1_000,
    "checked_ratio": 1.0,
    "check_private_assets": True,
    "request_timeout": 5.0,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is running."""

    url: str
    provider_url: str
    http: aiohttp.ClientSession
    prometheus: Prometheus

    async def generate(self, model: str = MODELS[0], fault: str = "", *, wait_s: int = 0) -> int:
        """Ask for one; the status of the answer."""
        prompt = f"a fox [fault:{fault}]" if fault else "a fox"
        headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        body = {"prompt": prompt, "model": model}
        async with self.http.post(f"{self.url}/v1/generations", json=body, headers=headers) as answer:
            await answer.read()
            return answer.status

    async def change_mix(self, mix: Mapping[str, float]) -> None:
        """The faults of all jobs from now on."""
        async with self.http.put(f"{self.provider_url}/-/mix", json={"mix": mix}) as answer:
            assert answer.status == HTTPStatus.OK, await answer.text()

    async def act_on_canary(self, name: str, act: str, body: Mapping[str, Any] | None = None) -> None:
        """Run, pause or resume it."""
        async with self.http.post(f"{self.url}/v1/canaries/{name}/{act}", json=body) as answer:
            assert answer.ok, await answer.text()

    async def trickle(self, for_s: float, a_second: float, seed: int = 0) -> None:
        """Generations at random moments, on all models; nobody waits for them."""
        rng, loop = random.Random(seed), asyncio.get_running_loop()
        end_at_s = loop.time() + for_s
        for number in count():
            if loop.time() >= end_at_s:
                return
            await self.generate(MODELS[number % len(MODELS)])
            await asyncio.sleep(rng.expovariate(a_second))


@asynccontextmanager
async def open_scene(
    folder: Path,
    simulator: SimulatorConfig,
    policy: Mapping[str, Any],
    *,
    times_faster: int,
    silence_s: float = 1.5,
    sample_ratio: float = 1.0,
    max_in_flight: int = 1_000,
    canaries: Sequence[Mapping[str, Any]] = (),
) -> AsyncIterator[Scene]:
    """All of it; the rules run `times_faster` than real, and `sample_ratio` of what went well has exemplars."""
    rules = render_rules(Timing(read_objective(), times_faster))
    async with serve_simulator(simulator, "127.0.0.1", 0) as provider_url:
        settings = service_settings(
            folder,
            provider_url,
            policies={"quick": dict(policy)},
            provider={**PROVIDER, "silence_limit": silence_s},
            server={"max_in_flight": max_in_flight},
            tracing={"sample_ratio": sample_ratio},
            canary=list(canaries),
        )
        async with (
            serve_app(settings) as url,
            aiohttp.ClientSession() as http,
            open_prometheus(folder, url, rules=rules) as prometheus,
        ):
            await _until_scraped(prometheus)
            yield Scene(url, provider_url, http, prometheus)


async def _until_scraped(prometheus: Prometheus) -> None:
    """What happens before the first scrape is no increase."""
    async with asyncio.timeout(30):
        while not await prometheus.query(f"{Foreign.UP} == 1"):
            await asyncio.sleep(0.1)


def now_s() -> float:
    """As Prometheus stamps samples."""
    return datetime.now(UTC).timestamp()


def repeat(faults: Sequence[str], times: int) -> list[str]:
    """Each of them so often, in turns."""
    return [fault for _ in range(times) for fault in faults]
