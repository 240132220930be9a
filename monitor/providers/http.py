"""The shared HTTP client of a provider: two pools, one for short calls and one for streams, and bounded reading."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

import monitor
from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.providers.error_table import FAILURES, error_of_failure, error_of_status, malformed
from monitor.settings import ProviderSettings

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_REDIRECTS: Final = 5
KEEPALIVE_S: Final = 4.0
"""Shorter than the 5 s of common servers: a create on a connection that was just closed would have an unknown fate."""
ERROR_BODY_LIMIT_S: Final = 1.0
"""How long the body of an error is waited for. Its status is what counts, and that is known already."""
_MAX_ERROR_BYTES: Final = 16 * 1024
_BUFFER_BYTES: Final = 64 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PRIVATE_HEADERS: Final = frozenset({"Authorization", "traceparent", "Last-Event-ID"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its status and its whole body."""

    status: int
    body: bytes


class ProviderHttp:
    """Talks to one provider. Redirects are followed by hand: the token and the trace stay with their origin.

    Every answer is closed, and the rest of a body never waited for: one that was read to its end has given its
    connection back already.
    """

    def __init__(
        self, settings: ProviderSettings, calls: aiohttp.ClientSession, streams: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._streams = streams
        self._api = str(URL(settings.base_url + "/api/v1/"))
        self._token = settings.token.get_secret_value() if settings.token is not None else ""
        self._headers = {"Accept": "application/json", "User-Agent": f"generation-monitor/{monitor.__version__}"}
        if self._token:
            self._headers["Authorization"] = f"Bearer {self._token}"
        self.base_url = settings.base_url + "/"
        """What relative URLs of the provider stand on."""
        self.silence_limit_s = settings.silence_limit
        """Seconds without a byte after which a stream is given up."""

    async def get(self, stage: Stage, path: str, *, traceparent: str | None = None) -> Answer:
        """Read `path` of the API. Raises ChannelError."""
        headers = self._headers if traceparent is None else {**self._headers, "traceparent": traceparent}
        try:
            async with asyncio.timeout(self._settings.request_timeout) as limit:
                response = await _follow(self._calls, stage, self._url(path), headers)
                try:
                    return await self._read_success(stage, response, limit)
                finally:
                    response.close()
        except FAILURES as failure:
            raise error_of_failure(stage, failure) from failure

    async def post(self, path: str, payload: bytes, *, traceparent: str) -> Answer:
        """Create something. Raises ChannelError, which says whether the provider may have done it all the same."""
        headers = {**self._headers, "traceparent": traceparent, "Content-Type": "application/json"}
        try:
            async with asyncio.timeout(self._settings.create_timeout) as limit:
                url = self._url(path)
                response = await self._calls.post(url, data=payload, headers=headers, allow_redirects=False)
                try:
                    if response.status in _REDIRECTS:
                        raise _redirected_create(response.status)
                    return await self._read_success(Stage.CREATE, response, limit)
                finally:
                    response.close()
        except FAILURES as failure:
            raise error_of_failure(Stage.CREATE, failure) from failure

    async def open_stream(self, path: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """A 200 whose headers are there, of whatever content type. The caller closes it. Raises ChannelError."""
        asked = {**self._headers, **headers}
        try:
            async with asyncio.timeout(self._settings.connect_timeout) as limit:
                response = await _follow(self._streams, Stage.SUBSCRIBE, self._url(path), asked)
                if response.status == 200:
                    return response
                try:
                    raise await self._error(Stage.SUBSCRIBE, response, limit)
                finally:
                    response.close()
        except FAILURES as failure:
            raise error_of_failure(Stage.SUBSCRIBE, failure) from failure

    def _url(self, path: str) -> URL:
        return URL(self._api + path, encoded=True)

    async def _read_success(self, stage: Stage, response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> Answer:
        """The whole body of a success. Raises ChannelError."""
        if not 200 <= response.status < 300:
            raise await self._error(stage, response, limit)
        body = await read_bounded(response, MAX_BODY_BYTES)
        if body is None:
            raise malformed(stage, f"the body is larger than {MAX_BODY_BYTES} bytes", response.status)
        return Answer(response.status, body)

    async def _error(self, stage: Stage, response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> ChannelError:
        """What went wrong, with what the provider says about it; its own token is not repeated."""
        limit.reschedule(None)  # the answer is here; its words have a limit of their own, which must not hide it
        if 200 <= response.status < 300:
            detail = f"HTTP {response.status} is no event stream"
            return ChannelError(ErrorKind.REJECTED, stage, detail, status=response.status, retryable=False)
        words = await _read_words(response)
        if self._token:
            words = words.replace(self._token.encode(), b"***")
        return error_of_status(stage, response.status, response.headers, words)


async def _follow(
    session: aiohttp.ClientSession, stage: Stage, url: URL, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    """GET, and go where it redirects; to another origin without what is only this one's to know."""
    for _ in range(MAX_REDIRECTS + 1):
        response = await session.get(url, headers=headers, allow_redirects=False)
        if response.status not in _REDIRECTS:
            return response
        response.close()
        target = _target(stage, response, url)
        if target.origin() != url.origin():
            headers = {name: value for name, value in headers.items() if name not in _PRIVATE_HEADERS}
        url = target
    raise malformed(stage, f"more than {MAX_REDIRECTS} redirects")


def _target(stage: Stage, response: aiohttp.ClientResponse, url: URL) -> URL:
    """Where a redirect leads, without a user and password. Raises ChannelError when that is nowhere on the web."""
    try:
        target = url.join(URL(response.headers["Location"]))
    except (KeyError, ValueError):
        target = URL()
    if target.scheme not in ("http", "https") or not target.host:
        raise malformed(stage, "a redirect to nowhere", response.status)
    return target.with_user(None)


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


async def read_bounded(response: aiohttp.ClientResponse, at_most_bytes: int) -> bytes | None:
    """The decompressed body, or None as soon as it is larger than allowed."""
    if (response.content_length or 0) > at_most_bytes:
        return None
    parts: list[bytes] = []
    size = 0
    while part := await response.content.readany():
        size += len(part)
        if size > at_most_bytes:
            return None
        parts.append(part)
    return b"".join(parts)


async def _read_words(response: aiohttp.ClientResponse) -> bytes:
    """The body of an error, if it comes soon and is small."""
    try:
        async with asyncio.timeout(ERROR_BODY_LIMIT_S):
            return await read_bounded(response, _MAX_ERROR_BYTES) or b""
    except FAILURES:
        return b""


@asynccontextmanager
async def open_provider_http(settings: ProviderSettings, *, max_streams: int) -> AsyncIterator[ProviderHttp]:
    """The client of one provider. Streams have a pool of their own, so that short calls never wait for them."""
    connect_s, silence_s = settings.connect_timeout, settings.silence_limit
    calls = _open_session(settings.max_connections, aiohttp.ClientTimeout(total=None, connect=connect_s))
    streams = _open_session(max_streams, aiohttp.ClientTimeout(total=None, connect=connect_s, sock_read=silence_s))
    async with calls, streams:
        yield ProviderHttp(settings, calls, streams)


def _open_session(connections: int, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        read_bufsize=_BUFFER_BYTES,
    )
