"""Looks up the hosts of assets on threads of its own: their names come from a provider, and may hang for half a minute.

On the few threads that all share, they would hold up the calls to every provider, scrapes and the exit.
"""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any, Final

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_LOOKUPS: Final = 32
"""At a time. What waits for its turn longer than its check may take is not told from a host that does not answer."""

LOOKUP_THREAD: Final = "asset-lookup"

_Place = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


class PatientResolver(AbstractResolver):
    """A thread for each lookup, which nobody waits for at the exit. One that hangs keeps its turn until it is over."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of `host`. Raises OSError and UnicodeError."""
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[_Place]] = loop.create_future()
        asked = (loop, found, host, port, family)
        threading.Thread(target=self._look_up, args=asked, name=LOOKUP_THREAD, daemon=True).start()
        return [_result(host, port, place) for place in await found]

    async def close(self) -> None:
        """Nothing is open that could be closed."""

    def _look_up(
        self,
        loop: asyncio.AbstractEventLoop,
        found: "asyncio.Future[list[_Place]]",
        host: str,
        port: int,
        family: socket.AddressFamily,
    ) -> None:
        """On its thread."""
        try:
            places = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            told: tuple[Any, Any] = (found.set_result, places)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for who asked
            told = (found.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._tell, found, *told)

    def _tell(self, found: "asyncio.Future[list[_Place]]", tell: Any, what: Any) -> None:
        self._turns.release()
        if not found.done():
            tell(what)


def _result(host: str, port: int, place: _Place) -> ResolveResult:
    family, _, protocol, _, where = place
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=str(where[0]), port=port, family=family, proto=protocol, flags=numeric)
