"""An event loop whose clock jumps: it spends waiting virtually, so that a story of minutes takes milliseconds."""

import asyncio
import selectors
from typing import Final

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
