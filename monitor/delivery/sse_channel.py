"""The half of a race that listens: when to open the stream again, which files to resolve. Pure, as the race is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.instructions import OpenStream, Resolve
from monitor.delivery.model import ChannelResult

BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 10.0
MAX_RECONNECTS: Final = 10
"""Streams in a row that failed, or did not live for `BACKOFF_CAP_S`; then SSE is dead."""
MAX_RESOLVES: Final = 6
"""Files of one generation, and tries for each."""

_NEVER: Final = math.inf


class _Stream(Enum):
    CLOSED = auto()
    """Or being opened."""
    OPEN = auto()
    DEAD = auto()


@dataclass(slots=True)
class _Resolution:
    """A file id that an event named. `due_at_s` is infinite while a try is under way, and after the last."""

    due_at_s: float
    tries: int = 0
    is_over: bool = False


class SseChannel:
    """One stream at a time, and the files that its events named. Seconds, as the race's.

    `stream_due_at_s` is when the stream is opened next: infinite while there is one, and when there will be none.
    """

    __slots__ = (
        "_connections",
        "_failures",
        "_jitter",
        "_opened_at_s",
        "_resolutions",
        "_stream",
        "stream_due_at_s",
    )

    def __init__(self, now_s: float, jitter: Callable[[], float]) -> None:
        """`jitter` draws from [0, 1)."""
        self.stream_due_at_s = now_s
        self._jitter = jitter
        self._stream = _Stream.CLOSED
        self._opened_at_s = now_s
        self._connections = 0
        self._failures = 0
        self._resolutions: dict[str, _Resolution] = {}

    @property
    def due_at_s(self) -> float:
        """When there is something to begin; infinite when nothing is planned."""
        return min([self.stream_due_at_s, *(item.due_at_s for item in self._resolutions.values())])

    @property
    def is_dead(self) -> bool:
        """Whether no stream is opened any more."""
        return self._stream is _Stream.DEAD

    @property
    def shortfall(self) -> ChannelResult:
        """Why it did not bring the asset."""
        return ChannelResult.MISSED if self._stream is _Stream.OPEN else ChannelResult.FAILED

    @property
    def may_deliver(self) -> bool:
        """Whether a stream or a file may still bring the asset."""
        return not self.is_dead or any(not item.is_over for item in self._resolutions.values())

    def due(self, now_s: float) -> list[OpenStream | Resolve]:
        """What to begin now."""
        due: list[OpenStream | Resolve] = []
        if now_s >= self.stream_due_at_s:
            self.stream_due_at_s = _NEVER
            self._connections += 1
            due.append(OpenStream(self._connections))
        for file_id, resolution in self._resolutions.items():
            if now_s >= resolution.due_at_s:
                resolution.tries += 1
                resolution.due_at_s = _NEVER
                due.append(Resolve(file_id, resolution.tries))
        return due

    def opened(self, now_s: float) -> None:
        """The stream stands."""
        self._stream = _Stream.OPEN
        self._opened_at_s = now_s

    def ended(self, now_s: float, error: ChannelError | None, retry_s: float | None) -> None:
        """The stream is closed, or never stood. One that lived long enough begins a new row of failures."""
        is_stable = self._stream is _Stream.OPEN and now_s - self._opened_at_s >= BACKOFF_CAP_S
        self._failures = 1 if is_stable else self._failures + 1
        if (error is not None and not error.retryable) or self._failures > MAX_RECONNECTS:
            self._stream = _Stream.DEAD
        else:
            self._stream = _Stream.CLOSED
            self.stream_due_at_s = now_s + self._reconnect_delay_s(error, retry_s)

    def named(self, now_s: float, file_id: str) -> None:
        """An event named a file: resolve it, once however often it is named."""
        if len(self._resolutions) < MAX_RESOLVES:
            self._resolutions.setdefault(file_id, _Resolution(now_s))

    def resolve_missed(self, now_s: float, file_id: str, retry_after_s: float | None) -> None:
        """A try brought no URL: the next comes after a back-off, unless it was the last."""
        resolution = self._resolutions[file_id]
        resolution.is_over = resolution.tries >= MAX_RESOLVES
        if not resolution.is_over:
            resolution.due_at_s = now_s + max(self._backoff_s(resolution.tries), retry_after_s or 0.0)

    def stop(self) -> None:
        """Plan nothing more, and wait for nothing."""
        self._stream = _Stream.DEAD
        self.stream_due_at_s = _NEVER
        self._resolutions.clear()

    def _reconnect_delay_s(self, error: ChannelError | None, retry_s: float | None) -> float:
        """Full jitter over an exponential back-off, on top of the server's `retry:`, and not before `Retry-After`."""
        told_s = (error.retry_after_s if error is not None else None) or 0.0
        return max((retry_s or 0.0) + self._backoff_s(self._failures), told_s)

    def _backoff_s(self, failures: int) -> float:
        return self._jitter() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** (failures - 1))
