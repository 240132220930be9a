"""An event loop whose clock jumps: it spends waiting virtually, so that a story of minutes takes milliseconds."""

import asyncio
import selectors
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
