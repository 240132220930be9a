"""One canary's turns as a clock goes on, or jumps: what was missed is made up for once, nothing is taken twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from monitor.canary.plan import Canary, Tick

_LARGEST_CORRECTION: Final = timedelta(hours=1)
"""A clock set back by more was wrong before, and its ticks that were taken do not stand for those that come."""
_RESTART: Final = timedelta(minutes=5)
"""What was due while a service restarted is made up for, if it took no longer."""
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """A tick whose time has come. `missed` ones before it were never run, and are not made up for one by one."""

    tick: Tick
    missed: int


@dataclass(slots=True)
class Turns:
    """What has been heard of one canary's ticks until `heard_until`. Whoever rings brings the time along.

    A clock set forward finds the last tick of those it passed over. One set back, as clocks are corrected, waits until
    it is again where it was. One set back by more than an hour begins anew, so that a clock that was far ahead does not
    silence the canary; ticks that were taken before are then kept from a second run by their claims in the store.
    """

    canary: Canary
    heard_until: datetime

    def take(self, now: datetime) -> Turn | None:
        """The turn that is due at `now`, which is then taken."""
        before = self.heard_until
        if now <= before:
            if before - now > _LARGEST_CORRECTION:
                self.heard_until = now
            return None
        self.heard_until = now
        tick = self.canary.latest_tick(before, now)
        return None if tick is None else Turn(tick, self.canary.missed(before, tick))

    @property
    def wake_at(self) -> datetime | None:
        """When `take` next has something to say; None: never."""
        tick = self.canary.tick_after(self.heard_until)
        return None if tick is None else tick.due_at


def take_up(canary: Canary, before: Turns | None, now: datetime) -> Turns:
    """The turns from `now` on: as they were, where the canary is as it was `before`.

    Of a canary that was not there before, a tick that was due some minutes ago is made up for, as the service may only
    have been restarted; where another service ran it, or this one before, its claim is in the store.
    """
    if before is not None:
        return before if before.canary == canary else Turns(canary, now)
    tick = canary.latest_tick(now - _RESTART, now)
    return Turns(canary, now if tick is None else tick.due_at - _INSTANT)
