"""What the terminal shows of a generation while it is under way, and what stays there when it has ended."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from monitor.cli.lanes import Lanes

SUBMITTED: dict[str, Any] = {"event": "submitted"}
OPENED: dict[str, Any] = {"event": "sse_opened"}
CLOSED: dict[str, Any] = {"event": "sse_closed", "reason": "done"}
FALLEN_BACK: dict[str, Any] = {"event": "polling_started", "early": False}


def _event(kind: str) -> dict[str, Any]:
    return {"event": "sse_event", "type": kind}


def _poll(attempt: int, result: str) -> dict[str, Any]:
    return {"event": "poll", "attempt": attempt, "result": result}


def _ended(outcome: str) -> dict[str, Any]:
    return {"event": "ended", "outcome": outcome}


def shown(*entries: dict[str, Any]) -> tuple[str, str]:
    """The lane of SSE and that of polling, after these entries of the timeline."""
    lanes = Lanes()
    for entry in entries:
        lanes.add(entry)
    console = Console(width=200, file=StringIO(), record=True)
    console.print(lanes)
    sse, polling, elapsed = console.export_text().splitlines()
    assert elapsed.startswith("elapsed")
    return " ".join(sse.removeprefix("SSE").split()), " ".join(polling.removeprefix("polling").split())


@pytest.mark.parametrize(
    ("entries", "sse", "polling"),
    [
        ((), "waiting for the provider", "waiting for the provider"),
        ((SUBMITTED,), "connecting", "waiting for its turn"),
        ((SUBMITTED, OPENED), "listening", "waiting for its turn"),
        ((SUBMITTED, OPENED, _event("heartbeat")), "listening: heartbeat", "waiting for its turn"),
        (
            (SUBMITTED, {"event": "sse_closed", "reason": "unauthorized"}),
            "closed: unauthorized",
            "waiting for its turn",
        ),
    ],
)
def test_each_lane_says_what_its_channel_does(entries: tuple[dict[str, Any], ...], sse: str, polling: str) -> None:
    assert shown(*entries) == (sse, polling)


def test_polling_says_why_it_began_and_how_each_attempt_ended() -> None:
    begun = (SUBMITTED, OPENED, _poll(0, "pending"), FALLEN_BACK, _poll(1, "timeout"), _poll(2, "ready"))
    said = "began, as nothing came over SSE on open: pending attempt 1: timeout attempt 2: ready"
    assert shown(*begun) == ("listening", said)
    dead = {"event": "polling_started", "early": True}
    assert shown(SUBMITTED, dead)[1] == "began, as SSE is dead"


def test_a_result_over_sse_is_still_to_be_seen_when_the_stream_is_closed() -> None:
    ended = (SUBMITTED, OPENED, _event("result"), _ended("delivered"), CLOSED)
    assert shown(*ended) == ("brought the result", "was not needed")


def test_a_stream_that_brought_nothing_to_the_end_says_so() -> None:
    ended = (SUBMITTED, OPENED, _event("progress"), FALLEN_BACK, _poll(1, "ready"), CLOSED, _ended("delivered"))
    assert shown(*ended) == ("brought no result", "began, as nothing came over SSE attempt 1: ready")


def test_a_result_that_was_there_when_the_stream_opened_came_by_polling() -> None:
    ended = (SUBMITTED, OPENED, _poll(0, "ready"), CLOSED, _ended("delivered"))
    assert shown(*ended) == ("brought no result", "before its turn on open: ready")


def test_where_the_provider_took_no_job_neither_channel_began() -> None:
    assert shown({"event": "create", "result": "rejected"}, _ended("rejected")) == ("was not needed", "was not needed")
