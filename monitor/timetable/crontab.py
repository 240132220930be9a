"""A line of crontab(5), read: which minutes of which days it names.

Written here since a scheduler's own reading differs from crontab(5): it may count week days from Monday, and want both
the day of the month and the day of the week to match where the manual takes either.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

_MINUTES_OF_DAY: Final = 24 * 60
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM: Final = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int]


_FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: at for at, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 7, {name: at for at, name in enumerate(_WEEKDAYS)}),
)


@dataclass(frozen=True, slots=True)
class Crontab:
    """What the five fields name. `minutes` are those of a day, in order; Sunday is week day 0.

    The text says it all, so two of one text are equal without a look at up to 1,440 minutes.
    """

    text: str
    minutes: tuple[int, ...] = field(compare=False)
    days: frozenset[int] = field(compare=False)
    months: frozenset[int] = field(compare=False)
    weekdays: frozenset[int] = field(compare=False)
    takes_either_day: bool = field(compare=False)
    """A day of the month and of the week are both given, and one that matches will do (crontab(5))."""
    is_hourly: bool = field(compare=False)
    """Every hour is named: so it goes by time that passes, and not by what the clocks show."""

    def names(self, day: date) -> bool:
        """Whether it is due on `day` at all."""
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        fits = of_month or of_week if self.takes_either_day else of_month and of_week
        return fits and day.month in self.months

    def times(self, day: date) -> list[datetime]:
        """What the clocks show when it is due on `day`, naive and in order."""
        if not self.names(day):
            return []
        start = datetime.combine(day, time())
        return [start + timedelta(minutes=minute) for minute in self.minutes]

    @property
    def shortest_gap(self) -> timedelta:
        """The shortest time between two that follow each other, as if every day were named."""
        first_of_next_day = self.minutes[0] + _MINUTES_OF_DAY
        return timedelta(minutes=min(b - a for a, b in pairwise((*self.minutes, first_of_next_day))))

    def __str__(self) -> str:
        return self.text


def parse_crontab(text: str) -> Crontab:
    """`text` as five fields: minute, hour, day of month, month, day of week. Raises ValueError."""
    written = text.split()
    if len(written) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise ValueError(f'cron has five fields ({names}), as "*/5 8-20 * * mon-fri"; found {len(written)}')
    read = [_read(field, part) for field, part in zip(_FIELDS, written, strict=True)]
    minutes, hours, days, months, weekdays = read
    return Crontab(
        text=" ".join(written),
        minutes=tuple(hour * 60 + minute for hour in sorted(hours) for minute in sorted(minutes)),
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        takes_either_day=not written[2].startswith("*") and not written[4].startswith("*"),
        is_hourly=len(hours) == 24,
    )


def _read(field: _Field, text: str) -> frozenset[int]:
    values: set[int] = set()
    for item in text.lower().split(","):
        found = _ITEM.fullmatch(item)
        if found is None:
            raise ValueError(f"{field.name} of cron: {item!r} is not understood; write *, 5, 1-5, */10 or 0-30/10")
        star, first, last, step = found.groups()
        if step is not None and not star and last is None:
            raise ValueError(f"{field.name} of cron: {item!r}: a step goes with * or with a range, as in 5-59/10")
        low = field.low if star else _number(field, first)
        high = field.high if star else _number(field, last or first, is_last=last is not None)
        if step == "0" or low > high:
            raise ValueError(
                f"{field.name} of cron: {item!r} names nothing; a range goes upwards, by steps of 1 or more"
            )
        values.update(range(low, high + 1, int(step or 1)))
    return frozenset(values)


def _number(field: _Field, text: str, *, is_last: bool = False) -> int:
    """One value; Sunday ends a range as day 7."""
    value = field.names.get(text)
    if value is None and text.isascii() and text.isdecimal():
        value = int(text)
    if value is None or not field.low <= value <= field.high:
        allowed = f"{field.low} to {field.high}" + (f" or {', '.join(field.names)}" if field.names else "")
        raise ValueError(f"{field.name} of cron: {text!r} is not one of {allowed}")
    return 7 if is_last and text == "sun" else value
