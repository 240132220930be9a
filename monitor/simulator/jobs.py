"""A job: what it is, how far it is, and the truth of what was seen of it."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from monitor.simulator.faults import Fault

MAX_NOTED: Final = 200
"""So many entries a journal keeps, so that a storm or a poller without end cannot fill the memory."""
_NOISE: Final = frozenset({"render_progress", "heartbeat"})


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One job. Times in its journals are milliseconds since it was made; `render_s` is scaled already."""

    file_id: str
    project_id: str | None
    generation_id: str
    kind: str
    prompt: str
    model: str
    fault: Fault
    render_s: float
    origin: str
    created_at_s: float
    created_at: datetime
    seed: int
    """The seed of the render: the one that was asked for, else drawn."""
    traceparent: str | None
    told: dict[str, Any] = field(default_factory=dict)
    """The `config` of the create call, as the file shows it again."""
    status_ready_at_s: float | None = None
    """From when on status calls show the result; None while they do not."""
    has_failed: bool = False
    status_calls: int = 0
    resolve_calls: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a stream of the job opens; a story that needs a new one clears it."""
    completed: asyncio.Event = field(default_factory=asyncio.Event)
    completed_at_ms: float | None = None
    completed_monotonic_s: float | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    polls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def channels(self) -> list[str]:
        """The channels on which its events are published."""
        return [f"file.{self.file_id}"] + ([f"project.{self.project_id}"] if self.project_id else [])

    @property
    def due_at_s(self) -> float:
        """When the render is done, on the loop's clock."""
        return self.created_at_s + self.render_s

    def ms(self, now_s: float) -> float:
        """Milliseconds since it was made."""
        return round((now_s - self.created_at_s) * 1000, 3)

    def note_event(self, event: dict[str, Any]) -> None:
        """Progress and heartbeats are noted until the journal is full; what matters is noted even then."""
        limit = MAX_NOTED if event["type"] in _NOISE else 2 * MAX_NOTED
        _note(self.events, event, limit)

    def note_poll(self, poll: dict[str, Any]) -> None:
        """Note a status call and its answer."""
        _note(self.polls, poll, MAX_NOTED)

    def note_connection(self, connection: dict[str, Any]) -> None:
        """Note a subscription; who notes it writes its end into it."""
        _note(self.connections, connection, MAX_NOTED)

    def truth(self) -> dict[str, Any]:
        """All that can be told about it afterwards."""
        return {
            "id": self.file_id,
            "project_id": self.project_id,
            "fault": self.fault.name,
            "kind": self.kind,
            "model": self.model,
            "prompt": self.prompt,
            "traceparent": self.traceparent,
            "render_s": self.render_s,
            "has_failed": self.has_failed,
            "created_at_ms": 0,
            "completed_at_ms": self.completed_at_ms,
            "completed_monotonic_s": self.completed_monotonic_s,
            "events": self.events,
            "connections": self.connections,
            "polls": self.polls,
        }


def _note(journal: list[dict[str, Any]], entry: dict[str, Any], limit: int) -> None:
    if len(journal) < limit:
        journal.append(entry)
