"""The facts of one generation that are worth keeping, in order and bounded."""

from typing import Final

from monitor.delivery.facts import Ended, EventSeen, EventType, Fact, StreamEnded

MAX_FACTS: Final = 256
_PROGRESS_STEP: Final = 0.1


class Journal:
    """Keeps what timelines and traces are made of. Heartbeats are not kept, and progress only in steps of 10%.

    `dropped` counts what found no room; the last places are for how it ended.
    """

    __slots__ = ("_progress", "_was_life_seen", "dropped", "facts")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.dropped = 0
        self._progress = -1.0
        self._was_life_seen = False

    def append(self, fact: Fact) -> bool:
        """Keep the fact if it is worth it; whether it was kept."""
        if isinstance(fact, EventSeen) and not self._is_news(fact):
            return False
        if len(self.facts) >= MAX_FACTS and not isinstance(fact, Ended | StreamEnded):
            self.dropped += 1
            return False
        if len(self.facts) >= 2 * MAX_FACTS and not isinstance(fact, Ended):
            self.dropped += 1
            return False
        self.facts.append(fact)
        return True

    def _is_news(self, event: EventSeen) -> bool:
        """Results and malformed events always, progress when it moved, and the first of what only shows life."""
        match event.type:
            case EventType.RESULT | EventType.MALFORMED:
                return True
            case EventType.PROGRESS:
                ratio = event.progress or 0.0
                if ratio < self._progress + _PROGRESS_STEP:
                    return False
                self._progress = ratio
                return True
            case EventType.HEARTBEAT | EventType.FOREIGN:
                is_first, self._was_life_seen = not self._was_life_seen, True
                return is_first
