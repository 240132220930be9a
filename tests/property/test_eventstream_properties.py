"""What holds of the decoder for any bytes in any chunks, beside a reading of the standard too simple to be wrong."""

import re
from dataclasses import dataclass, field, fields

from hypothesis import example, given
from hypothesis import strategies as st

from monitor.providers.eventstream import EventStreamDecoder, ServerSentEvent

TOKENS = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b":", b" ", b"\0", b"\t"),
    *(b"data", b"data:", b"data: ", b"data: x\n", b"event", b"event: ", b"event: e\n", b"Data: "),
    *(
        b"id",
        b"id:",
        b"id: 7\n",
        b"id: 8\r\n",
        b"retry",
        b"retry: ",
        b"retry: 5\n",
        b"1",
        b"20",
        b"-",
        b"x",
        b": beat\n",
    ),
    *(b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", "ü".encode(), "€".encode(), "🚀".encode()),
    *(b"\xf0\x9f", b"\x9a", b"\xff", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b", b"\x0c", b"\x1e"),
]

NAMES = [*[b"data"] * 4, b"event", b"id", b"id", b"retry", b"", b"mood", b"\xef\xbb\xbfdata"]
VALUES = [
    *(b":", b": ", b":  ", b"", b": a", b":b", b": c d ", b":  e", b":a:b", b":\tx", b":1", b": 20", b": 0"),
    *(b": 7\0", b": 007", b": " + b"9" * 40, ": \u0665".encode(), ": €🚀".encode(), b": \xe2\x82", b":\xef\xbb\xbf"),
]
LINE_ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"]


def joined(*parts: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*map(st.sampled_from, parts)).map(b"".join)


def many(parts: st.SearchStrategy[bytes], max_size: int) -> st.SearchStrategy[bytes]:
    return st.lists(parts, max_size=max_size).map(b"".join)


line_soups = st.builds(
    bytes.__add__, st.sampled_from([b"", b"\xef\xbb\xbf"]), many(joined(NAMES, VALUES, LINE_ENDS), max_size=20)
)
soups = line_soups | line_soups | many(st.sampled_from(TOKENS), max_size=60) | st.binary(max_size=200)
bounds = st.sampled_from([3, 5, 8, 12, 20, 40, 1024 * 1024])


@st.composite
def chunkings(draw: st.DrawFn, streams: st.SearchStrategy[bytes] = soups) -> list[bytes]:
    """A stream in chunks, some of them empty."""
    stream = draw(streams)
    halves = [match.start() + 1 for match in re.finditer(b"\r\n", stream)]
    places = st.integers(0, len(stream)) | st.sampled_from(halves or [0])
    cuts = sorted(draw(st.lists(places, max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@dataclass
class Reference:
    """The whole stream at once, in the words of the standard; no bound, no chunks."""

    stream: bytes
    last_event_id: str = ""
    retry_ms: int | None = None
    comments: int = 0
    events: list[ServerSentEvent] = field(default_factory=list)
    data: str = ""
    type: str = ""
    id_buffer: str = ""

    def run(self) -> "Reference":
        text = self.stream.decode("utf-8", errors="replace")
        *lines, _unfinished = re.split("\r\n|\n|\r", text.removeprefix("\ufeff"))
        for line in lines:
            self.process(line)
        return self

    def process(self, line: str) -> None:
        if line == "":
            self.dispatch()
        elif line[0] == ":":
            self.comments += 1
        elif match := re.fullmatch("([^:]*): ?(.*)", line, re.DOTALL):
            self.process_field(match[1], match[2])
        else:
            self.process_field(line, "")

    def process_field(self, name: str, value: str) -> None:
        if name == "event":
            self.type = value
        if name == "data":
            self.data += value + "\n"
        if name == "id" and "\0" not in value:
            self.id_buffer = value
        if name == "retry" and re.fullmatch("[0-9]+", value):
            self.retry_ms = min(int(value), 10**15 - 1)

    def dispatch(self) -> None:
        self.last_event_id = self.id_buffer
        if self.data != "":
            self.events.append(ServerSentEvent(self.data[:-1], self.type or "message", self.last_event_id))
        self.data = self.type = ""


def feed_all(decoder: EventStreamDecoder, chunks: list[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def counts(decoder: EventStreamDecoder) -> tuple[str, int | None, int, int]:
    return decoder.last_event_id, decoder.retry_ms, decoder.comments, decoder.skipped_events


def one_byte_each(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


@given(chunkings())
@example([b"\xef\xbb", b"\xbf\xef\xbb\xbfdata\n\n"])
@example([b"data\r", b"", b"\n\r", b"\n\n"])
def test_any_chunks_of_any_bytes_give_what_the_standard_says(chunks: list[bytes]) -> None:
    decoder = EventStreamDecoder()
    expected = Reference(b"".join(chunks)).run()
    assert feed_all(decoder, chunks) == expected.events
    assert counts(decoder) == (expected.last_event_id, expected.retry_ms, expected.comments, 0)


@given(chunkings(), bounds)
def test_chunking_changes_nothing_whatever_the_bound(chunks: list[bytes], max_event_bytes: int) -> None:
    whole, cut, bytewise = (EventStreamDecoder(max_event_bytes=max_event_bytes) for _ in range(3))
    stream = b"".join(chunks)
    expected = whole.feed(stream)
    assert feed_all(cut, chunks) == expected
    assert feed_all(bytewise, one_byte_each(stream)) == expected
    assert counts(cut) == counts(bytewise) == counts(whole)


@given(soups)
def test_no_event_waits_for_a_later_byte(stream: bytes) -> None:
    """After every prefix the events are those of that prefix alone, so none was kept back and none came too early."""
    decoder = EventStreamDecoder()
    events: list[ServerSentEvent] = []
    for at, byte in enumerate(one_byte_each(stream), start=1):
        events += decoder.feed(byte)
        assert events == Reference(stream[:at]).run().events


@given(chunkings(), bounds)
def test_held_bytes_stay_within_the_bound(chunks: list[bytes], max_event_bytes: int) -> None:
    decoder = EventStreamDecoder(max_event_bytes=max_event_bytes)
    for chunk in chunks:
        decoder.feed(chunk)
        held = [getattr(decoder, slot.name) for slot in fields(decoder) if slot.name != "last_event_id"]
        held_bytes = sum(len(value) for value in held if isinstance(value, bytes | bytearray))
        assert held_bytes <= max_event_bytes + len(b":")


def bounded_lines(stream: bytes) -> list[bytes]:
    """The finished lines of a stream as bytes, without its byte order mark."""
    return re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]


def within_bound(stream: bytes, max_event_bytes: int) -> bytes:
    """The stream without the events whose lines, but comments, are longer than the bound, each line ended by LF."""
    kept: list[bytes] = []
    event: list[bytes] = []
    for line in bounded_lines(stream):
        event.append(line)
        if line == b"":
            size = sum(len(line) for line in event if not line.startswith(b":"))
            kept += event if size <= max_event_bytes else []
            event = []
    return b"".join(line + b"\n" for line in kept)


@given(chunkings(), bounds)
def test_bounded_decoder_gives_the_events_that_are_small_enough(chunks: list[bytes], max_event_bytes: int) -> None:
    decoder = EventStreamDecoder(max_event_bytes=max_event_bytes)
    # A line that begins with a mark after an event was taken away must not come to stand first: a comment goes before.
    expected = Reference(b":\n" + within_bound(b"".join(chunks), max_event_bytes)).run()
    assert feed_all(decoder, chunks) == expected.events
    assert decoder.last_event_id == expected.last_event_id


oversized = st.lists(st.sampled_from([t for t in TOKENS if not re.search(rb"[\r\n]", t)]), min_size=1).map(
    lambda tokens: b"x" + b"".join(tokens) * 200
)


@given(
    chunkings(
        oversized.map(lambda line: b"id: 1\ndata: before\n\nid: 2\ndata: no\n" + line + b"\r\n\r\ndata: after\n\n")
    )
)
def test_events_before_and_after_an_oversized_one_survive(chunks: list[bytes]) -> None:
    decoder = EventStreamDecoder(max_event_bytes=100)
    assert feed_all(decoder, chunks) == [ServerSentEvent("before", id="1"), ServerSentEvent("after", id="1")]
    assert decoder.skipped_events == 1
