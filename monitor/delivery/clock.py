"""The wall clock, for stamps that people read. Durations never come from it, but those that span a restart."""

import asyncio
from datetime import UTC, datetime


class Clock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """Now, in UTC, to the millisecond."""
        return to_millisecond(datetime.now(UTC))

    def loop_s(self, instant: datetime) -> float:
        """The running loop's time at a wall instant of the past, which may lie before the loop's own start.

        Only after a restart is there no better way; one that seems to lie in the future is now.
        """
        return asyncio.get_running_loop().time() - max(0.0, (self.now() - instant).total_seconds())


def to_millisecond(instant: datetime) -> datetime:
    """`instant` without what is smaller than a millisecond: records keep no more."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
