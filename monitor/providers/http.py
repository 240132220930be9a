"""The shared HTTP client of a provider: two pools, one for short calls and one for streams, and bounded reading."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

import monitor
from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.providers.error_table import error_of_failure, error_of_status, malformed
from monitor.settings import ProviderSettings

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_REDIRECTS: Final = 5
KEEPALIVE_S: Final = 4.0
"""Shorter than the 5 s of common servers: a create on a connection that was just closed would have an unknown fate."""
_MAX_ERROR_BYTES: Final = 16 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PRIVATE_HEADERS: Final = ("Authorization", "traceparent", "Last-Event-ID")


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its status and its whole body."""

    status: int
    body: bytes


class ProviderHttp:
    """Talks to one provider. Redirects are followed by hand: the token and the trace stay with their origin."""

    def __init__(
        self, settings: ProviderSettings, calls: aiohttp.ClientSession, streams: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._streams = streams
        self._base = URL(settings.base_url + "/api/v1/", encoded=True)
        self._headers = {"Accept": "application/json", "User-Agent": f"generation-monitor/{monitor.__version__}"}
        if settings.token is not None:
            self._headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"

    @property
    def base_url(self) -> URL:
        """What relative URLs of the provider stand on."""
        return URL(self._settings.base_url + "/")

    @property
    def silence_limit_s(self) -> float:
        """Seconds without a byte after which a stream is given up."""
        return self._settings.silence_limit

    async def get(self, stage: Stage, path: str, *, traceparent: str | None = None) -> Answer:
        """Read `path` of the API. Raises ChannelError."""
        headers = self._headers if traceparent is None else {**self._headers, "traceparent": traceparent}
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                response = await self._follow(self._calls, stage, self._url(path), headers)
                try:
                    return await _read_success(stage, response)
                finally:
                    if not response.content.at_eof():
                        response.close()
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            raise error_of_failure(stage, failure, was_sent=True) from failure

    async def post(self, path: str, payload: bytes, *, traceparent: str) -> Answer:
        """Create something. Raises ChannelError, which says whether the provider may have done it all the same."""
        headers = {**self._headers, "traceparent": traceparent, "Content-Type": "application/json"}
        sent = _Sent()
        try:
            async with (
                asyncio.timeout(self._settings.create_timeout),
                self._calls.post(
                    self._url(path), data=payload, headers=headers, allow_redirects=False, trace_request_ctx=sent
                ) as response,
            ):
                if response.status in _REDIRECTS:
                    detail = f"the provider redirects a create call (HTTP {response.status}), which is not followed"
                    raise ChannelError(
                        ErrorKind.REJECTED, Stage.CREATE, detail, status=response.status, retryable=False
                    )
                return await _read_success(Stage.CREATE, response)
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            raise error_of_failure(Stage.CREATE, failure, was_sent=sent.was_sent) from failure

    async def open_stream(self, path: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """An event stream whose headers are there. The caller closes it. Raises ChannelError."""
        asked = {**self._headers, **headers}
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                response = await self._follow(self._streams, Stage.SUBSCRIBE, self._url(path), asked)
                if response.status == 200:
                    return response
                try:
                    raise await _error(Stage.SUBSCRIBE, response)
                finally:
                    response.close()
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            raise error_of_failure(Stage.SUBSCRIBE, failure, was_sent=True) from failure

    def _url(self, path: str) -> URL:
        return URL(f"{self._base}{path}", encoded=True)

    async def _follow(
        self, session: aiohttp.ClientSession, stage: Stage, url: URL, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """GET, and go where it redirects; to another origin without what is only this one's to know."""
        origin, timeout = url.origin(), aiohttp.ClientTimeout(total=None, sock_read=self._read_limit_s(session))
        status = 0
        for _ in range(MAX_REDIRECTS + 1):
            response = await session.get(url, headers=headers, allow_redirects=False, timeout=timeout)
            if response.status not in _REDIRECTS:
                return response
            status = response.status
            response.close()
            url = _target(stage, response, url)
            if url.origin() != origin:
                headers = {name: value for name, value in headers.items() if name not in _PRIVATE_HEADERS}
        raise malformed(stage, f"more than {MAX_REDIRECTS} redirects", status)

    def _read_limit_s(self, session: aiohttp.ClientSession) -> float | None:
        return self._settings.silence_limit if session is self._streams else None


class _Sent:
    """Whether a request left this machine, as aiohttp's tracing tells."""

    was_sent = False


def _target(stage: Stage, response: aiohttp.ClientResponse, url: URL) -> URL:
    """Where a redirect leads. Raises ChannelError when that is nowhere on the web."""
    try:
        target = url.join(URL(response.headers["Location"]))
    except (KeyError, ValueError):
        target = URL()
    if target.scheme not in ("http", "https") or not target.host:
        raise malformed(stage, "a redirect to nowhere", response.status)
    return target


async def _read_success(stage: Stage, response: aiohttp.ClientResponse) -> Answer:
    """The whole body of a success. Raises ChannelError."""
    if response.status != 200:
        raise await _error(stage, response)
    body = await read_bounded(response, MAX_BODY_BYTES)
    if body is None:
        response.close()
        raise malformed(stage, f"the body is larger than {MAX_BODY_BYTES} bytes", response.status)
    return Answer(response.status, body)


async def _error(stage: Stage, response: aiohttp.ClientResponse) -> ChannelError:
    """What went wrong, with what the provider says about it."""
    body = await read_bounded(response, _MAX_ERROR_BYTES)
    if 200 <= response.status < 300:
        detail = f"HTTP {response.status}, which says nothing"
        return ChannelError(
            ErrorKind.REJECTED, stage, detail, status=response.status, retryable=False, may_have_effect=True
        )
    return error_of_status(stage, response.status, response.headers, body or b"")


def _refusal(stage: Stage, detail: str, status: int, *, may_have_effect: bool = False) -> ChannelError:
    return ChannelError(
        ErrorKind.REJECTED, stage, detail, status=status, retryable=False, may_have_effect=may_have_effect
    )


async def read_bounded(response: aiohttp.ClientResponse, at_most_bytes: int) -> bytes | None:
    """The decompressed body, or None as soon as it is larger than allowed."""
    if (response.content_length or 0) > at_most_bytes:
        return None
    first = await response.content.readany()
    if response.content.at_eof() and len(first) <= at_most_bytes:
        return first
    parts, size = [first], len(first)
    while size <= at_most_bytes:
        part = await response.content.readany()
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    return None


async def _note_sent(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceRequestHeadersSentParams) -> None:
    if isinstance(context.trace_request_ctx, _Sent):
        context.trace_request_ctx.was_sent = True


@asynccontextmanager
async def open_provider_http(settings: ProviderSettings, *, max_streams: int) -> AsyncIterator[ProviderHttp]:
    """The client of one provider. Streams have a pool of their own, so that short calls never wait for them."""
    tracing = aiohttp.TraceConfig()
    tracing.on_request_headers_sent.append(_note_sent)
    pools = {"calls": settings.max_connections, "streams": max_streams}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout)
    sessions = {
        name: aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            trace_configs=[tracing] if name == "calls" else [],
            read_bufsize=64 * 1024,
        )
        for name, limit in pools.items()
    }
    try:
        yield ProviderHttp(settings, sessions["calls"], sessions["streams"])
    finally:
        for session in sessions.values():
            await session.close()
