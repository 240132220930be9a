"""Callers who hold a connection and ask for nothing, or for too much at a time."""

import asyncio

import pytest
from aiohttp import web

from monitor.delivery.errors import Overloaded
from monitor.web.events import OpenStreams
from monitor.web.listening import SilentConnections, UnreadAnswers, listening


class Held(asyncio.Transport):
    """A connection, and its own transport, that notes whether it was closed. `unread_bytes` wait in it."""

    is_closed = False

    def __init__(self, unread_bytes: int = 0) -> None:
        self.unread_bytes = unread_bytes

    @property
    def transport(self) -> asyncio.Transport:
        return self

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def force_close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


def test_a_connection_that_stays_silent_is_closed_when_its_time_is_over() -> None:
    silent, early, later = SilentConnections(10.0), Held(), Held()
    silent.close_late([early], 100.0)
    silent.close_late([early, later], 109.9)
    assert not early.is_closed
    silent.close_late([early, later], 110.0)
    assert (early.is_closed, later.is_closed) == (True, False)


def test_what_is_closed_is_forgotten() -> None:
    silent, held = SilentConnections(10.0), Held()
    silent.close_late([held], 100.0)
    silent.close_late([], 105.0)
    silent.close_late([held], 112.0)
    assert not held.is_closed


def test_a_caller_who_takes_nothing_of_its_answer_is_let_go_when_its_time_is_over() -> None:
    answers, gone, slow, quick = UnreadAnswers(60.0), Held(100), Held(100), Held(100)
    answers.close_late([gone, slow, quick], 0.0)
    gone.unread_bytes, slow.unread_bytes, quick.unread_bytes = 200, 99, 0
    answers.close_late([gone, slow, quick], 50.0)
    quick.unread_bytes = 100
    answers.close_late([gone, slow, quick], 60.0)
    assert (gone.is_closed, slow.is_closed, quick.is_closed) == (True, False, False)
    answers.close_late([slow, quick], 110.0)
    assert (slow.is_closed, quick.is_closed) == (True, False)


async def test_an_answer_that_nobody_reads_does_not_hold_its_connection() -> None:
    let_go = asyncio.Event()

    async def tell_for_ever(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 100_000)
        except ConnectionError:
            let_go.set()
            raise

    app = web.Application()
    app.add_routes([web.get("/", tell_for_ever)])
    async with listening(app, "127.0.0.1", 0, shutdown_s=1.0, unread_s=0.1) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), limit=1_000)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await let_go.wait()
        writer.transport.abort()


async def test_half_a_request_is_let_go_and_one_that_waits_for_its_answer_is_not() -> None:
    answer = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await answer.wait()
        return web.Response(text="at last")

    app = web.Application()
    app.add_routes([web.get("/", wait)])
    async with listening(app, "127.0.0.1", 0, shutdown_s=1.0, headers_s=0.1) as url:
        port = int(url.rpartition(":")[2])
        asks, asking = await asyncio.open_connection("127.0.0.1", port)
        asking.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        half, dribbling = await asyncio.open_connection("127.0.0.1", port)
        dribbling.write(b"GET / HTTP/1.1\r\nHost: ")
        assert await half.read() == b""
        answer.set()
        assert (await asks.read()).endswith(b"at last")
        for writer in (asking, dribbling):
            writer.close()


def test_streams_beyond_the_limit_are_refused_until_one_is_closed() -> None:
    streams = OpenStreams(1)
    with (
        streams.place(),
        pytest.raises(Overloaded, match="1 event streams are open, which is the limit"),
        streams.place(),
    ):
        pass
    with streams.place():
        pass
