"""`monitor report`: how delivery went over a window of time, for people, for programs, or to be kept."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from monitor.cli.client import ServiceFailed, open_service
from monitor.cli.loop import run
from monitor.cli.options import DEFAULT_URL, UrlOption
from monitor.cli.output import err, out, print_json
from monitor.cli.report_page import render_page
from monitor.cli.report_table import render_tables
from monitor.cli.report_words import Source
from monitor.delivery.clock import Clock
from monitor.web.windows import parse_window

STDOUT: Final = Path("-")


def _window(text: str) -> str:
    try:
        parse_window(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def report(
    window: Annotated[
        str, typer.Option(callback=_window, help="How far back, as 90s, 15m, 1h or 7d; at most 366d.")
    ] = "24h",
    url: UrlOption = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(allow_dash=True, dir_okay=False, help="Write a page with charts to this file; - is stdout."),
    ] = None,
) -> None:
    """Show delivery against the objective, and SSE and polling side by side.

    The page is one file that needs no other and no network. Exit codes: 0 told, 1 trouble with the service, 2 wrong
    usage. The token, if the service wants one, comes from MONITOR_TOKEN; it needs the scope `read`.
    """
    if as_json and html == STDOUT:
        raise typer.BadParameter("only one of them can go to stdout; give --html a file", param_hint="--json, --html -")
    summary = run(_fetch(url, window, with_distributions=html is not None))
    source = Source(url, Clock().now())
    if html is not None:
        _write(html, render_page(summary, source))
    if as_json:
        print_json(summary)
    elif html is None:
        out.print(render_tables(summary, source))


async def _fetch(url: str, window: str, *, with_distributions: bool) -> dict[str, Any]:
    """The summary. Raises ServiceFailed, also where something else answers."""
    async with open_service(url) as service:
        summary = await service.summarize(window, with_distributions=with_distributions)
    if not {"delivery", "channels"} <= summary.keys():
        raise ServiceFailed("what answers there is no generation monitor")
    wanted = {"delivery_by_origin", "render_times", *(("distributions",) if with_distributions else ())}
    if missing := wanted - summary.keys():
        raise ServiceFailed(f"the service is older than this command: it tells no {' and no '.join(sorted(missing))}")
    return summary


def _write(file: Path, page: str) -> None:
    """As UTF-8, whatever the terminal speaks: the page says that it is."""
    if file == STDOUT:
        typer.echo(page.encode(), nl=False)
    else:
        file.write_bytes(page.encode())
        err.print(f"written to {file}", markup=False)
