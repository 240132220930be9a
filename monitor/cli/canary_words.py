"""What several commands say of canaries."""

from collections.abc import Iterator

from monitor.canary.forecast import unpaid
from monitor.canary.money import Micros, render_usd
from monitor.canary.plan import Limits


def number_words(number: float) -> str:
    """How many on the average: whole where it is whole."""
    return f"{number:,.1f}".removesuffix(".0")


def cost_words(cost: Micros | None) -> str:
    """What it costs; a dash where that is not known."""
    return "–" if cost is None else render_usd(cost)


def unpaid_words(cost: Micros | None, limits: Limits, holder: str) -> Iterator[str]:
    """Each limit that does not pay for `cost` in 30 days."""
    for span, limit in unpaid(cost, limits) if cost is not None else ():
        yield f"The limit a {span} of {holder}, {render_usd(limit)}, does not pay for it; runs are left out."
