"""Canaries of real processes: killed, told to reload, two on one store."""

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Metric
from tests.service_process import serving, variables_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

PRICE = 40_000


def _canary(**changes: Any) -> dict[str, Any]:
    return {"name": "fox", "prompt": "a fox", "interval": 1, "jitter": 0, "price_usd": 0.04, **changes}


@asynccontextmanager
async def _provider(render_s: float) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    config = SimulatorConfig(fixed_render_s=render_s, heartbeat_s=1)
    async with serve_simulator(config, "127.0.0.1", 0) as url, aiohttp.ClientSession() as http:
        yield url, http


def _asked(file: Path, query: str) -> Any:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchone()[0]


def _spent(file: Path) -> int:
    return int(_asked(file, "SELECT coalesce(max(micros), 0) FROM canary_spending WHERE holder = 'total'"))


async def _get(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json(content_type=None)


async def _sum(http: aiohttp.ClientSession, url: str, metric: Metric) -> float:
    async with http.get(f"{url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return sum(item.value for family in families for item in family.samples if item.name == metric.name)


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.1)


async def test_killed_in_mid_run_it_repeats_no_paid_run_and_forgets_no_cost(tmp_path: Path) -> None:
    async with _provider(2.0) as (provider_url, http):
        variables = variables_of(tmp_path, provider_url, MONITOR_CANARY=json.dumps([_canary(interval=3)]))

        async def creates() -> int:
            return int((await _get(http, f"{provider_url}/-/counts"))["creates"])

        async def is_begun() -> bool:
            return await creates() >= 1

        async with serving(variables) as (service, _):
            await _until(is_begun)  # which takes two seconds more until it has ended
            service.kill()
            await service.wait()
        before, file = await creates(), tmp_path / "monitor.db"
        spent = _spent(file)
        in_flight = int(_asked(file, "SELECT count(*) FROM generations WHERE outcome IS NULL"))
        assert in_flight
        assert before <= spent // PRICE <= before + 1
        paused = {**variables, "MONITOR_CANARY": json.dumps([_canary(interval=3, enabled=False)])}
        async with serving(paused) as (_, url):

            async def is_over() -> bool:
                runs = (await _get(http, f"{url}/v1/canaries"))["items"][0]["runs"]
                return len(runs) == before and all(run["outcome"] == "delivered" for run in runs)

            await _until(is_over)
            (canary,) = (await _get(http, f"{url}/v1/canaries"))["items"]
            assert canary["spending"]["day"]["spent_usd"] == pytest.approx(spent / 1e6)
            assert await creates() == before
            assert await _sum(http, url, catalog.CANARY_RUNS) == in_flight, "the others were counted before"


async def test_two_services_on_one_store_run_each_tick_once(tmp_path: Path) -> None:
    async with _provider(0.1) as (provider_url, http):
        plan = json.dumps([_canary(name=f"c{number}") for number in range(3)])
        each = [
            variables_of(tmp_path, provider_url, MONITOR_CANARY=plan, MONITOR_SERVER__INSTANCE=name)
            for name in ("one", "two")
        ]
        async with serving(each[0]) as (one, url), serving(each[1]) as (two, other_url):

            async def is_enough() -> bool:
                return int((await _get(http, f"{provider_url}/-/counts"))["creates"]) >= 15

            await _until(is_enough)
            urls = (url, other_url)
            skipped = sum([await _sum(http, at, catalog.CANARY_SKIPPED) for at in urls])
            spent_usd = sum([await _sum(http, at, catalog.CANARY_SPEND) for at in urls])
            for service in (one, two):
                service.send_signal(signal.SIGTERM)
            await asyncio.gather(one.wait(), two.wait())
        creates = int((await _get(http, f"{provider_url}/-/counts"))["creates"])
    file = tmp_path / "monitor.db"
    claims, paid = int(_asked(file, "SELECT count(*) FROM canary_claims")), _spent(file) // PRICE
    assert creates == paid == int(_asked(file, "SELECT count(*) FROM generations"))
    assert claims - 6 <= creates + skipped <= claims, "a tick of each may have come after the scrape"
    assert spent_usd == pytest.approx(creates * 0.04, abs=6 * 0.04)


async def test_a_hangup_takes_a_changed_plan_and_leaves_the_old_one_where_it_is_wrong(tmp_path: Path) -> None:
    async with _provider(0.1) as (provider_url, http):
        variables = variables_of(tmp_path, provider_url)
        file = tmp_path / "monitor.toml"
        file.write_text('[[canary]]\nname = "fox"\nprompt = "a fox"\ninterval = 60\nenabled = false\n')
        async with serving({**variables, "MONITOR_CONFIG": str(file)}) as (service, url):

            async def names() -> list[str]:
                return [canary["name"] for canary in (await _get(http, f"{url}/v1/canaries"))["items"]]

            assert await names() == ["fox"]
            file.write_text('[[canary]]\nname = "owl"\nprompt = "an owl"\ncron = "0 3 * * *"\n')
            service.send_signal(signal.SIGHUP)

            async def is_changed() -> bool:
                return await names() == ["owl"]

            await _until(is_changed)
            file.write_text('[[canary]]\nname = "elk"\n')
            service.send_signal(signal.SIGHUP)

            async def is_refused() -> bool:
                return await _sum(http, url, catalog.RELOADED) == 0

            await _until(is_refused)
            assert await names() == ["owl"]
