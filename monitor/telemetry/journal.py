"""The facts of one generation that are worth keeping, in order and bounded."""

from typing import Final

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    ChannelsMeasured,
    Ended,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    PollStarted,
    Reconciled,
    ReconcilingStarted,
    ResolveEnded,
    StreamEnded,
)

MAX_FACTS: Final = 256
_RESERVED: Final = 16
"""The last places, for how the calls ended that were open at the end."""
_MAX_EVENTS: Final = 128
"""A stream that says a lot leaves room for everything else."""
_PROGRESS_STEPS: Final = 10


class Journal:
    """Keeps what timelines and traces are made of. Of heartbeats only the first is kept, of progress each 10%.

    `dropped` counts what found no room. The end always does, and what was found out after it.
    """

    __slots__ = ("_events", "_step", "_was_life_seen", "dropped", "facts")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.dropped = 0
        self._events = 0
        self._step = -1
        self._was_life_seen = False

    def append(self, fact: Fact) -> bool:
        """Keep the fact if it is worth it; whether it was kept."""
        if isinstance(fact, EventSeen):
            if not self._is_news(fact):
                return False
            self._events += 1
        elif isinstance(fact, Accepted | PollStarted):  # what only begins: its end says when
            return False
        if not self._has_room(fact):
            self.dropped += 1
            return False
        self.facts.append(fact)
        return True

    def _has_room(self, fact: Fact) -> bool:
        kept = len(self.facts)
        if kept < MAX_FACTS - _RESERVED:
            return not isinstance(fact, EventSeen) or self._events <= _MAX_EVENTS
        match fact:
            case Ended() | ChannelsMeasured() | AssetChecked() | ReconcilingStarted() | Reconciled():
                return True
            case StreamEnded() | PollEnded() | ResolveEnded():
                return kept < MAX_FACTS - 1
            case _:
                return False

    def _is_news(self, event: EventSeen) -> bool:
        """Results and malformed events always, progress when it moved, and the first of what only shows life."""
        match event.type:
            case EventType.RESULT | EventType.MALFORMED:
                return True
            case EventType.PROGRESS:
                ratio = event.progress or 0.0
                step = int(ratio * _PROGRESS_STEPS + 1e-9) if 0 <= ratio <= 1 else 0
                moved, self._step = step > self._step, max(step, self._step)
                return moved
            case EventType.HEARTBEAT | EventType.FOREIGN:
                is_first, self._was_life_seen = not self._was_life_seen, True
                return is_first
