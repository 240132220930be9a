"""Starts the service and the simulated provider on loopback, in the test's own loop."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from monitor.app import build_app
from monitor.settings import Settings, load_settings
from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.web.listening import listening

QUICK: Mapping[str, Any] = {"grace": 2.0, "interval": 2.0, "max_attempts": 10, "window": 30.0}
UNSAMPLED: Mapping[str, Any] = {"measured_ratio": 0.0, "checked_ratio": 0.0}
"""A provider of which nothing is measured or checked: so no timeline grows by chance after its end."""


@dataclass(frozen=True, slots=True)
class Running:
    """A service, its provider, and a caller of both."""

    url: str
    provider_url: str
    http: aiohttp.ClientSession
    registry: CollectorRegistry

    @asynccontextmanager
    async def called_anew(self) -> AsyncIterator["Running"]:
        """The same, by another caller with connections of its own."""
        async with aiohttp.ClientSession() as http:
            yield replace(self, http=http)

    async def generate(self, prompt: str, *, wait_s: int = 60, **body: Any) -> dict[str, Any]:
        """Ask for a generation and wait for its end."""
        headers = {"Prefer": f"wait={wait_s}"}
        async with self.http.post(
            f"{self.url}/v1/generations", json={"prompt": prompt, **body}, headers=headers
        ) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer

    async def get(self, path: str) -> Any:
        """What the service answers, as JSON."""
        async with self.http.get(self.url + path) as response:
            return await response.json(content_type=None)

    async def provider(self, path: str) -> Any:
        """What the simulated provider answers, as JSON."""
        async with self.http.get(self.provider_url + path) as response:
            return await response.json(content_type=None)


def service_settings(folder: Path, provider_url: str, **changes: Any) -> Settings:
    """Settings for one provider with the quick policy; `changes` replace whole sections or the provider's keys."""
    provider = {
        "name": "superduperai",
        "base_url": provider_url,
        "token": "simulator-token",
        "models": ["comfyui/flux"],
        "policy": "quick",
        **changes.pop("provider", {}),
    }
    values = {
        "store": {"url": f"sqlite:///{folder / 'monitor.db'}"},
        "policies": {"quick": dict(QUICK)},
        "providers": [provider],
        **changes,
    }
    return load_settings(overrides=values)


@asynccontextmanager
async def serve_app(
    settings: Settings, registry: CollectorRegistry | None = None, read_again: Callable[[], Settings] | None = None
) -> AsyncIterator[str]:
    """The service on a free port; its URL."""
    app = build_app(settings, registry=registry, read_again=read_again)
    async with listening(app, "127.0.0.1", 0, shutdown_s=1.0) as url:
        yield url


@asynccontextmanager
async def running(folder: Path, simulator: SimulatorConfig, **changes: Any) -> AsyncIterator[Running]:
    """Service and provider together."""
    registry = CollectorRegistry()
    async with serve_simulator(simulator, "127.0.0.1", 0) as provider_url:
        settings = service_settings(folder, provider_url, **changes)
        async with serve_app(settings, registry) as url, aiohttp.ClientSession() as http:
            yield Running(url, provider_url, http, registry)
