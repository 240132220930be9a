"""One connection to a provider's event stream: opened, checked, decoded, closed."""

import re
from collections.abc import Callable
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.delivery.ports import Cursor, Heartbeat, Malformed, Notify, Opened, StreamItem
from monitor.delivery.trace_context import TraceHeaders
from monitor.providers.error_table import FAILURES, error_of_failure, shorten
from monitor.providers.eventstream import EventStreamDecoder, ServerSentEvent
from monitor.providers.exchange import Connection
from monitor.providers.http import ProviderHttp

MAX_RETRY_S: Final = 3_600.0
_MAX_ID_CHARS: Final = 1_024
_CONTENT_TYPE: Final = "text/event-stream"
_HEADERS: Final = {"Accept": _CONTENT_TYPE, "Cache-Control": "no-store"}
_UNSENDABLE: Final = re.compile(r"[\x00-\x1f\x7f]")

Parse = Callable[[ServerSentEvent], StreamItem]


async def listen(
    http: ProviderHttp, path: str, cursor: Cursor, notify: Notify, parse: Parse, *, trace_headers: TraceHeaders
) -> None:
    """Hold one connection, and `notify` of what each event is, until the server ends it.

    Raises ChannelError: what refused it (kinds as in the error table), or broke it; TIMEOUT once it stood is silence.
    """
    headers = {**_HEADERS, **trace_headers, **_resume(cursor)}
    answer = await http.open_stream(path, headers)
    try:
        _check_content_type(answer)
        notify(Opened(answer.status))
        await answer.pour(_Reader(cursor, notify, parse).take, http.silence_limit_s)
    except FAILURES as failure:
        raise _broken(failure, http.silence_limit_s) from failure
    finally:
        answer.close()  # never wait for the rest of a stream that has no end


class _Reader:
    """Bytes in, items out."""

    def __init__(self, cursor: Cursor, notify: Notify, parse: Parse) -> None:
        self._cursor = cursor
        self._notify = notify
        self._parse = parse
        self._decoder = EventStreamDecoder(last_event_id=cursor.last_event_id)
        self._comments = 0
        self._skipped = 0

    def take(self, chunk: bytes) -> None:
        decoder, cursor = self._decoder, self._cursor
        events = decoder.feed(chunk)
        if decoder.comments != self._comments:
            self._comments = decoder.comments
            self._notify(Heartbeat())
        if decoder.skipped_events != self._skipped:
            self._notify(Malformed(f"{decoder.skipped_events - self._skipped} events were too large"))
            self._skipped = decoder.skipped_events
        if decoder.retry_ms is not None:
            cursor.retry_s = min(decoder.retry_ms / 1000, MAX_RETRY_S)
        for event in events:
            self._notify(self._parse(event))
        cursor.last_event_id = decoder.last_event_id


def _check_content_type(answer: Connection) -> None:
    content_type = answer.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != _CONTENT_TYPE:
        detail = shorten(f"the content type is {content_type or 'not told'}, not {_CONTENT_TYPE}")
        raise ChannelError(ErrorKind.MALFORMED, Stage.SUBSCRIBE, detail, status=answer.status, retryable=False)


def _resume(cursor: Cursor) -> dict[str, str]:
    """`Last-Event-ID`, when there is one that can stand in a header."""
    last = cursor.last_event_id
    is_sendable = last and len(last) <= _MAX_ID_CHARS and not _UNSENDABLE.search(last)
    return {"Last-Event-ID": last} if is_sendable else {}


def _broken(failure: Exception, silence_limit_s: float) -> ChannelError:
    """A stream that stood and is no more: it is not said that the provider could not be reached."""
    if isinstance(failure, TimeoutError):
        return ChannelError(ErrorKind.TIMEOUT, Stage.SUBSCRIBE, f"no byte for {silence_limit_s:g} s")
    error = error_of_failure(Stage.SUBSCRIBE, failure)
    return ChannelError(error.kind, Stage.SUBSCRIBE, error.detail)
