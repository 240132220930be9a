"""Fetches the beginning of a delivered asset as a stranger would, and says whether its URL really serves it."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

import monitor
from monitor.delivery.model import AssetResult, Kind
from monitor.providers.error_table import shorten
from monitor.providers.lookups import PatientResolver
from monitor.providers.media_types import ENOUGH_BYTES, media_type_of, misfit
from monitor.providers.public_addresses import AddressRefusedError, open_public_socket
from monitor.providers.web_url import parse_url

MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SENT_AS_THEY_ARE: Final = "%/:?#[]@!$&'()*+,;=|{}^"
"""A signature may cover every character of a URL: encoded is only what cannot be sent."""
_FAILURES: Final = (aiohttp.ClientError, HttpProcessingError, OSError, UnicodeError)
"""What a fetch raises when the network, the peer or a host name is at fault."""
_ZIPPED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_DECODED: Final = _ZIPPED | {"identity", ""}
"""None but `identity` is asked for. Stores that keep their files zipped send them so all the same."""
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class AssetCheck:
    """What a URL serves. `detail` says why it is not `OK`, else what it is; never the URL, which may be signed.

    `status` and `content_type` are of the last answer: None and empty where there was none. `bytes_seen` is how much of
    its body was looked at.
    """

    result: AssetResult
    detail: str
    status: int | None
    content_type: str
    bytes_seen: int


class AssetChecker:
    """Knows no token, keeps no cookie and no connection, and uses no proxy. Made on the running loop; close it."""

    def __init__(
        self, *, allow_private_addresses: bool, timeout_s: float, resolver: AbstractResolver | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # who waits for a turn here would seem to wait for the asset
                force_close=True,
                use_dns_cache=False,
                resolver=resolver or PatientResolver(),
                socket_factory=None if allow_private_addresses else open_public_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                "User-Agent": f"generation-monitor/{monitor.__version__}",
            },
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # one limit holds for redirects and all
            auto_decompress=False,
            read_bufsize=ENOUGH_BYTES,
        )

    async def close(self) -> None:
        """Close the connections of checks that are under way."""
        await self._http.close()

    async def check(self, url: str, kind: Kind) -> AssetCheck:
        """One fetch of `url`, with its redirects. Raises nothing for whatever the URL, the network or a server does."""
        seen = _Seen()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(url, kind, seen)
        except TimeoutError:
            return seen.check(AssetResult.UNREACHABLE, f"no whole answer within {self._timeout_s:g} s")
        except _FAILURES as failure:
            return seen.check(AssetResult.UNREACHABLE, _words(failure))

    async def _follow(self, url: str, kind: Kind, seen: "_Seen") -> AssetCheck:
        """Redirects are followed by hand, so that every URL is held to the same rules."""
        for _ in range(MAX_REDIRECTS + 1):
            target = _parse(url)
            if target is None:
                return seen.check(AssetResult.UNREACHABLE, "not a URL that a stranger can fetch")
            async with self._http.get(target, allow_redirects=False) as answer:
                seen.note(answer)
                if answer.status not in _REDIRECTS:
                    return seen.check(*await _examine(answer, kind, seen))
                url = _redirected(url, answer.headers.get("Location"))
        return seen.check(AssetResult.UNREACHABLE, "redirected too often")


@asynccontextmanager
async def open_asset_checker(*, allow_private_addresses: bool, timeout_s: float) -> AsyncIterator[AssetChecker]:
    """A checker for as long as it is needed."""
    checker = AssetChecker(allow_private_addresses=allow_private_addresses, timeout_s=timeout_s)
    try:
        yield checker
    finally:
        await checker.close()


@dataclass(slots=True)
class _Seen:
    """What is known so far, so that nothing of it is lost when time runs out."""

    answers: int = 0
    status: int | None = None
    content_type: str = ""
    body_bytes: int = 0

    def note(self, answer: aiohttp.ClientResponse) -> None:
        self.answers += 1
        self.status = answer.status
        said = answer.headers.get("Content-Type", "")
        self.content_type = shorten(said.encode("ascii", "replace").decode())

    def check(self, result: AssetResult, detail: str) -> AssetCheck:
        is_redirected = self.status in _REDIRECTS
        words = f"after redirect {self.answers}: {detail}" if is_redirected else detail
        return AssetCheck(result, words, self.status, self.content_type, self.body_bytes)


async def _examine(answer: aiohttp.ClientResponse, kind: Kind, seen: _Seen) -> tuple[AssetResult, str]:
    """The verdict on an answer that is no redirect, and its reason."""
    if not 200 <= answer.status < 300:
        return AssetResult.UNREACHABLE, f"HTTP {answer.status}"
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in _DECODED:
        return AssetResult.WRONG_TYPE, "encoded in a way that was not asked for"
    try:
        head = await _read_head(answer.content, encoding, seen)
    except zlib.error:
        return AssetResult.WRONG_TYPE, "said to be compressed, which it is not"
    if not head and seen.body_bytes < ENOUGH_BYTES:
        return AssetResult.EMPTY, "no body"
    found = media_type_of(head)
    reason = misfit(kind, seen.content_type, found)
    return (AssetResult.OK, str(found)) if reason is None else (AssetResult.WRONG_TYPE, reason)


async def _read_head(body: aiohttp.StreamReader, encoding: str, seen: _Seen) -> bytes:
    """As much as tells the type, and never more than `ENOUGH_BYTES`, neither of what is sent nor of what that holds."""
    unzip = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in _ZIPPED else None
    head = b""
    while seen.body_bytes < ENOUGH_BYTES and len(head) < ENOUGH_BYTES and media_type_of(head) is None:
        part = await body.read(ENOUGH_BYTES - seen.body_bytes)
        if not part:
            break
        seen.body_bytes += len(part)
        head += unzip.decompress(part, ENOUGH_BYTES - len(head)) if unzip else part
    return head


def _parse(text: str) -> URL | None:
    """A URL of the web as it is to be sent; None if it is none, or holds a name and password."""
    try:
        url = parse_url(text)
        if url.scheme not in ("http", "https") or not url.host or url.user is not None or url.password is not None:
            return None
        return URL(quote(text, safe=_SENT_AS_THEY_ARE, errors="replace"), encoded=True).with_host(url.host)
    except ValueError:
        return None


def _redirected(url: str, location: str | None) -> str:
    """Where to go next. Nothing, if the answer does not say."""
    try:
        return urljoin(url, location) if location else ""
    except ValueError:
        return ""


def _words(failure: Exception) -> str:
    """What went wrong, without the URL or anything of an answer. The order matters: most are connection errors too."""
    match failure:
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return "its host is not known"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not valid"
        case aiohttp.ClientSSLError():
            return "no TLS with its host"
        case aiohttp.ClientConnectorError(os_error=AddressRefusedError()):
            return "its address is not public"
        case aiohttp.ClientConnectorError():
            return "no connection to its host"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return "the answer broke off"
        case aiohttp.InvalidURL():
            return "not a URL that a stranger can fetch"
        case _:
            return "the answer is no proper HTTP"
