"""Lines of crontab(5): which minutes of which days they name, and what is said of those that are wrong."""

from datetime import date, datetime, timedelta

import pytest

from monitor.timetable import parse_crontab


def times(line: str, day: date) -> list[str]:
    return [f"{at:%H:%M}" for at in parse_crontab(line).times(day)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("30 2 * * *", ["02:30"]),
        ("0 */8 * * *", ["00:00", "08:00", "16:00"]),
        ("5-59/20 9 * * *", ["09:05", "09:25", "09:45"]),
        ("50,10,10 9,8 * * *", ["08:10", "08:50", "09:10", "09:50"]),
        ("0 8-10 * * *", ["08:00", "09:00", "10:00"]),
        ("  0   0  *  NOV  tue ", ["00:00"]),
        ("0 0 * * 2", ["00:00"]),
        ("0 0 * * mon-wed", ["00:00"]),
        ("0 0 * * mon", []),
        ("0 0 24 11 *", ["00:00"]),
        ("0 0 24 10 *", []),
    ],
)
def test_a_line_names_times_of_a_day(line: str, expected: list[str]) -> None:
    assert times(line, date(2026, 11, 24)) == expected  # a Tuesday


@pytest.mark.parametrize("week", ["0", "7", "sun", "fri-sun", "sat-7", "sun-mon"])
def test_sunday_is_day_0_and_day_7(week: str) -> None:
    assert times(f"0 0 * * {week}", date(2026, 11, 22)) == ["00:00"]


@pytest.mark.parametrize(("day", "due"), [(13, True), (20, True), (14, False)])
def test_where_day_of_month_and_of_week_are_given_either_will_do(day: int, due: bool) -> None:
    assert parse_crontab("0 0 13 * fri").names(date(2026, 11, day)) is due  # the 13th and the 20th are Fridays
    assert parse_crontab("0 0 14 * fri").names(date(2026, 11, day))


def test_where_one_of_them_begins_with_a_star_both_must_match() -> None:
    assert not parse_crontab("0 0 */2 * fri").names(date(2026, 11, 20))
    assert parse_crontab("0 0 */2 * fri").names(date(2026, 11, 13))


@pytest.mark.parametrize(
    ("line", "minutes"), [("* * * * *", 1), ("*/7 * * * *", 4), ("0 0 * * *", 1440), ("0 0,23 * * *", 60)]
)
def test_the_shortest_gap_is_told(line: str, minutes: int) -> None:
    assert parse_crontab(line).shortest_gap == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("* * * *", 'cron has five fields (minute, hour, day of month, month, day of week), as "*/5 8-20 * * mon-fri"; '
         "found 4"),
        ("61 * * * *", "minute of cron: '61' is not one of 0 to 59"),
        ("* 24 * * *", "hour of cron: '24' is not one of 0 to 23"),
        ("* * 0 * *", "day of month of cron: '0' is not one of 1 to 31"),
        ("* * * foo *", "month of cron: 'foo' is not one of 1 to 12 or jan, feb, mar, apr, may, jun, jul, aug, sep, "
         "oct, nov, dec"),
        ("a, * * * *", "minute of cron: 'a' is not one of 0 to 59"),
        (", * * * *", "minute of cron: '' is not understood; write *, 5, 1-5, */10 or 0-30/10"),
        ("5/10 * * * *", "minute of cron: '5/10': a step goes with * or with a range, as in 5-59/10"),
        ("9-3 * * * *", "minute of cron: '9-3' names nothing; a range goes upwards, by steps of 1 or more"),
        ("*/0 * * * *", "minute of cron: '*/0' names nothing; a range goes upwards, by steps of 1 or more"),
        ("٣ * * * *", "minute of cron: '٣' is not one of 0 to 59"),
    ],
)  # fmt: skip
def test_what_is_no_line_is_told_with_what_is_allowed(line: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_crontab(line)
    assert str(caught.value) == problem


def test_times_are_naive_and_in_order() -> None:
    assert parse_crontab("59,0 23,0 * * *").times(date(2026, 1, 1)) == [
        datetime(2026, 1, 1, 0, 0),  # noqa: DTZ001 - what a clock shows
        datetime(2026, 1, 1, 0, 59),  # noqa: DTZ001
        datetime(2026, 1, 1, 23, 0),  # noqa: DTZ001
        datetime(2026, 1, 1, 23, 59),  # noqa: DTZ001
    ]
