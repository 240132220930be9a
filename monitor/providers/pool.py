"""Connections that are kept for the next short call to the same origin, and never more in use than allowed."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from yarl import URL

from monitor.providers.connect import connect
from monitor.providers.exchange import Connection, NoConnectionError

KEEPALIVE_S: Final = 4.0
"""Shorter than the 5 s of common servers: a create on a connection that was just closed would have an unknown fate."""


class ConnectionPool:
    """Lends connections. One whose answer was not read to its end is closed when it comes back."""

    def __init__(self, limit: int, tls: ssl.SSLContext) -> None:
        self._limit = limit
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._free = asyncio.Semaphore(limit)
        self._idle: dict[URL, deque[tuple[float, Connection]]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def lend(
        self, origin: URL, until_s: float, *, is_fresh: bool = False
    ) -> AsyncIterator[tuple[Connection, bool]]:
        """A connection, and whether it was used before. Raises NoConnectionError when there is none by `until_s`."""
        await self._take_turn(until_s)
        try:
            kept = None if is_fresh else self._pop(origin)
            connection = kept or await connect(origin, self._tls, until_s)
            try:
                yield connection, kept is not None
            finally:
                self._take_back(origin, connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close what is idle."""
        if self._sweep is not None:
            self._sweep.cancel()
        for idle in self._idle.values():
            for _, connection in idle:
                connection.close()
        self._idle.clear()

    async def _take_turn(self, until_s: float) -> None:
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        try:
            async with asyncio.timeout_at(until_s):
                await self._free.acquire()
        except TimeoutError:
            raise NoConnectionError(f"all {self._limit} connections are in use", in_time=False) from None

    def _pop(self, origin: URL) -> Connection | None:
        """The one that was used last: the least likely to be closed by its server just now."""
        idle = self._idle.get(origin)
        while idle:
            _, connection = idle.pop()
            if connection.is_reusable:
                return connection
        return None

    def _take_back(self, origin: URL, connection: Connection) -> None:
        if not connection.is_reusable:
            connection.close()
            return
        self._idle.setdefault(origin, deque()).append((self._loop.time() + KEEPALIVE_S, connection))
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEEPALIVE_S, self._close_old)

    def _close_old(self) -> None:
        now_s = self._loop.time()
        for origin, idle in tuple(self._idle.items()):
            while idle and idle[0][0] <= now_s:
                idle.popleft()[1].close()
            if not idle:
                del self._idle[origin]
        self._sweep = self._loop.call_later(KEEPALIVE_S / 4, self._close_old) if self._idle else None
