"""One table: what an HTTP status or a network failure means to us. Every adapter translates here, once."""

import asyncio
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage

MAX_DETAIL_CHARS: Final = 300

_KINDS: Final = {
    HTTPStatus.UNAUTHORIZED: ErrorKind.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: ErrorKind.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND: ErrorKind.NOT_FOUND,
    HTTPStatus.GONE: ErrorKind.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: ErrorKind.TIMEOUT,
    HTTPStatus.CONFLICT: ErrorKind.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorKind.RATE_LIMITED,
}
_RETRYABLE: Final = {ErrorKind.UNAVAILABLE, ErrorKind.RATE_LIMITED, ErrorKind.TIMEOUT, ErrorKind.CONFLICT}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_QUERY: Final = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")


def error_of_status(stage: Stage, status: int, headers: Mapping[str, str], body: bytes) -> ChannelError:
    """What an answer that is no success means. `body` may hold the provider's words."""
    if status in _KINDS:
        kind = _KINDS[HTTPStatus(status)]
    elif status >= 500:
        kind = ErrorKind.UNAVAILABLE
    else:
        kind = ErrorKind.REJECTED
    not_there_yet = kind is ErrorKind.NOT_FOUND and stage is not Stage.SUBSCRIBE
    return ChannelError(
        kind,
        stage,
        words_of(body) or f"HTTP {status}",
        status=status,
        retryable=kind in _RETRYABLE or not_there_yet,
        retry_after_s=parse_retry_after(headers.get("Retry-After")) if status in (429, 503) else None,
        may_have_effect=status >= 500,
    )


def error_of_failure(stage: Stage, failure: BaseException, *, was_sent: bool) -> ChannelError:
    """What a failure of the network means. `was_sent`: the request may have reached the provider.

    The order matters: aiohttp's time-outs are connection errors too.
    """
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return ChannelError(ErrorKind.TIMEOUT, stage, "no connection in time")
    if isinstance(failure, TimeoutError | asyncio.TimeoutError):
        return ChannelError(ErrorKind.TIMEOUT, stage, "no answer in time", may_have_effect=was_sent)
    if isinstance(failure, aiohttp.ClientConnectorError):
        return ChannelError(ErrorKind.UNAVAILABLE, stage, _text(failure), connected=False)
    if isinstance(failure, aiohttp.ClientConnectionError | OSError):
        return ChannelError(ErrorKind.UNAVAILABLE, stage, _text(failure), connected=False, may_have_effect=was_sent)
    if isinstance(failure, aiohttp.ClientPayloadError):
        return ChannelError(
            ErrorKind.UNAVAILABLE, stage, "the connection broke in the middle", may_have_effect=was_sent
        )
    return ChannelError(ErrorKind.MALFORMED, stage, _text(failure), may_have_effect=was_sent)


def malformed(stage: Stage, detail: str, status: int | None = None) -> ChannelError:
    """A success that cannot be understood."""
    return ChannelError(ErrorKind.MALFORMED, stage, shorten(detail), status=status, may_have_effect=True)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110, section 10.2.3): a number, or a date; None if it is neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _until(value)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def words_of(body: bytes) -> str:
    """What the provider says in an error body: FastAPI's `detail`, a sentence or a list of problems. Made short."""
    try:
        said: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = body.decode("utf-8", "replace")
        return "" if "<" in said[:50] else shorten(said)
    detail = said.get("detail", said) if isinstance(said, dict) else said
    if isinstance(detail, list):
        return shorten("; ".join(_problem(item) for item in detail[:5]))
    return shorten(detail if isinstance(detail, str) else orjson.dumps(detail).decode())


def shorten(text: str) -> str:
    """One line of at most `MAX_DETAIL_CHARS`, without control characters and without the query of a URL."""
    line = _QUERY.sub(r"\1?…", _CONTROL.sub(" ", text[: 4 * MAX_DETAIL_CHARS])).strip()
    return line if len(line) <= MAX_DETAIL_CHARS else line[: MAX_DETAIL_CHARS - 1] + "…"


def _problem(item: Any) -> str:
    """One entry of FastAPI's validation errors."""
    if not isinstance(item, dict):
        return str(item)
    place = item.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {item.get('msg', item)}" if where else str(item.get("msg", item))


def _until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def _text(failure: BaseException) -> str:
    return shorten(str(failure)) or type(failure).__name__
