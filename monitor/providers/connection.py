"""One connection to a provider's event stream: opened, checked, decoded, closed."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.delivery.ports import Cursor, Heartbeat, Malformed, Notify, Opened, StreamItem
from monitor.providers.error_table import error_of_failure
from monitor.providers.eventstream import EventStreamDecoder, ServerSentEvent
from monitor.providers.http import ProviderHttp

MAX_RETRY_S: Final = 3_600.0
_CONTENT_TYPE: Final = "text/event-stream"
_HEADERS: Final = {"Accept": _CONTENT_TYPE, "Cache-Control": "no-store"}


async def listen(
    http: ProviderHttp,
    path: str,
    cursor: Cursor,
    notify: Notify,
    parse: Callable[[ServerSentEvent], StreamItem],
    *,
    traceparent: str,
) -> None:
    """Hold one connection, and `notify` of what each event is, until the server ends it.

    Raises ChannelError: what refused it (kinds as in the error table), or broke it; TIMEOUT once it stood is silence.
    """
    headers = {**_HEADERS, "traceparent": traceparent, **_resume(cursor)}
    response = await http.open_stream(path, headers)
    try:
        _check_content_type(response)
        notify(Opened(response.status))
        await _read(response, cursor, notify, parse)
    except (aiohttp.ClientError, OSError, TimeoutError) as failure:
        raise _broken(failure, http.silence_limit_s) from failure
    finally:
        response.close()  # never wait for the rest of a stream that has no end


async def _read(
    response: aiohttp.ClientResponse, cursor: Cursor, notify: Notify, parse: Callable[[ServerSentEvent], StreamItem]
) -> None:
    decoder = EventStreamDecoder(last_event_id=cursor.last_event_id)
    comments = skipped = 0
    async for chunk in response.content.iter_any():
        events = decoder.feed(chunk)
        if decoder.comments != comments:
            comments = decoder.comments
            notify(Heartbeat())
        _notify_all(events, notify, parse)
        if decoder.skipped_events != skipped:
            notify(Malformed(f"{decoder.skipped_events - skipped} events were too large"))
            skipped = decoder.skipped_events
        cursor.last_event_id = decoder.last_event_id
        if decoder.retry_ms is not None:
            cursor.retry_s = min(decoder.retry_ms / 1000, MAX_RETRY_S)
        await asyncio.sleep(0)  # a stream that is always full leaves the loop to others between chunks


def _notify_all(
    events: Iterable[ServerSentEvent], notify: Notify, parse: Callable[[ServerSentEvent], StreamItem]
) -> None:
    for event in events:
        notify(parse(event))


def _check_content_type(response: aiohttp.ClientResponse) -> None:
    if response.content_type.lower() != _CONTENT_TYPE:
        detail = f"the content type is {response.content_type}, not {_CONTENT_TYPE}"
        raise ChannelError(ErrorKind.MALFORMED, Stage.SUBSCRIBE, detail, status=response.status, retryable=False)


def _resume(cursor: Cursor) -> dict[str, str]:
    """`Last-Event-ID`, when there is one that can stand in a header."""
    last = cursor.last_event_id
    is_sendable = last and len(last) <= 1_024 and last.isprintable()
    return {"Last-Event-ID": last} if is_sendable else {}


def _broken(failure: BaseException, silence_limit_s: float) -> ChannelError:
    if isinstance(failure, TimeoutError):
        return ChannelError(ErrorKind.TIMEOUT, Stage.SUBSCRIBE, f"no byte for {silence_limit_s:g} s")
    error = error_of_failure(Stage.SUBSCRIBE, failure, was_sent=True)
    return ChannelError(error.kind, Stage.SUBSCRIBE, error.detail)
