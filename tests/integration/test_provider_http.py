"""The adapter's short calls against real servers on loopback: both flows, and all that can go wrong on the way."""

import asyncio
import gzip
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from aiohttp import web

import monitor
from monitor.delivery.errors import ChannelError
from monitor.delivery.model import (
    Asset,
    ErrorKind,
    Failed,
    Flow,
    GenerationRequest,
    Handle,
    Kind,
    Pending,
    Ready,
    Stage,
    Unresolved,
)
from monitor.delivery.ports import Created
from monitor.providers import http as provider_http
from monitor.providers.superduper import SuperDuperProvider
from tests.peers import (
    ASSET_URL,
    FILE,
    FILE_ID,
    PROJECT,
    PROJECT_ID,
    TOKEN,
    TRACE_HEADERS,
    Answer,
    a_file,
    a_project,
    always,
    closed_port,
    never,
    provider_at,
    serve,
    serve_bytes,
)

pytestmark = pytest.mark.usefixtures("no_stray_tasks")

IMAGE = GenerationRequest("a red cup", "comfyui/flux", params={"width": 512})
SHORT_S = 0.2


async def create(provider: SuperDuperProvider, request: GenerationRequest = IMAGE, tries: int = 1) -> Created:
    return await provider.create(request, tries=tries, trace_headers=TRACE_HEADERS)


async def poll(provider: SuperDuperProvider, handle: Handle = FILE) -> Any:
    return (await provider.poll(handle, trace_headers=TRACE_HEADERS)).sighting


async def resolve(provider: SuperDuperProvider, file_id: str = FILE_ID) -> Any:
    return (await provider.resolve(PROJECT, file_id, trace_headers=TRACE_HEADERS)).sighting


async def error_of(call: Awaitable[object]) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        await call
    return caught.value


# What is sent, and what comes of it


async def test_a_file_is_created_polled_and_ready() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response([a_file()])
        return web.json_response(a_file(url=ASSET_URL if len(peer.requests) > 2 else None))

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        created = await create(provider)
        assert created == Created(FILE, 200)
        assert await poll(provider, created.handle) == Pending()
        assert await poll(provider, created.handle) == Ready(Asset(ASSET_URL, Kind.IMAGE, FILE_ID))
    asked = [(request.method, request.path) for request in peer.requests]
    assert asked == [
        ("POST", "/api/v1/file/generate-image"),
        ("GET", f"/api/v1/file/{FILE_ID}"),
        ("GET", f"/api/v1/file/{FILE_ID}"),
    ]
    config = orjson.loads(peer.bodies[0])["config"]
    assert set(config) == {"prompt", "generation_config_name", "width", "seed"}


async def test_a_project_is_created_polled_and_resolved() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            return web.json_response(a_project())
        if request.path.startswith("/api/v1/file/"):
            return web.json_response(a_file(url=ASSET_URL))
        return web.json_response(a_project({"file_id": FILE_ID} if len(peer.requests) > 2 else None))

    request = GenerationRequest("a red cup", "comfyui/flux", flow=Flow.PROJECT)
    async with serve(answer) as peer, provider_at(peer.url) as provider:
        assert (await create(provider, request)).handle == PROJECT
        assert await poll(provider, PROJECT) == Pending()
        assert await poll(provider, PROJECT) == Unresolved(FILE_ID)
        assert await resolve(provider) == Ready(Asset(ASSET_URL, Kind.IMAGE, FILE_ID))
    paths = [request.path.removeprefix("/api/v1/") for request in peer.requests]
    assert paths == ["project/image", f"project/{PROJECT_ID}", f"project/{PROJECT_ID}", f"file/{FILE_ID}"]


async def test_a_video_is_one_object() -> None:
    request = GenerationRequest("a red cup", "google-cloud/veo3", Kind.VIDEO, params={"duration": 5})
    async with serve(always(a_file(type="video"))) as peer, provider_at(peer.url) as provider:
        assert (await create(provider, request)).handle == Handle(Flow.FILE, FILE_ID, Kind.VIDEO)
    assert peer.requests[0].path == "/api/v1/file/generate-video"


async def test_a_failed_task_is_no_error_of_the_call() -> None:
    async with serve(always(a_file(tasks=[{"status": "error"}]))) as peer, provider_at(peer.url) as provider:
        assert isinstance(await poll(provider), Failed)


async def test_calls_say_who_asks_and_for_which_trace() -> None:
    async with serve(always(a_file())) as peer, provider_at(peer.url) as provider:
        await create(provider)
        await poll(provider)
    for request in peer.requests:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert TRACE_HEADERS.items() <= dict(request.headers).items()
        assert request.headers["Accept"] == "application/json"
        assert request.headers["Accept-Encoding"] == "identity"  # without it, a server may pack as it likes
        assert request.headers["User-Agent"] == f"generation-monitor/{monitor.__version__}"
    assert peer.requests[0].headers["Content-Type"] == "application/json"


async def test_without_a_token_none_is_sent() -> None:
    async with serve(always(a_file())) as peer, provider_at(peer.url, token=None) as provider:
        await poll(provider)
    assert "Authorization" not in peer.requests[0].headers


@pytest.mark.parametrize(
    "request_",
    [GenerationRequest("x", "m", params={"quality": 1}), GenerationRequest("x", "m", Kind.VIDEO, Flow.PROJECT)],
)
async def test_what_the_provider_cannot_make_is_refused_before_any_call(request_: GenerationRequest) -> None:
    async with serve(always(a_file())) as peer, provider_at(peer.url) as provider:
        error = await error_of(create(provider, request_))
    assert (error.kind, error.retryable, error.may_have_effect) == (ErrorKind.REJECTED, False, False)
    assert peer.requests == []


async def test_cookies_are_not_kept() -> None:
    answer = always(a_file(), 200, **{"Set-Cookie": "session=1; Path=/"})
    async with serve(answer, "localhost") as peer, provider_at(peer.url) as provider:
        await poll(provider)
        await poll(provider)
    assert all("Cookie" not in request.headers for request in peer.requests)


async def test_a_connection_is_used_again_after_a_success_and_after_an_error() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(a_file(), status=404 if len(peer.requests) == 2 else 200)

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        await poll(provider)
        await error_of(poll(provider))
        await poll(provider)
        ports = {request.transport.get_extra_info("peername") for request in peer.requests if request.transport}
    assert len(ports) == 1


# What goes wrong


STATUSES = {
    400: (ErrorKind.REJECTED, False),
    401: (ErrorKind.UNAUTHORIZED, False),
    402: (ErrorKind.REJECTED, False),
    403: (ErrorKind.UNAUTHORIZED, False),
    404: (ErrorKind.NOT_FOUND, True),
    409: (ErrorKind.CONFLICT, True),
    422: (ErrorKind.REJECTED, False),
    429: (ErrorKind.RATE_LIMITED, True),
    500: (ErrorKind.UNAVAILABLE, True),
    503: (ErrorKind.UNAVAILABLE, True),
    524: (ErrorKind.UNAVAILABLE, True),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_is_told_with_the_providers_words(status: int) -> None:
    async with serve(always({"detail": "no more credits"}, status)) as peer, provider_at(peer.url) as provider:
        error = await error_of(poll(provider))
    assert (error.kind, error.retryable) == STATUSES[status]
    assert (error.stage, error.status, error.detail) == (Stage.POLL, status, "no more credits")


async def test_retry_after_is_told() -> None:
    async with serve(always({}, 429, **{"Retry-After": "2"})) as peer, provider_at(peer.url) as provider:
        assert (await error_of(poll(provider))).retry_after_s == 2.0


async def test_an_error_never_repeats_the_token() -> None:
    async with serve(always({"detail": f"{TOKEN} is not valid"}, 401)) as peer, provider_at(peer.url) as provider:
        error = await error_of(poll(provider))
    assert TOKEN not in str(error)
    assert error.detail == "*** is not valid"


async def _endless(request: web.Request, status: int, part: bytes, pause_s: float = 0.02) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(part)
        await asyncio.sleep(pause_s)


@pytest.mark.patient_time
@pytest.mark.parametrize("status", [400, 401, 503])
async def test_a_status_counts_though_its_body_never_ends(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_http, "ERROR_BODY_LIMIT_S", SHORT_S)
    async with (
        serve(lambda request: _endless(request, status, b" ")) as peer,
        provider_at(peer.url, request_timeout=SHORT_S / 2, create_timeout=SHORT_S / 2) as provider,
    ):
        assert (await error_of(poll(provider))).status == status
        assert (await error_of(create(provider))).status == status
        await peer.gone.wait()


async def test_a_body_that_drips_is_given_up_in_time() -> None:
    async with (
        serve(lambda request: _endless(request, 200, b" ")) as peer,
        provider_at(peer.url, request_timeout=SHORT_S) as provider,
    ):
        error = await error_of(poll(provider))
        await peer.gone.wait()
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)


async def test_a_call_that_is_never_answered_is_given_up_in_time() -> None:
    async with serve(never) as peer, provider_at(peer.url, request_timeout=SHORT_S) as provider:
        error = await error_of(poll(provider))
        await peer.gone.wait()
    assert (error.kind, error.connected) == (ErrorKind.TIMEOUT, True)


async def test_a_cancelled_call_is_closed() -> None:
    async with serve(never) as peer, provider_at(peer.url) as provider:
        call = asyncio.create_task(poll(provider))
        while not peer.requests:
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await peer.gone.wait()
    assert call.cancelled()


BODIES = {
    "HTML": (b"<html><body>Sign in</body></html>", "not JSON"),
    "truncated": (b'{"id": "x", "url": nul', "not JSON"),
    "an array": (b"[1, 2, 3]", "body"),
    "wrong types": (b'{"id": 7, "url": {}}', "id"),
    "nothing": (b"", "not JSON"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_not_understood_is_malformed(name: str) -> None:
    body, says = BODIES[name]

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        error = await error_of(poll(provider))
    assert (error.kind, error.status) == (ErrorKind.MALFORMED, 200)
    assert says in error.detail


async def test_a_huge_body_is_not_read() -> None:
    written = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(50 * 16):
            await response.write(b" " * 65_536)
            written += 65_536
        return response

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        error = await error_of(poll(provider))
        await peer.gone.wait()
    assert error.kind is ErrorKind.MALFORMED
    assert written < 25 * 1024 * 1024  # what the kernel's buffers take, and no more


async def test_a_body_that_says_it_is_huge_is_not_waited_for() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 52428800\r\n\r\n "
    async with serve_bytes(head) as url, provider_at(url) as provider:
        assert (await error_of(poll(provider))).kind is ErrorKind.MALFORMED


@pytest.mark.parametrize("status", [200, 500])
async def test_a_small_body_that_unpacks_to_a_huge_one_is_not_unpacked(status: int) -> None:
    bomb = gzip.compress(b" " * 200 * 1024 * 1024, 1)

    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return web.Response(body=bomb, status=status, headers=headers)

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        tracemalloc.start()
        error = await error_of(poll(provider))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert error.kind is (ErrorKind.MALFORMED if status == 200 else ErrorKind.UNAVAILABLE)
    assert peak < 16 * 1024 * 1024


async def test_an_honest_packed_body_is_read() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = gzip.compress(orjson.dumps(a_file(url=ASSET_URL)))
        return web.Response(body=body, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        assert isinstance(await poll(provider), Ready)


async def test_what_follows_the_end_of_a_packed_body_is_not_kept() -> None:
    part, parts = b"x" * 65_536, 500

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
        await response.prepare(request)
        await response.write(gzip.compress(orjson.dumps(a_file(url=ASSET_URL))))
        for _ in range(parts):
            await response.write(part)
        return response

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        tracemalloc.start()
        assert isinstance(await poll(provider), Ready)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024


LOOSE = {
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: %d\n\n%s",
    "a header over two lines": b"HTTP/1.1 200 OK\r\nX-Note: one\r\n two\r\nContent-Length: %d\r\n\r\n%s",
    "a control character in a header": b"HTTP/1.1 200 OK\r\nX-Note: a\x01b\r\nContent-Length: %d\r\n\r\n%s",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%s",
    "an older version": b"HTTP/1.0 200 OK\r\nX-Bytes: %d\r\n\r\n%s",
    "hints before": b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
    "spaces after the size of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x  \r\n%s\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n",
}


@pytest.mark.parametrize("reply", LOOSE.values(), ids=LOOSE)
async def test_an_answer_that_is_written_loosely_is_read(reply: bytes) -> None:
    body = orjson.dumps(a_file(url=ASSET_URL))
    async with serve_bytes(reply % (len(body), body)) as url, provider_at(url) as provider:
        assert isinstance(await poll(provider), Ready)


RAW: dict[str, tuple[bytes, ErrorKind, bool]] = {
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ErrorKind.MALFORMED, True),
    "nothing": (b"", ErrorKind.UNAVAILABLE, False),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Ty", ErrorKind.UNAVAILABLE, False),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", ErrorKind.UNAVAILABLE, True),
    "half a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", ErrorKind.UNAVAILABLE, True),
    "no gzip": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        ErrorKind.MALFORMED,
        True,
    ),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, ErrorKind.MALFORMED, True),
}


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("name", RAW)
async def test_a_broken_answer_is_an_error_of_the_channel(name: str, reset: bool) -> None:
    reply, kind, connected = RAW[name]
    async with serve_bytes(reply, reset=reset) as url, provider_at(url) as provider:
        polled, created = await error_of(poll(provider)), await error_of(create(provider))
    if not reset:  # a reset may overtake what was written before it
        assert (polled.kind, polled.connected) == (kind, connected)
    assert polled.retryable
    assert not polled.may_have_effect
    assert created.may_have_effect


FLOODS = {
    "informational answers": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000),
    "packed nothing": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\x00\x00\x00\xff\xff" * 10_000,
    ),
    "spaces": (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_cannot_outrun_the_time_limit(name: str) -> None:
    head, flood = FLOODS[name]
    peers: set[asyncio.Task[object] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.add(asyncio.current_task())
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            while True:
                writer.write(flood)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        port = server.sockets[0].getsockname()[1]
        async with provider_at(f"http://127.0.0.1:{port}", request_timeout=0.3, create_timeout=0.3) as provider:
            polled, created = await error_of(poll(provider)), await error_of(create(provider))
        await asyncio.wait([peer for peer in peers if peer is not None])  # each is let go, also where it waits to write
    assert {polled.kind, created.kind} <= {ErrorKind.TIMEOUT, ErrorKind.MALFORMED}
    assert created.may_have_effect


async def test_half_an_answer_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    body = orjson.dumps(a_file(url="https://elsewhere.example/x.webp"))
    unasked = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    asked = orjson.dumps(a_file())

    answering: set[asyncio.Task[Any] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(asked), asked) + unasked[:30])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(unasked[30:])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with provider_at(f"http://127.0.0.1:{port}") as provider:
            assert [await poll(provider), await poll(provider)] == [Pending(), Pending()]
        await asyncio.wait([task for task in answering if task is not None])


async def test_a_provider_that_is_not_there_cannot_have_had_an_effect() -> None:
    async with provider_at(closed_port()) as provider:
        polled, created = await error_of(poll(provider)), await error_of(create(provider))
    assert (polled.kind, polled.connected) == (ErrorKind.UNAVAILABLE, False)
    assert (created.kind, created.may_have_effect) == (ErrorKind.UNAVAILABLE, False)


# Creating at most once


@pytest.mark.parametrize("status", [201, 202])
async def test_any_success_with_an_id_made_a_job(status: int) -> None:
    async with serve(always([a_file()], status)) as peer, provider_at(peer.url) as provider:
        assert await create(provider) == Created(FILE, status)


UNSURE: dict[str, Answer] = {
    "500": always({"detail": "Internal Server Error"}, 500),
    "503": always({}, 503, **{"Retry-After": "1"}),
    "no id": always([]),
    "another shape": always("queued"),
    "never": never,
}


@pytest.mark.parametrize("name", UNSURE)
async def test_a_create_that_may_have_made_a_job_says_so(name: str) -> None:
    async with serve(UNSURE[name]) as peer, provider_at(peer.url, create_timeout=SHORT_S) as provider:
        error = await error_of(create(provider))
    assert error.may_have_effect
    assert len(peer.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429])
async def test_a_create_that_was_refused_made_no_job(status: int) -> None:
    async with serve(always({"detail": "no"}, status)) as peer, provider_at(peer.url) as provider:
        assert not (await error_of(create(provider))).may_have_effect


async def test_a_create_on_a_connection_that_breaks_is_not_sent_twice() -> None:
    heads: list[bytes] = []
    async with serve_bytes(b"", connections=heads) as url, provider_at(url) as provider:
        error = await error_of(create(provider))
    assert error.may_have_effect
    assert len(heads) == 1


async def test_a_create_that_found_no_free_connection_made_no_job() -> None:
    limits: dict[str, Any] = {"max_connections": 1, "connect_timeout": SHORT_S}
    async with serve(never) as peer, provider_at(peer.url, **limits) as provider:
        first = asyncio.create_task(create(provider))
        while not peer.requests:
            await asyncio.sleep(0)
        error = await error_of(create(provider))
        first.cancel()
        await asyncio.wait([first])
    assert (error.kind, error.may_have_effect, error.connected) == (ErrorKind.TIMEOUT, False, False)
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("status", "may_have_effect"), [(301, False), (302, False), (303, True), (307, False), (308, False)]
)
async def test_a_create_is_not_redirected(status: int, may_have_effect: bool) -> None:
    async with serve(always([a_file()], status, Location="/elsewhere")) as peer, provider_at(peer.url) as provider:
        error = await error_of(create(provider))
    assert (error.kind, error.retryable) == (ErrorKind.REJECTED, False)
    assert error.may_have_effect == may_have_effect
    assert len(peer.requests) == 1


# Redirects


def _redirect(to: Callable[[web.Request], str | None], status: int = 307) -> Answer:
    """Redirects what is under /api, and answers the rest."""

    async def answer(request: web.Request) -> web.StreamResponse:
        target = to(request)
        if target is None:
            return web.json_response(a_file(url=ASSET_URL))
        return web.Response(status=status, headers={"Location": target})

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_at_the_same_origin_is_followed_with_the_token(status: int) -> None:
    answer = _redirect(lambda request: "/moved?x=1" if request.path.startswith("/api") else None, status)
    async with serve(answer) as peer, provider_at(peer.url) as provider:
        assert isinstance(await poll(provider), Ready)
    assert peer.requests[1].path_qs == "/moved?x=1"
    assert peer.requests[1].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_neither_token_nor_trace_go_to_another_origin_nor_back_from_there() -> None:
    here = _redirect(lambda request: f"{there.url}/hop" if request.path.startswith("/api") else None)
    back = _redirect(lambda _: f"{home.url}/back")
    async with serve(here) as home, serve(back) as there, provider_at(home.url) as provider:
        assert isinstance(await poll(provider), Ready)
    for request in (there.requests[0], home.requests[1]):
        assert not {"Authorization", *TRACE_HEADERS, "Cookie"} & set(request.headers)


@pytest.mark.parametrize("user", ["user@", "user:password@"])
async def test_a_user_in_a_redirect_is_left_out(user: str) -> None:
    answer = _redirect(
        lambda request: f"http://{user}{request.host}/moved" if request.path.startswith("/api") else None
    )
    async with serve(answer) as peer, provider_at(peer.url) as provider:
        assert isinstance(await poll(provider), Ready)
    assert peer.requests[1].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_redirects_without_end_are_given_up() -> None:
    async with serve(_redirect(lambda _: "/again")) as peer, provider_at(peer.url) as provider:
        error = await error_of(poll(provider))
    assert error.kind is ErrorKind.MALFORMED
    assert len(peer.requests) == 1 + provider_http.MAX_REDIRECTS


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "javascript:1",
        "http://",
        "http://h:99999/",
        "http://[::1",
        "http://[]@/",
        "http://a..b/",
        f"http://{'x' * 70}.example/",
    ],
)
async def test_a_redirect_to_nowhere_is_malformed(location: str) -> None:
    async with serve(_redirect(lambda _: location)) as peer, provider_at(peer.url) as provider:
        assert (await error_of(poll(provider))).kind is ErrorKind.MALFORMED


async def test_a_redirect_without_a_place_is_malformed() -> None:
    async with serve(always({}, 302)) as peer, provider_at(peer.url) as provider:
        assert (await error_of(poll(provider))).kind is ErrorKind.MALFORMED


# The pass-through


async def test_the_providers_own_json_is_passed_on_as_it_is() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{ "id" : "x", "unknown": [1] }', content_type="application/json")

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        assert await provider.fetch_raw("project", PROJECT_ID) == b'{ "id" : "x", "unknown": [1] }'
    assert peer.requests[0].path == f"/api/v1/project/{PROJECT_ID}"
    assert peer.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_errors_of_the_pass_through_keep_their_status(status: int) -> None:
    async with serve(always({"detail": "no"}, status)) as peer, provider_at(peer.url) as provider:
        assert (await error_of(provider.fetch_raw("file", FILE_ID))).status == status


async def test_what_is_not_json_is_not_passed_on() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<script>", content_type="text/html")

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        assert (await error_of(provider.fetch_raw("file", FILE_ID))).kind is ErrorKind.MALFORMED


@pytest.mark.parametrize("subject_id", ["../user/me", "a/b", "a?b", "", "a%2Fb", "x" * 65, "a\r\nb"])
async def test_what_is_no_id_never_gets_into_a_path(subject_id: str) -> None:
    async with serve(always({})) as peer, provider_at(peer.url) as provider:
        assert (await error_of(provider.fetch_raw("file", subject_id))).kind is ErrorKind.NOT_FOUND
    assert peer.requests == []
