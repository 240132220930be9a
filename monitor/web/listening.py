"""Listens for callers, and lets go of those who take too long: each connection is an open file, and files run out."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from monitor.web.protocol import MAX_HEADER_BYTES, ProblemRunner

HEADERS_S: Final = 10.0
"""How long a new connection has for the headers of its first request."""
UNREAD_S: Final = 60.0
"""How long a caller may leave an answer lie of which it takes nothing."""
KEEP_ALIVE_S: Final = 75.0
"""How long a connection is kept for the next request: longer than the 60 s after which proxies let go of theirs."""
_BACKLOG: Final = 1_024


class Connection(Protocol):
    """What is closed here: aiohttp's own protocol, or a test's."""

    @property
    def transport(self) -> asyncio.Transport | None: ...

    def force_close(self) -> None: ...


class SilentConnections:
    """Finds the connections over which no whole request has come yet."""

    def __init__(self, headers_s: float = HEADERS_S) -> None:
        self._headers_s = headers_s
        self._asked: set[Connection] = set()
        self._since_s: dict[Connection, float] = {}

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Somebody asks over this connection."""
        self._asked.add(request.protocol)
        return await handler(request)

    def close_late(self, connections: Collection[Connection], now_s: float) -> None:
        """Close those of `connections`, which are all, that have been silent for too long."""
        self._asked.intersection_update(connections)
        silent = set(connections) - self._asked
        self._since_s = {connection: self._since_s.get(connection, now_s) for connection in silent}
        for connection, since_s in self._since_s.items():
            if now_s - since_s >= self._headers_s:
                connection.force_close()


class UnreadAnswers:
    """Finds the connections whose caller takes nothing of what was sent: each holds a file, and its answer's memory."""

    def __init__(self, unread_s: float = UNREAD_S) -> None:
        self._unread_s = unread_s
        self._unread: dict[Connection, tuple[int, float]] = {}

    def close_late(self, connections: Collection[Connection], now_s: float) -> None:
        """Close those of `connections`, which are all, whose unread bytes have not become fewer for too long."""
        before, self._unread = self._unread, {}
        for connection in connections:
            transport = connection.transport
            unread_bytes = 0 if transport is None else transport.get_write_buffer_size()
            if transport is None or not unread_bytes:
                continue
            earlier_bytes, since_s = before.get(connection, (unread_bytes, now_s))
            if unread_bytes < earlier_bytes:
                since_s = now_s
            self._unread[connection] = unread_bytes, since_s
            if now_s - since_s >= self._unread_s:
                transport.abort()  # to close it would wait for what nobody reads


async def _watch(server: web.Server, finders: Sequence[SilentConnections | UnreadAnswers], every_s: float) -> None:
    """Let go of who is late, for as long as this runs."""
    while True:
        await asyncio.sleep(every_s)
        for finder in finders:
            finder.close_late(server.connections, asyncio.get_running_loop().time())


@asynccontextmanager
async def listening(
    app: web.Application,
    host: str,
    port: int,
    *,
    shutdown_s: float,
    headers_s: float = HEADERS_S,
    unread_s: float = UNREAD_S,
) -> AsyncIterator[str]:
    """The application, served at the URL that is yielded. At the end it takes no more, and callers are let go in order.

    Raises OSError when nobody can listen there, and what the application raises when it starts.
    """
    silent = SilentConnections(headers_s)
    app.middlewares.insert(0, silent.note)
    runner = ProblemRunner(
        app,
        access_log=None,
        handle_signals=False,
        shutdown_timeout=shutdown_s,
        keepalive_timeout=KEEP_ALIVE_S,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        assert runner.server is not None  # noqa: S101 - it was set up
        late = (silent, UnreadAnswers(unread_s))
        watch = asyncio.create_task(_watch(runner.server, late, min(headers_s, unread_s) / 4))
        try:
            yield _url(runner.addresses)
        finally:
            watch.cancel()
            await asyncio.wait({watch})
    finally:
        await runner.cleanup()


def _url(addresses: list[Any]) -> str:
    host, port = addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
