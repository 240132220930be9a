"""The error table, row by row: what each status and each failure means at each stage."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Stage
from monitor.providers.error_table import (
    FAILURES,
    MAX_DETAIL_CHARS,
    MAX_RETRY_AFTER_S,
    error_of_failure,
    error_of_status,
    malformed,
    parse_retry_after,
    shorten,
    words_of,
)
from monitor.providers.exchange import CutShortError, MeaninglessAnswerError, NoConnectionError

STATUSES = {
    300: (ErrorKind.REJECTED, False),
    304: (ErrorKind.REJECTED, False),
    400: (ErrorKind.REJECTED, False),
    402: (ErrorKind.REJECTED, False),
    405: (ErrorKind.REJECTED, False),
    413: (ErrorKind.REJECTED, False),
    422: (ErrorKind.REJECTED, False),
    401: (ErrorKind.UNAUTHORIZED, False),
    403: (ErrorKind.UNAUTHORIZED, False),
    408: (ErrorKind.TIMEOUT, True),
    409: (ErrorKind.CONFLICT, True),
    429: (ErrorKind.RATE_LIMITED, True),
    500: (ErrorKind.UNAVAILABLE, True),
    502: (ErrorKind.UNAVAILABLE, True),
    503: (ErrorKind.UNAVAILABLE, True),
    524: (ErrorKind.UNAVAILABLE, True),
    599: (ErrorKind.UNAVAILABLE, True),
    999: (ErrorKind.UNAVAILABLE, True),
}


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("status", STATUSES)
def test_a_status_has_one_kind_at_every_stage(status: int, stage: Stage) -> None:
    kind, retryable = STATUSES[status]
    error = error_of_status(stage, status, {}, b"")
    assert (error.kind, error.retryable, error.status, error.stage) == (kind, retryable, status, stage)
    assert error.connected
    assert error.detail == f"HTTP {status}"


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize(
    ("stage", "retryable"),
    [(Stage.POLL, True), (Stage.RESOLVE, True), (Stage.SUBSCRIBE, False), (Stage.CREATE, False)],
)
def test_what_is_not_there_may_come_only_where_a_job_is_asked_about(status: int, stage: Stage, retryable: bool) -> None:
    error = error_of_status(stage, status, {}, b"")
    assert (error.kind, error.retryable) == (ErrorKind.NOT_FOUND, retryable)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("status", [*STATUSES, 404, 410])
def test_only_a_create_call_that_the_server_failed_at_may_have_had_its_effect(status: int, stage: Stage) -> None:
    error = error_of_status(stage, status, {}, b"")
    assert error.may_have_effect == (stage is Stage.CREATE and status >= 500)


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 7.0), (503, 7.0), (500, None), (401, None), (404, None), (409, None)]
)
def test_retry_after_counts_where_the_server_is_busy(status: int, seconds: float | None) -> None:
    assert error_of_status(Stage.POLL, status, {"retry-after": "7"}, b"").retry_after_s == seconds


FAILURES_OF_THE_NETWORK: dict[str, tuple[Exception, ErrorKind, bool, bool, bool]] = {
    # name: failure, kind, retryable, connected, may a create have had its effect
    "no connection in time": (NoConnectionError("x", in_time=False), ErrorKind.TIMEOUT, True, False, False),
    "no answer in time": (TimeoutError(), ErrorKind.TIMEOUT, True, True, True),
    "refused": (NoConnectionError("Connection refused"), ErrorKind.UNAVAILABLE, True, False, False),
    "closed before headers": (ConnectionError("closed"), ErrorKind.UNAVAILABLE, True, False, True),
    "reset before headers": (ConnectionResetError(104, "reset by peer"), ErrorKind.UNAVAILABLE, True, False, True),
    "out of files": (OSError(24, "Too many open files"), ErrorKind.UNAVAILABLE, True, False, True),
    "cut in the body": (CutShortError("x"), ErrorKind.UNAVAILABLE, True, True, True),
    "not HTTP": (MeaninglessAnswerError("x"), ErrorKind.MALFORMED, True, True, True),
    "no host name": (UnicodeError("label too long"), ErrorKind.MALFORMED, True, False, False),
}


@pytest.mark.parametrize("name", FAILURES_OF_THE_NETWORK)
def test_a_failure_of_the_network_has_one_kind(name: str) -> None:
    failure, kind, retryable, connected, may_have_effect = FAILURES_OF_THE_NETWORK[name]
    assert isinstance(failure, FAILURES)
    error = error_of_failure(Stage.CREATE, failure)
    assert (error.kind, error.retryable, error.connected) == (kind, retryable, connected)
    assert error.may_have_effect == may_have_effect
    assert error.detail


@pytest.mark.parametrize("name", FAILURES_OF_THE_NETWORK)
@pytest.mark.parametrize("stage", [Stage.SUBSCRIBE, Stage.POLL, Stage.RESOLVE])
def test_only_a_create_call_has_an_effect(name: str, stage: Stage) -> None:
    assert not error_of_failure(stage, FAILURES_OF_THE_NETWORK[name][0]).may_have_effect


def test_a_failure_is_told_without_the_query_of_its_url() -> None:
    assert "secret" not in error_of_failure(Stage.POLL, MeaninglessAnswerError("at https://x.org/f?sig=secret")).detail


@pytest.mark.parametrize("stage", Stage)
def test_a_success_that_cannot_be_understood_is_malformed(stage: Stage) -> None:
    error = malformed(stage, "not\x00JSON", 200)
    assert (error.kind, error.retryable, error.status, error.detail) == (ErrorKind.MALFORMED, True, 200, "not JSON")
    assert error.may_have_effect == (stage is Stage.CREATE)


RETRY_AFTER = {
    None: None,
    "": None,
    "0": 0.0,
    "2": 2.0,
    " 2 ": 2.0,
    "1.5": 1.5,
    "-5": 0.0,
    "99999999999": MAX_RETRY_AFTER_S,
    "9" * 5_000: MAX_RETRY_AFTER_S,
    "inf": None,
    "nan": None,
    "1e300": None,
    "1_000": None,
    "٣": None,
    "soon": None,
    "Wed, 21 Oct 2015 07:28:00 GMT": 0.0,
    "Fri, 31 Dec 9999 23:59:59 GMT": MAX_RETRY_AFTER_S,
    "Fri, 31 Dec 9999 23:59:59 -2359": MAX_RETRY_AFTER_S,
    "Wed, 99 Oct 2015 07:28:00 GMT": None,
}


@pytest.mark.parametrize("value", RETRY_AFTER)
def test_retry_after_is_a_number_or_a_date(value: str | None) -> None:
    assert parse_retry_after(value) == RETRY_AFTER[value]


def test_a_date_counts_from_now() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = parse_retry_after(date)
    assert seconds is not None
    assert 80 < seconds <= 90


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]+ [0-9:+-]+.*")))
def test_any_retry_after_is_a_bearable_number_or_none(value: str) -> None:
    seconds = parse_retry_after(value)
    assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER_S


DEEP = b"[" * 1_000 + b"]" * 1_000
"""As deep as can be read, and deeper than can be written."""
WORDS = {
    b'{"detail": "Integrity error, create"}': "Integrity error, create",
    b'{"detail": [{"loc": ["body", "config", "shot_size"], "msg": "Input should be \'Close-Up\'", "type": "enum"}]}': (
        "body.config.shot_size: Input should be 'Close-Up'"
    ),
    b'{"detail": [{"msg": "a"}, "b", 7]}': "a; b; 7",
    b'{"detail": {"code": 7}}': '{"code":7}',
    b'{"message": "no detail"}': '{"message":"no detail"}',
    b'"just a string"': "just a string",
    b"Internal Server Error": "Internal Server Error",
    b"<html><body>Bad gateway</body></html>": "",
    b"": "",
    b"\xff\xfe broken": "\ufffd\ufffd broken",
    b'{"detail": "two\\nlines\\u0000and a bell\\u0007"}': "two lines and a bell",
    b'{"detail": "see https://example.org/a?token=s3cret&x=1 now"}': "see https://example.org/a?… now",
    b'{"detail": "see HTTPS://example.org/a?token=s3cret"}': "see HTTPS://example.org/a?…",
    b'{"detail": {"a":' + DEEP + b"}}": "",
    b'{"detail": [' + DEEP + b', "b"]}': "; b",
    b'{"detail": [{"loc": [' + DEEP + b'], "msg": "a"}]}': "a",
}


@pytest.mark.parametrize("body", WORDS)
def test_the_providers_words_are_told_as_one_line(body: bytes) -> None:
    assert words_of(body) == WORDS[body]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["detail", "loc", "msg", "type", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=400), json_values.map(orjson.dumps)))
def test_words_are_short_and_printable_whatever_the_body(body: bytes) -> None:
    words = words_of(body)
    assert len(words) <= MAX_DETAIL_CHARS
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in words)


def test_words_cannot_turn_the_direction_of_writing() -> None:
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    assert words_of(orjson.dumps({"detail": f"a{turning}b"})) == "a b"


def test_a_long_text_is_cut() -> None:
    assert shorten("x" * 10_000) == "x" * (MAX_DETAIL_CHARS - 1) + "…"


@given(st.sampled_from(list(Stage)), st.integers(100, 999), st.binary(max_size=100))
def test_every_status_makes_an_error(stage: Stage, status: int, body: bytes) -> None:
    assert isinstance(error_of_status(stage, status, {}, body), ChannelError)
