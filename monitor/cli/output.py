"""Where words for people go."""

from typing import Any, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape

out: Final = Console(highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> None:
    """Say what went wrong."""
    err.print(f"[bold red]error:[/] {escape(message)}")


def print_json(answer: Any) -> None:
    """For programs: as UTF-8, whatever the terminal speaks (RFC 8259, section 8.1)."""
    typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
