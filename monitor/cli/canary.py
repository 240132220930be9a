"""`monitor canary …`: what has to do with canaries."""

import typer

from monitor.cli.canary_plan import plan

canary = typer.Typer(help="Plan canaries: how often they must run, and what that costs.", no_args_is_help=True)
canary.command()(plan)
