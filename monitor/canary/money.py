"""Money, exact: whole millionths of a US dollar, so that no sum drifts."""

from decimal import Decimal
from typing import Final, NewType

Micros = NewType("Micros", int)
"""Millionths of a US dollar."""

NOTHING: Final = Micros(0)
_PER_DOLLAR: Final = 1_000_000
_MICROS_OF_CENT: Final = 10_000
_CENT: Final = Decimal("0.01")


def micros(usd: Decimal) -> Micros:
    """US dollars as the settings have them, with six places at the most."""
    return Micros(int(usd * _PER_DOLLAR))


def dollars(amount: Micros) -> Decimal:
    """The same in US dollars, exact."""
    return Decimal(amount) / _PER_DOLLAR


def to_the_cent(amount: float) -> Micros:
    """An average, which need not be exact, as people write it."""
    return Micros(round(amount / _MICROS_OF_CENT) * _MICROS_OF_CENT)


def render_usd(amount: Micros) -> str:
    """For people: to the cent, and smaller parts where there are any."""
    usd = dollars(amount)
    exact = usd.quantize(_CENT) if usd == usd.quantize(_CENT) else usd.normalize()
    return f"${exact:,f}"
