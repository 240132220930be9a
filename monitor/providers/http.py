"""The shared HTTP client of a provider: pooled short calls, streams on connections of their own, bounded reading."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from yarl import URL

import monitor
from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.delivery.trace_context import TraceHeaders
from monitor.providers.connect import connect
from monitor.providers.error_table import FAILURES, error_of_failure, error_of_status, malformed
from monitor.providers.exchange import Connection
from monitor.providers.pool import ConnectionPool
from monitor.providers.request import Place, render_request
from monitor.providers.web_url import parse_url
from monitor.settings import ProviderSettings

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_REDIRECTS: Final = 5
ERROR_BODY_LIMIT_S: Final = 1.0
"""How long the body of an error is waited for. Its status is what counts, and that is known already."""
_MAX_ERROR_BYTES: Final = 16 * 1024
_NO_TRACE: Final[TraceHeaders] = {}
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PRIVATE_HEADERS: Final = frozenset({"Authorization", "traceparent", "tracestate", "Last-Event-ID"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its status and its whole body."""

    status: int
    body: bytes


class ProviderHttp:
    """Talks to one provider. Redirects are followed by hand: the token and the trace stay with their origin."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._tls = ssl.create_default_context()
        self._pool = ConnectionPool(settings.max_connections, self._tls)
        self._loop = asyncio.get_running_loop()
        self._api = Place.of(URL(settings.base_url + "/api/v1/"))
        self._token = settings.token.get_secret_value() if settings.token is not None else ""
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # unsaid, any would do; and what packs a stream also holds it back
            "User-Agent": f"generation-monitor/{monitor.__version__}",
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        self.base_url = settings.base_url + "/"
        """What relative URLs of the provider stand on."""
        self.silence_limit_s = settings.silence_limit
        """Seconds without a byte after which a stream is given up."""

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    async def get(self, stage: Stage, path: str, *, trace_headers: TraceHeaders = _NO_TRACE) -> Answer:
        """Read `path` of the API. Raises ChannelError."""
        place = self._place(path)
        headers: Mapping[str, str] = {**self._headers, **trace_headers}
        until_s = self._loop.time() + self._settings.request_timeout
        try:
            for _ in range(MAX_REDIRECTS + 1):
                async with self._answered(place, headers, until_s) as answered:
                    if answered.status not in _REDIRECTS:
                        return await self._read_success(stage, answered, until_s)
                    place, headers = _redirected(stage, answered, place, headers)
        except FAILURES as failure:
            raise error_of_failure(stage, failure) from failure
        raise malformed(stage, f"more than {MAX_REDIRECTS} redirects")

    async def post(self, path: str, payload: bytes, *, trace_headers: TraceHeaders) -> Answer:
        """Create something. Raises ChannelError, which says whether the provider may have done it all the same."""
        place = self._place(path)
        headers = {**self._headers, **trace_headers, "Content-Type": "application/json"}
        until_s = self._loop.time() + self._settings.create_timeout
        try:
            async with self._pool.lend(place.origin, self._connect_until_s(until_s)) as (connection, _):
                connection.ask(render_request("POST", place, headers, payload))
                await connection.head(until_s)
                if connection.status in _REDIRECTS:
                    raise _redirected_create(connection.status)
                return await self._read_success(Stage.CREATE, connection, until_s)
        except FAILURES as failure:
            raise error_of_failure(Stage.CREATE, failure) from failure

    async def open_stream(self, path: str, headers: Mapping[str, str]) -> Connection:
        """A 200 whose headers are there, of whatever content type. The caller closes it. Raises ChannelError."""
        place = self._place(path)
        asked: Mapping[str, str] = {**self._headers, **headers}
        until_s = self._loop.time() + self._settings.connect_timeout
        try:
            for _ in range(MAX_REDIRECTS + 1):
                connection = await connect(place.origin, self._tls, until_s)
                is_kept = False
                try:
                    connection.ask(render_request("GET", place, asked))
                    await connection.head(until_s)
                    if connection.status in _REDIRECTS:
                        place, asked = _redirected(Stage.SUBSCRIBE, connection, place, asked)
                    elif is_kept := connection.status == 200:
                        return connection
                    else:
                        raise await self._error(Stage.SUBSCRIBE, connection)
                finally:
                    if not is_kept:
                        connection.close()
        except FAILURES as failure:
            raise error_of_failure(Stage.SUBSCRIBE, failure) from failure
        raise malformed(Stage.SUBSCRIBE, f"more than {MAX_REDIRECTS} redirects")

    @asynccontextmanager
    async def _answered(self, place: Place, headers: Mapping[str, str], until_s: float) -> AsyncIterator[Connection]:
        """A connection that has the head of the answer to a GET.

        One that was kept may have been closed by its server at the same moment; then it is asked for anew, once.
        """
        request, is_fresh = render_request("GET", place, headers), False
        while True:
            connect_until_s = self._connect_until_s(until_s)
            async with self._pool.lend(place.origin, connect_until_s, is_fresh=is_fresh) as (connection, is_used):
                try:
                    connection.ask(request)
                    await connection.head(until_s)
                except ConnectionError:
                    if not is_used or not connection.is_unanswered:
                        raise
                    is_fresh = True
                    continue
                yield connection
                return

    def _connect_until_s(self, until_s: float) -> float:
        return min(until_s, self._loop.time() + self._settings.connect_timeout)

    def _place(self, path: str) -> Place:
        return Place(self._api.origin, self._api.target + path)

    async def _read_success(self, stage: Stage, answered: Connection, until_s: float) -> Answer:
        """The whole body of a success. Raises ChannelError."""
        if not 200 <= answered.status < 300:
            raise await self._error(stage, answered)
        body = await _read_bounded(answered, MAX_BODY_BYTES, until_s)
        if body is None:
            raise malformed(stage, f"the body is larger than {MAX_BODY_BYTES} bytes", answered.status)
        return Answer(answered.status, body)

    async def _error(self, stage: Stage, answered: Connection) -> ChannelError:
        """What went wrong, with what the provider says about it; its own token is not repeated."""
        status = answered.status
        if 200 <= status < 300:
            return ChannelError(
                ErrorKind.REJECTED, stage, f"HTTP {status} is no event stream", status=status, retryable=False
            )
        words = await _read_words(answered, self._loop.time() + ERROR_BODY_LIMIT_S)
        if self._token:
            words = words.replace(self._token.encode(), b"***")
        return error_of_status(stage, status, answered.headers, words)


def _redirected(
    stage: Stage, answered: Connection, place: Place, headers: Mapping[str, str]
) -> tuple[Place, Mapping[str, str]]:
    """Where to go, and what to say there: to another origin without what is only this one's to know.

    A user and password are left out. Raises ChannelError when it is nowhere on the web.
    """
    try:
        target = place.url.join(parse_url(answered.headers["location"]))
    except (KeyError, ValueError):
        target = URL()
    if target.scheme not in ("http", "https") or not target.host:
        raise malformed(stage, "a redirect to nowhere", answered.status)
    there = Place.of(target)
    if there.origin != place.origin:
        headers = {name: value for name, value in headers.items() if name not in _PRIVATE_HEADERS}
    return there, headers


def _redirected_create(status: int) -> ChannelError:
    """Following it could create twice. 303 means that what was asked for was done (RFC 9110, section 15.4.4)."""
    return ChannelError(
        ErrorKind.REJECTED,
        Stage.CREATE,
        f"the provider redirects a create call (HTTP {status}), which is not followed",
        status=status,
        retryable=False,
        may_have_effect=status == 303,
    )


async def _read_bounded(answered: Connection, at_most_bytes: int, until_s: float) -> bytes | None:
    """The body, or None as soon as it is larger than allowed, or says so."""
    length = answered.headers.get("content-length", "")
    if length.isdigit() and int(length) > at_most_bytes:
        return None
    parts: list[bytes] = []
    size = 0
    while part := await answered.read(until_s):
        size += len(part)
        if size > at_most_bytes:
            return None
        parts.append(part)
    return b"".join(parts)


async def _read_words(answered: Connection, until_s: float) -> bytes:
    """The body of an error, if it comes soon and is small."""
    try:
        return await _read_bounded(answered, _MAX_ERROR_BYTES, until_s) or b""
    except FAILURES:
        return b""


@asynccontextmanager
async def open_provider_http(settings: ProviderSettings) -> AsyncIterator[ProviderHttp]:
    """The client of one provider. Short calls share a pool; they never wait for streams."""
    http = ProviderHttp(settings)
    try:
        yield http
    finally:
        http.close()
