"""Timetables across days on which clocks are moved, in both directions, by an hour, by half of one, and at midnight."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest

from monitor.timetable import (
    CrontabTimetable,
    IntervalTimetable,
    Period,
    Timetable,
    day_around,
    month_around,
    parse_crontab,
    parse_hours,
    zone_named,
)

SPRING = {
    "Europe/Berlin": date(2026, 3, 29),
    "America/New_York": date(2026, 3, 8),
    "Australia/Lord_Howe": date(2026, 10, 4),
}
AUTUMN = {
    "Europe/Berlin": date(2026, 10, 25),
    "America/New_York": date(2026, 11, 1),
    "Australia/Lord_Howe": date(2026, 4, 5),
}
NOON = time(12)


def cron(line: str, zone: str, hours: str | None = None) -> CrontabTimetable:
    return CrontabTimetable(parse_crontab(line), zone_named(zone), parse_hours(hours) if hours else None)


def every(seconds: float, hours: str | None = None, zone: str = "UTC") -> IntervalTimetable:
    return IntervalTimetable(timedelta(seconds=seconds), zone_named(zone), parse_hours(hours) if hours else None)


def whole_day(day: date, zone: str) -> Period:
    return day_around(datetime.combine(day, NOON, zone_named(zone)), zone_named(zone))


def on(timetable: CrontabTimetable, day: date) -> list[str]:
    """What the clocks show on that day when it is due, with their offset; walked one by one, and counted."""
    period = whole_day(day, timetable.zone.key)
    due = list(timetable.within(period))
    assert due == walked(timetable, period)
    assert timetable.count(period) == len(due)
    return [f"{at.astimezone(timetable.zone):%H:%M%z}"[:-2] for at in due]


def walked(timetable: Timetable, period: Period) -> list[datetime]:
    due, at = [], timetable.first_from(period.start)
    while at is not None and at < period.end:
        due.append(at)
        at = timetable.first_from(at + timedelta(microseconds=1))
    return due


class TestClocksGoForward:
    def test_a_time_that_is_skipped_runs_once_as_long_after_the_leap(self) -> None:
        assert on(cron("30 2 * * *", "Europe/Berlin"), SPRING["Europe/Berlin"]) == ["03:30+02"]
        assert on(cron("30 2 * * *", "America/New_York"), SPRING["America/New_York"]) == ["03:30-04"]
        assert on(cron("10 2 * * *", "Australia/Lord_Howe"), SPRING["Australia/Lord_Howe"]) == ["02:40+11"]

    def test_one_that_meets_another_runs_with_it_once(self) -> None:
        assert on(cron("0 2,3 * * *", "Europe/Berlin"), SPRING["Europe/Berlin"]) == ["03:00+02"]
        assert on(cron("0,30 2 * * *", "Australia/Lord_Howe"), SPRING["Australia/Lord_Howe"]) == ["02:30+11"]

    @pytest.mark.parametrize(("zone", "runs"), [("Europe/Berlin", 138), ("Australia/Lord_Howe", 141)])
    def test_a_line_of_every_hour_goes_by_time_that_passes(self, zone: str, runs: int) -> None:
        due = list(cron("*/10 * * * *", zone).within(whole_day(SPRING[zone], zone)))
        assert len(due) == runs
        assert {b - a for a, b in pairwise(due)} == {timedelta(minutes=10)}

    def test_a_day_that_begins_at_one_begins_with_the_time_that_midnight_would_have_been(self) -> None:
        zone, day = "America/Havana", date(2026, 3, 8)
        assert on(cron("0 0 * * *", zone), day) == ["01:00-04"]
        assert on(cron("30 0 * * *", zone), day) == ["01:30-04"]


class TestClocksGoBack:
    def test_a_time_that_comes_twice_runs_once_the_first_time(self) -> None:
        assert on(cron("30 2 * * *", "Europe/Berlin"), AUTUMN["Europe/Berlin"]) == ["02:30+02"]
        assert on(cron("30 1 * * *", "America/New_York"), AUTUMN["America/New_York"]) == ["01:30-04"]
        assert on(cron("45 1 * * *", "Australia/Lord_Howe"), AUTUMN["Australia/Lord_Howe"]) == ["01:45+11"]

    @pytest.mark.parametrize(("zone", "runs"), [("Europe/Berlin", 150), ("Australia/Lord_Howe", 147)])
    def test_a_line_of_every_hour_goes_on_through_both(self, zone: str, runs: int) -> None:
        due = list(cron("*/10 * * * *", zone).within(whole_day(AUTUMN[zone], zone)))
        assert len(due) == runs
        assert {b - a for a, b in pairwise(due)} == {timedelta(minutes=10)}

    def test_a_day_whose_first_hour_comes_twice_begins_once(self) -> None:
        zone, day = "America/Havana", date(2026, 11, 1)
        assert on(cron("0 0 * * *", zone), day) == ["00:00-04"]
        assert whole_day(day, zone).end - whole_day(day, zone).start == timedelta(hours=25)


@pytest.mark.parametrize("zone", SPRING)
@pytest.mark.parametrize("line", ["*/15 1-4 * * *", "30 2 * * *", "0 0 1 * *", "*/30 * * * *", "7 2,23 * * sun"])
def test_a_year_counted_is_a_year_walked(line: str, zone: str) -> None:
    timetable = cron(line, zone)
    year = Period(datetime(2026, 1, 1, 5, 17, tzinfo=UTC), datetime(2027, 1, 1, 3, 2, tzinfo=UTC))
    due = list(timetable.within(year))
    assert timetable.count(year) == len(due) == len(set(due))
    assert due == sorted(due)


class TestIntervals:
    def test_they_count_from_the_epoch_so_that_everybody_agrees(self) -> None:
        now = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)
        assert every(60).first_from(now) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        assert every(60).first_from(now + timedelta(seconds=30)) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
        seven = every(420).first_from(now)
        assert seven is not None
        assert seven.timestamp() % 420 == 0

    @pytest.mark.parametrize(("days", "hours"), [(SPRING, 23), (AUTUMN, 25)])
    def test_no_clock_bends_them(self, days: dict[str, date], hours: int) -> None:
        assert every(60).count(whole_day(days["Europe/Berlin"], "Europe/Berlin")) == hours * 60

    def test_hours_are_those_of_the_zone(self) -> None:
        due = list(every(3600, "08:00-11:00", "Europe/Berlin").within(whole_day(date(2026, 7, 1), "Europe/Berlin")))
        assert due == [datetime(2026, 7, 1, hour, tzinfo=UTC) for hour in (6, 7, 8)]

    def test_hours_over_midnight(self) -> None:
        night = every(3600, "22:00-02:00")
        assert [at.hour for at in night.within(whole_day(date(2026, 7, 1), "UTC"))] == [0, 1, 22, 23]
        assert night.first_from(datetime(2026, 7, 1, 2, tzinfo=UTC)) == datetime(2026, 7, 1, 22, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("hours", "spring", "autumn"), [("01:00-04:00", 2, 4), ("02:00-03:00", 0, 2), ("22:00-02:30", 5, 5)]
    )
    def test_hours_may_be_shorter_or_longer_when_clocks_are_moved(self, hours: str, spring: int, autumn: int) -> None:
        night = every(3600, hours, "Europe/Berlin")
        start = timedelta(hours=12)
        runs = [
            night.count(Period(whole_day(days["Europe/Berlin"], "Europe/Berlin").start - start,
                               whole_day(days["Europe/Berlin"], "Europe/Berlin").start + start))
            for days in (SPRING, AUTUMN)
        ]  # fmt: skip
        assert runs == [spring, autumn]

    def test_what_never_falls_into_its_hours_is_never_due(self) -> None:
        assert every(86_400, "08:00-20:00").first_from(datetime(2026, 1, 1, tzinfo=UTC)) is None
        assert cron("0 3 * * *", "UTC", "08:00-20:00").first_from(datetime(2026, 1, 1, tzinfo=UTC)) is None
        assert cron("0 0 30 2 *", "UTC").first_from(datetime(2026, 1, 1, tzinfo=UTC)) is None

    def test_a_leap_day_is_waited_for(self) -> None:
        due = cron("0 0 29 2 *", "UTC").first_from(datetime(2096, 3, 1, tzinfo=UTC))
        assert due == datetime(2104, 2, 29, tzinfo=UTC)


class TestIndex:
    @pytest.mark.parametrize("timetable", [every(420), cron("*/20 8-10 * * *", "Europe/Berlin")])
    def test_consecutive_ticks_of_a_month_have_consecutive_numbers(self, timetable: Timetable) -> None:
        july = month_around(datetime(2026, 7, 5, tzinfo=UTC), zone_named("Europe/Berlin"))
        numbers = [timetable.index(at) for at in timetable.within(july)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def test_days_that_are_not_named_are_not_counted(self) -> None:
        timetable = cron("0 12 * * mon", "UTC")
        july = month_around(datetime(2026, 7, 5, tzinfo=UTC), zone_named("UTC"))
        assert [timetable.index(at) for at in timetable.within(july)] == [0, 1, 2, 3]


class TestPeriods:
    @pytest.mark.parametrize(
        ("zone", "day", "hours"),
        [
            ("Europe/Berlin", SPRING["Europe/Berlin"], 23),
            ("Europe/Berlin", AUTUMN["Europe/Berlin"], 25),
            ("Australia/Lord_Howe", SPRING["Australia/Lord_Howe"], 23.5),
            ("Australia/Lord_Howe", AUTUMN["Australia/Lord_Howe"], 24.5),
            ("America/Havana", date(2026, 3, 8), 23),
            ("UTC", date(2026, 3, 8), 24),
        ],
    )
    def test_a_day_is_as_long_as_it_is(self, zone: str, day: date, hours: float) -> None:
        period = whole_day(day, zone)
        assert period.end - period.start == timedelta(hours=hours)
        assert day_around(period.end, zone_named(zone)).start == period.end
        assert day_around(period.end - timedelta(microseconds=1), zone_named(zone)) == period

    def test_a_month_ends_in_its_zone(self) -> None:
        auckland = zone_named("Pacific/Auckland")
        month = month_around(datetime(2026, 12, 31, 10, 59, 59, tzinfo=UTC), auckland)
        assert month.end == datetime(2026, 12, 31, 11, tzinfo=UTC)
        assert month_around(month.end, auckland).end == datetime(2027, 1, 31, 11, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Berlin", "europe/berlin", "../etc/passwd", "/etc/passwd", "", "Europe", "UTC\n"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a time zone is called as in the IANA database"):
        zone_named(name)


def test_zones_that_are_near_are_named() -> None:
    with pytest.raises(ValueError, match=r"near to it: Europe/Berlin"):
        zone_named("europe/berlin")


@pytest.mark.parametrize("text", ["8-20", "08:00", "08:00-08:00", "24:00-08:00", "00:00-24:01", "08:00-20:60", ""])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours look like"):
        parse_hours(text)


@pytest.mark.parametrize("text", ["08:00-20:00", "22:00-06:00", "00:00-24:00", "12:30-24:00", "00:01-00:00"])
def test_hours_are_written_as_they_were_read(text: str) -> None:
    assert str(parse_hours(text)) == text.replace("-00:00", "-24:00")
