"""`monitor demo`: the service, a simulated provider and a trickle of generations, in one process group."""

import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Annotated, Final, NoReturn

import aiohttp
import orjson
import typer
from rich.markup import escape

from monitor.cli.demo_words import describe_end, say_what_to_open
from monitor.cli.loop import heed_like_ctrl_c, run, until_told_to_stop
from monitor.cli.output import err, out
from monitor.delivery.errors import MonitorError

TOKEN: Final = "demo-token"  # noqa: S105 - the simulator's, which guards nothing
MIX: Final = {
    "healthy": 62.0,
    "silent": 24.0,
    "early": 4.0,
    "flapping": 4.0,
    "sse_401": 3.0,
    "poll_5xx_burst": 1.0,
    "task_error": 2.0,
}
TIME_SCALE: Final = 0.1
_START_S: Final = 30.0
_STOP_S: Final = 15.0
_CANARIES: Final = """\
[canaries]
max_usd_per_day = 150.0

[[canary]]
name = "flux"
prompt = "a lighthouse at noon"
interval = 15
price_usd = 0.003

[[canary]]
name = "imagen"
prompt = "a lighthouse at noon"
model = "google-cloud/imagen4"
interval = 30
price_usd = 0.04
max_usd_per_day = 120.0
"""
"""The limits pay for all of a day; who makes them smaller sees runs left out evenly."""
_PROMPTS: Final = ("a red fox in the snow", "a lighthouse at dusk", "a paper boat", "a city of glass", "a sleeping cat")


def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the service; a free one is taken if it is in use.")
    ] = 8080,
    provider_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the simulated provider; likewise.")
    ] = 9100,
    every: Annotated[
        float, typer.Option(min=0.05, max=3_600, help="Seconds between two generations, on average.")
    ] = 1.5,
) -> None:
    """Show everything at work: nothing to configure, nothing leaves this machine, Ctrl-C ends it all."""
    run(_demo(_free_port(port), _free_port(provider_port), every))


async def _demo(port: int, provider_port: int, every_s: float) -> None:
    """The show until it is told to stop, at whatever moment that comes: nothing is left behind."""
    heed_like_ctrl_c()
    stopped = asyncio.create_task(until_told_to_stop())
    show = asyncio.create_task(_show(port, provider_port, every_s))
    await asyncio.wait({stopped, show}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    show.cancel()
    with suppress(asyncio.CancelledError):
        await show


async def _show(port: int, provider_port: int, every_s: float) -> NoReturn:
    """Everything at work until it is cancelled. Raises MonitorError when a part of it ends by itself."""
    url, provider_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{provider_port}"
    mix = [option for name, weight in MIX.items() for option in ("--mix", f"{name}={weight}")]
    simulate = ["simulate-provider", "--port", str(provider_port), "--token", TOKEN, "--time-scale", str(TIME_SCALE)]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="monitor-demo-")))
        simulator = await stack.enter_async_context(_child([*simulate, *mix], {}))
        settings = _settings(provider_url, folder)
        service = await stack.enter_async_context(_child(["serve", "--port", str(port)], settings))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await _until_up(http, f"{provider_url}/-/healthy", simulator)
        await _until_up(http, f"{url}/-/ready", service)
        say_what_to_open(url, provider_url, folder / "monitor.toml")
        trickle = asyncio.create_task(_trickle(http, url, every_s))
        stack.push_async_callback(_stop, trickle)
        deaths = [asyncio.create_task(child.wait()) for child in (simulator, service)]
        await asyncio.wait({trickle, *deaths}, return_when=asyncio.FIRST_COMPLETED)
        raise MonitorError("a part of the demo ended by itself; what it said is above")


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _settings(provider_url: str, folder: Path) -> dict[str, str]:
    """The service's settings as variables, but for its canaries: a file can be changed while it runs."""
    file = folder / "monitor.toml"
    file.write_text(_CANARIES, "utf-8")
    provider = {
        "name": "superduperai",
        "base_url": provider_url,
        "token": TOKEN,
        "models": ["comfyui/flux", "google-cloud/imagen4"],
        "measured_ratio": 1.0,
        "checked_ratio": 1.0,
        "check_private_assets": True,
    }
    return {
        "MONITOR_CONFIG": str(file),
        "MONITOR_PROVIDERS": orjson.dumps([provider]).decode(),
        "MONITOR_STORE__URL": f"sqlite:///{folder / 'monitor.db'}",
        "MONITOR_LOGGING__LEVEL": "warning",
    }


@asynccontextmanager
async def _child(arguments: Sequence[str], settings: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command of ours as a process, told to stop in the end and killed if it will not."""
    inherited = {key: value for key, value in os.environ.items() if not key.upper().startswith("MONITOR_")}
    command = (sys.executable, "-m", "monitor", *arguments)
    child = await asyncio.create_subprocess_exec(*command, env=inherited | settings)
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(child.wait(), _STOP_S)  # not `asyncio.timeout`: this runs while it is cancelled
        except TimeoutError:
            child.kill()
            await child.wait()


async def _until_up(http: aiohttp.ClientSession, url: str, child: asyncio.subprocess.Process) -> None:
    """Wait until `url` answers; give up when its process has ended or takes too long."""
    try:
        async with asyncio.timeout(_START_S):
            while child.returncode is None:
                with suppress(aiohttp.ClientError):
                    async with http.get(url) as response:
                        if response.ok:
                            return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise MonitorError(f"{url} does not answer after {_START_S:g} s") from None
    raise MonitorError(f"the process behind {url} ended with code {child.returncode}; what it said is above")


async def _trickle(http: aiohttp.ClientSession, url: str, every_s: float) -> None:
    """Ask for generations for ever, at random intervals, and tell how each was delivered."""
    async with asyncio.TaskGroup() as group:
        for number in count():
            prompt = _PROMPTS[number % len(_PROMPTS)]
            group.create_task(_one(http, url, prompt))  # noqa: RUF100 - the group owns it
            await asyncio.sleep(random.expovariate(1 / every_s))


async def _one(http: aiohttp.ClientSession, url: str, prompt: str) -> None:
    """One generation, from asking to telling. Trouble is told and does not end the demo."""
    try:
        async with http.post(
            f"{url}/v1/generations",
            json={"prompt": prompt},
            headers={"Prefer": "wait=120"},
            timeout=aiohttp.ClientTimeout(total=150),
        ) as response:
            if response.status == HTTPStatus.ACCEPTED:
                return  # it has not ended, and the service stops
            answer = orjson.loads(await response.read())
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
        err.print(f"[red]no answer from the service:[/] {escape(str(error) or type(error).__name__)}")
        return
    out.print(describe_end(answer))


def _free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
