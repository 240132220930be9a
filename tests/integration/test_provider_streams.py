"""The adapter's event streams against real servers on loopback: opened, read, broken, silent, closed."""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
import pytest
from aiohttp import web

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import Asset, ErrorKind, Handle, Kind, Pending, Ready, Stage
from monitor.delivery.ports import Cursor, Foreign, Heartbeat, Malformed, Opened, Progress, Seen, StreamItem
from monitor.providers import http as provider_http
from monitor.providers.connection import MAX_RETRY_S
from monitor.providers.exchange import SLICE_BYTES
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
    always,
    closed_port,
    never,
    provider_at,
    serve,
    serve_bytes,
)

pytestmark = pytest.mark.usefixtures("no_stray_tasks")

SHORT_S = 0.2
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
READY = Seen(Ready(Asset(ASSET_URL, Kind.IMAGE, FILE_ID)))
OPENED = Opened(200)
RESET_AT_CLOSE = struct.pack("ii", 1, 0)

Write = Callable[[bytes], Awaitable[None]]


def frame(type_: str, object_: object, ends: str = "\r\n") -> bytes:
    return b"data: " + orjson.dumps({"type": type_, "object": object_}) + ends.encode() * 2


RESULT = frame("file", a_file(url=ASSET_URL))


def stream(script: Callable[[Write], Awaitable[None]], **headers: str) -> Answer:
    """Opens an event stream and lets `script` write to it; the stream ends with the script."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", **headers})
        await response.prepare(request)
        await script(response.write)
        return response

    return answer


def says(*parts: bytes, stays_open: bool = False) -> Answer:
    """A stream of these parts."""

    async def script(write: Write) -> None:
        for part in parts:
            await write(part)
        if stays_open:
            await asyncio.Event().wait()

    return stream(script)


@dataclass(slots=True)
class Listener:
    """What came over one connection. `heard` is set with every item."""

    provider: SuperDuperProvider
    handle: Handle = FILE
    cursor: Cursor = field(default_factory=Cursor)
    items: list[StreamItem] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self, item: StreamItem) -> None:
        self.items.append(item)
        self.heard.set()

    async def listen(self) -> None:
        await self.provider.subscribe(self.handle, self.cursor, self.notify, trace_headers=TRACE_HEADERS)

    async def error(self) -> ChannelError:
        with pytest.raises(ChannelError) as caught:
            await self.listen()
        assert caught.value.stage is Stage.SUBSCRIBE
        return caught.value

    @asynccontextmanager
    async def in_background(self) -> AsyncIterator[asyncio.Task[None]]:
        """Listens until the block is left, which cancels it."""
        task = asyncio.create_task(self.listen())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, item: StreamItem) -> None:
        while item not in self.items:
            self.heard.clear()
            await self.heard.wait()


# What is asked, and what comes of it


async def test_a_stream_is_read_until_its_server_ends_it() -> None:
    progress = frame("render_progress", {"progress": 40, "file_id": FILE_ID})
    async with serve(says(progress, RESULT)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert listener.items == [OPENED, Progress(0.4), READY]


@pytest.mark.parametrize(("handle", "channel"), [(FILE, f"file.{FILE_ID}"), (PROJECT, f"project.{PROJECT_ID}")])
async def test_the_channel_is_that_of_the_handle(handle: Handle, channel: str) -> None:
    async with serve(says()) as peer, provider_at(peer.url) as provider:
        await Listener(provider, handle).listen()
    assert peer.requests[0].path == f"/api/v1/events/{channel}"


async def test_the_request_asks_for_an_event_stream_that_nobody_holds_back() -> None:
    async with serve(says()) as peer, provider_at(peer.url) as provider:
        await Listener(provider).listen()
    headers = peer.requests[0].headers
    assert headers["Accept"] == "text/event-stream"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert TRACE_HEADERS.items() <= dict(headers).items()
    assert "Last-Event-ID" not in headers


async def test_ids_and_retry_are_kept_for_the_next_connection() -> None:
    first = b"id: 7\nretry: 5000\n" + frame("scene", {}, "\n") + b"id: lost, as the event never ends\n"
    async with serve(says(first)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
        assert listener.cursor == Cursor("7", 5.0)
        await listener.listen()
    assert peer.requests[1].headers["Last-Event-ID"] == "7"


async def test_an_endless_retry_is_bounded() -> None:
    async with serve(says(b"retry: 99999999999999\n\n")) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert listener.cursor.retry_s == MAX_RETRY_S


async def test_what_a_stream_does_not_say_stays_as_it_was() -> None:
    async with serve(says(RESULT)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider, cursor=Cursor("7", 5.0))
        await listener.listen()
    assert listener.cursor == Cursor("7", 5.0)


@pytest.mark.parametrize("last", ["лиса 🦊", "a b", "\ufffd", "x" * 1_024])
async def test_any_id_that_can_stand_in_a_header_is_sent_as_utf_8(last: str) -> None:
    async with serve(says()) as peer, provider_at(peer.url) as provider:
        await Listener(provider, cursor=Cursor(last)).listen()
    assert peer.requests[0].headers["Last-Event-ID"] == last


@pytest.mark.parametrize("last", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "a\x00b", "\x7f", "x" * 1_025])
async def test_an_id_that_cannot_is_not_sent(last: str) -> None:
    async with serve(says()) as peer, provider_at(peer.url) as provider:
        await Listener(provider, cursor=Cursor(last)).listen()
    assert not {"Last-Event-ID", "X-Injected"} & set(peer.requests[0].headers)


CONTENT_TYPES = ["text/event-stream", "Text/Event-Stream", "text/event-stream;charset=UTF-8", "text/event-stream ; a=b"]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_an_event_stream_is_known_by_its_type(content_type: str) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: " + content_type.encode() + b"\r\nConnection: close\r\n\r\n" + RESULT
    async with serve_bytes(reply) as url, provider_at(url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert listener.items == [OPENED, READY]


# What goes wrong while it opens


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "text/event-streams", "x/" + "y" * 5_000])
async def test_another_content_type_is_malformed_for_good(content_type: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=RESULT, headers={"Content-Type": content_type})

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        error = await listener.error()
    assert (error.kind, error.status, error.retryable, error.connected) == (ErrorKind.MALFORMED, 200, False, True)
    assert content_type[:100] in error.detail
    assert len(error.detail) <= 300
    assert listener.items == []


STATUSES = {
    204: (ErrorKind.REJECTED, False),
    205: (ErrorKind.REJECTED, False),
    206: (ErrorKind.REJECTED, False),
    304: (ErrorKind.REJECTED, False),
    400: (ErrorKind.REJECTED, False),
    401: (ErrorKind.UNAUTHORIZED, False),
    403: (ErrorKind.UNAUTHORIZED, False),
    404: (ErrorKind.NOT_FOUND, False),
    410: (ErrorKind.NOT_FOUND, False),
    429: (ErrorKind.RATE_LIMITED, True),
    500: (ErrorKind.UNAVAILABLE, True),
    503: (ErrorKind.UNAVAILABLE, True),
    524: (ErrorKind.UNAVAILABLE, True),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_anything_but_200_is_no_stream(status: int) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Content-Type": "text/event-stream", "Retry-After": "3"})

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        error = await listener.error()
    assert (error.kind, error.retryable) == STATUSES[status]
    assert (error.status, error.connected) == (status, True)
    assert error.retry_after_s == (3.0 if status in (429, 503) else None)
    assert listener.items == []


@pytest.mark.patient_time
async def test_a_refusal_counts_though_its_body_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_http, "ERROR_BODY_LIMIT_S", SHORT_S)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=401)
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    async with serve(answer) as peer, provider_at(peer.url, connect_timeout=SHORT_S / 2) as provider:
        error = await Listener(provider).error()
        await peer.gone.wait()
    assert (error.kind, error.retryable) == (ErrorKind.UNAUTHORIZED, False)


async def test_headers_that_do_not_come_are_given_up_in_time() -> None:
    async with serve(never) as peer, provider_at(peer.url, connect_timeout=SHORT_S) as provider:
        listener = Listener(provider)
        error = await listener.error()
        await peer.gone.wait()
    assert (error.kind, error.retryable) == (ErrorKind.TIMEOUT, True)
    assert listener.items == []


async def test_a_refused_connection_never_stood() -> None:
    async with provider_at(closed_port()) as provider:
        error = await Listener(provider).error()
    assert (error.kind, error.retryable, error.connected) == (ErrorKind.UNAVAILABLE, True, False)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_broke_before_the_headers_never_stood(reset: bool) -> None:
    async with serve_bytes(b"", reset=reset) as url, provider_at(url) as provider:
        error = await Listener(provider).error()
    assert (error.kind, error.retryable, error.connected) == (ErrorKind.UNAVAILABLE, True, False)


async def test_a_stream_is_followed_to_another_origin_without_what_is_private() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{there.url}/events"})

    async with serve(answer) as here, serve(says(RESULT)) as there, provider_at(here.url) as provider:
        listener = Listener(provider, cursor=Cursor("7"))
        await listener.listen()
    assert listener.items == [OPENED, READY]
    assert here.requests[0].headers["Last-Event-ID"] == "7"
    headers = there.requests[0].headers
    assert headers["Accept"] == "text/event-stream"
    assert not {"Authorization", *TRACE_HEADERS, "Last-Event-ID"} & set(headers)


# What goes wrong once it stands


BROKEN = {
    "between events": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(RESULT), RESULT),
    "inside an event": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s" % (len(RESULT), RESULT[:-20]),
    "before its length": HEAD + b"Content-Length: 9999\r\n\r\n" + RESULT,
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_stream_that_breaks_did_stand(name: str) -> None:
    async with serve_bytes(BROKEN[name]) as url, provider_at(url) as provider:
        listener = Listener(provider)
        error = await listener.error()
    assert (error.kind, error.retryable, error.connected) == (ErrorKind.UNAVAILABLE, True, True)
    assert listener.items[0] == OPENED


async def test_a_stream_in_chunks_that_are_none_is_an_error_of_the_channel() -> None:
    async with (
        serve_bytes(HEAD + b"Transfer-Encoding: chunked\r\n\r\nno length\r\n") as url,
        provider_at(url) as provider,
    ):
        error = await Listener(provider).error()
    assert error.kind in (ErrorKind.MALFORMED, ErrorKind.UNAVAILABLE)  # whether the head was read before them
    assert error.retryable


async def test_a_stream_that_is_reset_did_stand() -> None:
    told = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(RESULT)
        await told.wait()
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        request.transport.abort()
        return response

    async with serve(answer) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        task = asyncio.create_task(listener.error())
        await listener.until(READY)
        told.set()
        error = await task
    assert (error.kind, error.retryable, error.connected) == (ErrorKind.UNAVAILABLE, True, True)


async def test_an_event_that_is_cut_short_is_never_told() -> None:
    async with serve(says(RESULT[:-2])) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert listener.items == [OPENED]


async def test_silence_ends_a_stream_that_stood() -> None:
    async with serve(says(RESULT, stays_open=True)) as peer, provider_at(peer.url, silence_limit=SHORT_S) as provider:
        listener = Listener(provider)
        error = await listener.error()
        await peer.gone.wait()
    assert (error.kind, error.retryable, error.connected) == (ErrorKind.TIMEOUT, True, True)
    assert error.detail == "no byte for 0.2 s"
    assert listener.items == [OPENED, READY]


async def test_a_stream_without_any_byte_is_silent_too() -> None:
    async with serve(says(stays_open=True)) as peer, provider_at(peer.url, silence_limit=SHORT_S) as provider:
        listener = Listener(provider)
        assert (await listener.error()).kind is ErrorKind.TIMEOUT
    assert listener.items == [OPENED]


async def test_any_byte_is_a_sign_of_life() -> None:
    async def script(write: Write) -> None:
        for part in (b": ping\r\n\r\n", b":", b"x", b"\r\n\r\n", *(bytes([byte]) for byte in b"data: 1")):
            await asyncio.sleep(SHORT_S / 2)
            await write(part)
        await write(b"\r\n\r\n" + RESULT)

    async with serve(stream(script)) as peer, provider_at(peer.url, silence_limit=SHORT_S * 3) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert [type(item) for item in listener.items] == [Opened, Heartbeat, Heartbeat, Malformed, Seen]


async def test_many_comments_at_once_are_one_heartbeat() -> None:
    async with serve(says(b": ping\n\n" * 200)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert listener.items == [OPENED, Heartbeat()]


async def test_one_byte_a_write_makes_the_same_events() -> None:
    whole = b"\xef\xbb\xbf" + "data: лиса\r\n\r\n".encode() + RESULT

    async def script(write: Write) -> None:
        for byte in whole:
            await write(bytes([byte]))

    async with serve(stream(script)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert listener.items == [OPENED, Malformed("not JSON"), READY]


async def test_what_cannot_be_understood_is_skipped_and_the_stream_lives_on() -> None:
    bad = (b"data: {not json\n\n", b"data: [1]\n\n", frame("file", "a string"), b"data: \xff\xfe\n\n")
    foreign = frame("file", a_file(id="another", url=ASSET_URL))
    async with serve(says(*bad, foreign, frame("file", a_file()), RESULT)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert [type(item) for item in listener.items[1:5]] == [Malformed] * 4
    assert listener.items[5:] == [Foreign(), Seen(Pending()), READY]


async def test_an_event_that_is_too_large_is_skipped_and_counted() -> None:
    huge = frame("render_progress", {"progress": 50, "padding": "x" * 5 * 1024 * 1024})
    async with serve(says(huge, RESULT)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        await listener.listen()
    assert [item for item in listener.items if not isinstance(item, Malformed)] == [OPENED, READY]
    assert len(listener.items) == 3


# Closing, and living side by side


async def test_cancelling_closes_the_connection() -> None:
    async with serve(says(RESULT, stays_open=True)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        async with listener.in_background() as task:
            await listener.until(READY)
        await peer.gone.wait()
    assert task.cancelled()


async def test_cancelling_while_it_opens_closes_the_connection() -> None:
    async with serve(never) as peer, provider_at(peer.url) as provider:
        async with Listener(provider).in_background() as task:
            while not peer.requests:
                await asyncio.sleep(0)
        await peer.gone.wait()
    assert task.cancelled()


async def test_a_stream_that_never_ends_is_closed_while_it_still_writes() -> None:
    async def script(write: Write) -> None:
        while True:
            await write(b": ping\r\n\r\n" * 1_000)

    async with serve(stream(script)) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        async with listener.in_background():
            await listener.until(Heartbeat())
        await peer.gone.wait()


async def test_a_crash_of_the_listener_closes_the_connection() -> None:
    def crash(_: StreamItem) -> None:
        raise ZeroDivisionError

    async with serve(says(stays_open=True)) as peer, provider_at(peer.url) as provider:
        with pytest.raises(ZeroDivisionError):
            await provider.subscribe(FILE, Cursor(), crash, trace_headers=TRACE_HEADERS)
        await peer.gone.wait()


async def longest_turn(listener: Listener) -> int:
    """The most items that came without the loop being left to others."""
    longest, seen = 0, 0
    async with listener.in_background() as task:
        while not task.done():
            await asyncio.sleep(0)
            longest, seen = max(longest, len(listener.items) - seen), len(listener.items)
    return longest


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_storm_of_events_leaves_the_loop_to_others(is_chunked: bool) -> None:
    event, events = frame("render_progress", {"progress": 1}), 2_500
    body = event * events + RESULT
    if is_chunked:
        head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (*[event] * events, RESULT)]
        body = b"".join((*chunks, b"0\r\n\r\n"))
    else:
        head = HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    async with serve_bytes(head + body) as url, provider_at(url) as provider:
        listener = Listener(provider)
        longest = await longest_turn(listener)
    assert listener.items.count(Progress(0.01)) == events
    assert listener.items[-1] == READY
    assert longest <= 2 * SLICE_BYTES / len(event)


async def test_a_small_packed_stream_of_much_leaves_the_loop_to_others() -> None:
    packed = gzip.compress(b":\n\n" * 2_000_000)

    async def script(write: Write) -> None:
        await write(packed)

    answer = stream(script, **{"Content-Encoding": "gzip"})
    async with serve(answer) as peer, provider_at(peer.url) as provider:
        listener = Listener(provider)
        longest = await longest_turn(listener)
    assert listener.items.count(Heartbeat()) > 10
    assert longest <= 2


async def test_open_streams_take_no_connection_from_short_calls() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "/events/" in request.path:
            return await says(RESULT, stays_open=True)(request)
        return await always(a_file())(request)

    async with serve(answer) as peer, provider_at(peer.url, max_connections=1) as provider:
        listeners = [Listener(provider) for _ in range(20)]
        tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
        for listener in listeners:
            await listener.until(READY)
        for _ in range(3):
            assert (await provider.poll(FILE, trace_headers=TRACE_HEADERS)).sighting == Pending()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
