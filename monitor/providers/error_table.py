"""One table: what an HTTP status or a network failure means to us. Every adapter translates here, once."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import orjson

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.providers.exchange import CutShortError, MeaninglessAnswerError, NoConnectionError

MAX_DETAIL_CHARS: Final = 300
MAX_RETRY_AFTER_S: Final = 86_400.0
"""Nothing here is waited for longer than a day, and sums of what a provider says must stay finite."""
FAILURES: Final = (OSError, UnicodeError)
"""Everything that an exchange raises when the network, the peer or an address is at fault.

`UnicodeError` is what looking up a host name raises that cannot be one, such as one with a label that is too long.
"""

_KINDS: Final = {
    HTTPStatus.UNAUTHORIZED: ErrorKind.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: ErrorKind.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND: ErrorKind.NOT_FOUND,
    HTTPStatus.GONE: ErrorKind.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: ErrorKind.TIMEOUT,
    HTTPStatus.CONFLICT: ErrorKind.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorKind.RATE_LIMITED,
}
_RETRYABLE: Final = frozenset(
    {ErrorKind.UNAVAILABLE, ErrorKind.RATE_LIMITED, ErrorKind.TIMEOUT, ErrorKind.CONFLICT, ErrorKind.MALFORMED}
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
"""What moves a cursor, ends a line, or turns the direction of writing (Unicode's Bidi_Control)."""
_QUERY: Final = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def error_of_status(stage: Stage, status: int, headers: Mapping[str, str], body: bytes) -> ChannelError:
    """What an answer that is no success means. `headers` has names in lower case, `body` maybe the provider's words."""
    kind = _kind_of(status)
    is_not_there_yet = kind is ErrorKind.NOT_FOUND and stage in (Stage.POLL, Stage.RESOLVE)
    return ChannelError(
        kind,
        stage,
        words_of(body) or f"HTTP {status}",
        status=status,
        retryable=kind in _RETRYABLE or is_not_there_yet,
        retry_after_s=parse_retry_after(headers.get("retry-after")) if status in (429, 503) else None,
        may_have_effect=stage is Stage.CREATE and status >= 500,
    )


def error_of_failure(stage: Stage, failure: Exception) -> ChannelError:
    """What a failure of the network means. A create call may have had its effect unless no connection stood."""
    kind, detail = _network_kind(failure)
    never_left = isinstance(failure, NoConnectionError | UnicodeError)
    return ChannelError(
        kind,
        stage,
        detail,
        retryable=kind in _RETRYABLE,
        may_have_effect=stage is Stage.CREATE and not never_left,
        connected=not never_left and (kind is not ErrorKind.UNAVAILABLE or isinstance(failure, CutShortError)),
    )


def malformed(stage: Stage, detail: str, status: int | None = None) -> ChannelError:
    """A success that cannot be understood."""
    return ChannelError(
        ErrorKind.MALFORMED, stage, shorten(detail), status=status, may_have_effect=stage is Stage.CREATE
    )


def parse_retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110, section 10.2.3): a number, or a date; None if it is neither."""
    if value is None:
        return None
    text = value.strip()
    seconds = float(text) if _SECONDS.fullmatch(text) else _seconds_until(text)
    return None if seconds is None or math.isnan(seconds) else min(max(0.0, seconds), MAX_RETRY_AFTER_S)


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
    return shorten(_written(detail))


def shorten(text: str) -> str:
    """One line of at most `MAX_DETAIL_CHARS`, without controls and without the query of a URL."""
    line = _QUERY.sub(r"\1?…", _CONTROL.sub(" ", text[: 4 * MAX_DETAIL_CHARS])).strip()
    return line if len(line) <= MAX_DETAIL_CHARS else line[: MAX_DETAIL_CHARS - 1] + "…"


def _kind_of(status: int) -> ErrorKind:
    if status >= 500:
        return ErrorKind.UNAVAILABLE
    return _KINDS[HTTPStatus(status)] if status in _KINDS else ErrorKind.REJECTED


def _network_kind(failure: Exception) -> tuple[ErrorKind, str]:
    """The order matters: all but the last are `OSError`s."""
    match failure:
        case NoConnectionError(in_time=False):
            return ErrorKind.TIMEOUT, _text(failure)
        case TimeoutError():
            return ErrorKind.TIMEOUT, "no answer in time"
        case MeaninglessAnswerError():
            return ErrorKind.MALFORMED, _text(failure)
        case OSError():
            return ErrorKind.UNAVAILABLE, _text(failure)
        case _:
            return ErrorKind.MALFORMED, _text(failure)


def _problem(item: Any) -> str:
    """One entry of FastAPI's validation errors."""
    if not isinstance(item, dict):
        return _written(item)
    place, message = item.get("loc"), _written(item.get("msg", item))
    where = ".".join(map(_written, place)) if isinstance(place, list) else ""
    return f"{where}: {message}" if where else message


def _written(value: Any) -> str:
    """A value of JSON as text: nothing where it is nested too deeply, as only somebody hostile does it."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""


def _seconds_until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (aware - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _text(failure: BaseException) -> str:
    return shorten(str(failure)) or type(failure).__name__
