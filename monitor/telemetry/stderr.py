"""Writes to stderr from a thread of its own, so that one who has stopped reading it holds nobody up."""

import io
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

import structlog

MAX_WAITING_CHARS: Final = 4 * 1024 * 1024
"""What may wait to be written; beyond it, lines are dropped and counted."""
FINISH_S: Final = 2.0
"""How long what waits at the end may take to be written."""
_GATHER_S: Final = 0.01
"""Lines are written together: a thread that woke for each would take the interpreter from the event loop each time."""

_logger = structlog.stdlib.get_logger(__name__)


@contextmanager
def stderr_in_background() -> Iterator[None]:
    """Inside, no write to `sys.stderr` ever waits. At the end what still waits is written, if it can be soon."""
    plain = sys.stderr
    stream = BackgroundStream(plain)
    sys.stderr = stream
    try:
        yield
    finally:
        sys.stderr = plain
        stream.finish(FINISH_S)


class BackgroundStream(io.TextIOBase):
    """A text stream before another. `write` returns at once, from any thread; the order is kept.

    When lines were lost, the log says how many, at the place where they are missing, as soon as writing works again.
    """

    def __init__(self, behind: TextIO) -> None:
        self._behind = behind
        self._waiting: list[str] = []
        self._waiting_chars = 0
        self._lost = 0
        self._is_working = True
        self._changed = threading.Condition()
        self._finishing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="stderr", daemon=True)
        self._thread.start()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As of the stream behind."""
        return self._behind.encoding

    def isatty(self) -> bool:
        """As of the stream behind."""
        return self._behind.isatty()

    def fileno(self) -> int:
        """As of the stream behind."""
        return self._behind.fileno()

    def write(self, text: str, /) -> int:
        """Have `text` written, all or nothing."""
        with self._changed:
            if self._waiting_chars + len(text) > MAX_WAITING_CHARS:
                self._lost += 1
            else:
                self._waiting.append(text)
                self._waiting_chars += len(text)
                self._changed.notify()
        return len(text)

    def finish(self, at_most_s: float) -> None:
        """Write what waits, and end; after `at_most_s` the rest is given up."""
        self._finishing.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(at_most_s)

    def _work(self) -> None:
        while texts := self._take():
            self._is_working = self._write_all("".join(texts))
            if not self._is_working:
                with self._changed:
                    self._lost += len(texts)

    def _take(self) -> list[str]:
        """All that waits, as soon as there is something; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finishing.is_set())
        self._finishing.wait(_GATHER_S)
        with self._changed:  # until the loss is told: no other line may come before that one
            texts, self._waiting, self._waiting_chars = self._waiting, [], 0
            lost = self._lost if self._is_working else 0
            self._lost -= lost
            if lost:
                _logger.error("log lines were lost, as they could not be written", lines=lost)
        return texts or (self._take() if lost else [])

    def _write_all(self, text: str) -> bool:
        """Whether it could be written. Whoever shares the terminal may have made it one that does not wait."""
        data = memoryview(text.encode(self.encoding, "backslashreplace"))
        try:
            while data:
                select.select((), (self._behind,), ())
                data = data[os.write(self._behind.fileno(), data) :]
        except OSError:
            return False
        return True
