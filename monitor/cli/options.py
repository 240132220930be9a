"""Options that several commands have."""

import os
from typing import Annotated, Final

import typer

from monitor.cli.client import check_service_url

DEFAULT_URL: Final = "http://127.0.0.1:8080"


def _service_url(text: str) -> str:
    try:
        return check_service_url(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def as_given(words: str) -> str:
    """`words` as UTF-8, whatever the terminal is said to speak: its bytes were kept (PEP 383)."""
    try:
        return os.fsencode(words).decode()
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{os.fsencode(words)!r} is not UTF-8") from None


UrlOption = Annotated[str, typer.Option(envvar="MONITOR_URL", callback=_service_url, help="Where the service is.")]
