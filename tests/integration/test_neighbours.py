"""Two services on one store, as behind a load balancer: a caller may meet either, and should not have to care."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio

from monitor.providers.eventstream import EventStreamDecoder
from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from tests.serving import UNSAMPLED, serve_app, service_settings


@dataclass(frozen=True, slots=True)
class Pair:
    """A caller of both."""

    one: str
    two: str
    http: aiohttp.ClientSession

    async def ask(self, prompt: str, **headers: str) -> dict[str, Any]:
        """Ask the first for a generation."""
        async with self.http.post(f"{self.one}/v1/generations", json={"prompt": prompt}, headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            return answer


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        provider_url = await stack.enter_async_context(serve_simulator(SimulatorConfig(), "127.0.0.1", 0))
        one, two = (
            service_settings(tmp_path, provider_url, server={"instance": name}, provider=UNSAMPLED)
            for name in ("one", "two")
        )
        yield Pair(
            await stack.enter_async_context(serve_app(one)),
            await stack.enter_async_context(serve_app(two)),
            await stack.enter_async_context(aiohttp.ClientSession()),
        )


async def test_the_other_one_cancels_it_and_its_owner_closes_what_it_opened(pair: Pair) -> None:
    body = await pair.ask("a fox [render:20]")
    path = f"/v1/generations/{body['id']}"
    async with pair.http.delete(pair.two + path) as response:
        cancelled = await response.json()
    assert (response.status, cancelled["outcome"], cancelled["reason"]) == (200, "cancelled", "caller")
    async with pair.http.get(pair.one + path) as response:
        assert await response.json() == cancelled


async def test_the_other_one_tells_the_events_when_it_has_ended(pair: Pair) -> None:
    body = await pair.ask("a fox [render:0.5]")
    async with pair.http.get(f"{pair.two}/v1/generations/{body['id']}/events") as response:
        events = EventStreamDecoder().feed(await response.read())
    assert response.status == 200
    numbers = [event.id.partition("@")[0] for event in events]
    assert numbers == [*(str(number) for number in range(1, len(events))), "end"]
    assert [event.event for event in events[-2:]] == ["ended", "generation"]


async def test_a_key_that_the_other_one_holds_is_waited_for(pair: Pair) -> None:
    body = await pair.ask("a fox [render:0.5]", **{"Idempotency-Key": "order-1"})
    headers = {"Idempotency-Key": "order-1", "Prefer": "wait=30"}
    asked = {"prompt": "a fox [render:0.5]"}
    async with pair.http.post(f"{pair.two}/v1/generations", json=asked, headers=headers) as response:
        repeated = await response.json()
    assert (response.status, repeated["id"], repeated["outcome"]) == (200, body["id"], "delivered")


async def test_who_follows_it_at_the_other_one_is_let_go_when_that_stops(tmp_path: Path) -> None:
    async with serve_simulator(SimulatorConfig(), "127.0.0.1", 0) as provider_url, aiohttp.ClientSession() as http:
        one, two = (service_settings(tmp_path, provider_url, server={"instance": name}) for name in ("one", "two"))
        async with serve_app(one) as url:
            async with http.post(f"{url}/v1/generations", json={"prompt": "a fox [render:20]"}) as response:
                generation_id = (await response.json())["id"]
            async with serve_app(two) as other:
                following = await http.get(f"{other}/v1/generations/{generation_id}/events")
                reading = asyncio.create_task(following.read())
            assert await reading == b""
