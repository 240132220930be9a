"""Timetables: the instants at which something is due, without an end, for everybody the same.

An *interval* counts time that passes, from the epoch on, so that all replicas agree on its grid and the clocks of no
zone can bend it. A *crontab line* goes by the clocks: a time that is skipped is made up for, one that comes twice
counts once. Only where it names every hour does it go by time that passes as well, as `*/5 * * * *` is meant: nothing
is left out and nothing made up for.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from monitor.timetable.crontab import Crontab
from monitor.timetable.hours import Hours
from monitor.timetable.local_time import Period, instant_of, instants_of, is_plain, midnight, shown_at

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_MINUTES_OF_DAY: Final = 24 * 60
_HORIZON: Final = timedelta(days=8 * 366 + 2)
"""From a 29 February to the next it may be eight years. What is not due for longer never is."""


class Timetable(Hashable, Protocol):
    """The instants at which something is due, in UTC. Two that say the same are equal."""

    @property
    def zone(self) -> ZoneInfo:
        """By whose clocks it is told."""

    @property
    def shortest_gap(self) -> timedelta:
        """Two that follow each other are never nearer, but for those that are made up for when clocks go forward."""

    def first_from(self, moment: datetime) -> datetime | None:
        """The first one at `moment` or later; None if there never is one."""

    def within(self, period: Period) -> Iterator[datetime]:
        """Those in `period`, in order."""

    def count(self, period: Period) -> int:
        """How many there are in `period`."""

    def index(self, due: datetime) -> int:
        """The number of one of them: consecutive ones have consecutive numbers, but for leaps between days."""


@dataclass(frozen=True, slots=True)
class IntervalTimetable:
    """Every `interval` since the epoch; of those, where `hours` are given, the ones in these hours of `zone`."""

    interval: timedelta
    zone: ZoneInfo
    hours: Hours | None = None

    @property
    def shortest_gap(self) -> timedelta:
        """The interval."""
        return self.interval

    def first_from(self, moment: datetime) -> datetime | None:
        """See `Timetable`."""
        ahead = Period(moment, moment + _HORIZON)
        return next(self.within(ahead), None)

    def within(self, period: Period) -> Iterator[datetime]:
        """See `Timetable`."""
        for first, end in self._runs(period):
            for number in range(first, end):
                yield EPOCH + number * self.interval

    def count(self, period: Period) -> int:
        """See `Timetable`."""
        return sum(end - first for first, end in self._runs(period))

    def index(self, due: datetime) -> int:
        """Intervals since the epoch."""
        return (due - EPOCH) // self.interval

    def _runs(self, period: Period) -> Iterator[tuple[int, int]]:
        """Numbers of those in `period`, as ranges without their ends."""
        for part in self._open(period):
            yield self._number_from(part.start), self._number_from(part.end)

    def _number_from(self, moment: datetime) -> int:
        return -((EPOCH - moment) // self.interval)

    def _open(self, period: Period) -> Iterator[Period]:
        """What of `period` is within the hours, in order and apart."""
        if self.hours is None:
            yield period
            return
        start, day = period.start, shown_at(period.start, self.zone).date() - _DAY
        while start < period.end:
            opened = self.hours.on(day, self.zone)
            part = Period(max(start, opened.start), min(period.end, opened.end))
            if part.start < part.end:
                yield part
            start, day = max(start, part.start, opened.end), day + _DAY

    def __str__(self) -> str:
        every = f"every {self.interval.total_seconds():g} s"
        return f"{every}, {self.hours} {self.zone.key}" if self.hours else every


@dataclass(frozen=True, slots=True)
class CrontabTimetable:
    """When the clocks of `zone` show what `crontab` names; of those, where `hours` are given, the ones in them."""

    crontab: Crontab
    zone: ZoneInfo
    hours: Hours | None = None

    @property
    def shortest_gap(self) -> timedelta:
        """As the line says; the hours are not looked at."""
        return self.crontab.shortest_gap

    def first_from(self, moment: datetime) -> datetime | None:
        """See `Timetable`."""
        return next(self.within(Period(moment, moment + _HORIZON)), None)

    def within(self, period: Period) -> Iterator[datetime]:
        """See `Timetable`."""
        for day in self._days(period):
            yield from self._on(day, period)

    def count(self, period: Period) -> int:
        """See `Timetable`. On days on which no clock is moved, they are not counted one by one."""
        return sum(self._count_on(day, period) for day in self._days(period))

    def index(self, due: datetime) -> int:
        """Counted from the beginning of the month in `zone`."""
        shown = shown_at(due, self.zone)
        before = sum(self.crontab.names(date(shown.year, shown.month, day)) for day in range(1, shown.day))
        minute = shown.hour * 60 + shown.minute
        return before * len(self.crontab.minutes) + sum(earlier < minute for earlier in self.crontab.minutes)

    def _days(self, period: Period) -> Iterator[date]:
        """The days on which there may be some."""
        day, last = (shown_at(moment, self.zone).date() for moment in (period.start, period.end))
        while day <= last:
            if self.crontab.names(day) or self.crontab.names(day - _DAY):
                yield day
            day += _DAY

    def _on(self, day: date, period: Period) -> Iterator[datetime]:
        """Those of `period` that fall on `day`, in order."""
        if is_plain(day, self.zone):
            start = midnight(day, self.zone)
            due = (start + timedelta(minutes=minute) for minute in self._minutes(day, start, period))
        else:
            due = (moment for moment in self._on_moved_clocks(day) if moment in period)
        return due if self.hours is None else (moment for moment in due if self._is_open(day, moment))

    def _count_on(self, day: date, period: Period) -> int:
        if self.hours is None and is_plain(day, self.zone):
            return len(self._minutes(day, midnight(day, self.zone), period))
        return sum(1 for _ in self._on(day, period))

    def _minutes(self, day: date, start: datetime, period: Period) -> tuple[int, ...]:
        """The minutes of a day that began at `start`, of those that are in `period`."""
        minutes = self.crontab.minutes if self.crontab.names(day) else ()
        first, end = (-((start - moment) // _MINUTE) for moment in (period.start, period.end))
        if first <= 0 and end >= _MINUTES_OF_DAY:
            return minutes
        return minutes[bisect_left(minutes, first) : bisect_left(minutes, end)]

    def _on_moved_clocks(self, day: date) -> list[datetime]:
        """Those of `day`, one by one; a time that was skipped on the eve may fall on it."""
        shown = [*self.crontab.times(day - _DAY), *self.crontab.times(day)]
        if self.crontab.is_hourly:
            due = {at for time in shown for at in instants_of(time, self.zone)}
        else:
            due = {instant_of(time, self.zone) for time in shown}
        whole = Period(midnight(day, self.zone), midnight(day + _DAY, self.zone))
        return sorted(at for at in due if at in whole)

    def _is_open(self, day: date, moment: datetime) -> bool:
        return self.hours is None or any(moment in self.hours.on(begun, self.zone) for begun in (day - _DAY, day))

    def __str__(self) -> str:
        hours = f", {self.hours}" if self.hours else ""
        return f"{self.crontab}{hours} {self.zone.key}"
