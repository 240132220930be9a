"""`monitor token`: make a bearer token. Only its hash is for the settings."""

from typing import Annotated

import typer

from monitor.cli.output import err, out
from monitor.settings import Scope, check_name, hash_token
from monitor.web.access import new_token


def token(
    name: Annotated[str, typer.Argument(help="Who will use it: 1 to 40 of a-z, 0-9, '_' and '-'.")],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may do; may be given several times.")] = None,
) -> None:
    """Make a bearer token and the lines for the settings file. It is shown once and kept nowhere."""
    try:
        check_name(name)
    except ValueError as error:
        raise typer.BadParameter(f"{name!r}: {error}", param_hint="NAME") from None
    scopes = sorted(set(scope or [Scope.READ]))
    made = new_token()
    err.print("The token, shown this once; give it to the caller:")
    out.print(made)
    err.print("\nFor the settings file:")
    listed = ", ".join(f'"{item}"' for item in scopes)
    lines = ["[[tokens]]", f'name = "{name}"', f"scopes = [{listed}]", f'sha256 = "{hash_token(made)}"']
    for line in lines:
        err.print(line, markup=False)
