"""Decides how one generation is delivered: facts and the time go in, instructions come out. It does nothing itself.

A driver calls `tick` when `wake_at_s` has come or after it told the race something, does what comes out, and tells how
it went. When to listen and when to poll is decided by the two channels, each for itself; here is decided who wins, and
when it is over. Times are seconds on one clock, which need not be the wall's.
"""

import random
from collections.abc import Callable
from typing import Final

from monitor.delivery.errors import ChannelError
from monitor.delivery.instructions import Instruction
from monitor.delivery.model import (
    Channel,
    ChannelResult,
    Failed,
    Measurement,
    Outcome,
    Ready,
    Reason,
    Sighting,
    Unresolved,
    Verdict,
)
from monitor.delivery.policy import Policy
from monitor.delivery.polling_channel import PollingChannel
from monitor.delivery.sse_channel import SseChannel

MAX_LINGER_S: Final = 60.0
"""How long the channel that lost goes on; never beyond the window."""
STALL_S: Final = 1.0
"""A deadline that is noticed so much later was slept through: the process was frozen, or starved."""


class Race:
    """One generation between two channels. Told in order of time; the first usable asset inside the window wins.

    Nothing changes the `verdict` once it is set. A race that lingers goes on after a delivery, for `lingering`, the
    channel that lost. `measurement` is set when both are through with a delivery or an expiry that is to be measured.
    """

    __slots__ = (
        "_lingers",
        "_polling",
        "_sse",
        "deadline_at_s",
        "lingering",
        "measurement",
        "policy",
        "verdict",
        "window_ends_at_s",
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
        self.window_ends_at_s = self.deadline_at_s = started_at_s + policy.window_s
        self.verdict: Verdict | None = None
        self.lingering: Channel | None = None
        self.measurement: Measurement | None = None
        self._lingers = lingers
        self._sse = SseChannel(now_s, jitter)
        self._polling = PollingChannel(policy, started_at_s, now_s)

    @property
    def attempts(self) -> int:
        """Polls begun, without checks on open."""
        return self._polling.attempts

    @property
    def polling_is_early(self) -> bool:
        """Whether polling began before the grace was over, because SSE was known to be dead."""
        return self._polling.is_early

    @property
    def stream_due_at_s(self) -> float | None:
        """When the stream is opened again; None when it is open, or will not be."""
        return self._sse.stream_due_at_s if self._sse.stream_due_at_s < self.deadline_at_s else None

    @property
    def wake_at_s(self) -> float:
        """When `tick` next has something to say, if nothing happens before: the only timer a driver needs."""
        return min(self.deadline_at_s, self._sse.due_at_s, self._polling.due_at_s)

    @property
    def is_finished(self) -> bool:
        """Whether there is a verdict, and no channel that lingers."""
        return self.verdict is not None and self.lingering is None

    def tick(self, now_s: float) -> list[Instruction]:
        """What to begin now. Nothing once the race is over; it is at its deadline, or when no channel can deliver."""
        self._heed_deadline(now_s)
        if self.is_finished:
            return []
        if not self._sse.may_deliver and not self._polling.may_deliver(self.deadline_at_s):
            self._give_up(now_s)
            return []
        return [*self._sse.due(now_s), *self._polling.due(now_s)]

    def stream_opened(self, now_s: float) -> None:
        """Events published from now on reach us. What was published before is gone: ask once, if the policy allows."""
        if self._counts(Channel.SSE, now_s):
            self._sse.opened(now_s)
            if self.policy.check_on_open and self.verdict is None:
                self._polling.check_soon(now_s)

    def stream_ended(self, now_s: float, error: ChannelError | None, retry_s: float | None = None) -> None:
        """The stream is closed: by its server (no error), or by a failure. `retry_s` is what its `retry:` said."""
        if self._counts(Channel.SSE, now_s):
            self._sse.ended(now_s, error, retry_s)
            is_unreachable = error is not None and not error.connected
            if self.policy.early_fallback and (self._sse.is_dead or is_unreachable):
                self._polling.begin_early(now_s)

    def resolve_missed(self, now_s: float, file_id: str, retry_after_s: float | None = None) -> None:
        """The file that an event named has no URL yet, or could not be asked for: try again after a back-off."""
        if self._counts(Channel.SSE, now_s):
            self._sse.resolve_missed(now_s, file_id, retry_after_s)

    def poll_failed(self, now_s: float, error: ChannelError) -> None:
        """A poll did not work. It never ends the race, but may say when, or that it is no use, to poll again."""
        if self._counts(Channel.POLLING, now_s):
            self._polling.failed(now_s, error)

    def saw(self, now_s: float, channel: Channel, sighting: Sighting) -> None:
        """`channel` looked and saw this. A poll that could tell anything is over with it."""
        if not self._counts(channel, now_s):
            return
        if channel is Channel.POLLING:
            self._polling.answered()
        match sighting:
            case Ready() if self.verdict is not None:
                self._stop_lingering(now_s - self.verdict.at_s)
            case Failed() if self.verdict is not None:
                self._stop_lingering()
            case Ready(asset):
                self._end(Verdict(Outcome.DELIVERED, channel, now_s, self.attempts, asset))
            case Failed(detail):
                attempts, reason = self.attempts, Reason.TASK_ERROR
                self._end(Verdict(Outcome.PROVIDER_FAILED, channel, now_s, attempts, reason=reason, detail=detail))
            case Unresolved(file_id) if channel is Channel.SSE:
                self._sse.named(now_s, file_id)

    def cancel(self, now_s: float, reason: Reason = Reason.CALLER, detail: str | None = None) -> None:
        """Nobody wants the asset any more. No effect once the race is over."""
        self._heed_deadline(now_s)
        if self.verdict is None:
            self._end(Verdict(Outcome.CANCELLED, Channel.NONE, now_s, self.attempts, reason=reason, detail=detail))

    def _counts(self, channel: Channel, now_s: float) -> bool:
        """Whether what this channel tells still counts: it runs for the verdict, or lingers."""
        self._heed_deadline(now_s)
        return self.verdict is None or self.lingering is channel

    def _heed_deadline(self, now_s: float) -> None:
        """At the deadline the race is over, whoever is the first to notice, and however late."""
        if now_s >= self.deadline_at_s and not self.is_finished:
            self._give_up(self.deadline_at_s, has_stalled=now_s > self.deadline_at_s + STALL_S)

    def _give_up(self, now_s: float, *, has_stalled: bool = False) -> None:
        """Nothing more will come. After a stall nobody knows what would have: our own fault, which measures nothing."""
        if self.lingering is None:
            reason = Reason.MONITOR_DOWN if has_stalled else self._polling.last_answer
            self._end(Verdict(Outcome.EXPIRED, Channel.NONE, now_s, self.attempts, reason=reason))
        elif has_stalled:
            self.lingering = None
        else:
            self._stop_lingering()

    def _end(self, verdict: Verdict) -> None:
        """The one verdict. Only a channel that lingers has plans from now on."""
        self.verdict = verdict
        if self._lingers and verdict.outcome is Outcome.DELIVERED:
            self.lingering = Channel.POLLING if verdict.channel is Channel.SSE else Channel.SSE
            self.deadline_at_s = min(self.deadline_at_s, verdict.at_s + MAX_LINGER_S)
        elif self._lingers and verdict.outcome is Outcome.EXPIRED and verdict.reason is not Reason.MONITOR_DOWN:
            self.measurement = Measurement(self._sse.shortfall, self._polling.shortfall)
        if self.lingering is not Channel.SSE:
            self._sse.stop()
        if self.lingering is not Channel.POLLING:
            self._polling.stop()

    def _stop_lingering(self, lag_s: float | None = None) -> None:
        """The channel that lost is through: it had the asset too, `lag_s` after the winner, or not."""
        confirmed = None if lag_s is None else ChannelResult.CONFIRMED
        if self.lingering is Channel.SSE:
            self.measurement = Measurement(confirmed or self._sse.shortfall, ChannelResult.WON, lag_s)
        else:
            self.measurement = Measurement(ChannelResult.WON, confirmed or self._polling.shortfall, lag_s)
        self.lingering = None
