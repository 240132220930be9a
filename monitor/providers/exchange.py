"""HTTP/1.1 as a client, close to the wire: one connection, one request at a time, and answers that may have no end.

A general client is made for short answers: for a stream that stays open it costs several times the processor time and
the memory (docs/benchmarks.md). The parsing is httptools'. All limits are instants of the loop's clock.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import httptools

MAX_HEAD_BYTES: Final = 64 * 1024
"""Status line and headers, or whatever else frames the body between two pieces of it."""
_MOST_BUFFERED_BYTES: Final = 256 * 1024
PARSED_BYTES: Final = 16 * 1024
"""What is parsed without leaving the loop to others: thousands of chunks, where each holds a single byte."""
_UNPACKED_BYTES: Final = 64 * 1024
SLICE_BYTES: Final = 2 * 1024
"""What is handed on without leaving the loop to others in between."""
_PACKINGS: Final = ("gzip", "x-gzip", "deflate")
_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS


class NoConnectionError(ConnectionError):
    """No connection stood, so nothing was asked. `in_time`: the answer was a refusal, not silence."""

    def __init__(self, why: str, *, in_time: bool = True) -> None:
        super().__init__(why)
        self.in_time = in_time


class CutShortError(ConnectionError):
    """The connection broke after the head of the answer had come."""


class MeaninglessAnswerError(ConnectionError):
    """What came back is not HTTP, or not what this client asked for."""


class Connection(asyncio.Protocol):
    """One exchange at a time: `ask`, then `head`, then `read` until it returns b"". `status` and `headers` (names in
    lower case) are there after `head`.

    Whoever opened it closes it. What breaks it is raised as ConnectionError, and a limit that passed as TimeoutError.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = _lenient_parser(self)
        self._transport: asyncio.Transport | None = None
        self._unparsed = b""
        self._pieces: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._framing_bytes = 0
        self._has_head = False
        self._is_over = True
        self._may_be_kept = False
        self._failure: ConnectionError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._unpacker: _Unpacker | None = None
        self._sink: Callable[[bytes], None] | None = None
        self._poured_at_s = 0.0
        self._poured_bytes = 0
        """In this turn of the loop."""

    @property
    def is_reusable(self) -> bool:
        """Whether the last answer was read to its end, and another request can follow."""
        is_done = self._is_over and self._may_be_kept and not self._pieces and not self._unparsed
        return is_done and self._transport is not None and not self._transport.is_closing()

    @property
    def is_unanswered(self) -> bool:
        """Whether not even the head of an answer has come."""
        return not self._has_head

    def ask(self, request: bytes) -> None:
        """Send a request. Raises NoConnectionError when the connection is gone."""
        if self._transport is None:
            raise NoConnectionError("the connection was closed at once")
        self._has_head = self._is_over = self._may_be_kept = False
        self._failure = self._unpacker = None
        self._framing_bytes = 0
        self._transport.write(request)

    async def head(self, until_s: float) -> None:
        """Wait for status and headers."""
        while not self._has_head:
            if self._failure is not None:
                raise self._failure
            await self._wait(until_s)
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        if coding in _PACKINGS:
            self._unpacker = _Unpacker()
        elif coding not in ("identity", ""):
            raise MeaninglessAnswerError(f"the content encoding is {coding}, which was not asked for")

    async def read(self, until_s: float) -> bytes:
        """The next bytes of the body, unpacked; b"" at its end."""
        while True:
            if self._unpacker is not None and (unpacked := self._unpacker.more()):
                return unpacked
            if self._pieces:
                piece = self._take()
                if self._unpacker is None:
                    return piece
                self._unpacker.feed(piece)
            elif self._failure is not None:
                raise self._failure
            elif self._is_over:
                return b""
            else:
                await self._wait(until_s)

    async def pour(self, sink: Callable[[bytes], None], silence_limit_s: float) -> None:
        """Hand the body to `sink` in pieces of at most `SLICE_BYTES`, until its end; a small one as soon as it comes.

        Raises what `sink` raises, and TimeoutError when no byte came for the limit.
        """
        self._poured_at_s = self._loop.time()
        self._sink = None if self._unpacker is not None else sink
        while True:
            try:
                piece = await self.read(self._poured_at_s + silence_limit_s)
            except TimeoutError:
                if self._loop.time() < self._poured_at_s + silence_limit_s:
                    continue
                raise
            if not piece:
                return
            self._poured_at_s = self._loop.time()
            for start in range(0, len(piece), SLICE_BYTES):
                sink(piece[start : start + SLICE_BYTES])
                await asyncio.sleep(0)

    def close(self) -> None:
        """Let go of the connection, whatever is still to come."""
        self._is_over = True
        self._unparsed = b""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # which uvloop's do not inherit from

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._unparsed += data
        self._parse_some()

    def _parse_some(self) -> None:
        """Parse what has come, a part in each turn of the loop, and read no more until that is done."""
        data, self._unparsed = self._unparsed[:PARSED_BYTES], self._unparsed[PARSED_BYTES:]
        if data:
            self._parse(data)
        if self._transport is None:
            return
        if self._unparsed:
            self._transport.pause_reading()
            self._loop.call_soon(self._parse_some)
        elif self._buffered_bytes <= _MOST_BUFFERED_BYTES:
            self._read_on()

    def _parse(self, data: bytes) -> None:
        if self._parser is None or self._is_over:
            self.close()  # nobody asked for it
            return
        self._framing_bytes += len(data)
        self._poured_bytes = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break("the server switches to another protocol")
        except httptools.HttpParserError as error:
            self._break(f"the answer is no HTTP: {error}")
        if self._framing_bytes > MAX_HEAD_BYTES:
            self._break(f"the headers are larger than {MAX_HEAD_BYTES} bytes")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. An answer without a length, and not in chunks, ends with its connection."""
        while self._unparsed:
            self._parse_some()
        self._parser = None  # they hold one another
        self._transport = None
        if not self._is_over:
            has_length = "content-length" in self.headers or "transfer-encoding" in self.headers
            if not self._has_head:
                self._failure = ConnectionError(str(exc or "") or "the connection was closed without an answer")
            elif exc is not None or has_length:
                self._failure = CutShortError("the connection broke in the middle")
            self._is_over = True
        self._wake()

    def on_message_begin(self) -> None:
        """Of httptools. An informational answer (1xx) may come before the one that counts."""
        if not self._has_head:
            self.headers = {}
        elif self._is_over:  # an answer that nobody asked for yet
            self._may_be_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of httptools."""
        if not self._has_head:  # else it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        """Of httptools."""
        if self._has_head or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        if self.status >= 200:  # informational answers count as part of the head: there may be no end of them
            self._has_head = True
            self._framing_bytes = 0

    def on_body(self, piece: bytes) -> None:
        """Of httptools."""
        self._framing_bytes = 0
        if self._is_over:
            return  # what follows the end is nobody's
        if self._sink is not None and self._can_pour(piece):
            self._poured_at_s = self._loop.time()
            try:
                self._sink(piece)
            except Exception as error:  # noqa: BLE001 - raised where the body is waited for
                self._fail_waiter(error)
            return
        self._pieces.append(piece)
        self._buffered_bytes += len(piece)
        if self._buffered_bytes > _MOST_BUFFERED_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Of httptools."""
        if self._has_head and not self._is_over and self._parser is not None:
            self._is_over = True
            self._may_be_kept = self._parser.should_keep_alive()

    def _can_pour(self, piece: bytes) -> bool:
        """Whether it is the next one, and the loop was not kept from others for long already."""
        is_next = self._waiter is not None and not self._waiter.done() and not self._pieces
        self._poured_bytes += len(piece)
        return is_next and self._poured_bytes <= SLICE_BYTES

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._buffered_bytes -= len(piece)
        if not self._pieces and not self._unparsed:
            self._read_on()
        return piece

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    async def _wait(self, until_s: float) -> None:
        if self._loop.time() >= until_s:  # what comes without pause must not outrun the timer
            raise TimeoutError
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until_s, self._time_out)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _time_out(self) -> None:
        self._fail_waiter(TimeoutError())

    def _fail_waiter(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, why: str) -> None:
        """After the end of an answer that was whole, it only means that the connection is of no further use."""
        self._may_be_kept = False
        if not self._is_over:
            self._failure = MeaninglessAnswerError(why)
        self.close()


def _lenient_parser(protocol: object) -> httptools.HttpResponseParser:
    """As forgiving as clients are: of header lines that go on in the next (RFC 9112, section 5.2), and of lone LFs."""
    parser = httptools.HttpResponseParser(protocol)
    parser.set_dangerous_leniencies(  # dangerous to servers, whose requests pass through others
        lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
    )
    return parser


class _Unpacker:
    """Unpacks what a server packed though nobody asked, a bounded piece at a time."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_ANY_ZLIB)
        self._packed = b""

    def feed(self, packed: bytes) -> None:
        """Take more. All that was fed before is unpacked already."""
        self._packed = packed

    def more(self) -> bytes:
        """The next piece, b"" when more is needed. What follows the end is dropped, as browsers do."""
        if self._zlib.eof:
            return b""
        try:
            unpacked = self._zlib.decompress(self._packed, _UNPACKED_BYTES)
        except zlib.error as error:
            raise MeaninglessAnswerError(f"the body cannot be unpacked: {error}") from None
        self._packed = self._zlib.unconsumed_tail
        return unpacked
