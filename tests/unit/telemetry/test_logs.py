"""The story in the log, in plain words, with its ids; and that no text from outside can forge or break a line."""

import json
import logging
from collections.abc import Iterable
from typing import Any, Literal

import pytest
import structlog

from monitor.delivery.facts import (
    CallResult,
    CreateEnded,
    Disconnect,
    Disowned,
    Ended,
    EventSeen,
    EventType,
    Fact,
    PollingStarted,
    Resumed,
    StreamEnded,
    StreamResult,
)
from monitor.delivery.model import ErrorKind, Outcome, Reason
from monitor.settings import LoggingSettings
from monitor.telemetry.log_observer import LogObserver
from monitor.telemetry.logs import configure_logging
from tests.unit.telemetry.facts_of import (
    GENERATION,
    delivered_by_polling,
    delivered_by_sse,
    poll,
    span_id,
    verdict,
)

HOSTILE = 'no\n2026-01-01T00:00:00Z [error    ] forged generation=1\r\x1b[31mred\u202edesrever\u2028\x00"'


def _tell(
    facts: Iterable[Fact],
    level: Literal["debug", "info", "warning"] = "info",
    format_: Literal["json", "console"] = "json",
) -> None:
    configure_logging(LoggingSettings(format=format_, level=level))
    observe = LogObserver()
    for fact in facts:
        observe(GENERATION, fact)


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == "", "stdout is for what a command was asked for"
    return [json.loads(line) for line in err.splitlines()]


def _events(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line["event"] for line in _lines(capsys)]


def test_a_delivery_by_sse_is_told_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    _tell(delivered_by_sse())
    first, last = _lines(capsys)
    assert first["event"] == "submitted; fallback to polling scheduled in 10 s"
    assert last["event"] == "delivered, found by sse"
    assert (last["attempts"], last["seconds"], last["level"]) == (0, 3.0, "info")
    for line in (first, last):
        assert (line["generation"], line["trace_id"]) == (GENERATION.id, GENERATION.trace.trace_id)
        assert line["timestamp"].endswith("Z")


def test_the_fallback_is_told_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    _tell(delivered_by_polling())
    assert _events(capsys) == [
        "submitted; fallback to polling scheduled in 10 s",
        "SSE stream ended: unauthorized; not opened again",
        "polling started after the grace",
        "attempt 1 of 6",
        "attempt 2 of 6",
        "attempt 2: ready",
        "delivered, found by polling",
    ]


def test_at_debug_everything_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    _tell([*delivered_by_sse(), *delivered_by_polling()], level="debug")
    events = _events(capsys)
    for said in ("SSE stream opened", "SSE stream closed", "attempt 1: pending", "asked for the URL of a file: ready"):
        assert said in events


def test_what_goes_wrong_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    _tell(
        [
            CreateEnded(0.0, 0.0, span_id(1), 503, ErrorKind.UNAVAILABLE, False, 1.0),
            Resumed(0.0, 0.0),
            StreamEnded(2.0, 0.0, span_id(2), 1, StreamResult.OPENED, 200, Disconnect.SILENCE, "silent", 0.5),
            PollingStarted(2.0, True),
            EventSeen(3.0, EventType.MALFORMED, detail="no JSON"),
            poll(1, 4.0, CallResult.UNAVAILABLE, 502, "bad gateway"),
            Disowned(5.0),
            Ended(75.0, verdict(Outcome.EXPIRED, 75.0, reason=Reason.UNAVAILABLE, attempts=6), 0.0),
        ]
    )
    lines = _lines(capsys)
    assert [line["event"] for line in lines] == [
        "create failed: unavailable; again in 1.0 s",
        "taken up again after a restart",
        "SSE stream ended: silence; opened again in 0.5 s",
        "polling started early, as SSE is dead",
        "a malformed SSE event was skipped",
        "attempt 1: unavailable",
        "expired",
    ]
    assert lines[5]["detail"] == "bad gateway"
    assert (lines[6]["level"], lines[6]["reason"], lines[6]["attempts"]) == ("warning", "unavailable", 6)


@pytest.mark.parametrize("format_", ["json", "console"])
def test_hostile_text_cannot_begin_a_line_or_move_the_cursor(
    format_: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    _tell([EventSeen(1.0, EventType.MALFORMED, detail=HOSTILE)], format_=format_)
    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert written[:-1].isprintable(), "one line, and nothing that a terminal obeys"
    assert "forged" in written


@pytest.mark.parametrize("format_", ["json", "console"])
def test_the_message_of_an_exception_cannot_either(
    format_: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LoggingSettings(format=format_))
    secret = "s3cr3t-token"  # noqa: F841 - pretty tracebacks would show it
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        structlog.stdlib.get_logger("x").exception("it broke")
    lines = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith("    ") for line in lines[1:])
    assert "ValueError" in "".join(lines)
    assert "s3cr3t" not in "".join(lines).replace('secret = "s3cr3t-token"', "")


@pytest.mark.parametrize("odd", ["\ud800", 10**30, {1: 2}, b"\xff", object, float("nan"), None])
def test_a_line_is_written_whatever_is_in_it(odd: object, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="json"))
    structlog.stdlib.get_logger("x").info("odd", value=odd)
    (line,) = _lines(capsys)
    assert (line["event"], "value" in line) == ("odd", True)


def test_libraries_are_heard_from_warning_on_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="json", level="debug"))
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("sqlalchemy").warning("slow\nquery %d", 7)
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("alembic").exception("it broke")
    first, second = _lines(capsys)
    assert (first["event"], first["level"]) == ("slow\ufffdquery 7", "warning")
    assert (second["event"], second["level"]) == ("it broke", "error")
    assert "KeyError" in second["exception"]


def test_nothing_below_the_level_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    _tell([*delivered_by_sse(), *delivered_by_polling()], level="warning")
    assert capsys.readouterr() == ("", "")


class _Closed:
    """A stderr that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError

    def isatty(self) -> bool:
        return False


def test_a_log_that_nobody_reads_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", _Closed())
    _tell(delivered_by_sse())
