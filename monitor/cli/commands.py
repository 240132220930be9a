"""All commands, and what becomes of their trouble."""

import sys

import typer

from monitor.cli.canary import canary
from monitor.cli.check import check
from monitor.cli.demo import demo
from monitor.cli.generate import generate
from monitor.cli.output import fail
from monitor.cli.report import report
from monitor.cli.serve import serve
from monitor.cli.simulate import simulate_provider
from monitor.cli.token import token
from monitor.cli.version import version
from monitor.delivery.errors import MonitorError, SettingsInvalid

app = typer.Typer(
    help="Runs AI generations over SSE first and polling second, and proves which channel delivered.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, demo, generate, report, check, token, version):
    app.command()(command)
app.command("simulate-provider")(simulate_provider)
app.add_typer(canary, name="canary")


def run_command() -> None:
    """Run what the command line says. What is the user's to mend is told in words, without a traceback."""
    try:
        app()
    except SettingsInvalid as error:
        for problem in error.problems:
            fail(problem)
        sys.exit(2)
    except (MonitorError, OSError) as error:
        fail(str(error))
        sys.exit(1)
