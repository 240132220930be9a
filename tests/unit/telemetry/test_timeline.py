"""The timeline: plain names, milliseconds from the create call's answer, and entries that keep their place."""

import json

from monitor.delivery.facts import (
    CallResult,
    CreateEnded,
    Disconnect,
    Ended,
    EventSeen,
    EventType,
    Fact,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamResult,
)
from monitor.delivery.model import Channel, ErrorKind, Outcome, Reason
from monitor.telemetry.timeline import render_timeline
from tests.unit.telemetry.facts_of import (
    delivered_by_polling,
    delivered_by_sse,
    found_out_after_sse_won,
    looks_again,
    poll,
    span_id,
    verdict,
)


def test_a_delivery_by_sse_reads_as_it_happened() -> None:
    assert render_timeline(delivered_by_sse(), 100.5) == [
        {"at_ms": 0, "event": "create", "result": "accepted", "status": 200, "duration_ms": 500},
        {"at_ms": 0, "event": "submitted", "polling_in_s": 10.0},
        {"at_ms": 100, "event": "sse_opened", "connection": 1, "duration_ms": 100},
        {"at_ms": 500, "event": "sse_event", "type": "heartbeat"},
        {"at_ms": 1500, "event": "sse_event", "type": "progress", "progress": 0.5},
        {"at_ms": 3000, "event": "sse_event", "type": "result"},
        {"at_ms": 3100, "event": "sse_closed", "connection": 1, "reason": "done"},
        {"at_ms": 3000, "event": "ended", "outcome": "delivered", "channel": "sse"},
    ]


def test_a_delivery_by_polling_tells_why_and_how_often() -> None:
    assert render_timeline(delivered_by_polling(), 100.5)[2:] == [
        {
            "at_ms": 100,
            "event": "sse_closed",
            "connection": 1,
            "reason": "unauthorized",
            "status": 401,
            "detail": "no such token",
        },
        {"at_ms": 10000, "event": "polling_started", "early": False},
        {"at_ms": 10200, "event": "poll", "attempt": 1, "result": "pending", "status": 200, "duration_ms": 200},
        {
            "at_ms": 20180,
            "event": "resolve",
            "channel": "polling",
            "attempt": 2,
            "result": "ready",
            "status": 200,
            "duration_ms": 80,
        },
        {"at_ms": 20200, "event": "poll", "attempt": 2, "result": "ready", "status": 200, "duration_ms": 200},
        {"at_ms": 20200, "event": "ended", "outcome": "delivered", "channel": "polling"},
    ]


def test_what_came_before_the_answer_is_negative() -> None:
    failed = CreateEnded(98.0, 97.5, span_id(1), 503, ErrorKind.UNAVAILABLE, False, 1.00049)
    assert render_timeline([failed], 100.0) == [
        {
            "at_ms": -2000,
            "event": "create",
            "result": "unavailable",
            "status": 503,
            "retry_in_s": 1.0,
            "duration_ms": 500,
        }
    ]


def test_everything_else_that_can_happen_has_an_entry() -> None:
    facts: list[Fact] = [
        CreateEnded(0.0, 0.0, span_id(1), None, None, cancelled=True),
        Resumed(1.0, 0.0),
        EventSeen(1.0, EventType.MALFORMED, detail="no JSON"),
        StreamEnded(2.0, 0.0, span_id(2), 3, StreamResult.OPENED, 200, Disconnect.SILENCE, "no byte in 45 s", 0.25),
        ResolveEnded(3.0, 2.0, span_id(3), Channel.SSE, 1, CallResult.TIMEOUT, None, "too slow"),
        poll(0, 3.0, CallResult.CANCELLED, None),
        Ended(4.0, verdict(Outcome.EXPIRED, 4.0, reason=Reason.PENDING), 0.0),
    ]
    said = [{key: entry[key] for key in entry if key != "at_ms"} for entry in render_timeline(facts, 0.0)]
    assert said == [
        {"event": "create", "result": "cancelled", "duration_ms": 0},
        {"event": "resumed"},
        {"event": "sse_event", "type": "malformed", "detail": "no JSON"},
        {"event": "sse_closed", "connection": 3, "reason": "silence", "detail": "no byte in 45 s", "retry_in_s": 0.25},
        {
            "event": "resolve",
            "channel": "sse",
            "attempt": 1,
            "result": "timeout",
            "detail": "too slow",
            "duration_ms": 1000,
        },
        {"event": "poll", "attempt": 0, "result": "cancelled", "duration_ms": 200},
        {"event": "ended", "outcome": "expired", "channel": "none", "reason": "pending"},
    ]


def test_what_was_found_out_after_a_delivery_follows_its_end() -> None:
    assert render_timeline(found_out_after_sse_won(), 100.5) == [
        {"at_ms": 5100, "event": "poll", "attempt": 1, "result": "ready", "status": 200, "duration_ms": 200},
        {
            "at_ms": 5400,
            "event": "asset_checked",
            "result": "ok",
            "status": 200,
            "detail": "image/webp",
            "duration_ms": 300,
        },
        {"at_ms": 5400, "event": "measured", "sse": "won", "polling": "confirmed", "lag_s": 2.1},
    ]


def test_looks_at_what_expired_tell_how_late_it_was() -> None:
    assert render_timeline(looks_again(), 100.5) == [
        {
            "at_ms": 105200,
            "event": "looked_again",
            "number": 1,
            "result": "pending",
            "status": 200,
            "duration_ms": 200,
        },
        {"at_ms": 165200, "event": "looked_again", "number": 2, "result": "ready", "status": 200, "duration_ms": 200},
        {"at_ms": 165200, "event": "reconciled", "late_s": 90.2},
    ]
    *_, last_look, settled = render_timeline(looks_again(late_s=None), 100.5)
    assert (last_look["result"], last_look["detail"]) == ("unavailable", "come back later")
    assert settled == {"at_ms": 165200, "event": "reconciled"}


def test_each_entry_keeps_its_place_as_the_timeline_grows() -> None:
    facts = [*delivered_by_polling(), *found_out_after_sse_won(), *looks_again()]
    whole = render_timeline(facts, 100.5)
    for number in range(len(facts)):
        part = render_timeline(facts[:number], 100.5)
        assert part == whole[: len(part)]


def test_entries_are_plain_json() -> None:
    told = [*delivered_by_sse(), *delivered_by_polling(), *found_out_after_sse_won(), *looks_again()]
    entries = render_timeline(told, 100.5)
    assert json.loads(json.dumps(entries)) == entries
