"""What the service says about its work, in plain words: one line a fact that matters, with its generation and trace."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import orjson
import structlog

from monitor.delivery.facts import (
    CallResult,
    Ended,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    PollingStarted,
    PollStarted,
    Resumed,
    StreamEnded,
    StreamOpened,
    Submitted,
)
from monitor.delivery.model import Generation, Outcome, Verdict
from monitor.settings import LoggingSettings

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogObserver:
    """An `Observer` that tells the story of each generation: two lines at level info, all of it at debug."""

    def __init__(self) -> None:
        self._logger = structlog.stdlib.get_logger("monitor.generation").bind()  # once, not at every line

    def __call__(self, generation: Generation, fact: Fact, /) -> None:
        """Say what happened, if it is worth a line."""
        said = _say(fact)
        if said is None:
            return
        level, event, details = said
        self._logger.log(level, event, generation=generation.id, trace_id=generation.trace.trace_id, **details)


def _say(fact: Fact) -> tuple[int, str, dict[str, Any]] | None:
    match fact:
        case Submitted():
            return logging.DEBUG, f"submitted; fallback to polling scheduled in {fact.grace_s:g} s", {}
        case Resumed():
            return logging.INFO, "taken up again after a restart", {}
        case StreamOpened():
            return logging.DEBUG, "SSE stream opened", {"connection": fact.number}
        case StreamEnded():
            why = fact.disconnect or fact.result
            level = logging.DEBUG if why == "done" else logging.INFO
            return level, f"SSE stream ended: {why}", {"connection": fact.number, "detail": fact.detail}
        case EventSeen(type=EventType.MALFORMED):
            return logging.INFO, "a malformed SSE event was skipped", {"detail": fact.detail}
        case PollingStarted():
            return logging.INFO, f"polling started {'early, as SSE is dead' if fact.early else 'after the grace'}", {}
        case PollStarted():
            return logging.DEBUG, _attempt(fact.attempt, fact.max_attempts), {}
        case PollEnded():
            level = logging.DEBUG if fact.result in (CallResult.PENDING, CallResult.CANCELLED) else logging.INFO
            return level, f"attempt {fact.attempt}: {fact.result}", {"status": fact.status, "detail": fact.detail}
        case Ended():
            return _say_end(fact.verdict, fact.submitted_at_s)
        case _:
            return None


def _attempt(number: int, most: int) -> str:
    return f"attempt {number} of {most}" if number else "status check, as the stream has opened"


def _say_end(verdict: Verdict, submitted_at_s: float | None) -> tuple[int, str, dict[str, Any]]:
    details: dict[str, Any] = {"attempts": verdict.attempts}
    if submitted_at_s is not None:
        details["seconds"] = round(verdict.at_s - submitted_at_s, 3)
    if verdict.outcome is Outcome.DELIVERED:
        return logging.INFO, f"delivered, found by {verdict.channel}", details
    level = logging.INFO if verdict.outcome is Outcome.CANCELLED else logging.WARNING
    return level, verdict.outcome.replace("_", " "), {**details, "reason": verdict.reason, "detail": verdict.detail}


def configure_logging(settings: LoggingSettings) -> None:
    """Send all logging, ours and the libraries', to stderr: stdout is for what a command was asked for."""
    as_console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    level = _LEVELS[settings.level]
    render: Any = structlog.dev.ConsoleRenderer() if as_console else structlog.processors.JSONRenderer(_dumps)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_control_characters,
    ]
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _without_control_characters(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No text from outside can begin a line of its own or colour a terminal."""
    for key, value in event.items():
        if key != "exception" and isinstance(value, str) and not value.isprintable():
            event[key] = "".join(char if char.isprintable() else "\ufffd" for char in value)
    return event


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
