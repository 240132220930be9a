"""Shares, amounts and spans of time as people write them on the command line, and as they are told in answer."""

import re
from decimal import Decimal
from typing import Final

import typer
from pydantic import TypeAdapter, ValidationError

from monitor.canary.money import Micros, micros
from monitor.settings.section import Usd
from monitor.web.windows import MAX_WINDOW, parse_window

_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%")
_USD: Final[TypeAdapter[Decimal]] = TypeAdapter(Usd)
_MINUTE_S: Final = 60
_WORDS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def parse_share(text: str, option: str) -> float:
    """A share as `99.5%`. Raises BadParameter; without the sign, 0.95 could be meant either way."""
    found = _SHARE.fullmatch(text.strip())
    if found is None or float(found[1]) > 100:
        raise typer.BadParameter(
            f"{text!r} is not a share; write it as 95% or 99.5%, from 0% to 100%", param_hint=option
        )
    return round(float(found[1]) / 100, 8)


def parse_span(text: str, option: str) -> float:
    """Seconds of a span of time as `90s`, `15m`, `1h` or `7d`. Raises BadParameter."""
    try:
        return parse_window(text.strip()).total_seconds()
    except ValueError:
        allowed = f"90s, 15m, 1h or 7d, over 0 and up to {MAX_WINDOW.days}d"
        raise typer.BadParameter(f"{text!r} is not a span of time; write it as {allowed}", param_hint=option) from None


def parse_usd(text: str, option: str) -> Micros:
    """US dollars as `0.04`. Raises BadParameter."""
    try:
        return micros(_USD.validate_python(text))
    except ValidationError:
        raise typer.BadParameter(
            f"{text!r} is not a price; write US dollars as 0.04, with six places at the most", param_hint=option
        ) from None


def render_span(span_s: float) -> str:
    """`2.5s`, `15m`, `1h 30m`: the two largest units."""
    if span_s < _MINUTE_S:
        return f"{span_s:.3g}s"
    rest_s, parts = round(span_s), []
    for unit_s, unit in _WORDS:
        number, rest_s = divmod(rest_s, unit_s)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2])
