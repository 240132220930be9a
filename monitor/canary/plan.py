"""The plan: which canaries there are, when each is due, what it costs. Pure: whoever asks brings the time along.

Replicas agree without talking, since a tick depends on nothing but the settings: its place on the timetable's grid and
its jitter, which is a hash of the canary's name and of that place. A tick is known by the place (`planned_at`), which
stays the same when the jitter is changed: that is what is claimed in a store.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

from monitor.canary.money import NOTHING, Micros, micros
from monitor.delivery.model import Flow, GenerationRequest, Kind
from monitor.settings import CanariesSettings, CanarySettings, ProviderSettings, Settings, provider_of
from monitor.timetable import Period, Timetable

_INSTANT: Final = timedelta(microseconds=1)
_FAR: Final = timedelta(days=3_000)
_LONGEST_GAP: Final = timedelta(days=32)
"""As far as is looked back for the last tick; what runs more seldom is taken to run as its timetable's shortest gap."""


@dataclass(frozen=True, slots=True, order=True)
class Tick:
    """One run that is due: at `planned_at` by the timetable, at `due_at` with its jitter. Both are in UTC."""

    due_at: datetime
    planned_at: datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be spent in a calendar day and in a calendar month; None: no limit."""

    a_day: Micros | None = None
    a_month: Micros | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One canary, with all filled in that the settings left to a default. `price` is None where it is not known."""

    name: str
    provider: str
    model: str
    prompt: str
    kind: Kind
    flow: Flow
    timetable: Timetable
    jitter: timedelta
    price: Micros | None
    limits: Limits
    is_enabled: bool

    @property
    def cost(self) -> Micros:
        """What one run is counted with."""
        return NOTHING if self.price is None else self.price

    @property
    def request(self) -> GenerationRequest:
        """What is asked of the provider."""
        return GenerationRequest(self.prompt, self.model, self.kind, self.flow)

    def tick_after(self, moment: datetime) -> Tick | None:
        """The first tick that is due later than `moment`; None where none ever is, or it is run on demand only."""
        return next(self.ticks_after(moment), None)

    def ticks_after(self, moment: datetime) -> Iterator[Tick]:
        """All that are due later than `moment`, in order, without an end worth waiting for."""
        if self.is_enabled:
            ahead = Period(moment - self.jitter, moment + _FAR)
            yield from (tick for tick in self.ticks_planned(ahead) if tick.due_at > moment)

    def latest_tick(self, after: datetime, until: datetime) -> Tick | None:
        """The last of those that are due later than `after`, and at `until` at the latest. Looks back from the end."""
        earliest, reach = after - self.jitter, 2 * self.timetable.shortest_gap + self.jitter
        while self.is_enabled and after < until:
            start = max(earliest, until - reach)
            ticks = self.ticks_planned(Period(start, until + _INSTANT))
            if found := [tick for tick in ticks if after < tick.due_at <= until]:
                return max(found)
            if start == earliest:
                break
            reach *= 2
        return None

    def missed(self, after: datetime, tick: Tick) -> int:
        """How many were due later than `after` and are planned before `tick`."""
        put_off = self.ticks_planned(Period(after - self.jitter, min(after + _INSTANT, tick.planned_at)))
        taken = sum(earlier.due_at <= after for earlier in put_off)
        return self.runs(Period(after - self.jitter, tick.planned_at)) - taken

    def gap_around(self, moment: datetime) -> timedelta | None:
        """From the last tick that was due to the next, by the timetable; None where none is due any more."""
        following = self.tick_after(moment)
        if following is None:
            return None
        last = self.latest_tick(moment - _LONGEST_GAP, moment)
        return self.timetable.shortest_gap if last is None else following.planned_at - last.planned_at

    def ticks_planned(self, period: Period) -> Iterator[Tick]:
        """Those that the timetable has in `period`, with their jitter."""
        return map(self._jittered, self.timetable.within(period))

    def runs(self, period: Period) -> int:
        """How many ticks are planned in `period`."""
        return self.timetable.count(period) if self.is_enabled else 0

    def _jittered(self, planned_at: datetime) -> Tick:
        """The same on every replica; two canaries of one timetable are spread."""
        digest = hashlib.sha256(f"{self.name} {planned_at:%Y-%m-%dT%H:%M:%S.%f}".encode()).digest()
        share = int.from_bytes(digest[:4], "big")
        jitter_us = (self.jitter // _INSTANT) * share >> 32
        return Tick(planned_at + timedelta(microseconds=jitter_us), planned_at)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All canaries and what they may cost together. `zone` is where days and months of spending begin."""

    canaries: tuple[Canary, ...]
    zone: ZoneInfo
    limits: Limits
    provider_limits: Mapping[str, Limits]

    def canary(self, name: str) -> Canary | None:
        """The named canary."""
        return next((canary for canary in self.canaries if canary.name == name), None)

    @cached_property
    def costs(self) -> Mapping[tuple[str, Timetable], Micros]:
        """What the canaries of a provider that are due together cost, each once. They are counted at every tick."""
        costs: dict[tuple[str, Timetable], Micros] = {}
        for canary in self.canaries:
            if canary.is_enabled and canary.cost > 0:
                key = canary.provider, canary.timetable
                costs[key] = Micros(costs.get(key, NOTHING) + canary.cost)
        return costs


def build_plan(settings: Settings) -> Plan:
    """The plan that the settings describe; they have been checked by `load_settings`."""
    return Plan(
        canaries=tuple(_build_canary(canary, settings) for canary in settings.canary),
        zone=ZoneInfo(settings.canaries.time_zone),
        limits=_limits(settings.canaries),
        provider_limits={provider.name: _provider_limits(provider) for provider in settings.providers},
    )


def _build_canary(canary: CanarySettings, settings: Settings) -> Canary:
    provider = provider_of(canary, settings)
    if provider is None:
        raise ValueError(f"canary {canary.name}: no provider is named {canary.provider!r}")
    return Canary(
        name=canary.name,
        provider=provider.name,
        model=canary.model or provider.models[0],
        prompt=canary.prompt,
        kind=canary.kind,
        flow=canary.flow,
        timetable=canary.timetable(settings.canaries.time_zone),
        jitter=timedelta(seconds=canary.jitter_s),
        price=None if canary.price_usd is None else micros(canary.price_usd),
        limits=_limits(canary),
        is_enabled=canary.enabled,
    )


def _limits(section: CanarySettings | CanariesSettings) -> Limits:
    return _in_micros(section.max_usd_per_day, section.max_usd_per_month)


def _provider_limits(provider: ProviderSettings) -> Limits:
    return _in_micros(provider.max_canary_usd_per_day, provider.max_canary_usd_per_month)


def _in_micros(a_day: Decimal | None, a_month: Decimal | None) -> Limits:
    return Limits(None if a_day is None else micros(a_day), None if a_month is None else micros(a_month))
