"""Turns the bytes of an event stream into events, as the WHATWG HTML standard says in section 9.2. No I/O, no clock."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_ENDS: Final = (b"\n", b"\r", b"")  # or nothing at all
_SLICE_BYTES: Final = 64 * 1024
_LONGEST_RETRY_MS: Final = 10**15 - 1


class ServerSentEvent(NamedTuple):
    """One dispatched event. `id` is the last event id as it stood then, "" when the stream never named one."""

    data: str
    event: str = "message"
    id: str = ""


@dataclass(slots=True, eq=False, kw_only=True)
class EventStreamDecoder:
    """Bytes in, events out, in time linear in the bytes, however they are cut into chunks.

    At the end of the stream simply drop the decoder: an event without its blank line is never dispatched. To reconnect,
    make a new one with the old one's `last_event_id`.

    An event is all that stands between two blank lines, but comments. One whose lines (unknown fields too, line ends
    not) are together longer than `max_event_bytes` is skipped and counted, its id is not taken, and the stream goes on.
    Between calls the decoder holds no more than that for the event under way, and one byte of a comment.
    """

    last_event_id: str = ""
    max_event_bytes: int = 1024 * 1024
    retry_ms: int | None = field(default=None, init=False)
    skipped_events: int = field(default=0, init=False)
    comments: int = field(default=0, init=False)

    _start: bytes | None = field(default=b"", init=False)  # what may yet become a byte order mark; None once decided
    _after_cr: bool = field(default=False, init=False)
    _line: bytearray = field(default_factory=bytearray, init=False)  # the unfinished line
    _event_bytes: int = field(default=0, init=False)  # in finished lines
    _is_skipping: bool = field(default=False, init=False)
    _data: bytearray = field(default_factory=bytearray, init=False)
    _type: bytes = field(default=b"", init=False)
    _id: bytes | None = field(default=None, init=False)  # None: this event leaves the last event id as it is

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events whose blank line is in `chunk`; none is ever kept back for a later call."""
        if self._start is not None:
            chunk = self._without_byte_order_mark(chunk)
        events: list[ServerSentEvent] = []
        start = 0
        while start < len(chunk):  # in slices, so that a huge chunk makes no huge list of lines
            self._feed_slice(chunk[start : start + _SLICE_BYTES], events)
            start += _SLICE_BYTES
        return events

    def _without_byte_order_mark(self, chunk: bytes) -> bytes:
        """`chunk` after the one mark a stream may begin with, or nothing while the stream is no more than that."""
        start = (self._start or b"") + chunk
        if _BYTE_ORDER_MARK.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BYTE_ORDER_MARK)

    def _feed_slice(self, part: bytes, events: list[ServerSentEvent]) -> None:
        # Lines are cut before decoding: in UTF-8 the bytes of CR, LF and colon never belong to a longer sequence.
        if self._after_cr and part.startswith(b"\n"):
            part = part[1:]  # the second half of a CRLF whose CR has already ended the line
        last = part[-1:]
        self._after_cr = last == b"\r"
        lines = part.splitlines()  # for bytes, exactly LF, CR and CRLF
        rest = b"" if last in _LINE_ENDS else lines.pop()
        if lines and self._line:
            self._line += lines[0]
            lines[0] = bytes(self._line)
            self._line.clear()
        for line in lines:
            if line:
                self._end_line(line)
            elif (event := self._end_event()) is not None:
                events.append(event)
        if rest:
            self._hold(rest)

    def _hold(self, rest: bytes) -> None:
        self._line += rest
        is_comment = self._line.startswith(b":")
        if not (is_comment or self._is_skipping) and self._event_bytes + len(self._line) > self.max_event_bytes:
            self._skip_event()
        if is_comment or self._is_skipping:
            del self._line[1:]  # enough to know later that the line was not blank, and whether it was a comment

    def _end_line(self, line: bytes) -> None:
        name, _, rest = line.partition(b":")
        if not name:
            self.comments += 1
            return
        self._event_bytes += len(line)
        if self._event_bytes > self.max_event_bytes and not self._is_skipping:
            self._skip_event()
        if not self._is_skipping:
            self._take_field(name, rest.removeprefix(b" "))

    def _take_field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit():  # for bytes, ASCII digits only, and at least one
            self.retry_ms = _parse_retry_ms(value)

    def _end_event(self) -> ServerSentEvent | None:
        """What a blank line does: the id counts from here on, and an event with a `data` field is dispatched."""
        if self._id is not None:
            self.last_event_id = _decode(self._id)
        event = None
        if self._data:
            del self._data[-1]  # the line feed after the last of its lines
            name = _decode(self._type) if self._type else "message"
            event = ServerSentEvent(_decode(self._data), name, self.last_event_id)
        self._clear_event()
        self._event_bytes = 0
        self._is_skipping = False
        return event

    def _skip_event(self) -> None:
        """Forgets the event that has grown too long; what follows up to its blank line is ignored."""
        self.skipped_events += 1
        self._is_skipping = True
        self._clear_event()

    def _clear_event(self) -> None:
        self._data.clear()
        self._type = b""
        self._id = None


def _decode(text: bytes | bytearray) -> str:
    """UTF-8 as the Encoding standard decodes it: one U+FFFD for each maximal broken part."""
    return text.decode("utf-8", "replace")


def _parse_retry_ms(digits: bytes) -> int:
    """Any number of ASCII digits as milliseconds, capped, so that thousands of digits cost nothing."""
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) <= len(str(_LONGEST_RETRY_MS)) else _LONGEST_RETRY_MS
