"""When something is due, as pure functions: of an interval or of a crontab line, by the clocks of a time zone."""

from monitor.timetable.crontab import Crontab, parse_crontab
from monitor.timetable.hours import ALL_DAY, Hours, parse_hours
from monitor.timetable.local_time import Period, day_around, month_around, zone_named
from monitor.timetable.timetables import CrontabTimetable, IntervalTimetable, Timetable

__all__ = [
    "ALL_DAY",
    "Crontab",
    "CrontabTimetable",
    "Hours",
    "IntervalTimetable",
    "Period",
    "Timetable",
    "day_around",
    "month_around",
    "parse_crontab",
    "parse_hours",
    "zone_named",
]
