"""The half of a race that polls: when to ask, what the answers came to. Pure, as the race is."""

import math
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.instructions import Poll
from monitor.delivery.model import ChannelResult, ErrorKind, Reason
from monitor.delivery.policy import Policy

_NEVER: Final = math.inf


class PollingChannel:
    """Polls stay on a grid, whatever delays them: one every interval from the end of the grace. Seconds, as the race's.

    `attempts` are the polls begun, without checks on open. `is_early`: they began before the grace was over.
    `last_answer` is what a generation expired of, were it to end now.
    """

    __slots__ = (
        "_check_due_at_s",
        "_grid_from_s",
        "_not_before_s",
        "_policy",
        "_poll_due_at_s",
        "_under_way",
        "attempts",
        "is_early",
        "last_answer",
    )

    def __init__(self, policy: Policy, started_at_s: float, now_s: float) -> None:
        """Polls that were due before `now_s` count as made."""
        self._policy = policy
        self._grid_from_s = started_at_s + policy.grace_s
        missed = max(0, math.ceil((now_s - self._grid_from_s) / policy.interval_s))
        self.attempts = min(missed, policy.max_attempts)
        self.is_early = False
        self.last_answer = Reason.NOT_POLLED
        self._under_way = 0
        self._not_before_s = -math.inf
        self._check_due_at_s = _NEVER
        self._poll_due_at_s = self._next_poll_at_s(now_s)

    @property
    def due_at_s(self) -> float:
        """When there is something to begin; infinite when there will be nothing."""
        return min(self._check_due_at_s, self._poll_due_at_s)

    @property
    def shortfall(self) -> ChannelResult:
        """Why it did not bring the asset."""
        if self._policy.max_attempts == 0:
            return ChannelResult.UNUSED
        has_answer = self.last_answer in (Reason.PENDING, Reason.NOT_POLLED)
        return ChannelResult.MISSED if has_answer else ChannelResult.FAILED

    def may_deliver(self, before_s: float) -> bool:
        """Whether a poll is under way, or one is due before then."""
        return self._under_way > 0 or self.due_at_s < before_s

    def due(self, now_s: float) -> list[Poll]:
        """What to begin now."""
        due: list[Poll] = []
        if now_s >= self._check_due_at_s:
            self._check_due_at_s = _NEVER
            due.append(Poll(0))
        if now_s >= self._poll_due_at_s:
            self.attempts += 1
            self._poll_due_at_s = self._next_poll_at_s(math.nextafter(now_s, _NEVER))
            due.append(Poll(self.attempts))
        if due and self.last_answer is Reason.NOT_POLLED:
            self.last_answer = Reason.TIMEOUT  # until it answers
        self._under_way += len(due)
        return due

    def check_soon(self, now_s: float) -> None:
        """Ask once, besides the grid, as soon as the provider lets us."""
        self._check_due_at_s = max(now_s, self._not_before_s)

    def begin_early(self, now_s: float) -> None:
        """Do not wait for the end of the grace. The grid begins here then."""
        at_s = max(now_s, self._not_before_s)
        if at_s < self._grid_from_s and self._poll_due_at_s < _NEVER:
            self.is_early = True
            self._grid_from_s = self._poll_due_at_s = at_s

    def answered(self) -> None:
        """A poll is over that could tell something."""
        self._under_way -= 1
        self.last_answer = Reason.PENDING

    def failed(self, now_s: float, error: ChannelError) -> None:
        """A poll is over that could tell nothing, but perhaps when, or that it is no use, to ask again."""
        self._under_way -= 1
        self.last_answer = Reason(error.kind)
        if error.kind is ErrorKind.UNAUTHORIZED:
            self._put_off(_NEVER)
        elif error.retry_after_s is not None:
            self._put_off(now_s + error.retry_after_s)

    def stop(self) -> None:
        """Plan nothing more, and wait for nothing."""
        self._check_due_at_s = self._poll_due_at_s = _NEVER
        self._under_way = 0

    def _put_off(self, until_s: float) -> None:
        self._not_before_s = max(self._not_before_s, until_s)
        self._check_due_at_s = max(self._check_due_at_s, until_s)
        if self._poll_due_at_s < until_s:
            self._poll_due_at_s = self._next_poll_at_s(until_s)

    def _next_poll_at_s(self, from_s: float) -> float:
        if self.attempts >= self._policy.max_attempts:
            return _NEVER
        return next_on_grid(from_s, self._grid_from_s, self._policy.interval_s)


def next_on_grid(at_s: float, grid_from_s: float, interval_s: float) -> float:
    """The first instant at or after `at_s` of those that are whole intervals from the first one."""
    if at_s == _NEVER:
        return _NEVER
    slot = max(0, math.ceil((at_s - grid_from_s) / interval_s))
    slot_at_s = grid_from_s + slot * interval_s
    return slot_at_s if slot_at_s >= at_s else grid_from_s + (slot + 1) * interval_s
