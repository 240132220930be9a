"""Numbers as Grafana writes them, by the name of their unit."""

import math
from datetime import UTC, datetime
from typing import Final

_LARGE: Final = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"))
_BINARY: Final = ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"))
_A_SECOND: Final = {"reqps": " req/s", "eps": " ev/s"}
_TIME: Final = ((86_400, " d"), (3_600, " h"), (60, " min"))


def written(value: float, unit: str, decimals: int | None = None) -> str:
    """A number with its unit; what is no number is a dash."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{_digits(value * 100, 1 if decimals is None else decimals)}%"
    if unit == "s":
        return _seconds(value)
    if unit == "bytes":
        return _scaled(value, _BINARY, decimals, " B")
    if unit == "dateTimeFromNow":
        return f"{_seconds(datetime.now(UTC).timestamp() - value / 1_000, 0)} ago"
    if unit == "currencyUSD":
        return f"${_digits(value, 2)}"
    if unit.startswith("suffix:"):
        return f"{_digits(value, decimals)}{unit.removeprefix('suffix:')}"
    if unit == "none":
        return _digits(value, decimals)
    return _scaled(value, _LARGE, decimals, "") + _A_SECOND.get(unit, "")


def _seconds(value: float, decimals: int | None = None) -> str:
    if 0 < abs(value) < 1:
        return f"{_digits(value * 1_000, None)} ms"
    return _scaled(value, _TIME, decimals, " s")


def _scaled(value: float, scale: tuple[tuple[float, str], ...], decimals: int | None, plain: str) -> str:
    for size, suffix in scale:
        if abs(value) >= size:
            return f"{_digits(value / size, decimals)}{suffix}"
    return f"{_digits(value, decimals)}{plain}"


def _digits(value: float, decimals: int | None) -> str:
    """Three digits that matter, unless it is told how many follow the point."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == 0:
        return "0"
    return (
        f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}".rstrip("0").rstrip(".")
        if abs(value) < 100
        else f"{value:.0f}"
    )
