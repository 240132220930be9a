"""The programs of the stack, started without containers from its own files: what they see of each other, and do.

Only the images, and what a container engine does with them, stay untried.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import yaml

from alerts.names import Alert
from monitor.telemetry import catalog
from tests.collector import Collector, collecting
from tests.prometheus import Prometheus
from tests.stack.files import ROOT, StackFiles, host_and_port
from tests.stack.native import PROGRAMS, NativeStack, require_programs, run_quietly, started

pytestmark = [pytest.mark.system, pytest.mark.timeout(180), pytest.mark.xdist_group("stack")]

FILES = StackFiles(ROOT)
COUNTED = f'{catalog.OUTCOMES.name}{{job="monitor",outcome="delivered"}} > 0'


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was to see while it ran, and after it was told to stop."""

    generation: dict[str, Any]
    targets: dict[str, dict[str, Any]]
    rules: list[dict[str, Any]]
    alertmanagers: list[str]
    alerts: set[str]
    flags: dict[str, str]
    exemplars: set[str]
    """The traces they lead to."""
    without_token: int
    exit_codes: dict[str, int | None]
    said_healthy_when_down: set[str]
    ports: dict[str, int]
    traces: set[str]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run for all tests."""
    require_programs()
    with collecting() as collector:
        otlp = host_and_port(FILES.monitor["tracing"]["endpoint"])
        elsewhere = {":".join(map(str, otlp)): host_and_port(collector.url)[1]}
        yield asyncio.run(_watch(NativeStack(FILES, tmp_path_factory.mktemp("stack"), elsewhere), collector))


async def _watch(stack: NativeStack, collector: Collector) -> Seen:
    async with aiohttp.ClientSession() as http:
        async with started(stack) as processes:
            generation = await _visit(stack)
            prometheus = Prometheus(stack.url("prometheus"), http)
            async with asyncio.timeout(60):
                while not await prometheus.query(COUNTED) or Alert.WATCHDOG not in await _alerts(stack, http):
                    await asyncio.sleep(0.2)
            groups = (await prometheus.api("rules"))["groups"]
            managers = (await prometheus.api("alertmanagers"))["activeAlertmanagers"]
            exemplars = await prometheus.exemplars(catalog.OUTCOMES.name)
            during = {
                "targets": {item["labels"]["job"]: item for item in (await prometheus.api("targets"))["activeTargets"]},
                "rules": [rule for group in groups for rule in group["rules"]],
                "alertmanagers": [manager["url"] for manager in managers],
                "alerts": await _alerts(stack, http),
                "flags": await prometheus.api("status/flags"),
                "exemplars": {item["labels"]["trace_id"] for entry in exemplars for item in entry["exemplars"]},
                "without_token": await _status(http, f"{stack.url('monitor')}/metrics"),
            }
        exit_codes = {name: process.returncode for name, process in processes.items()}
    still = {name for name in PROGRAMS if await run_quietly(*stack.health_check(name)) == 0}
    traces = {span.trace_id.hex() for span in collector.spans()}
    return Seen(
        generation, **during, exit_codes=exit_codes, said_healthy_when_down=still, ports=stack.ports, traces=traces
    )


async def _visit(stack: NativeStack) -> dict[str, Any]:
    """Ask for one generation, as the visitor of the demo does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "generate", "--json", "a red fox [fault:healthy]"),
        env={
            **stack.variables("visitor"),
            "MONITOR_TOKEN": stack.secret("application_token"),
            "MONITOR_URL": stack.url("monitor"),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    generation: dict[str, Any] = json.loads(said)
    return generation


async def _alerts(stack: NativeStack, http: aiohttp.ClientSession) -> set[str]:
    """Those that Alertmanager was told of."""
    async with http.get(f"{stack.url('alertmanager')}/api/v2/alerts") as response:
        return {alert["labels"]["alertname"] for alert in await response.json()}


async def _status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as response:
        return response.status


def test_prometheus_scrapes_the_service_with_its_token_and_nobody_does_without(seen: Seen) -> None:
    assert (seen.targets["monitor"]["health"], seen.targets["monitor"]["lastError"]) == ("up", "")
    assert seen.without_token == 401


def test_prometheus_scrapes_what_else_runs(seen: Seen) -> None:
    assert {job for job, target in seen.targets.items() if target["health"] == "up"} >= {"prometheus", "alertmanager"}
    assert set(seen.targets) == {job["job_name"] for job in FILES.prometheus["scrape_configs"]}


def test_every_rule_is_loaded_and_evaluates(seen: Seen) -> None:
    written = [
        rule.get("alert") or rule["record"]
        for file in sorted((ROOT / "alerts/rules").glob("*.yml"))
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    assert sorted(rule["name"] for rule in seen.rules) == sorted(written)
    assert {alert.value for alert in Alert} <= set(written)
    assert [rule["lastError"] for rule in seen.rules if rule["health"] == "err"] == []


def test_prometheus_found_alertmanager_and_told_it_of_an_alert(seen: Seen) -> None:
    assert seen.alertmanagers == [f"http://127.0.0.1:{seen.ports['alertmanager']}/api/v2/alerts"]
    assert Alert.WATCHDOG in seen.alerts


def test_a_visitor_gets_a_picture_and_prometheus_counts_it(seen: Seen) -> None:
    assert (seen.generation["outcome"], seen.generation["origin"]) == ("delivered", "api")


def test_the_exemplar_leads_to_a_trace_that_the_trace_store_was_sent(seen: Seen) -> None:
    assert seen.exemplars == {seen.generation["trace_id"]}
    assert seen.generation["trace_id"] in seen.traces


def test_prometheus_keeps_series_and_exemplars_as_the_compose_file_says(seen: Seen) -> None:
    flags = FILES.flags("prometheus")
    for name in ("--storage.tsdb.retention.time", "--enable-feature"):
        assert seen.flags[name.removeprefix("--")].replace("5w", "35d") == flags[name]


def test_told_to_stop_ours_end_cleanly(seen: Seen) -> None:
    assert {name: seen.exit_codes[name] for name in ("monitor", "simulator")} == {"monitor": 0, "simulator": 0}


def test_a_health_check_fails_when_nobody_is_there(seen: Seen) -> None:
    assert seen.said_healthy_when_down == set()
