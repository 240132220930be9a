"""A real Alertmanager on loopback with the committed configuration, for as long as a test needs it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from tests.alerts.programs import ALERTS
from tests.programs import free_port, require
from tests.prometheus import until_ready


@asynccontextmanager
async def open_alertmanager(folder: Path, pager_url: str) -> AsyncIterator[str]:
    """Its URL. Nothing is changed but the address of the pager, and that it is in a hurry."""
    text = (ALERTS / "alertmanager.yml").read_text("utf-8").replace("http://127.0.0.1:9095", pager_url)
    config = yaml.safe_load(text)
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "500ms", "group_interval": "500ms"}
    (folder / "alertmanager.yml").write_text(json.dumps(config), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        require("prometheus-alertmanager"),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
        "--log.level=error",
    )
    try:
        async with aiohttp.ClientSession() as http:
            await until_ready(http, f"http://{address}", process)
        yield f"http://{address}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
