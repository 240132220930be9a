"""Options that several commands have."""

from typing import Annotated, Final

import typer

from monitor.cli.client import check_service_url

DEFAULT_URL: Final = "http://127.0.0.1:8080"


def _service_url(text: str) -> str:
    try:
        return check_service_url(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


UrlOption = Annotated[str, typer.Option(envvar="MONITOR_URL", callback=_service_url, help="Where the service is.")]
