"""One connection to a provider's event stream: opened, checked, decoded, closed."""

import asyncio
import re
from collections.abc import Callable
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.delivery.ports import Cursor, Heartbeat, Malformed, Notify, Opened, StreamItem
from monitor.providers.error_table import FAILURES, error_of_failure, shorten
from monitor.providers.eventstream import EventStreamDecoder, ServerSentEvent
from monitor.providers.exchange import Connection
from monitor.providers.http import ProviderHttp

MAX_RETRY_S: Final = 3_600.0
MAX_EVENTS_AT_ONCE: Final = 64
"""So many events are handled before the loop is left to others: a chunk can hold more than a thousand."""
_MAX_ID_CHARS: Final = 1_024
_CONTENT_TYPE: Final = "text/event-stream"
_HEADERS: Final = {
    "Accept": _CONTENT_TYPE,
    "Accept-Encoding": "identity",  # what compresses a stream on the way also holds it back
    "Cache-Control": "no-store",
}
_UNSENDABLE: Final = re.compile(r"[\x00-\x1f\x7f]")

Parse = Callable[[ServerSentEvent], StreamItem]


async def listen(
    http: ProviderHttp, path: str, cursor: Cursor, notify: Notify, parse: Parse, *, traceparent: str
) -> None:
    """Hold one connection, and `notify` of what each event is, until the server ends it.

    Raises ChannelError: what refused it (kinds as in the error table), or broke it; TIMEOUT once it stood is silence.
    """
    headers = {**_HEADERS, "traceparent": traceparent, **_resume(cursor)}
    answer = await http.open_stream(path, headers)
    try:
        _check_content_type(answer)
        notify(Opened(answer.status))
        await _read(answer, http.silence_limit_s, cursor, notify, parse)
    except FAILURES as failure:
        raise _broken(failure, http.silence_limit_s) from failure
    finally:
        answer.close()  # never wait for the rest of a stream that has no end


async def _read(answer: Connection, silence_limit_s: float, cursor: Cursor, notify: Notify, parse: Parse) -> None:
    loop = asyncio.get_running_loop()
    decoder = EventStreamDecoder(last_event_id=cursor.last_event_id)
    comments = skipped = 0
    while chunk := await answer.read(loop.time() + silence_limit_s):
        events = decoder.feed(chunk)
        if decoder.comments != comments:
            comments = decoder.comments
            notify(Heartbeat())
        if decoder.skipped_events != skipped:
            notify(Malformed(f"{decoder.skipped_events - skipped} events were too large"))
            skipped = decoder.skipped_events
        if decoder.retry_ms is not None:
            cursor.retry_s = min(decoder.retry_ms / 1000, MAX_RETRY_S)
        for number, event in enumerate(events, 1):
            notify(parse(event))
            if number % MAX_EVENTS_AT_ONCE == 0:
                await asyncio.sleep(0)
        cursor.last_event_id = decoder.last_event_id
        await asyncio.sleep(0)  # what is still being unpacked comes without waiting


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
