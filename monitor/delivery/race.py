"""Decides how one generation is delivered: facts and the time go in, instructions come out. It does nothing itself.

A driver calls `tick` when `wake_at_s` has come or after it told the race something, does what comes out, and tells how
it went. Nothing changes the `verdict` once it is set. A race that lingers goes on after a delivery, for the channel
that lost, and so learns how both did. Times are seconds on one clock, which need not be the wall's.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import (
    Asset,
    Channel,
    ChannelResult,
    ErrorKind,
    Failed,
    Measurement,
    Outcome,
    Pending,
    Ready,
    Reason,
    Sighting,
    Unresolved,
    Verdict,
)
from monitor.delivery.policy import Policy
from monitor.delivery.values import value

BACKOFF_BASE_S: Final = 0.5
BACKOFF_CAP_S: Final = 10.0
MAX_RECONNECTS: Final = 10
"""Streams in a row that failed, or did not live for `BACKOFF_CAP_S`; then SSE is dead."""
MAX_RESOLVES: Final = 6
MAX_LINGER_S: Final = 60.0
"""How long the channel that lost goes on; never beyond the window."""

_NEVER: Final = math.inf


@value(frozen=True, slots=True)
class OpenStream:
    """Open the event stream; `number` counts connections from 1."""

    number: int


@value(frozen=True, slots=True)
class Poll:
    """Ask for the status, and resolve a file id if that is the answer. Attempt 0 is the check on open."""

    attempt: int


@value(frozen=True, slots=True)
class Resolve:
    """Ask for the URL of a file that an event named; `number` counts tries for this file from 1."""

    file_id: str
    number: int


Instruction = OpenStream | Poll | Resolve


class _Stream(Enum):
    CLOSED = auto()
    OPENING = auto()
    OPEN = auto()
    DEAD = auto()


@dataclass(slots=True)
class _Resolution:
    """A file id that SSE brought. `due_at_s` is infinite while a try is under way, and when there will be no more."""

    due_at_s: float
    tries: int = 0
    is_over: bool = False


class Race:
    """One generation between two channels. Told in order of time; the first usable asset inside the window wins."""

    __slots__ = (
        "_attempts",
        "_check_due_at_s",
        "_early",
        "_failures",
        "_jitter",
        "_last_poll",
        "_lingers",
        "_no_poll_before_s",
        "_opened_at_s",
        "_poll_due_at_s",
        "_polling_from_s",
        "_polls_open",
        "_resolutions",
        "_stream",
        "_stream_due_at_s",
        "_streams",
        "deadline_at_s",
        "lingering",
        "measurement",
        "policy",
        "started_at_s",
        "verdict",
    )

    def __init__(
        self,
        policy: Policy,
        started_at_s: float,
        *,
        resumed_at_s: float | None = None,
        lingers: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`started_at_s` is t = 0; `jitter` draws from [0, 1). `lingers`: measure both channels.

        A race that goes on after a restart counts the polls that were due before `resumed_at_s` as made.
        """
        now_s = started_at_s if resumed_at_s is None else resumed_at_s
        self.policy = policy
        self.started_at_s = started_at_s
        self.deadline_at_s = self.window_ends_at_s
        self.verdict: Verdict | None = None
        self.lingering: Channel | None = None
        """The channel that lost, and goes on."""
        self.measurement: Measurement | None = None
        """Set when both channels are through with a delivery or an expiry, if that was to be measured."""
        self._lingers = lingers
        self._jitter = jitter
        self._stream = _Stream.CLOSED
        self._stream_due_at_s = now_s
        self._streams = 0
        self._failures = 0
        self._opened_at_s = now_s
        self._check_due_at_s = _NEVER
        self._no_poll_before_s = now_s
        self._polling_from_s = started_at_s + policy.grace_s
        self._poll_due_at_s = self._polling_from_s
        self._early = False
        self._attempts = 0
        self._polls_open = 0
        self._last_poll: Reason = Reason.NOT_POLLED
        self._resolutions: dict[str, _Resolution] = {}
        if resumed_at_s is not None and resumed_at_s > self._polling_from_s:
            self._attempts = min(math.ceil((now_s - self._polling_from_s) / policy.interval_s), policy.max_attempts)
            self._poll_due_at_s = self._slot_from(now_s)
        if self._attempts >= policy.max_attempts:
            self._poll_due_at_s = _NEVER

    @property
    def window_ends_at_s(self) -> float:
        """When a race that nothing ended before is over, and one that lingers at the latest."""
        return self.started_at_s + self.policy.window_s

    @property
    def attempts(self) -> int:
        """Polls begun, without checks on open."""
        return self._attempts

    @property
    def polling_is_early(self) -> bool:
        """Whether polling began before the grace was over, because SSE was known to be dead."""
        return self._early

    @property
    def stream_due_at_s(self) -> float | None:
        """When the stream is opened again; None when it is open, or will not be."""
        return self._stream_due_at_s if self._stream_due_at_s < self.deadline_at_s else None

    @property
    def wake_at_s(self) -> float:
        """When `tick` next has something to say, if nothing happens before: the only timer a driver needs."""
        resolutions = (item.due_at_s for item in self._resolutions.values())
        return min(self.deadline_at_s, self._stream_due_at_s, self._check_due_at_s, self._poll_due_at_s, *resolutions)

    @property
    def is_finished(self) -> bool:
        """Whether there is a verdict, and no channel that lingers."""
        return self.verdict is not None and self.lingering is None

    def tick(self, now_s: float) -> list[Instruction]:
        """What to begin now. Nothing once the race is over; at the deadline it is."""
        if self._is_over(now_s) and self.lingering is None:
            return []
        if self._is_hopeless:
            self._give_up(now_s)
            return []
        return [*self._due_stream(now_s), *self._due_polls(now_s), *self._due_resolutions(now_s)]

    def stream_opened(self, now_s: float) -> None:
        """Events published from now on reach us. What was published before is gone: ask once, if the policy allows."""
        self._stream = _Stream.OPEN
        self._opened_at_s = now_s
        if self.policy.check_on_open and self.verdict is None:
            self._check_due_at_s = max(now_s, self._no_poll_before_s)

    def stream_ended(self, now_s: float, error: ChannelError | None, retry_s: float | None = None) -> None:
        """The stream is closed: by its server (no error), or by a failure. `retry_s` is what its `retry:` said."""
        if self.verdict is not None and self.lingering is not Channel.SSE:
            return  # nobody wants to hear any more, also where polling lingers
        stood = self._stream is _Stream.OPEN
        is_stable = stood and now_s - self._opened_at_s >= BACKOFF_CAP_S
        self._failures = 1 if is_stable else self._failures + 1
        if (error is not None and not error.retryable) or self._failures > MAX_RECONNECTS:
            self._stream = _Stream.DEAD
        else:
            self._stream = _Stream.CLOSED
            self._stream_due_at_s = now_s + self._reconnect_delay_s(error, retry_s)
        unreachable = error is not None and not error.connected
        if self._stream is _Stream.DEAD or unreachable:
            self._poll_early(now_s)

    def saw(self, now_s: float, channel: Channel, sighting: Sighting) -> None:
        """`channel` looked and saw this. A poll that could tell anything is over with it."""
        if channel is Channel.POLLING:
            self._polls_open -= 1
            self._last_poll = Reason.PENDING
        is_over = self._is_over(now_s)
        if is_over and channel is not self.lingering:
            return
        match sighting:
            case Ready() if is_over:
                self._stop_lingering(now_s, ChannelResult.CONFIRMED)
            case Failed() if is_over:
                self._stop_lingering(now_s)
            case Ready(asset):
                self._end(Outcome.DELIVERED, channel, now_s, asset=asset)
            case Failed(detail):
                self._end(Outcome.PROVIDER_FAILED, channel, now_s, reason=Reason.TASK_ERROR, detail=detail)
            case Unresolved(file_id) if channel is Channel.SSE and len(self._resolutions) < MAX_RESOLVES:
                self._resolutions.setdefault(file_id, _Resolution(now_s))
            case Unresolved() | Pending():
                pass

    def poll_failed(self, now_s: float, error: ChannelError) -> None:
        """A poll did not work. It never ends the race, but may say when, or that it is no use, to poll again."""
        self._polls_open -= 1
        self._last_poll = Reason(error.kind)
        if error.kind is ErrorKind.UNAUTHORIZED:
            self._put_polls_off(_NEVER)
        elif error.retry_after_s is not None:
            self._put_polls_off(now_s + error.retry_after_s)

    def resolve_missed(self, now_s: float, file_id: str, retry_after_s: float | None = None) -> None:
        """The file that an event named has no URL yet, or could not be asked for: try again after a back-off."""
        resolution = self._resolutions.get(file_id)
        if resolution is None:
            return  # SSE has won by another way
        resolution.is_over = resolution.tries >= MAX_RESOLVES
        if not resolution.is_over:
            resolution.due_at_s = now_s + max(self._backoff_s(resolution.tries), retry_after_s or 0.0)

    def cancel(self, now_s: float, reason: Reason = Reason.CALLER, detail: str | None = None) -> None:
        """Nobody wants the asset any more. No effect once the race is over."""
        if not self._is_over(now_s):
            self._end(Outcome.CANCELLED, Channel.NONE, now_s, reason=reason, detail=detail)

    def _due_stream(self, now_s: float) -> list[Instruction]:
        if now_s < self._stream_due_at_s:
            return []
        self._stream = _Stream.OPENING
        self._stream_due_at_s = _NEVER
        self._streams += 1
        return [OpenStream(self._streams)]

    def _due_polls(self, now_s: float) -> list[Instruction]:
        due: list[Instruction] = []
        if now_s >= self._check_due_at_s:
            self._check_due_at_s = _NEVER
            due.append(Poll(0))
        if now_s >= self._poll_due_at_s:
            self._attempts += 1
            is_last = self._attempts >= self.policy.max_attempts
            self._poll_due_at_s = _NEVER if is_last else self._slot_from(math.nextafter(now_s, _NEVER))
            due.append(Poll(self._attempts))
        if due and self._last_poll is Reason.NOT_POLLED:
            self._last_poll = Reason.TIMEOUT  # until it answers
        self._polls_open += len(due)
        return due

    def _due_resolutions(self, now_s: float) -> list[Instruction]:
        due: list[Instruction] = []
        for file_id, resolution in self._resolutions.items():
            if now_s >= resolution.due_at_s:
                resolution.tries += 1
                resolution.due_at_s = _NEVER
                due.append(Resolve(file_id, resolution.tries))
        return due

    def _slot_from(self, at_s: float) -> float:
        """The first instant of the poll grid at or after `at_s`. Polls stay on the grid, whatever delays them."""
        if at_s == _NEVER:
            return _NEVER
        interval_s = self.policy.interval_s
        slot = max(0, math.ceil((at_s - self._polling_from_s) / interval_s))
        slot_at_s = self._polling_from_s + slot * interval_s
        return slot_at_s if slot_at_s >= at_s else self._polling_from_s + (slot + 1) * interval_s

    def _put_polls_off(self, until_s: float) -> None:
        """No poll and no check before `until_s`, as the provider told."""
        self._no_poll_before_s = max(self._no_poll_before_s, until_s)
        self._check_due_at_s = max(self._check_due_at_s, until_s)
        if self._poll_due_at_s < until_s:
            self._poll_due_at_s = self._slot_from(until_s)

    def _poll_early(self, now_s: float) -> None:
        at_s = max(now_s, self._no_poll_before_s)
        is_waiting = at_s < self._polling_from_s and self._poll_due_at_s < _NEVER
        if self.policy.early_fallback and is_waiting:
            self._early = True
            self._polling_from_s = self._poll_due_at_s = at_s

    def _reconnect_delay_s(self, error: ChannelError | None, retry_s: float | None) -> float:
        """Full jitter over an exponential back-off, on top of the server's `retry:`, and not before `Retry-After`."""
        told_s = (error.retry_after_s if error is not None else None) or 0.0
        return max((retry_s or 0.0) + self._backoff_s(self._failures), told_s)

    def _backoff_s(self, failures: int) -> float:
        return self._jitter() * min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** (failures - 1))

    @property
    def _is_hopeless(self) -> bool:
        """Whether nothing is under way or planned that could still bring the asset."""
        resolving = any(not item.is_over for item in self._resolutions.values())
        streaming = self._stream is not _Stream.DEAD and self.lingering is not Channel.POLLING
        polling = self._polls_open > 0 or min(self._check_due_at_s, self._poll_due_at_s) < self.deadline_at_s
        return not (streaming or polling or resolving)

    def _is_over(self, now_s: float) -> bool:
        """At the deadline the race is over, whoever is the first to notice, and however late."""
        if not self.is_finished and now_s >= self.deadline_at_s:
            self._give_up(self.deadline_at_s)
        return self.verdict is not None

    def _give_up(self, now_s: float) -> None:
        if self.lingering is None:
            self._end(Outcome.EXPIRED, Channel.NONE, now_s, reason=self._last_poll)
        else:
            self._stop_lingering(now_s)

    def _end(
        self,
        outcome: Outcome,
        channel: Channel,
        now_s: float,
        *,
        asset: Asset | None = None,
        reason: Reason | None = None,
        detail: str | None = None,
    ) -> None:
        self.verdict = Verdict(outcome, channel, now_s, self._attempts, asset, reason, detail)
        if not self._lingers:
            return
        if outcome is Outcome.EXPIRED:
            self.measurement = Measurement(self._shortfall(Channel.SSE), self._shortfall(Channel.POLLING))
        elif outcome is Outcome.DELIVERED:
            self._linger(now_s, winner=channel)

    def _linger(self, now_s: float, *, winner: Channel) -> None:
        """Only the loser's plans stand."""
        self.deadline_at_s = min(self.deadline_at_s, now_s + MAX_LINGER_S)
        if winner is Channel.SSE:
            self.lingering = Channel.POLLING
            self._stream_due_at_s = _NEVER
            self._resolutions.clear()
        else:
            self.lingering = Channel.SSE
            self._check_due_at_s = self._poll_due_at_s = _NEVER
            self._polls_open = 0

    def _stop_lingering(self, now_s: float, result: ChannelResult | None = None) -> None:
        assert self.verdict is not None and self.lingering is not None  # noqa: S101, PT018 - it lingers
        lag_s = now_s - self.verdict.at_s if result is ChannelResult.CONFIRMED else None
        result = result or self._shortfall(self.lingering)
        if self.lingering is Channel.SSE:
            self.measurement = Measurement(result, ChannelResult.WON, lag_s)
        else:
            self.measurement = Measurement(ChannelResult.WON, result, lag_s)
        self.lingering = None

    def _shortfall(self, channel: Channel) -> ChannelResult:
        """Why a channel did not bring the asset."""
        if channel is Channel.SSE:
            return ChannelResult.MISSED if self._stream is _Stream.OPEN else ChannelResult.FAILED
        if self.policy.max_attempts == 0:
            return ChannelResult.UNUSED
        has_answer = self._last_poll in (Reason.PENDING, Reason.NOT_POLLED)
        return ChannelResult.MISSED if has_answer else ChannelResult.FAILED
