"""The bell: APScheduler rings when a wall-clock moment has come. It decides nothing. Nothing else knows APScheduler."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

_JOB: Final = "bell"
_AT_ONCE: Final = 3
"""A bell that is set anew while it rings must not be dropped: by itself, APScheduler leaves out overlapping runs."""


class Bell(Protocol):
    """Rings once for each time that it is set."""

    def ring_at(self, moment: datetime) -> None:
        """Ring at `moment` of the wall clock, at once if it is past; the last word counts."""

    def stop(self) -> None:
        """Ring no more."""


HangBell = Callable[[Callable[[], None]], Bell]
"""Makes a bell that calls a function when it rings."""


class SchedulerBell:
    """A `Bell` on the running event loop.

    APScheduler waits by the loop's clock until a wall instant, so a wall clock that is moved meanwhile rings it early
    or late: whoever waits sets it anew now and then.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._scheduler.start()

    def ring_at(self, moment: datetime) -> None:
        """See `Bell`. One that was late is not dropped, however late it is."""
        self._scheduler.add_job(
            self._rung,
            DateTrigger(moment),
            id=_JOB,
            replace_existing=True,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=_AT_ONCE,
        )

    def stop(self) -> None:
        """See `Bell`."""
        self._scheduler.shutdown(wait=False)

    async def _rung(self) -> None:
        self._ring()
