"""What the plan comes to: the next runs, how many there will be, what they cost, how much one loss would weigh. Pure.

A month is 30 days here, as the objective's period is; spending limits are not applied.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from monitor.canary.detection import Signal
from monitor.canary.money import Micros, to_the_cent
from monitor.canary.plan import Canary, Limits, Plan, Tick
from monitor.canary.spending import Span
from monitor.timetable import Period

MONTH: Final = timedelta(days=30)
_NEXT: Final = 3
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one canary, for the 30 days from a moment on."""

    canary: Canary
    next_ticks: tuple[Tick, ...]
    runs: int

    @property
    def runs_a_day(self) -> float:
        """On the average of these days."""
        return self.runs / MONTH.days

    @property
    def is_even(self) -> bool:
        """Whether it runs round the clock, rather than in some hours or on some days only."""
        return self.runs >= MONTH // self.canary.timetable.shortest_gap - 1 or not self.runs

    @property
    def cost(self) -> Micros | None:
        """Of all of them; None: what one costs is not known."""
        return None if self.canary.price is None else Micros(self.canary.price * self.runs)

    @property
    def cost_a_day(self) -> Micros | None:
        """On the average of these days."""
        return None if self.cost is None else to_the_cent(self.cost / MONTH.days)


def forecast(canary: Canary, now: datetime) -> Forecast:
    """What `canary` will do from `now` on."""
    return Forecast(canary, tuple(islice(canary.ticks_after(now), _NEXT)), canary.runs(Period(now, now + MONTH)))


def forecasts(plan: Plan, now: datetime) -> tuple[Forecast, ...]:
    """Of all canaries, in the order of the settings."""
    return tuple(forecast(canary, now) for canary in plan.canaries)


def total_cost(found: Iterable[Forecast]) -> Micros | None:
    """Of all that run; None: what one of them costs is not known."""
    costs = [each.cost for each in found if each.runs]
    known = [cost for cost in costs if cost is not None]
    return Micros(sum(known)) if len(known) == len(costs) else None


def unpaid(cost: Micros, limits: Limits) -> Iterator[tuple[Span, Micros]]:
    """The limits that do not pay for `cost` in a month, if it is spent evenly."""
    for span, limit, days in ((Span.DAY, limits.a_day, 1), (Span.MONTH, limits.a_month, MONTH.days)):
        if limit is not None and cost * days > limit * MONTH.days:
            yield span, limit


def budget_share(found: Iterable[Forecast], objective: float) -> float | None:
    """What share of a month's error budget one loss is, if there is nothing else than these; None: they never run.

    More than 1: a single loss breaks the objective.
    """
    runs = sum(each.runs for each in found)
    return 1 / (runs * (1 - objective)) if runs else None


def planned_signal(found: Iterable[Forecast], traffic: Signal) -> Signal:
    """`traffic`, and what these canaries add to it, as if they ran evenly round the clock."""
    runs_a_day = [each.runs_a_day for each in found if each.runs]
    return Signal(
        a_day=traffic.a_day + sum(runs_a_day),
        known_after_s=traffic.known_after_s,
        canary_interval_s=_DAY_S / max(runs_a_day) if runs_a_day else traffic.canary_interval_s,
    )
