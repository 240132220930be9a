"""Event loops with clocks of their own: one jumps over all waiting, one stands still while there is work."""

import asyncio
import selectors
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from monitor.delivery.clock import Clock, to_millisecond

_STUCK_AFTER_S: Final = 5.0


class _JumpingSelector(selectors.DefaultSelector):
    """Asks the kernel briefly; when nothing is ready, the wait is spent on the virtual clock."""

    def __init__(self, settle_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self._settle_s = settle_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            if ready := super().select(_STUCK_AFTER_S):
                return ready
            raise RuntimeError("every task waits, and no timer will ever fire")
        ready = super().select(min(timeout, self._settle_s))
        if not ready:
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time. `settle_s`: real seconds granted to sockets before the clock may jump.

    Threads are invisible to it: work on executors belongs on a real loop.
    """

    def __init__(self, settle_s: float = 0.0) -> None:
        self._jumping = _JumpingSelector(settle_s)
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now_s


class _PatientSelector(selectors.DefaultSelector):
    """Asks the kernel as it is asked to, `pace` times as fast; what passes while it waits is all the time there is."""

    def __init__(self, pace: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self._pace = pace

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began_s = time.monotonic()
        ready = super().select(None if timeout is None else timeout / self._pace)
        waited_s = (time.monotonic() - began_s) * self._pace
        if timeout is not None:
            waited_s = min(waited_s, timeout) if ready else timeout
        self.now_s += waited_s
        return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes only while it waits, and then `pace` times as fast as real time.

    For stories over real sockets with both ends in this loop: however slow or busy the machine is, no timer overtakes
    what has already arrived. Threads have real time for their work only while the loop waits, at its pace.
    """

    def __init__(self, pace: float = 1.0) -> None:
        self._patient = _PatientSelector(pace)
        super().__init__(self._patient)

    def time(self) -> float:
        """Seconds that were waited, at its pace."""
        return self._patient.now_s


class VirtualClock(Clock):
    """A wall clock that goes as the running loop does, from `began_at` on. Somebody may move it."""

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._began_at_s = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """See `Clock`."""
        passed_s = asyncio.get_running_loop().time() - self._began_at_s
        return to_millisecond(self._began_at + timedelta(seconds=passed_s))

    def move(self, by: timedelta) -> None:
        """Set it forward, or back."""
        self._began_at += by


class VirtualBell:
    """A `Bell` that waits on the running loop, as long as `clock` says when it is set: like the real one."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def ring_at(self, moment: datetime) -> None:
        """See `Bell`."""
        self.stop()
        wait_s = max(0.0, (moment - self._clock.now()).total_seconds())
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def stop(self) -> None:
        """See `Bell`."""
        if self._timer is not None:
            self._timer.cancel()
