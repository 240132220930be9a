"""All commands, and what becomes of their trouble. Only the one that is run is imported: the others need a lot."""

import sys
from importlib import import_module
from typing import Final

import typer

from monitor.cli.output import fail
from monitor.delivery.errors import MonitorError, SettingsInvalid

_ROOMS: Final = {
    "serve": "serve",
    "demo": "demo",
    "generate": "generate",
    "report": "report",
    "check": "check",
    "token": "token",
    "version": "version",
    "simulate-provider": "simulate",
    "canary": "canary",
}
"""The module of each command, which is there under its own name."""


def build_app(wanted: str) -> typer.Typer:
    """The command line, with the command that is wanted; with all where it is none of them, to show what there is."""
    app = typer.Typer(
        help="Runs AI generations over SSE first and polling second, and proves which channel delivered.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",  # its lines are wrapped where the terminal ends, not where ours do
    )
    app.callback()(_nothing)
    for name in (wanted,) if wanted in _ROOMS else _ROOMS:
        command = getattr(import_module(f"monitor.cli.{_ROOMS[name]}"), name.replace("-", "_"))
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def run_command() -> None:
    """Run what the command line says. What is the user's to mend is told in words, without a traceback."""
    try:
        build_app(sys.argv[1] if len(sys.argv) > 1 else "")()
    except SettingsInvalid as error:
        for problem in error.problems:
            fail(problem)
        sys.exit(2)
    except (MonitorError, OSError) as error:
        fail(str(error))
        sys.exit(1)


def _nothing() -> None:
    """Makes one command a command all the same, and not the whole program."""
