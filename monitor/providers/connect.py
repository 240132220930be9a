"""Opens connections: to whichever address of a host answers first."""

import asyncio
import socket
import ssl
from typing import Final

from aiohappyeyeballs import start_connection
from yarl import URL

from monitor.providers.exchange import Connection, NoConnectionError

_NEXT_ADDRESS_S: Final = 0.25
"""RFC 8305, section 5."""


async def connect(origin: URL, tls: ssl.SSLContext, until_s: float) -> Connection:
    """A connection to `origin`. Raises NoConnectionError, and UnicodeError for a name that cannot be one."""
    connection = Connection()
    try:
        async with asyncio.timeout_at(until_s):
            await _connect(origin, tls, connection)
    except TimeoutError:
        raise NoConnectionError("no connection in time", in_time=False) from None
    except OSError as failure:
        raise NoConnectionError(str(failure) or type(failure).__name__) from failure
    return connection


async def _connect(origin: URL, tls: ssl.SSLContext, connection: Connection) -> None:
    """The first address that answers: a host whose IPv6 leads nowhere must not look like a provider in trouble."""
    assert origin.raw_host is not None  # noqa: S101 - an absolute URL
    loop = asyncio.get_running_loop()
    places = await loop.getaddrinfo(origin.raw_host, origin.port, type=socket.SOCK_STREAM)
    name = origin.raw_host if origin.scheme == "https" else None
    context = tls if name else None
    match places:
        case [(socket.AF_INET, _, _, _, (host, port))]:  # no choice, and half the processor time
            await loop.create_connection(lambda: connection, host, port, ssl=context, server_hostname=name)
        case _:
            connected = await start_connection(places, happy_eyeballs_delay=_NEXT_ADDRESS_S)
            await loop.create_connection(lambda: connection, sock=connected, ssl=context, server_hostname=name)
