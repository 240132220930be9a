"""`monitor canary …`: what has to do with canaries."""

import typer

from monitor.cli.canary_commands import list_canaries, pause, resume, run_one
from monitor.cli.canary_plan import plan

canary = typer.Typer(help="Canaries: plan them, run one now, pause and resume them.", no_args_is_help=True)
canary.command()(plan)
canary.command("list")(list_canaries)
canary.command("run")(run_one)
canary.command()(pause)
canary.command()(resume)
