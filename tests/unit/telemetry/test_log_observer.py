"""What is said of what was found out after the end; the rest of the story is in test_logs.py."""

from collections.abc import Iterable

from structlog.testing import capture_logs

from monitor.delivery.facts import (
    AssetChecked,
    CallResult,
    Disconnect,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    PollStarted,
    StreamEnded,
    StreamResult,
)
from monitor.delivery.model import AssetResult
from monitor.telemetry.log_observer import MAX_MALFORMED, LogObserver
from tests.unit.telemetry.facts_of import GENERATION, found_out_after_sse_won, like, looks_again, span_id


def _tell(facts: Iterable[Fact]) -> None:
    observe = LogObserver()
    for fact in facts:
        observe(GENERATION, fact)


def test_what_lingers_is_not_told_of_at_info_however_it_goes() -> None:
    lingering: list[Fact] = [
        PollStarted(105.0, 1, 6, lingering=True),
        PollEnded(105.2, 105.0, span_id(101), 1, CallResult.UNAVAILABLE, 502, "bad gateway", lingering=True),
        StreamEnded(
            106.0, 100.5, span_id(2), 1, StreamResult.OPENED, 200, Disconnect.ERROR, "reset", 0.5, after_verdict=True
        ),
        *found_out_after_sse_won(),
    ]
    with capture_logs() as lines:
        _tell(lingering)
    assert {line["log_level"] for line in lines} == {"debug"}
    assert [line["event"] for line in lines] == [
        "attempt 1",
        "attempt 1: unavailable",
        "SSE stream closed",
        "attempt 1",
        "attempt 1: ready",
        "asset checked: ok",
        "measured",
    ]


def test_what_is_found_out_later_is_told_where_it_matters() -> None:
    wrong = AssetChecked(105.9, 105.6, span_id(4), AssetResult.WRONG_TYPE, 200, "said to be text/html")
    with capture_logs() as lines:
        _tell([wrong, *looks_again(), *looks_again(late_s=None)])
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "asset checked: wrong_type"),
        ("warning", "late: the asset was found 90.2 s after the window"),
        ("info", "expired for good: the asset was not found later either"),
    ]
    assert lines[0]["detail"] == "said to be text/html"


def _stream_ended(retry_in_s: float | None) -> StreamEnded:
    return StreamEnded(9.0, 1.0, span_id(2), 1, StreamResult.OPENED, 200, Disconnect.EOF, None, retry_in_s)


def test_a_stream_of_malformed_events_gets_few_lines_and_one_that_says_how_many_more_there_were() -> None:
    malformed: list[Fact] = [EventSeen(2.0, EventType.MALFORMED, detail="no JSON")] * 1_000
    with capture_logs() as lines:
        _tell([*malformed, _stream_ended(0.5), *malformed, _stream_ended(None)])
    assert [line["event"] for line in lines] == [
        *["a malformed SSE event was skipped"] * MAX_MALFORMED,
        "SSE stream ended: eof; opened again in 0.5 s",
        "more malformed SSE events were skipped",
        "SSE stream ended: eof; not opened again",
    ]
    assert lines[-2]["events"] == 2_000 - MAX_MALFORMED


def test_each_generation_has_lines_of_its_own_for_malformed_events() -> None:
    observe = LogObserver()
    with capture_logs() as lines:
        for number in range(10):
            observe(like(id=f"generation {number}"), EventSeen(2.0, EventType.MALFORMED, detail="no JSON"))
    assert len(lines) == 10


def test_as_many_malformed_events_as_have_lines_need_no_line_more() -> None:
    malformed: list[Fact] = [EventSeen(2.0, EventType.MALFORMED, detail="no JSON")] * MAX_MALFORMED
    with capture_logs() as lines:
        _tell([*malformed, _stream_ended(None)])
    assert len(lines) == MAX_MALFORMED + 1
