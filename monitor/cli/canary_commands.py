"""`monitor canary list | run | pause | resume`: the canaries of a service that runs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from monitor.canary.money import micros, render_usd
from monitor.cli.client import open_service
from monitor.cli.loop import run
from monitor.cli.one_generation import show_generation
from monitor.cli.options import DEFAULT_URL, UrlOption, as_given
from monitor.cli.output import out, print_json
from monitor.cli.quantities import parse_span
from monitor.delivery.model import Outcome
from monitor.settings import check_name
from monitor.web.wording import ago, ahead

_MARKS: Final = {Outcome.DELIVERED: "[green]■[/]", Outcome.CANCELLED: "[dim]■[/]", None: "[blue]□[/]"}
_BAD: Final = "[red]■[/]"


def _check(name: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise typer.BadParameter(f"{name!r}: {error}") from None


def _check_all(names: list[str]) -> list[str]:
    return [_check(name) for name in names]


NameArgument = Annotated[str, typer.Argument(callback=_check, help="Name of the canary.")]
NamesArgument = Annotated[list[str], typer.Argument(callback=_check_all, help="Names of canaries.")]


def list_canaries(
    url: UrlOption = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON, and nothing else.")] = False,
) -> None:
    """Show each canary: its last runs, when it is due next, what it spent."""
    canaries = run(_canaries(url))
    if as_json:
        print_json(canaries)
    else:
        out.print(_table(canaries) if canaries else "No canaries are in the settings of this service.")


def run_one(
    name: NameArgument,
    url: UrlOption = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the generation as JSON, and nothing else.")] = False,
) -> None:
    """Run a canary once, now, and show how it is delivered. It is paid for, and counts in the limits.

    Exit codes are those of `monitor generate`. The token, of scope `admin`, comes from MONITOR_TOKEN.
    """
    show_generation(url, lambda service: service.run_canary(name), as_json=as_json)


def pause(
    names: NamesArgument,
    reason: Annotated[str, typer.Option(callback=as_given, help="Why; the status page tells it.")],
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long, as 30m, 2h or 1d; at most 90d.")],
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Have canaries not run by themselves for a time, as for planned maintenance. Alerts of silence know of it."""
    run(_pause(url, names, reason, parse_span(lasting, "--for")))


def resume(names: NamesArgument, url: UrlOption = DEFAULT_URL) -> None:
    """End the pause of canaries."""
    run(_resume(url, names))


async def _canaries(url: str) -> list[dict[str, Any]]:
    async with open_service(url) as service:
        return await service.canaries()


async def _pause(url: str, names: Sequence[str], reason: str, for_s: float) -> None:
    async with open_service(url) as service:
        for name in names:
            paused = await service.pause_canary(name, reason, for_s)
            out.print(f"{name} is paused until {_clock(paused['pause']['until'])}")


async def _resume(url: str, names: Sequence[str]) -> None:
    async with open_service(url) as service:
        for name in names:
            await service.resume_canary(name)
            out.print(f"{name} runs again")


def _table(canaries: Sequence[dict[str, Any]]) -> Table:
    table = Table("canary", "model", "last runs", "next run", "today", "this month", box=None, pad_edge=False)
    for canary in canaries:
        spent = [_spent(canary["spending"][span]) for span in ("day", "month")]
        table.add_row(canary["name"], escape(canary["model"]), _runs(canary["runs"]), _next(canary), *spent)
    return table


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    """The newest at the right."""
    marks = (_MARKS.get(run["outcome"], _BAD) for run in reversed(runs[:20]))
    return "".join(marks) or "none yet"


def _next(canary: dict[str, Any]) -> str:
    if canary["pause"] is not None:
        return f"[yellow]paused[/] until {_clock(canary['pause']['until'])}: {escape(canary['pause']['reason'])}"
    if not canary["enabled"]:
        return "on demand"
    now, skip = datetime.now(UTC), canary["last_skip"]
    due = ahead(canary["next_at"] and datetime.fromisoformat(canary["next_at"]), now)
    if skip is None:
        return due
    left_out = f"left out {ago(datetime.fromisoformat(skip['at']), now)}"
    return f"{due} [yellow]({left_out}: {escape(skip['detail'] or skip['reason'])})[/]"


def _clock(instant: str) -> str:
    return f"{datetime.fromisoformat(instant):%Y-%m-%d %H:%M:%S} UTC"


def _spent(spending: dict[str, Any]) -> str:
    spent, limit = spending["spent_usd"], spending["limit_usd"]
    return _usd(spent) + ("" if limit is None else f" of {_usd(limit)}")


def _usd(amount: float) -> str:
    """JSON has exact amounts as the nearest float, which is written as it was."""
    return render_usd(micros(Decimal(str(amount))))
