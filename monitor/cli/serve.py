"""`monitor serve`: the service, until it is told to stop."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from monitor.app import build_app
from monitor.cli.loop import favour_the_event_loop, on_hangup, run, until_told_to_stop
from monitor.cli.output import err
from monitor.settings import Settings, load_settings
from monitor.telemetry.logs import configure_logging
from monitor.telemetry.stderr import stderr_in_background
from monitor.web.context import CONTEXT
from monitor.web.listening import listening

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", dir_okay=False, help="Settings file; default: $MONITOR_CONFIG, else ./monitor.toml."
    ),
]

_logger = structlog.stdlib.get_logger(__name__)


def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, over the settings.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, over the settings; 0 takes a free one.")] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    for key, value in (("HOST", host), ("PORT", port)):
        if value is not None:  # an option is one more variable: checked with everything else, and wins over the file
            os.environ[f"MONITOR_SERVER__{key}"] = str(value)
    settings = load_settings(config)
    with stderr_in_background():
        configure_logging(settings.logging)
        run(_serve(settings, partial(load_settings, config)))


async def _serve(settings: Settings, read_again: Callable[[], Settings]) -> None:
    """Listen, wait, and end in order: no new connections, callers' streams closed, generations left resumable."""
    server, app = settings.server, build_app(settings, read_again=read_again)
    async with listening(app, server.host, server.port, shutdown_s=server.shutdown_grace / 3) as url:
        favour_the_event_loop()
        on_hangup(app[CONTEXT].reloader.reload_soon)
        err.print(f"monitor listens on {url}  (metrics at /metrics, status page at /)")
        await until_told_to_stop()
        _logger.info("monitor stops; generations in flight are taken up again at the next start")
