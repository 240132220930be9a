"""When to poll and for how long to wait: grace, interval, attempts and window together."""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one generation is waited for; t = 0 is the answer to the create call.

    `early_fallback`: polling begins at once when SSE is known to be dead. `check_on_open`: one status call (attempt 0)
    each time the stream opens, since the provider keeps no history of events.
    Raises ValueError when no generation could be delivered by it.
    """

    name: str
    grace_s: float = 10.0
    interval_s: float = 10.0
    max_attempts: int = 6
    window_s: float = 75.0
    early_fallback: bool = True
    check_on_open: bool = True

    def __post_init__(self) -> None:
        for field in ("interval_s", "window_s"):
            if not 0 < getattr(self, field) < math.inf:
                name, found = field.removesuffix("_s"), getattr(self, field)
                raise ValueError(f"{name} is {found}; it must be over 0 seconds, and finite")
        if not self.grace_s >= 0:
            raise ValueError(f"grace is {self.grace_s}; it must be 0 seconds or more")
        if self.max_attempts < 0:
            raise ValueError(f"max_attempts is {self.max_attempts}; it must be 0 or more")
        if self.max_attempts and self.grace_s >= self.window_s:
            raise ValueError(f"grace ({self.grace_s} s) must be shorter than window ({self.window_s} s)")


FIXED: Final = Policy(name="fixed", early_fallback=False, check_on_open=False)
"""The document's policy: polls at 10, 20 … 60 s, and the original's timer that is cleared 65 s after the grace."""
