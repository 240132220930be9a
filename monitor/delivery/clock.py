"""The wall clock, for stamps that people read. Durations never come from it."""

from datetime import UTC, datetime


class Clock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Now, in UTC, to the millisecond."""
        return to_millisecond(datetime.now(UTC))


def to_millisecond(instant: datetime) -> datetime:
    """`instant` without what is smaller than a millisecond: records keep no more."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
