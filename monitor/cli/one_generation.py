"""Follows one generation from its start to its end, with both channels to be seen at work."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any, Final, NoReturn

import aiohttp
import typer
from rich.live import Live
from rich.markup import escape

from monitor.cli.client import ServiceClient, ServiceFailed, open_service
from monitor.cli.lanes import Lanes
from monitor.cli.loop import heed_like_ctrl_c, run
from monitor.cli.output import err, out, print_json
from monitor.cli.words import explain_end
from monitor.delivery.model import Outcome

EXIT_CODES: Final = {
    Outcome.DELIVERED: 0,
    Outcome.EXPIRED: 3,
    Outcome.PROVIDER_FAILED: 4,
    Outcome.REJECTED: 5,
    Outcome.CANCELLED: 6,
}
"""What the outcome is for a script; 1 is trouble with the service, 2 wrong usage, 130 Ctrl-C or SIGTERM."""
CANCEL_S: Final = 5.0
"""How long after Ctrl-C the service is given to cancel the generation."""


Start = Callable[[ServiceClient], Awaitable[dict[str, Any]]]
"""Has the service begin a generation, and returns it."""


def show_generation(url: str, start: Start, *, as_json: bool) -> NoReturn:
    """Begin a generation at the service, show how it is delivered, and exit as it ended. Ctrl-C cancels it."""
    generation = run(_run(url, start, as_json=as_json))
    if as_json:
        print_json(generation)
    else:
        _tell(generation)
    raise typer.Exit(EXIT_CODES[Outcome(generation["outcome"])])


async def _run(url: str, start: Start, *, as_json: bool) -> dict[str, Any]:
    heed_like_ctrl_c()
    async with open_service(url) as service:
        creating = asyncio.ensure_future(start(service))
        try:
            return await _watch(service, await asyncio.shield(creating), is_quiet=as_json)
        except asyncio.CancelledError:
            await _cancel(service, creating)
            raise


async def _cancel(service: ServiceClient, creating: asyncio.Future[dict[str, Any]]) -> None:
    """Cancel what was asked for, also when the answer that tells its id is still to come."""
    try:
        # `asyncio.timeout` raises no TimeoutError in a task that was cancelled, before Python 3.11.3
        await asyncio.wait_for(_cancel_created(service, creating), CANCEL_S)
    except ServiceFailed as error:
        err.print(f"[red]not cancelled:[/] {escape(str(error))}")
    except (aiohttp.ClientError, TimeoutError):
        err.print("[red]not cancelled:[/] the service does not answer; the generation may go on")
    else:
        err.print("cancelled")


async def _cancel_created(service: ServiceClient, creating: asyncio.Future[dict[str, Any]]) -> None:
    await service.cancel((await creating)["id"])


async def _watch(service: ServiceClient, generation: dict[str, Any], *, is_quiet: bool) -> dict[str, Any]:
    """The generation when it has ended, with its lanes drawn meanwhile."""
    lanes = Lanes()
    shown = nullcontext() if is_quiet or not err.is_terminal else Live(lanes, console=err, refresh_per_second=10)
    ends_early = f"before generation {generation['id']} ended; read it there later"
    try:
        with shown:
            async for name, event in service.follow(generation["id"]):
                if name == "generation":
                    return event
                lanes.add(event)
    except (aiohttp.ClientError, TimeoutError):
        raise ServiceFailed(f"the connection broke {ends_early}") from None
    raise ServiceFailed(f"the service stopped {ends_early}")


def _tell(generation: dict[str, Any]) -> None:
    asset = generation["asset"]
    if asset is not None:
        out.print(escape(asset["url"]), soft_wrap=True)
        channel = "SSE" if generation["channel"] == "sse" else "polling"
        attempts = generation["attempts"]
        err.print(
            f"[green]delivered[/] by [bold]{channel}[/] in {generation['duration_seconds']:.2f} s"
            f" ({attempts} {'attempt' if attempts == 1 else 'attempts'})"
        )
        return
    err.print(f"[red]{escape(explain_end(generation['outcome'], generation['reason'], generation['detail']))}[/]")
