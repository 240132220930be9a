"""The decoder against the rules of the WHATWG HTML standard, section 9.2, one small stream a rule."""

from dataclasses import fields

import pytest

from monitor.providers.eventstream import EventStreamDecoder, ServerSentEvent

MARK = b"\xef\xbb\xbf"


def decode(stream: bytes) -> list[ServerSentEvent]:
    return EventStreamDecoder().feed(stream)


def decode_bytewise(stream: bytes) -> list[ServerSentEvent]:
    decoder = EventStreamDecoder()
    return [event for byte in stream for event in decoder.feed(bytes([byte]))]


def messages(*data: str) -> list[ServerSentEvent]:
    return [ServerSentEvent(text) for text in data]


def held_bytes(decoder: EventStreamDecoder) -> int:
    values = (getattr(decoder, slot.name) for slot in fields(decoder))
    return sum(len(value) for value in values if isinstance(value, bytes | bytearray | str))


STREAMS = {
    # byte order mark
    "a leading mark is dropped": (MARK + b"data: sun\n\n", messages("sun")),
    "a second mark is part of a field name": (MARK + MARK + b"data: lost\n\ndata: kept\n\n", messages("kept")),
    "a mark on a later line is part of a field name": (b"data: a\n" + MARK + b"data: b\n\n", messages("a")),
    "a mark within a value stays": (b"data: " + MARK + b"a\n\n", messages("\ufeffa")),
    "a mark before the blank line of nothing": (MARK + b"\n" + b"data: a\n\n", messages("a")),
    "two bytes of a mark are no mark": (MARK[:2] + b"data: lost\n\ndata: kept\n\n", messages("kept")),
    # line ends
    "LF": (b"data: a\n\ndata: b\n\n", messages("a", "b")),
    "CR": (b"data: a\r\rdata: b\r\r", messages("a", "b")),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", messages("a", "b")),
    "all three mixed": (b"data: a\r\ndata\rdata: b\ndata\n\r\ndata:c\r\n\n", messages("a\n\nb\n", "c")),
    "LF then CR are two line ends": (b"data: a\n\rdata: b\n\n", messages("a", "b")),
    "CR CRLF end an event once": (b"data: a\r\r\ndata: b\n\n", messages("a", "b")),
    "other separators end no line": (
        "data: a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h\n\n".encode(),
        messages("a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h"),
    ),
    # comments
    "comments are passed over": (b": hi\ndata: a\n:\n:data: no\n::\ndata: b\n:\0\n\n", messages("a\nb")),
    "a long comment": (b":" + b"z" * 5000 + b"\rdata: a\r\r", messages("a")),
    "comments alone dispatch nothing": (b": beat\n\n: beat\n\n", []),
    "a space before the colon is no comment": (b" : a\ndata: b\n\n", messages("b")),
    # data
    "data without colon is an empty line": (b"data\n\n", messages("")),
    "data with an empty value is an empty line": (b"data:\n\n", messages("")),
    "two empty lines of data": (b"data\ndata\n\n", messages("\n")),
    "several lines are joined": (b"data: one\ndata: two\ndata:\ndata: four\n\n", messages("one\ntwo\n\nfour")),
    "only the first colon divides": (b'data: {"a": "b:c"}\n\n', messages('{"a": "b:c"}')),
    "one space is removed": (b"data:  two\ndata:none\ndata: one\n\n", messages(" two\nnone\none")),
    "a value of one space is empty": (b"data: \n\n", messages("")),
    "a tab is kept": (b"data:\ttab\ndata: \ttab\n\n", messages("\ttab\n\ttab")),
    "trailing space is kept": (b"data: a \n\n", messages("a ")),
    "NUL is data like any other": (b"data: \0\n\ndata:a\0b\n\n", messages("\0", "a\0b")),
    "more blank lines dispatch nothing": (b"\n\ndata: a\n\n\n\n\n", messages("a")),
    # unknown fields
    "names are case-sensitive": (b"Data: no\nDATA: no\ndata: yes\n\n", messages("yes")),
    "names are exact": (
        b"data : no\n data: no\ndata\0: no\n\0data: no\ndat: no\nda-ta: no\ndata_1\ndatax: no\ndata: yes\n\n",
        messages("yes"),
    ),
    "unknown fields alone dispatch nothing": (b"mood: good\nnoise\n\n", []),
    "an unknown field harms no event": (b"data: a\nmood: good\nnoise\ndata: b\n\n", messages("a\nb")),
    # event
    "an event has a type": (b"event: result\ndata: a\n\n", [ServerSentEvent("a", "result")]),
    "the type may come after the data": (b"data: a\nevent: result\n\n", [ServerSentEvent("a", "result")]),
    "the last type wins": (b"event: x\nevent: y\ndata: a\n\n", [ServerSentEvent("a", "y")]),
    "one space is removed from a type": (b"event:  x \ndata: a\n\n", [ServerSentEvent("a", " x ")]),
    "the type holds for one event": (b"event: x\ndata: a\n\ndata: b\n\n", [ServerSentEvent("a", "x"), *messages("b")]),
    "a type without data is forgotten": (b"event: x\n\ndata: a\n\n", messages("a")),
    "an empty type is message": (b"event: \ndata: a\n\nevent\ndata: b\n\n", messages("a", "b")),
    "an empty type undoes an earlier one": (b"event: x\nevent:\ndata: a\n\n", messages("a")),
    # id
    "an id stays until another comes": (
        b"id: 7\ndata: a\n\ndata: b\n\nid: 8\ndata: c\n\n",
        [ServerSentEvent("a", id="7"), ServerSentEvent("b", id="7"), ServerSentEvent("c", id="8")],
    ),
    "an empty id takes the id away": (
        b"id: 7\ndata: a\n\nid\ndata: b\n\nid: 8\nid:\ndata: c\n\n",
        [ServerSentEvent("a", id="7"), *messages("b", "c")],
    ),
    "an id counts even without data": (b"id: 7\n\ndata: a\n\n", [ServerSentEvent("a", id="7")]),
    "the last id wins": (b"id: 7\nid: 8\ndata: a\n\n", [ServerSentEvent("a", id="8")]),
    "an id with NUL is ignored": (
        b"id: 7\ndata: a\n\nid: \0\ndata: b\n\nid: 8\0\ndata: c\n\n",
        [ServerSentEvent(data, id="7") for data in "abc"],
    ),
    "an id with NUL leaves one of the same event": (b"id: 7\nid: 8\0\ndata: a\n\n", [ServerSentEvent("a", id="7")]),
    "an id is any text": (
        "id: \u2026 \U0001f680\ndata: a\n\n".encode(),
        [ServerSentEvent("a", id="\u2026 \U0001f680")],
    ),
    # UTF-8
    "text beyond ASCII": ("data: \u00fc\u20ac\U0001f680\n\n".encode(), messages("\u00fc\u20ac\U0001f680")),
    "a type beyond ASCII": ("event: fertig\u2713\ndata: a\n\n".encode(), [ServerSentEvent("a", "fertig\u2713")]),
    "an impossible byte": (b"data: a\xffb\n\n", messages("a\ufffdb")),
    "a cut sequence is one replacement": (b"data: \xf0\x9f\x9ax\n\n", messages("\ufffdx")),
    "a cut sequence does not eat the line end": (b"data: \xe2\x82\ndata: \xc3\r\n\n", messages("\ufffd\n\ufffd")),
    "an encoded surrogate is three": (b"data: \xed\xa0\x80\n\n", messages("\ufffd" * 3)),
    "an overlong slash is two": (b"data: \xc0\xaf\n\n", messages("\ufffd" * 2)),
    "beyond the last code point is four": (b"data: \xf4\x90\x80\x80\n\n", messages("\ufffd" * 4)),
    "a broken byte in a name makes it unknown": (b"d\xc3\x28ata: no\ndata: yes\n\n", messages("yes")),
    # end of the stream
    "an empty stream": (b"", []),
    "no blank line at the end": (b"data: a\n\ndata: cut off\n", messages("a")),
    "no line end at the end": (b"data: a\n\nevent: x\ndata: cut", messages("a")),
}


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_stream_gives_the_events_of_the_standard(stream: bytes, expected: list[ServerSentEvent]) -> None:
    assert decode(stream) == expected


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_stream_gives_the_same_events_byte_by_byte(stream: bytes, expected: list[ServerSentEvent]) -> None:
    assert decode_bytewise(stream) == expected


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_event_is_out_with_the_first_byte_that_ends_its_blank_line(line_end: bytes) -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(b"data: a" + line_end) == []
    assert decoder.feed(line_end[:1]) == messages("a")


def test_lf_after_a_cr_of_the_chunk_before_is_no_line_of_its_own() -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\n\r") == messages("a\nb")
    assert decoder.feed(b"\n\ndata: c\n\n") == messages("c")


def test_only_one_lf_after_a_cr_is_swallowed() -> None:
    decoder = EventStreamDecoder()
    assert [decoder.feed(part) for part in (b"data: a\r", b"\n", b"\n")] == [[], [], messages("a")]
    assert [decoder.feed(part) for part in (b"data: b\r", b"\n\n")] == [[], messages("b")]


@pytest.mark.parametrize("cut", range(1, 4))
def test_byte_order_mark_may_be_cut_anywhere(cut: int) -> None:
    decoder = EventStreamDecoder()
    stream = MARK + b"data: a\n\n"
    assert decoder.feed(b"") == []
    assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == messages("a")


def test_second_byte_order_mark_in_a_later_chunk_stays() -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(MARK) + decoder.feed(MARK + b"data: a\n\n") == []


def test_multi_byte_character_may_be_cut_across_chunks() -> None:
    decoder = EventStreamDecoder()
    assert decoder.feed(b"data: \xf0\x9f") + decoder.feed(b"\x9a\x80\n\n") == messages("\U0001f680")


def test_id_counts_from_the_blank_line_on_and_not_before() -> None:
    decoder = EventStreamDecoder()
    decoder.feed(b"id: 7\n\nid: 8\ndata: cut off")
    assert decoder.last_event_id == "7"
    decoder.feed(b"\n\n")
    assert decoder.last_event_id == "8"


def test_last_event_id_is_carried_into_a_reconnect() -> None:
    decoder = EventStreamDecoder(last_event_id="7")
    assert decoder.last_event_id == "7"
    assert decoder.feed(b"data: a\n\nid\ndata: b\n\n") == [ServerSentEvent("a", id="7"), ServerSentEvent("b")]
    assert decoder.last_event_id == ""


RETRIES = {
    "digits": (b"retry: 3000\n", 3000),
    "no space": (b"retry:3000\n", 3000),
    "at its line, not at the blank line": (b"retry: 5\ndata: a", 5),
    "not before its line ends": (b"retry: 5", None),
    "zero": (b"retry: 0\n", 0),
    "leading zeros": (b"retry: 007\n", 7),
    "last wins": (b"retry: 1\nretry: 2\n\n", 2),
    "empty leaves it": (b"retry: 4\nretry\nretry:\nretry: \n", 4),
    "a word leaves it": (b"retry: 4\nretry: soon\n", 4),
    "a unit leaves it": (b"retry: 4\nretry: 5ms\n", 4),
    "a sign leaves it": (b"retry: 4\nretry: +5\nretry: -5\n", 4),
    "a fraction leaves it": (b"retry: 4\nretry: 5.0\nretry: 5e3\n", 4),
    "more spaces leave it": (b"retry: 4\nretry:  5\nretry: 5 \n", 4),
    "an underscore leaves it": (b"retry: 4\nretry: 5_000\n", 4),
    "digits of other scripts leave it": ("retry: 4\nretry: \u0665\nretry: \uff15\nretry: \u00b2\n".encode(), 4),
    "another name leaves it": (b"retry: 4\nRetry: 5\nretry : 6\n", 4),
    "the longest": (b"retry: " + b"9" * 15 + b"\n", 10**15 - 1),
    "as long, and not capped": (b"retry: 123456789012345\n", 123456789012345),
    "longer is capped": (b"retry: 1" + b"0" * 15 + b"\n", 10**15 - 1),
    "ten thousand digits": (b"retry: " + b"9" * 10_000 + b"\n", 10**15 - 1),
    "ten thousand zeros": (b"retry: " + b"0" * 10_000 + b"\n", 0),
    "five after ten thousand zeros": (b"retry: " + b"0" * 10_000 + b"5\n", 5),
}


@pytest.mark.parametrize(("stream", "expected"), RETRIES.values(), ids=RETRIES)
def test_retry_is_read(stream: bytes, expected: int | None) -> None:
    decoder = EventStreamDecoder()
    decoder.feed(stream)
    assert decoder.retry_ms == expected


def test_comments_are_counted_when_their_line_ends() -> None:
    decoder = EventStreamDecoder()
    decoder.feed(b": beat\r\n\r\n:\rdata: a\ndata::\n: un")
    assert decoder.comments == 2
    decoder.feed(b"finished\n")
    assert decoder.comments == 3


OVERSIZED = {
    "one long line": b"data: " + b"x" * 100,
    "many lines": b"data: x\n" * 20 + b"event: x",
    "many lines without values": b"data\n" * 20 + b"data",
    "an unknown field": b"data: x\nmood:" + b"x" * 100,
    "a name without end": b"data: x\n" + b"x" * 100,
    "a long id": b"data: x\nid: " + b"9" * 100,
    "a long type": b"data: x\nevent: " + b"9" * 100,
    "ids again and again": b"data: x\n" + b"id: 9\n" * 20 + b"id: 9",
    "a long retry": b"data: x\nretry: " + b"9" * 100,
    "text of many bytes": b"data: " + "\u20ac".encode() * 20,
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("event", OVERSIZED.values(), ids=OVERSIZED)
@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_oversized_event_is_skipped_and_the_stream_goes_on(event: bytes, line_end: bytes, chunk_bytes: int) -> None:
    decoder = EventStreamDecoder(max_event_bytes=50)
    lines = [
        b"id: 1",
        b"data: before",
        b"",
        b"id: 2",
        *event.split(b"\n"),
        b"event: no",
        b"data: no",
        b"",
        b"data: after",
    ]
    stream = line_end.join([*lines, b"", b""])
    parts = (stream[start : start + chunk_bytes] for start in range(0, len(stream), chunk_bytes))
    events = [event for part in parts for event in decoder.feed(part)]
    assert events == [ServerSentEvent("before", id="1"), ServerSentEvent("after", id="1")]
    assert decoder.skipped_events == 1
    assert decoder.last_event_id == "1"


@pytest.mark.parametrize("chunk_bytes", [1, 10_000])
@pytest.mark.parametrize(("spare_bytes", "skipped"), [(0, 0), (-1, 1)])
def test_event_of_exactly_the_bound_is_kept(chunk_bytes: int, spare_bytes: int, skipped: int) -> None:
    lines = [b"id: 1", b"data: four", b"noise"]
    decoder = EventStreamDecoder(max_event_bytes=sum(map(len, lines)) + spare_bytes)
    stream = b"\r\n".join([*lines, b": comment", b"", *lines, b"", b""])
    parts = [stream[start : start + chunk_bytes] for start in range(0, len(stream), chunk_bytes)]
    events = [event for part in parts for event in decoder.feed(part)]
    assert events == [ServerSentEvent("four", id="1")] * (0 if skipped else 2)
    assert decoder.skipped_events == 2 * skipped


@pytest.mark.parametrize("size", [1024 * 1024, 1024 * 1024 + 1])
def test_bound_is_one_mebibyte_by_default(size: int) -> None:
    decoder = EventStreamDecoder()
    events = decoder.feed(b"data:" + b"x" * (size - 5) + b"\n\n")
    assert (len(events), decoder.skipped_events) == ((1, 0) if size == 1024 * 1024 else (0, 1))


COMMENTS = {"one long comment": b":" + b"x" * 100, "many comments": b": beat\n" * 20 + b":"}


@pytest.mark.parametrize("comments", COMMENTS.values(), ids=COMMENTS)
@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_comments_are_no_part_of_an_event_however_much_they_say(comments: bytes, chunk_bytes: int) -> None:
    decoder = EventStreamDecoder(max_event_bytes=10)
    stream = comments + b"\ndata: one\n" + comments + b"\n\n"
    held = 0
    events: list[ServerSentEvent] = []
    for start in range(0, len(stream), chunk_bytes):
        events += decoder.feed(stream[start : start + chunk_bytes])
        held = max(held, held_bytes(decoder))
    assert events == messages("one")
    assert decoder.skipped_events == 0
    assert decoder.comments == 2 * (comments.count(b"\n") + 1)
    assert held <= 10


def test_oversized_event_is_counted_once_and_before_its_end() -> None:
    decoder = EventStreamDecoder(max_event_bytes=10)
    decoder.feed(b"data: much too long")
    assert decoder.skipped_events == 1
    decoder.feed(b"er\ndata: much too long\ndata")
    assert decoder.skipped_events == 1
    decoder.feed(b"\n\ndata: 1\ndata:")
    assert decoder.skipped_events == 2


def test_comment_in_a_skipped_event_is_a_sign_of_life_and_a_retry_there_is_not_taken() -> None:
    decoder = EventStreamDecoder(max_event_bytes=20)
    for byte in b"retry: 1\ndata: much too long\n: beat\nretry: 2\n: beat\n\n":
        decoder.feed(bytes([byte]))
    assert (decoder.comments, decoder.retry_ms) == (2, 1)


@pytest.mark.parametrize("endless", [b"x", b"data: x\n", b"\xff", b"id: 1\r", b"event: x\n"])
def test_endless_event_holds_no_more_than_the_bound(endless: bytes) -> None:
    decoder = EventStreamDecoder(max_event_bytes=1000)
    most = 0
    for _ in range(200):
        decoder.feed(endless * 7)
        most = max(most, held_bytes(decoder))
    assert most <= 1000
    assert decoder.skipped_events == 1
    assert held_bytes(decoder) <= 1


def test_one_huge_chunk_leaves_nothing_behind() -> None:
    decoder = EventStreamDecoder(max_event_bytes=1000)
    assert decoder.feed(b"data: " + b"x" * 300_000 + b"\n\ndata: a\n\n") == messages("a")
    assert held_bytes(decoder) == 0


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("shift", range(3))
def test_chunk_of_many_thousand_events_is_decoded_whole(line_end: bytes, shift: int) -> None:
    stream = b":" * (1 + shift) + line_end + (b"data: \xe2\x82\xac" + line_end * 2) * 50_000
    assert decode(stream) == messages("\u20ac") * 50_000


def test_event_cannot_be_changed() -> None:
    event = ServerSentEvent("a")
    with pytest.raises(AttributeError):
        event.data = "b"  # type: ignore[misc]
