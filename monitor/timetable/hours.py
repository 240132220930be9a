"""Hours of the day, as 08:00-20:00 or, over midnight, 22:00-06:00."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from monitor.timetable.local_time import Period, instant_of

_WRITTEN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_MINUTES_OF_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """From minute `opens` of a day up to minute `closes`; over midnight where that is past the day's 1,440."""

    opens: int
    closes: int

    def on(self, day: date, zone: ZoneInfo) -> Period:
        """When they are, of the day on which they begin. Its end is no later than its start where they are skipped."""
        start = datetime.combine(day, time())
        opens, closes = (start + timedelta(minutes=minute) for minute in (self.opens, self.closes))
        return Period(instant_of(opens, zone), instant_of(closes, zone))

    def __str__(self) -> str:
        closes = self.closes if self.closes == _MINUTES_OF_DAY else self.closes % _MINUTES_OF_DAY
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (self.opens, closes))


ALL_DAY: Final = Hours(0, _MINUTES_OF_DAY)


def parse_hours(text: str) -> Hours:
    """`text` as HH:MM-HH:MM. Raises ValueError."""
    written = _WRITTEN.fullmatch(text)
    hour, minute, end_hour, end_minute = map(int, written.groups()) if written else (0, 0, 0, 0)
    opens, closes = hour * 60 + minute, end_hour * 60 + end_minute
    if opens == closes or closes > _MINUTES_OF_DAY:
        raise ValueError('hours look like "08:00-20:00", or "22:00-06:00" over midnight')
    return Hours(opens, closes if closes > opens else closes + _MINUTES_OF_DAY)
