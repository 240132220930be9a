"""From what the clocks of a zone show to instants in UTC, also where the clocks are moved.

A local time that is skipped (clocks go forward) is taken to be as long after the leap as it would have been after the
moment before it; of one that comes twice (clocks go back) the first is meant (PEP 495, `fold=0`).
"""

import difflib
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to and without `end`, both in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def zone_named(name: str) -> ZoneInfo:
    """The zone of the IANA database. Raises ValueError with the nearest names that there are."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        near = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), n=3, cutoff=0.6)
        hint = f"; near to it: {', '.join(near)}" if near else ""
        raise ValueError(f"a time zone is called as in the IANA database, such as Europe/Berlin or UTC{hint}") from None


def instant_of(shown: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of `zone` show the naive `shown`, for the first time."""
    return shown.replace(tzinfo=zone).astimezone(UTC)


def instants_of(shown: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Every time that the clocks of `zone` show the naive `shown`: never, once or twice."""
    both = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return tuple(dict.fromkeys(at for at in both if shown_at(at, zone) == shown))


def shown_at(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clocks of `zone` show at `moment`, naive."""
    return moment.astimezone(zone).replace(tzinfo=None)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which `day` begins."""
    return instant_of(datetime.combine(day, time()), zone)


def is_plain(day: date, zone: ZoneInfo) -> bool:
    """Whether the clocks are left alone on `day` and on the days beside it."""
    before, after = midnight(day - _DAY, zone), midnight(day + 2 * _DAY, zone)
    return before.astimezone(zone).utcoffset() == after.astimezone(zone).utcoffset()


def day_around(moment: datetime, zone: ZoneInfo) -> Period:
    """The calendar day of `zone` that `moment` is in; 23 or 25 hours where the clocks are moved."""
    day = shown_at(moment, zone).date()
    return Period(midnight(day, zone), midnight(day + _DAY, zone))


def month_around(moment: datetime, zone: ZoneInfo) -> Period:
    """The calendar month of `zone` that `moment` is in."""
    first = shown_at(moment, zone).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Period(midnight(first, zone), midnight(following, zone))
