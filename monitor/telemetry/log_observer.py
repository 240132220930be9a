"""What the service says of each generation, in plain words: one line a fact that matters, with generation and trace."""

import logging
from collections import Counter
from typing import Any, Final

import structlog

from monitor.delivery.facts import (
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disconnect,
    Disowned,
    Ended,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    PollingStarted,
    PollStarted,
    Reconciled,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import AssetResult, Generation, Outcome, Verdict

_Said = tuple[int, str, dict[str, Any]]

MAX_MALFORMED: Final = 3
"""Malformed events of a generation that get a line each, until its end and again after it; more are only counted."""
_ORDINARY: Final = (CallResult.PENDING, CallResult.CANCELLED)


class LogObserver:
    """An `Observer` that tells the story of each generation.

    At level info that is two lines for one that SSE delivers, and the way of polling for the others.
    """

    def __init__(self) -> None:
        self._logger = structlog.stdlib.get_logger("monitor.generation").bind()
        self._malformed: Counter[str] = Counter()

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Say what happened, if it is worth a line."""
        match fact:
            case EventSeen():
                said = self._say_event(generation, fact)
            case StreamEnded(retry_in_s=None) | Ended() | ChannelsMeasured() | Disowned():
                self._log(generation, self._say_left_out(generation))
                said = _say(fact)
            case _:
                said = _say(fact)
        self._log(generation, said)

    def _log(self, generation: Generation, said: _Said | None) -> None:
        if said is not None:
            level, event, details = said
            self._logger.log(level, event, generation=generation.id, trace_id=generation.trace.trace_id, **details)

    def _say_event(self, generation: Generation, fact: EventSeen) -> _Said | None:
        """A stream may be malformed for as long as it stands, and must not flood the log."""
        if fact.type is not EventType.MALFORMED:
            return None
        self._malformed[generation.id] += 1
        if self._malformed[generation.id] > MAX_MALFORMED:
            return None
        return logging.INFO, "a malformed SSE event was skipped", {"detail": fact.detail}

    def _say_left_out(self, generation: Generation) -> _Said | None:
        left_out = self._malformed.pop(generation.id, 0) - MAX_MALFORMED
        return (logging.INFO, "more malformed SSE events were skipped", {"events": left_out}) if left_out > 0 else None


def _say(fact: Fact) -> _Said | None:
    match fact:
        case CreateEnded():
            return _say_create(fact)
        case Submitted():
            return logging.INFO, f"submitted; fallback to polling scheduled in {fact.grace_s:g} s", {}
        case Resumed():
            return logging.INFO, "taken up again after a restart", {}
        case StreamOpened():
            return logging.DEBUG, "SSE stream opened", {"connection": fact.number}
        case StreamEnded():
            return _say_stream_end(fact)
        case PollingStarted():
            return logging.INFO, f"polling started {'early, as SSE is dead' if fact.early else 'after the grace'}", {}
        case PollStarted():
            return _say_attempt(fact)
        case PollEnded():
            level = logging.DEBUG if fact.lingering or fact.result in _ORDINARY else logging.INFO
            return level, f"{_attempt(fact.attempt)}: {fact.result}", {"status": fact.status, "detail": fact.detail}
        case ResolveEnded():
            details = {"channel": fact.channel, "status": fact.status, "detail": fact.detail}
            return logging.DEBUG, f"asked for the URL of a file: {fact.result}", details
        case Ended():
            return _say_end(fact.verdict, fact.submitted_at_s)
        case ChannelsMeasured():
            measured = fact.measurement
            return logging.DEBUG, "measured", {"sse": measured.sse, "polling": measured.polling}
        case AssetChecked():
            level = logging.DEBUG if fact.result is AssetResult.OK else logging.WARNING
            return level, f"asset checked: {fact.result}", {"status": fact.status, "detail": fact.detail}
        case Reconciled():
            return _say_reconciled(fact)
        case _:
            return None


def _say_reconciled(fact: Reconciled) -> _Said:
    if fact.late_s is None:
        return logging.INFO, "expired for good: the asset was not found later either", {}
    return logging.WARNING, f"late: the asset was found {fact.late_s:.1f} s after the window", {}


def _say_create(fact: CreateEnded) -> _Said | None:
    if fact.error is None or fact.cancelled or fact.retry_in_s is None:
        return None
    return logging.INFO, f"create failed: {fact.error}; again in {fact.retry_in_s:.1f} s", {"status": fact.status}


def _say_stream_end(fact: StreamEnded) -> _Said:
    details = {"connection": fact.number, "status": fact.status, "detail": fact.detail}
    if fact.after_verdict or fact.disconnect is Disconnect.DONE or fact.result is StreamResult.CANCELLED:
        return logging.DEBUG, "SSE stream closed", details
    then = "not opened again" if fact.retry_in_s is None else f"opened again in {fact.retry_in_s:.1f} s"
    return logging.INFO, f"SSE stream ended: {fact.disconnect or fact.result}; {then}", details


def _say_attempt(fact: PollStarted) -> _Said:
    if fact.attempt == 0 or fact.lingering:
        return logging.DEBUG, _attempt(fact.attempt), {}
    return logging.INFO, f"{_attempt(fact.attempt)} of {fact.max_attempts}", {}


def _attempt(number: int) -> str:
    return f"attempt {number}" if number else "status check, as the stream has opened"


def _say_end(verdict: Verdict, submitted_at_s: float | None) -> _Said:
    details: dict[str, Any] = {"attempts": verdict.attempts}
    if submitted_at_s is not None:
        details["seconds"] = round(verdict.at_s - submitted_at_s, 3)
    if verdict.outcome is Outcome.DELIVERED:
        return logging.INFO, f"delivered, found by {verdict.channel}", details
    level = logging.INFO if verdict.outcome is Outcome.CANCELLED else logging.WARNING
    return level, verdict.outcome.replace("_", " "), {**details, "reason": verdict.reason, "detail": verdict.detail}
