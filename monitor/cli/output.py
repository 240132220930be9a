"""Where words for people go."""

from typing import Final

from rich.console import Console
from rich.markup import escape

out: Final = Console(highlight=False, soft_wrap=True)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> None:
    """Say what went wrong."""
    err.print(f"[bold red]error:[/] {escape(message)}")
