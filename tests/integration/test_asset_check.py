"""Asset checks against servers on loopback: what is found out, what is never asked, where nobody goes."""

import asyncio
import gzip
import socket
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.delivery.model import AssetResult, Kind
from monitor.providers import public_addresses
from monitor.providers.asset_check import MAX_REDIRECTS, AssetCheck, AssetChecker, open_asset_checker
from monitor.providers.lookups import LOOKUP_THREAD, MAX_LOOKUPS
from monitor.providers.media_types import ENOUGH_BYTES
from tests.peers import Answer, closed_port, never, serve, serve_bytes

pytestmark = pytest.mark.usefixtures("no_stray_tasks")

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(100)
PRIVATE = "its address is not public"


async def check(url: str, kind: Kind = Kind.IMAGE, *, allow: bool = True, timeout_s: float = 10.0) -> AssetCheck:
    async with open_asset_checker(allow_private_addresses=allow, timeout_s=timeout_s) as checker:
        return await checker.check(url, kind)


def serving(body: bytes, content_type: str | None = "image/png", status: int = 200, **headers: str) -> Answer:
    """The same for everything; no content type where it is None."""

    async def answer(_: web.Request) -> web.StreamResponse:
        response = web.Response(body=body, status=status, headers=headers)
        if content_type is None:
            response.headers.popall("Content-Type", None)
        else:
            response.headers["Content-Type"] = content_type
        return response

    return answer


def redirecting(places: Iterable[str | None], then: Answer) -> Answer:
    """To one place after the other; None says none."""
    left = iter(places)

    async def answer(request: web.Request) -> web.StreamResponse:
        for place in left:
            headers = {"Set-Cookie": "who=you; Path=/"} | ({} if place is None else {"Location": place})
            return web.Response(status=302, headers=headers)
        return await then(request)

    return answer


@pytest.mark.parametrize(
    ("body", "content_type", "kind", "found"),
    [
        (PNG, "image/png", Kind.IMAGE, "image/png"),
        (SVG, "image/svg+xml", Kind.IMAGE, "image/svg+xml"),
        (PNG, "application/octet-stream", Kind.IMAGE, "image/png"),
        (MP4, "video/mp4", Kind.VIDEO, "video/mp4"),
    ],
)
async def test_the_asset_is_there(body: bytes, content_type: str, kind: Kind, found: str) -> None:
    async with serve(serving(body, content_type)) as peer:
        seen = await check(peer.url + "/a.png?sig=a%2Bb%3D", kind)
    assert seen == AssetCheck(AssetResult.OK, found, 200, content_type, len(body))


async def test_without_a_content_type_the_bytes_decide() -> None:
    async with serve_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + PNG) as url:
        assert await check(url) == AssetCheck(AssetResult.OK, "image/png", 200, "", len(PNG))


@pytest.mark.parametrize(
    ("answer", "result", "detail"),
    [
        (serving(b"<html>Sign in</html>", "text/html"), AssetResult.WRONG_TYPE, "said to be text/html"),
        (serving(b"<html>"), AssetResult.WRONG_TYPE, "said to be image/png, but of no known format"),
        (serving(MP4, "video/mp4"), AssetResult.WRONG_TYPE, "said to be video/mp4"),
        (serving(PNG, "text/html"), AssetResult.WRONG_TYPE, "said to be text/html"),
        (serving(b""), AssetResult.EMPTY, "no body"),
        (serving(b"", "text/html"), AssetResult.EMPTY, "no body"),
        (serving(b"", status=204), AssetResult.EMPTY, "no body"),
        (serving(PNG, status=404), AssetResult.UNREACHABLE, "HTTP 404"),
        (serving(PNG, status=403), AssetResult.UNREACHABLE, "HTTP 403"),
        (serving(PNG, status=500), AssetResult.UNREACHABLE, "HTTP 500"),
        (serving(PNG, status=304), AssetResult.UNREACHABLE, "HTTP 304"),
    ],
)
async def test_it_is_not(answer: Answer, result: AssetResult, detail: str) -> None:
    async with serve(answer) as peer:
        seen = await check(peer.url + "/a.png")
    assert (seen.result, seen.detail) == (result, detail)
    assert seen.status is not None


async def test_nobody_listens() -> None:
    seen = await check(closed_port() + "/a.png")
    assert seen == AssetCheck(AssetResult.UNREACHABLE, "no connection to its host", None, "", 0)


async def test_no_tls_where_it_should_be() -> None:
    async with serve(serving(PNG)) as peer:
        seen = await check(peer.url.replace("http:", "https:"))
    assert (seen.result, seen.detail) == (AssetResult.UNREACHABLE, "no TLS with its host")


async def test_a_stranger_says_nothing_of_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No token from anywhere, no cookie kept, no proxy of ours, no part asked for, and the URL to the letter."""
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", closed_port())
    signed = "/a%7Eb/c.png?sig=a%2Bb%3D+c&se=2026-01-31T12%3A00%3A00Z&e="
    async with (
        serve(redirecting([signed], serving(PNG))) as peer,
        open_asset_checker(allow_private_addresses=True, timeout_s=10) as checker,
    ):
        assert (await checker.check(peer.url + signed, Kind.IMAGE)).result is AssetResult.OK
        assert (await checker.check(peer.url + "/лиса.png", Kind.IMAGE)).result is AssetResult.OK
    assert [request.raw_path for request in peer.requests] == [signed, signed, "/%D0%BB%D0%B8%D1%81%D0%B0.png"]
    for request in peer.requests:
        said = {name.lower() for name in request.headers}
        assert said == {"host", "connection", "accept", "accept-encoding", "user-agent"}


async def test_redirects_are_followed_up_to_a_number() -> None:
    for times, result in ((MAX_REDIRECTS, AssetResult.OK), (MAX_REDIRECTS + 1, AssetResult.UNREACHABLE)):
        async with serve(redirecting([f"/{n}.png" for n in range(times)], serving(PNG))) as peer:
            assert (await check(peer.url)).result is result
        assert len(peer.requests) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "place", [None, "", "ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[::1", "//[]@"]
)
async def test_a_redirect_to_no_place_of_the_web_is_not_followed(place: str | None) -> None:
    async with serve(redirecting([place], serving(PNG))) as peer:
        seen = await check(peer.url)
    assert seen.result is AssetResult.UNREACHABLE
    assert seen.detail == "after redirect 1: not a URL that a stranger can fetch"
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "url", ["", "a.png", "//h/a.png", "ftp://h/", "data:image/png;base64,aaaa", "http://", "http://u:p@h/"]
)
async def test_what_is_no_url_of_the_web_is_not_fetched(url: str) -> None:
    seen = await check(url)
    assert seen == AssetCheck(AssetResult.UNREACHABLE, "not a URL that a stranger can fetch", None, "", 0)


LOOPBACK = [
    *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1."),
    *("127.0.0.2", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "①②⑦.0.0.1"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1"),
]


@pytest.mark.parametrize("host", LOOPBACK)
async def test_no_private_address_is_gone_to_however_it_is_spelled(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(serving(PNG)) as peer:
        port = peer.url.rpartition(":")[2]
        monkeypatch.setattr(socket, "socket", _no_socket)
        seen = await check(f"http://{host}:{port}/a.png", allow=False)
        monkeypatch.undo()
    assert seen.result is AssetResult.UNREACHABLE
    assert seen.detail in (PRIVATE, "not a URL that a stranger can fetch", "its host is not known")
    assert peer.requests == []


def _no_socket(*_: object) -> socket.socket:
    raise AssertionError("a socket was made")


class Names(AbstractResolver):
    """A name server that answers as a test wants: one list of addresses a lookup."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = iter(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = next(self._answers, None)
        if addresses is None:
            raise OSError("no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


async def check_named(names: Names, url: str) -> AssetCheck:
    checker = AssetChecker(allow_private_addresses=False, timeout_s=10, resolver=names)
    try:
        return await checker.check(url, Kind.IMAGE)
    finally:
        await checker.close()


@pytest.fixture
def loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 127.0.0.1, where tests can serve, were of the open Internet; the rest of loopback is not."""
    monkeypatch.setattr(public_addresses, "is_public", lambda address: address == "127.0.0.1")


async def test_a_public_name_with_a_private_address_is_refused() -> None:
    async with serve(serving(PNG)) as peer:
        seen = await check_named(Names(["127.0.0.1"]), peer.url.replace("127.0.0.1", "cdn.example"))
    assert seen.detail == PRIVATE
    assert peer.requests == []


@pytest.mark.usefixtures("loopback_is_public")
async def test_a_name_that_is_private_the_second_time_is_refused_then() -> None:
    """Rebinding: between two lookups of one name its address changes. What was checked is what is connected to."""
    async with serve(redirecting(["/again.png"], serving(PNG))) as peer:
        url = peer.url.replace("127.0.0.1", "cdn.example")
        seen = await check_named(Names(["127.0.0.1"], ["127.0.0.2"]), url)
    assert seen == AssetCheck(AssetResult.UNREACHABLE, f"after redirect 1: {PRIVATE}", 302, seen.content_type, 0)
    assert [request.raw_path for request in peer.requests] == ["/"]


@pytest.mark.usefixtures("loopback_is_public")
async def test_a_redirect_to_a_private_address_is_refused() -> None:
    for place in ("http://169.254.169.254/latest/meta-data/", "http://127.0.0.2:1/", "http://[::1]:1/a.png"):
        async with serve(redirecting([place], serving(PNG))) as peer:
            seen = await check(peer.url, allow=False)
        assert seen.detail == f"after redirect 1: {PRIVATE}"


@pytest.mark.usefixtures("loopback_is_public")
async def test_of_many_addresses_only_the_public_ones_are_tried() -> None:
    async with serve(serving(PNG)) as peer:
        url = peer.url.replace("127.0.0.1", "cdn.example")
        assert (await check_named(Names(["10.0.0.1", "127.0.0.1", "127.0.0.2"]), url)).result is AssetResult.OK


async def test_a_host_that_cannot_be_one_is_not_known() -> None:
    assert (await check(f"http://{'a' * 64}.example/")).detail == "its host is not known"


@pytest.mark.virtual_time(settle_s=0.02)
@pytest.mark.parametrize("beginning", [b"", b"\x89PNG\r\n"])
async def test_a_slow_body_is_waited_for_within_the_limit(beginning: bytes) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        await response.write(beginning)
        await asyncio.Event().wait()
        raise AssertionError

    async with serve(answer) as peer:
        seen = await check(peer.url, timeout_s=7)
        await peer.gone.wait()
    assert seen == AssetCheck(AssetResult.UNREACHABLE, "no whole answer within 7 s", 200, "image/png", len(beginning))


@pytest.mark.virtual_time(settle_s=0.02)
async def test_no_answer_is_waited_for_within_the_limit() -> None:
    async with serve(never) as peer:
        seen = await check(peer.url, timeout_s=7)
        await peer.gone.wait()
    assert seen == AssetCheck(AssetResult.UNREACHABLE, "no whole answer within 7 s", None, "", 0)


@pytest.mark.virtual_time(settle_s=0.02)
async def test_redirects_share_one_limit() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3)
        return web.Response(status=302, headers={"Location": "/next"})

    async with serve(slow) as peer:
        seen = await check(peer.url, timeout_s=7)
        assert asyncio.get_running_loop().time() == pytest.approx(7, abs=0.5)
    assert len(peer.requests) == 3
    assert seen.detail == "after redirect 2: no whole answer within 7 s"


@pytest.mark.parametrize(
    ("first", "more", "result"), [(PNG, bytes(65_536), AssetResult.OK), (b"", bytes(65_536), AssetResult.WRONG_TYPE)]
)
async def test_of_an_endless_body_only_the_beginning_is_read(first: bytes, more: bytes, result: AssetResult) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        await response.prepare(request)
        await response.write(first)
        while True:
            await response.write(more)

    async with serve(endless) as peer:
        seen = await check(peer.url)
        await peer.gone.wait()
    assert seen.result is result
    assert 0 < seen.bytes_seen <= ENOUGH_BYTES


@pytest.mark.parametrize(
    ("body", "encoding", "result"),
    [
        (gzip.compress(SVG, mtime=0), "gzip", AssetResult.OK),
        (zlib.compress(SVG), "deflate", AssetResult.OK),
        (gzip.compress(b"", mtime=0), "gzip", AssetResult.EMPTY),
        (gzip.compress(bytes(64 * 1024 * 1024), mtime=0), "gzip", AssetResult.WRONG_TYPE),
        (b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"a" * 100_000, "gzip", AssetResult.WRONG_TYPE),
        (SVG, "gzip", AssetResult.WRONG_TYPE),
        (SVG, "br", AssetResult.WRONG_TYPE),
        (gzip.compress(SVG, mtime=0), "", AssetResult.WRONG_TYPE),
    ],
)
async def test_zipped_bodies_are_opened_within_bounds(body: bytes, encoding: str, result: AssetResult) -> None:
    """A store may keep its files zipped. 64 MiB in 64 KiB, and a name without end, cost no more than others."""
    async with serve(serving(body, "image/svg+xml", 200, **{"Content-Encoding": encoding})) as peer:
        seen = await check(peer.url)
    assert seen.result is result
    assert seen.bytes_seen <= ENOUGH_BYTES


BROKEN = {
    "reset": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Type: ima",
    "a body cut short": b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\n\x89PNG",
    "no chunk": b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\naa",
    "a huge header": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_no_answer_is_unreachable(name: str) -> None:
    async with serve_bytes(BROKEN[name], reset=name == "reset") as url:
        seen = await check(url)
    assert seen.result is AssetResult.UNREACHABLE
    assert seen.detail


pieces = st.sampled_from(
    [
        *(
            b"HTTP/1.1 ",
            b"HTTP/1.0 ",
            b"200 OK",
            b"302 Found",
            b"404 ",
            b"100 Continue",
            b"204 N",
            b"\r\n",
            b"\r\n\r\n",
        ),
        *(b"Content-Type: image/png", b"Content-Length: 5", b"Content-Length: -1", b"Transfer-Encoding: chunked"),
        *(
            b"Content-Encoding: gzip",
            b"Location: ",
            b"http://\xff\xfe",
            b"Location: http://[",
            b"Location: http://a..b/",
        ),
        *(
            b"\x89PNG\r\n\x1a\n",
            b"5\r\nabcde\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffffffff\r\n",
            b"\x1f\x8b\x08",
            b"\0",
            b" ",
        ),
    ]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces | st.binary(max_size=8), max_size=14).map(b"".join))
@example(b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Type: \xff\xfe\r\n\r\na")
async def test_any_bytes_have_a_verdict(reply: bytes) -> None:
    async with serve_bytes(reply) as url:
        seen = await check(url)
    assert seen.detail.isprintable()
    assert seen.content_type.isprintable()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]{0,20}/.{0,20}", fullmatch=True))
@example("http://\ud800/")
@example("http://h/\r\nHost: other")
@example("http://[::1]]:80/")
@example("http://h:0/")
@example("http://%00/")
async def test_any_text_has_a_verdict(url: str) -> None:
    seen = await check_named(Names(), url)
    assert seen.result is AssetResult.UNREACHABLE


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names under `hangs.example` are looked up when this is set, and lead here."""
    goes_on, look_up = threading.Event(), socket.getaddrinfo

    def wait_and_look_up(host: str, *asked: Any, **more: Any) -> Any:
        if not host.endswith("hangs.example"):
            return look_up(host, *asked, **more)
        goes_on.wait()
        return look_up("127.0.0.1", *asked, **more)

    monkeypatch.setattr(socket, "getaddrinfo", wait_and_look_up)
    yield goes_on
    goes_on.set()


async def test_names_that_hang_hold_up_no_other_lookup(hanging: threading.Event) -> None:
    async with (
        serve(serving(PNG)) as peer,
        open_asset_checker(allow_private_addresses=True, timeout_s=60) as checker,
    ):
        urls = [peer.url.replace("127.0.0.1", f"{number}.hangs.example") for number in range(2 * MAX_LOOKUPS)]
        hung = asyncio.gather(*(checker.check(url, Kind.IMAGE) for url in urls))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(20):
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        assert not hung.done()
        hanging.set()
        assert {seen.result for seen in await hung} == {AssetResult.OK}


async def test_a_lookup_that_hangs_keeps_its_turn_until_it_is_over_and_no_longer(hanging: threading.Event) -> None:
    async with (
        serve(serving(PNG)) as peer,
        open_asset_checker(allow_private_addresses=True, timeout_s=0.2) as checker,
    ):
        url = peer.url.replace("127.0.0.1", "cdn.hangs.example")
        hung = await asyncio.gather(*(checker.check(url, Kind.IMAGE) for _ in range(2 * MAX_LOOKUPS)))
        assert {seen.detail for seen in hung} == {"no whole answer within 0.2 s"}
        assert sum(thread.name == LOOKUP_THREAD for thread in threading.enumerate()) == MAX_LOOKUPS
        hanging.set()
        async with asyncio.timeout(20):
            while (await checker.check(url, Kind.IMAGE)).result is not AssetResult.OK:
                pass
