"""A generation's facts as a timeline for people and programs: offsets in milliseconds from the create call's answer."""

from collections.abc import Iterable, Sequence
from typing import Any, assert_never

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    ChannelsMeasured,
    CreateEnded,
    Disowned,
    Ended,
    EventSeen,
    Fact,
    LookedAgain,
    PollEnded,
    PollingStarted,
    PollStarted,
    Reconciled,
    ReconcilingStarted,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamOpened,
    Submitted,
)
from monitor.store.port import TimelineEntry


def render_timeline(facts: Iterable[Fact], origin_s: float) -> list[TimelineEntry]:
    """The entries of all facts that have one. Each keeps its place as the timeline grows."""
    entries = (_entry(fact, origin_s) for fact in facts)
    return [entry for entry in entries if entry is not None]


def entries_after(last_id: str, timeline: Sequence[TimelineEntry]) -> list[tuple[str, TimelineEntry]]:
    """What follows the entry with this id, each with its own; everything where there is no such entry.

    An id has the place and the instant: a timeline that a crash took along has none in common with the one after it.
    """
    told = [(f"{number}@{entry['at_ms']}", entry) for number, entry in enumerate(timeline, 1)]
    seen = next((number for number, (id_, _) in enumerate(told, 1) if id_ == last_id), 0)
    return told[seen:]


def _entry(fact: Fact, origin_s: float) -> TimelineEntry | None:
    described = _describe(fact)
    if described is None:
        return None
    event, details = described
    kept = {key: value for key, value in details.items() if value is not None}
    return {"at_ms": round((fact.at_s - origin_s) * 1000), "event": event, **kept}


def _describe(fact: Fact) -> tuple[str, dict[str, Any]] | None:
    """The name of the event, and what there is to say of it. What only begins has no entry: its end has."""
    match fact:
        case Accepted() | PollStarted() | Disowned() | ReconcilingStarted():
            return None
        case CreateEnded():
            result = "cancelled" if fact.cancelled else fact.error or "accepted"
            details = {"result": result, "status": fact.status, "retry_in_s": _rounded(fact.retry_in_s)}
            return "create", details | _duration(fact)
        case Submitted():
            return "submitted", {"polling_in_s": fact.grace_s}
        case Resumed():
            return "resumed", {}
        case StreamOpened():
            return "sse_opened", {"connection": fact.number} | _duration(fact)
        case StreamEnded():
            return "sse_closed", _stream_end(fact)
        case EventSeen():
            return "sse_event", {"type": fact.type, "progress": fact.progress, "detail": fact.detail}
        case PollingStarted():
            return "polling_started", {"early": fact.early}
        case PollEnded():
            details = {"attempt": fact.attempt, "result": fact.result, "status": fact.status, "detail": fact.detail}
            return "poll", details | _duration(fact)
        case ResolveEnded():
            details = {"channel": fact.channel, "attempt": fact.attempt, "result": fact.result, "status": fact.status}
            return "resolve", {**details, "detail": fact.detail, **_duration(fact)}
        case Ended():
            verdict = fact.verdict
            return "ended", {"outcome": verdict.outcome, "channel": verdict.channel, "reason": verdict.reason}
        case ChannelsMeasured():
            measured = fact.measurement
            return "measured", {"sse": measured.sse, "polling": measured.polling, "lag_s": _rounded(measured.lag_s)}
        case AssetChecked():
            details = {"result": fact.result, "status": fact.status, "detail": fact.detail}
            return "asset_checked", details | _duration(fact)
        case LookedAgain():
            details = {"number": fact.number, "result": fact.result, "status": fact.status, "detail": fact.detail}
            return "looked_again", details | _duration(fact)
        case Reconciled():
            return "reconciled", {"late_s": _rounded(fact.late_s)}
    assert_never(fact)


def _stream_end(fact: StreamEnded) -> dict[str, Any]:
    return {
        "connection": fact.number,
        "reason": fact.disconnect or fact.result,
        "status": None if fact.disconnect else fact.status,
        "detail": fact.detail,
        "retry_in_s": _rounded(fact.retry_in_s),
    }


def _duration(
    fact: CreateEnded | StreamOpened | PollEnded | ResolveEnded | AssetChecked | LookedAgain,
) -> dict[str, int]:
    return {"duration_ms": round((fact.at_s - fact.started_at_s) * 1000)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
