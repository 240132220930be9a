"""`monitor generate`: one generation, with both channels to be seen at work."""

from typing import Annotated

import typer

from monitor.cli.one_generation import show_generation
from monitor.cli.options import DEFAULT_URL, UrlOption, as_given
from monitor.delivery.model import Flow, Kind


def generate(
    prompt: Annotated[str, typer.Argument(callback=as_given, help="What to make.")],
    provider: Annotated[str | None, typer.Option(help="Default: the first of the settings.")] = None,
    model: Annotated[str | None, typer.Option(help="Default: the provider's first.")] = None,
    kind: Annotated[Kind, typer.Option(help="What to make of it.")] = Kind.IMAGE,
    flow: Annotated[Flow, typer.Option(help="Which create call of the provider.")] = Flow.FILE,
    url: UrlOption = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="Print the generation as JSON, and nothing else.")] = False,
) -> None:
    """Run one generation through the service and show how it is delivered.

    Exit codes: 0 delivered, 3 expired, 4 provider failed, 5 rejected, 6 cancelled, 1 trouble with the service, 2 wrong
    usage, 130 Ctrl-C or SIGTERM, which cancel it. The token, if the service wants one, comes from MONITOR_TOKEN.
    """
    body = {"prompt": prompt, "provider": provider, "model": model, "kind": kind, "flow": flow}
    given = {key: value for key, value in body.items() if value is not None}
    show_generation(url, lambda service: service.create(given), as_json=as_json)
