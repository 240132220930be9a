"""May a canary run now, as far as money goes? Limits a canary, a provider and in total, a day and a month. Pure.

While what is planned for the rest of a period costs no more than what is left of its limit, every tick runs. Where it
costs more, runs are left out evenly until the period ends, so that there is a signal at every hour rather than none
after noon. Where what is left does not pay for one more run, none is made.

**Which ticks are left out** needs no memory and no chance, so all replicas agree. The ticks' numbers are laid round a
circle in steps of the golden ratio, which spreads consecutive ones more evenly than any other step (the three-gap
theorem: V. T. Sós, 1958; S. Świerczkowski, 1959). A tick runs when it falls on the first `left / planned` of the
circle. The share is computed anew for every tick, so what others spend meanwhile is taken into account, and the money
lasts to the end of the period exactly.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from monitor.canary.money import NOTHING, Micros, render_usd
from monitor.canary.plan import Canary, Limits, Plan, Tick
from monitor.store.ledger import AccountKey
from monitor.timetable import Period, Timetable, day_around, month_around

_INSTANT: Final = timedelta(microseconds=1)
_CIRCLE: Final = 1 << 64
_GOLDEN_STEP: Final = 0x9E3779B97F4A7C15
"""The golden ratio's share of the circle: 2^64 / 1.618…, made odd."""


class Holder(StrEnum):
    """Whose limit it is."""

    CANARY = "canary"
    PROVIDER = "provider"
    TOTAL = "total"


class Span(StrEnum):
    """What a limit is for; both are of the calendar."""

    DAY = "day"
    MONTH = "month"


class Choice(StrEnum):
    """What becomes of a tick, as far as money goes."""

    ALLOW = "allow"
    THIN = "thin"
    """Left out so that the money lasts."""
    STOP = "stop"
    """There is no money left for one more."""


@dataclass(frozen=True, slots=True)
class Account:
    """What one holder spends in one day or month. `name` is the canary's or the provider's, and empty in total."""

    holder: Holder
    name: str
    span: Span
    period: Period
    limit: Micros | None

    @property
    def key(self) -> AccountKey:
        """Where the store counts it: whatever the limit is."""
        return AccountKey(self.holder, self.name, self.span, self.period.start)

    @property
    def title(self) -> str:
        """What its limit is called in metrics and on pages."""
        return f"{self._owner}, {self.span}"

    def __str__(self) -> str:
        return f"the limit a {self.span} of {self._owner}"

    @property
    def _owner(self) -> str:
        return f"{self.holder} {self.name}" if self.name else "all canaries"


@dataclass(frozen=True, slots=True)
class Decision:
    """The choice, and the account that led to it; None where nothing stands in the way."""

    choice: Choice
    account: Account | None = None
    left: Micros = NOTHING
    planned: Micros = NOTHING
    """What all ticks to the end of the period would cost, with this one."""

    def __str__(self) -> str:
        if self.account is None:
            return "within all limits"
        left = f"{render_usd(max(self.left, NOTHING))} of {render_usd(self.account.limit or NOTHING)} left"
        if self.choice is Choice.STOP:
            return f"{self.account} is reached: {left}"
        return f"{self.account} is near: {left} for {render_usd(self.planned)} that are planned"


_FREE: Final = Decision(Choice.ALLOW)
_Holding = tuple[Holder, str, Limits]


def accounts(plan: Plan, canary: Canary, moment: datetime) -> tuple[Account, ...]:
    """The six that a run of `canary` at `moment` is counted in, also those without a limit."""
    return tuple(_accounts(plan, _holders(plan, canary), moment))


def all_accounts(plan: Plan, moment: datetime) -> tuple[Account, ...]:
    """Those of all canaries at `moment`, each once."""
    holders = dict.fromkeys(holder for canary in plan.canaries for holder in _holders(plan, canary))
    return tuple(_accounts(plan, holders, moment))


def _holders(plan: Plan, canary: Canary) -> tuple[_Holding, ...]:
    return (
        (Holder.CANARY, canary.name, canary.limits),
        (Holder.PROVIDER, canary.provider, plan.provider_limits.get(canary.provider, Limits())),
        (Holder.TOTAL, "", plan.limits),
    )


def _accounts(plan: Plan, holders: Iterable[_Holding], moment: datetime) -> Iterator[Account]:
    day, month = day_around(moment, plan.zone), month_around(moment, plan.zone)
    for holder, name, limits in holders:
        yield Account(holder, name, Span.DAY, day, limits.a_day)
        yield Account(holder, name, Span.MONTH, month, limits.a_month)


def decide_tick(plan: Plan, canary: Canary, tick: Tick, now: datetime, spent: Mapping[Account, Micros]) -> Decision:
    """Whether `tick` may run at `now`. `spent` has what is counted in the accounts; what is not there is 0.

    Whoever spends must still refuse, in one step with counting it, what would go past a limit.
    """
    choices = [_choose(plan, canary, tick, now, account, left) for account, left in _left(plan, canary, now, spent)]
    return _strictest(choices)


def decide_on_demand(plan: Plan, canary: Canary, now: datetime, spent: Mapping[Account, Micros]) -> Decision:
    """Whether a run that a person asked for may be made: while there is money left for it."""
    choices = [_stop(account, left) for account, left in _left(plan, canary, now, spent) if left < canary.cost]
    return _strictest(choices)


def _left(
    plan: Plan, canary: Canary, now: datetime, spent: Mapping[Account, Micros]
) -> Iterator[tuple[Account, Micros]]:
    """What is left of each limit. A run that costs nothing needs none."""
    if canary.cost > 0:
        for account in accounts(plan, canary, now):
            if account.limit is not None:
                yield account, Micros(account.limit - spent.get(account, NOTHING))


def _choose(plan: Plan, canary: Canary, tick: Tick, now: datetime, account: Account, left: Micros) -> Decision:
    if left < canary.cost:
        return _stop(account, left)
    planned = Micros(canary.cost + _planned(plan, canary, account, now))
    if planned <= left:
        return _FREE
    place = (canary.timetable.index(tick.planned_at) * _GOLDEN_STEP + _start_of(canary.name)) % _CIRCLE
    runs = place * planned < left * _CIRCLE
    return Decision(Choice.ALLOW if runs else Choice.THIN, account, left, planned)


def _stop(account: Account, left: Micros) -> Decision:
    return Decision(Choice.STOP, account, left)


def _strictest(decisions: list[Decision]) -> Decision:
    """One that stops, else one that thins, and of these the one with the least left for what is planned."""
    severity = list(Choice)
    return max(
        decisions,
        key=lambda found: (severity.index(found.choice), found.planned / found.left if found.left > 0 else 0),
        default=_FREE,
    )


def _planned(plan: Plan, canary: Canary, account: Account, now: datetime) -> Micros:
    """What the ticks that are planned later than `now` and before the end of the period would cost."""
    day = day_around(now, plan.zone)
    today, later = Period(now + _INSTANT, day.end), Period(day.end, account.period.end)
    costs = _costs(plan, canary, account)
    return Micros(sum(cost * (_count(each, today) + _count_days(each, later)) for each, cost in costs))


def _costs(plan: Plan, canary: Canary, account: Account) -> Iterable[tuple[Timetable, Micros]]:
    """What is counted in `account`, which `canary` is counted in too, whenever a timetable has a tick."""
    if account.holder is Holder.CANARY:
        return ((canary.timetable, canary.cost),)
    is_total = account.holder is Holder.TOTAL
    return (
        (timetable, cost) for (provider, timetable), cost in plan.costs.items() if is_total or provider == account.name
    )


def _count(timetable: Timetable, period: Period) -> int:
    return timetable.count(period) if period.start < period.end else 0


@lru_cache(maxsize=1024)
def _count_days(timetable: Timetable, days: Period) -> int:
    """Kept: it is the same for all ticks of a day."""
    return _count(timetable, days)


@lru_cache(maxsize=1024)
def _start_of(name: str) -> int:
    """Where on the circle a canary begins, so that those of one timetable do not leave out the same ticks."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
