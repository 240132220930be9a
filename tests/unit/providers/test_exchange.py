"""A connection without its network: what it does with the bytes that come."""

import asyncio
import gzip
from typing import cast

import pytest
from yarl import URL

from monitor.providers.exchange import (
    PARSED_BYTES,
    SLICE_BYTES,
    Connection,
    CutShortError,
    MeaninglessAnswerError,
    NoConnectionError,
)
from monitor.providers.request import Place, render_request

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK, END = b"1\r\n%c\r\n", b"0\r\n\r\n"
BYTES = 50_000
MOST_AT_ONCE = 4_000


class Wire:
    """What a connection does to its transport."""

    is_on = True
    is_closed = False

    def write(self, _: bytes) -> None:
        """Nobody is at the other end."""

    def is_reading(self) -> bool:
        return self.is_on

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_on = False

    def resume_reading(self) -> None:
        self.is_on = True

    def abort(self) -> None:
        self.is_closed = True


class Counted(Connection):
    """Counts the pieces of the body as they are parsed."""

    parsed = 0

    def on_body(self, piece: bytes) -> None:
        self.parsed += 1
        super().on_body(piece)


def asked() -> tuple[Counted, Wire]:
    connection, wire = Counted(), Wire()
    connection.connection_made(cast("asyncio.Transport", wire))
    connection.ask(b"")
    return connection, wire


def in_chunks_of_a_byte() -> tuple[bytes, bytes]:
    """A body, and how it is sent."""
    body = bytes(number % 251 for number in range(BYTES))
    return body, HEAD + b"".join(CHUNK % byte for byte in body)


async def read_all(connection: Connection) -> bytes:
    until_s = asyncio.get_running_loop().time() + 10
    await connection.head(until_s)
    parts = []
    while part := await connection.read(until_s):
        parts.append(part)
    return b"".join(parts)


async def test_chunks_of_a_byte_are_parsed_some_at_a_time_and_no_more_is_read_meanwhile() -> None:
    connection, wire = asked()
    body, sent = in_chunks_of_a_byte()
    connection.data_received(sent + END)
    most, turns = connection.parsed, 0
    while connection.parsed < BYTES:
        before = connection.parsed
        assert not wire.is_on
        await asyncio.sleep(0)
        most, turns = max(most, connection.parsed - before), turns + 1
    assert most <= MOST_AT_ONCE
    assert turns >= BYTES / MOST_AT_ONCE - 1
    assert wire.is_on
    assert await read_all(connection) == body
    assert connection.is_reusable


async def test_what_came_before_the_connection_broke_is_not_lost() -> None:
    connection, _ = asked()
    body, sent = in_chunks_of_a_byte()
    connection.data_received(sent + END)
    connection.connection_lost(None)
    assert await read_all(connection) == body


async def test_what_came_before_a_cut_is_read_and_the_cut_is_told() -> None:
    connection, _ = asked()
    connection.data_received(in_chunks_of_a_byte()[1])
    connection.connection_lost(None)
    with pytest.raises(CutShortError):
        await read_all(connection)


@pytest.mark.parametrize("parsed_of_next_bytes", [0, 1, 1_000])
async def test_a_connection_that_holds_more_than_its_answer_is_not_used_again(parsed_of_next_bytes: int) -> None:
    connection, wire = asked()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 15000\r\nX: %s\r\n\r\n"
    body = b"x" * 15_000
    padding = b"y" * (PARSED_BYTES - len(head % b"") - len(body) - parsed_of_next_bytes)
    connection.data_received(head % padding + body + head % padding + body)
    assert await read_all(connection) == body
    assert not connection.is_reusable
    await asyncio.sleep(0)
    assert wire.is_closed


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
async def test_a_connection_is_used_again_only_where_its_server_keeps_it(head: bytes, is_kept: bool) -> None:
    connection, _ = asked()
    connection.data_received(head + b"Content-Length: 2\r\n\r\n{}")
    assert await read_all(connection) == b"{}"
    assert connection.is_reusable == is_kept


async def test_a_plain_answer_after_a_packed_one_is_read_as_it_is() -> None:
    connection, _ = asked()
    for coding, body, sent in ((b"gzip", b"packed", gzip.compress(b"packed")), (b"identity", b"plain", b"plain")):
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(sent))
        connection.data_received(head + sent)
        assert await read_all(connection) == body
        assert connection.is_reusable
        connection.ask(b"")


@pytest.mark.parametrize("cut", [None, ConnectionResetError()])
async def test_a_body_without_a_length_ends_with_its_connection_but_not_with_a_reset(cut: Exception | None) -> None:
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    connection.connection_lost(cut)
    if cut is None:
        assert await read_all(connection) == b"half"
    else:
        with pytest.raises(CutShortError):
            await read_all(connection)


async def test_a_packing_that_was_not_asked_for_and_is_not_known_is_no_body() -> None:
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\nxx")
    with pytest.raises(MeaninglessAnswerError, match="the content encoding is br"):
        await read_all(connection)


async def test_what_follows_the_body_changes_no_header() -> None:
    connection, _ = asked()
    connection.data_received(HEAD + b"2\r\n{}\r\n0\r\nContent-Type: text/event-stream\r\n\r\n")
    assert await read_all(connection) == b"{}"
    assert connection.headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
def test_a_header_that_would_end_its_line_is_not_sent(character: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        render_request("GET", Place(URL("http://h"), "/"), {"X": f"a{character}Authorization: b"})


async def test_over_a_connection_that_was_closed_before_nothing_was_asked() -> None:
    connection, wire = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert await read_all(connection) == b"{}"
    wire.is_closed = True
    assert not connection.is_reusable
    connection.connection_lost(None)
    with pytest.raises(NoConnectionError):
        connection.ask(b"")


async def test_what_is_closed_parses_no_more() -> None:
    connection, wire = asked()
    connection.data_received(in_chunks_of_a_byte()[1])
    parsed = connection.parsed
    connection.close()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (connection.parsed, wire.is_closed) == (parsed, True)


async def test_a_body_that_comes_faster_than_it_is_read_is_held_back_until_it_is() -> None:
    connection, wire = asked()
    connection.data_received(HEAD)
    part, held_bytes = b"x" * 10_000, 0  # parsed as it comes
    while wire.is_on and held_bytes < 100 * BYTES:
        connection.data_received(b"%x\r\n%s\r\n" % (len(part), part))
        held_bytes += len(part)
    assert held_bytes < 10 * BYTES
    until_s = asyncio.get_running_loop().time() + 10
    while held_bytes:
        assert not wire.is_on
        held_bytes -= len(await connection.read(until_s))
    assert wire.is_on


async def test_much_that_comes_at_once_is_not_poured_at_once() -> None:
    connection, _ = asked()
    connection.data_received(HEAD)
    await connection.head(asyncio.get_running_loop().time() + 10)
    poured: list[bytes] = []
    pouring = asyncio.create_task(connection.pour(poured.append, 10))
    await asyncio.sleep(0)
    pieces = [b"%05d" % number for number in range(500)]
    connection.data_received(b"".join(b"5\r\n%s\r\n" % piece for piece in pieces))
    assert 0 < len(b"".join(poured)) <= SLICE_BYTES
    connection.data_received(END)
    await pouring
    assert b"".join(poured) == b"".join(pieces)
