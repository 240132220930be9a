"""A real Prometheus on loopback, for as long as a test needs it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from alerts.names import JOB
from tests.programs import free_port, require

SCRAPE_INTERVAL = "200ms"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Answers over its HTTP API."""

    url: str
    http: aiohttp.ClientSession

    async def api(self, path: str, **params: str) -> Any:
        """The `data` of an answer."""
        async with self.http.get(f"{self.url}/api/v1/{path}", params=params) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant vector, as it is now."""
        found: list[dict[str, Any]] = (await self.api("query", query=expression))["result"]
        return found

    async def exemplars(self, expression: str) -> list[dict[str, Any]]:
        """Of the last minutes: one entry a series, with its `seriesLabels` and `exemplars`."""
        now = datetime.now(UTC)
        start, end = (instant.isoformat() for instant in (now - timedelta(minutes=10), now + timedelta(minutes=1)))
        found: list[dict[str, Any]] = await self.api("query_exemplars", query=expression, start=start, end=end)
        return found


@asynccontextmanager
async def open_prometheus(
    folder: Path, target_url: str, *, rules: Mapping[str, str] | None = None, alertmanager_url: str | None = None
) -> AsyncIterator[Prometheus]:
    """One that scrapes `target_url` several times a second, and stores exemplars. `rules` are files by their names.

    Its alerts go to the Alertmanager at `alertmanager_url`.
    """
    program = require("prometheus")
    job = {"job_name": JOB, "static_configs": [{"targets": [target_url.removeprefix("http://")]}]}
    settings: dict[str, Any] = {"global": {"scrape_interval": SCRAPE_INTERVAL, "scrape_timeout": SCRAPE_INTERVAL}}
    for name, text in (rules or {}).items():
        (folder / name).write_text(text, "utf-8")
    settings |= {"rule_files": list(rules or {}), "scrape_configs": [job]}
    if alertmanager_url is not None:
        targets = [{"targets": [alertmanager_url.removeprefix("http://")]}]
        settings["alerting"] = {"alertmanagers": [{"static_configs": targets}]}
    (folder / "prometheus.yml").write_text(json.dumps(settings), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        "--rules.alert.resend-delay=1s",
        "--log.level=error",
    )
    try:
        async with aiohttp.ClientSession() as http:
            await until_ready(http, f"http://{address}", process)
            yield Prometheus(f"http://{address}", http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def until_ready(http: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process) -> None:
    """Return as soon as the program at `url` takes requests; Alertmanager has the same page for it."""
    async with asyncio.timeout(60):
        while True:
            assert process.returncode is None, "the program ended; what it said is above"
            try:
                async with http.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
