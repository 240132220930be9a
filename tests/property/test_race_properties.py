"""Random behaviour of both channels told to the race, in any order; times are multiples of the policy's durations."""

import math
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.delivery.errors import ChannelError
from monitor.delivery.instructions import Instruction, OpenStream, Poll, Resolve
from monitor.delivery.model import (
    Channel,
    ChannelResult,
    ErrorKind,
    Failed,
    Outcome,
    Pending,
    Ready,
    Reason,
    Stage,
    Unresolved,
    Verdict,
)
from monitor.delivery.policy import FIXED, Policy
from monitor.delivery.race import MAX_LINGER_S, STALL_S, Race
from monitor.delivery.sse_channel import BACKOFF_CAP_S, MAX_RESOLVES
from monitor.testing.scripted_provider import ready

_DRAWN_POLICIES = st.builds(
    Policy,
    name=st.just("drawn"),
    grace_s=st.sampled_from([2.0, 1.0, 0.0]),
    interval_s=st.sampled_from([0.5, 1.0, 2.0]),
    max_attempts=st.sampled_from([6, 3, 2, 1, 0]),
    window_s=st.sampled_from([10.5, 8.0, 4.0]),
    early_fallback=st.sampled_from([True, False]),
    check_on_open=st.sampled_from([True, False]),
)
_POLICIES = st.one_of(st.just(FIXED), _DRAWN_POLICIES, _DRAWN_POLICIES)
_ERRORS = st.builds(
    ChannelError,
    st.sampled_from(list(ErrorKind)),
    st.just(Stage.POLL),
    st.just("drawn"),
    retryable=st.booleans(),
    connected=st.booleans(),
    retry_after_s=st.sampled_from([None, None, 0.0, 0.75, 1.0, 2.0, 10.0, 100.0]),
)
_SIGHTINGS = st.sampled_from(
    [Pending(), Pending(), Unresolved("f"), ready("a"), ready("b"), Pending(), Unresolved("g"), Failed("no")]
)
_SHORTFALLS = (ChannelResult.MISSED, ChannelResult.FAILED)


class _Opened:
    """A stream stands."""


class _Closed:
    """A stream was closed by its server, without an error."""


@dataclass(frozen=True, slots=True)
class _News:
    """Something that will be told: when, of what, and what."""

    at_s: float
    of: Instruction
    what: object


class _World:
    """Does what a race decides, with drawn answers or none at all, and checks every decision on the way."""

    def __init__(
        self,
        policy: Policy,
        data: st.DataObject,
        started_at_s: float,
        resumed_after_s: float | None,
        *,
        lingers: bool = False,
    ) -> None:
        self.policy = policy
        self.data = data
        self.started_at_s = started_at_s
        self.now_s = started_at_s + (resumed_after_s or 0.0)
        resumed_at_s = None if resumed_after_s is None else self.now_s
        jitter = st.sampled_from([0.0, 0.5, 0.99])
        self.race = Race(
            policy,
            started_at_s,
            resumed_at_s=resumed_at_s,
            lingers=lingers,
            jitter=lambda: data.draw(jitter),
        )
        self.made_before = self.race.attempts
        self.deadline_at_s = started_at_s + policy.window_s
        self.coming: list[_News] = []
        self.hanging = 0
        self.first: tuple[float, Channel, object] | None = None
        self.polls: list[float] = []
        self.streams: list[float] = []
        self.open_streams = 0
        self.resolves: dict[str, int] = {}
        self.no_poll_before_s = -math.inf
        self.sse_is_over = False
        self.was_late = False
        self.has_slept_through_the_end = False
        self.cancelled_at_s: float | None = None
        self.had_it: dict[Channel, float] = {}

    def run(self) -> Verdict:
        for _ in range(2_000):
            self._begin_what_is_due()
            if self.race.verdict is not None:
                return self.race.verdict
            assert self.race.wake_at_s > self.now_s
            self._go_on()
        raise AssertionError("the race does not end")

    def linger(self) -> None:
        """What follows a verdict: as the driver does it, what belongs to the winner is cancelled."""
        loser = self.race.lingering
        self.coming = [news for news in self.coming if _channel_of(news.of) is loser]
        for _ in range(2_000):
            self._begin_what_is_due()
            if self.race.is_finished:
                return
            assert self.race.wake_at_s > self.now_s
            self._go_on()
        raise AssertionError("the race does not end")

    def _begin_what_is_due(self) -> None:
        for instruction in self.race.tick(self.now_s):
            assert self.now_s < self.deadline_at_s
            assert self.race.verdict is None or _channel_of(instruction) is self.race.lingering
            match instruction:
                case OpenStream(number):
                    self._check_stream(number)
                case Poll(attempt):
                    self._check_poll(attempt)
                case Resolve(file_id, number):
                    self.resolves[file_id] = self.resolves.get(file_id, 0) + 1
                    assert number == self.resolves[file_id] <= MAX_RESOLVES
            self._plan(instruction)
        assert self.race.tick(self.now_s) == []

    def _check_stream(self, number: int) -> None:
        assert not self.sse_is_over
        assert self.open_streams == 0
        self.open_streams = 1
        self.streams.append(self.now_s)
        assert number == len(self.streams)

    def _check_poll(self, attempt: int) -> None:
        assert self.now_s >= self.no_poll_before_s
        if attempt == 0:
            assert self.policy.check_on_open
            return
        self.polls.append(self.now_s)
        assert attempt == self.made_before + len(self.polls) <= self.policy.max_attempts
        if not self.race.polling_is_early:
            grid = (self.now_s - self.started_at_s - self.policy.grace_s) / self.policy.interval_s
            assert grid >= 0.0
            assert grid == int(grid) or self.was_late
        else:
            assert self.policy.early_fallback

    def _plan(self, of: Instruction) -> None:
        """What becomes of it: an answer some time, perhaps in the very instant of the deadline, or none."""
        if isinstance(of, OpenStream):
            what: object = self.data.draw(st.just(_Opened()) | _ERRORS)
        else:
            what = self.data.draw(st.one_of(_SIGHTINGS, _SIGHTINGS, _ERRORS))
        at_s = self.data.draw(st.one_of(self._soon(), self._soon(), self._soon(), self._boundary(), st.just(math.inf)))
        if at_s < math.inf:
            self.coming.append(_News(at_s, of, what))
        elif not isinstance(of, OpenStream):
            self.hanging += 1

    def _soon(self) -> st.SearchStrategy[float]:
        factors = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 1.5, 3.0])
        return factors.map(lambda factor: self.now_s + factor * self.policy.interval_s)

    def _boundary(self) -> st.SearchStrategy[float]:
        grace_ends_at_s = self.started_at_s + self.policy.grace_s
        boundaries = [self.deadline_at_s, math.nextafter(self.deadline_at_s, 0.0), grace_ends_at_s]
        return st.sampled_from([max(boundary, self.now_s) for boundary in boundaries])

    def _plan_events(self, of: OpenStream) -> None:
        """What an open stream brings, one after the other, and perhaps its end."""
        at_s = self.now_s
        for sighting in self.data.draw(st.lists(_SIGHTINGS, min_size=1, max_size=3)):
            at_s += self.data.draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) * self.policy.interval_s
            self.coming.append(_News(at_s, of, sighting))
        if self.data.draw(st.sampled_from([True, False])):
            end = self.data.draw(st.just(_Closed()) | _ERRORS)
            self.coming.append(_News(at_s + self.data.draw(st.sampled_from([0.0, 1.0, 10.0])), of, end))

    def _go_on(self) -> None:
        """To the next news or the next timer. Of what comes in one instant either may be first; a timer may be late."""
        news = min(self.coming, key=lambda item: item.at_s, default=None)
        wake_at_s = self.race.wake_at_s
        if news is None or news.at_s > wake_at_s or (news.at_s == wake_at_s and self.data.draw(st.booleans())):
            late_s = self.data.draw(st.sampled_from([0.0] * 40 + [0.3, 0.3, self.policy.window_s]))
            self.was_late |= late_s > 0.0
            self.now_s = wake_at_s + late_s
            self.has_slept_through_the_end |= self.now_s > self.race.deadline_at_s + STALL_S
        else:
            self.now_s = max(news.at_s, self.now_s)
            self.coming.remove(news)
            self._tell(news)
        if self.data.draw(st.integers(0, 60)) == 60:
            self._cancel()

    def _cancel(self) -> None:
        if self.race.verdict is None and self.now_s < self.deadline_at_s:
            self.cancelled_at_s = self.now_s
        self.race.cancel(self.now_s)

    def _tell(self, news: _News) -> None:
        match news.of, news.what:
            case OpenStream() as stream, _Opened():
                self.race.stream_opened(self.now_s)
                self._plan_events(stream)
            case OpenStream(), _Closed():
                self._end_stream(None)
            case OpenStream(), ChannelError() as error:
                self._end_stream(error)
            case Poll(), ChannelError() as error:
                if self.race.verdict is None:
                    self._hold_back(error)
                self.race.poll_failed(self.now_s, error)
            case Poll(), sighting:
                self._saw(Channel.POLLING, sighting)
            case Resolve(file_id), (ChannelError() | Pending() | Unresolved()) as missed:
                told_s = missed.retry_after_s if isinstance(missed, ChannelError) else None
                self.race.resolve_missed(self.now_s, file_id, told_s)
            case _, sighting:
                self._saw(Channel.SSE, sighting)

    def _end_stream(self, error: ChannelError | None) -> None:
        self.open_streams = 0
        retry_s = self.data.draw(st.sampled_from([None, 0.0, 1.0]))
        self.race.stream_ended(self.now_s, error, retry_s)
        self.sse_is_over |= error is not None and not error.retryable
        due_at_s = self.race.stream_due_at_s
        if due_at_s is not None:
            assert not self.sse_is_over
            told_s = (error.retry_after_s if error is not None else None) or 0.0
            after_s, server_s = due_at_s - self.now_s, retry_s or 0.0
            assert max(server_s, told_s) <= after_s <= max(server_s + BACKOFF_CAP_S, told_s)

    def _hold_back(self, error: ChannelError) -> None:
        if error.kind is ErrorKind.UNAUTHORIZED:
            self.no_poll_before_s = math.inf
        elif error.retry_after_s is not None:
            self.no_poll_before_s = max(self.no_poll_before_s, self.now_s + error.retry_after_s)

    def _saw(self, channel: Channel, sighting: object) -> None:
        if isinstance(sighting, Ready):
            self.had_it[channel] = min(self.now_s, self.had_it.get(channel, math.inf))
        assert isinstance(sighting, Ready | Pending | Unresolved | Failed)
        is_over = self.first is not None or self.race.verdict is not None or self.now_s >= self.deadline_at_s
        if isinstance(sighting, Ready | Failed) and not is_over:
            self.first = (self.now_s, channel, sighting)
        self.race.saw(self.now_s, channel, sighting)

    def anything_is_under_way(self) -> bool:
        asking = any(not isinstance(news.of, OpenStream) for news in self.coming)
        return asking or self.hanging > 0 or self.open_streams > 0


@settings(max_examples=500)
@given(
    policy=_POLICIES,
    data=st.data(),
    started_at_s=st.sampled_from([0.0, 1_024.0, -16.0]),
    resumed=st.sampled_from([None, None, None, 0.0, 0.5, 1.0, 2.0, 2.25, 3.5, 4.0]),
)
def test_one_outcome_by_who_was_first_in_the_window_and_never_a_poll_too_many(
    policy: Policy, data: st.DataObject, started_at_s: float, resumed: float | None
) -> None:
    world = _World(policy, data, started_at_s, resumed)
    verdict = world.run()
    assert verdict.attempts == world.made_before + len(world.polls) <= policy.max_attempts
    assert verdict.at_s <= world.deadline_at_s
    if world.first is not None:
        at_s, channel, sighting = world.first
        assert (verdict.at_s, verdict.channel) == (at_s, channel)
        assert verdict.asset == (sighting.asset if isinstance(sighting, Ready) else None)
        assert verdict.outcome is (Outcome.DELIVERED if isinstance(sighting, Ready) else Outcome.PROVIDER_FAILED)
    elif world.cancelled_at_s is not None:
        assert (verdict.outcome, verdict.at_s) == (Outcome.CANCELLED, world.cancelled_at_s)
    else:
        assert (verdict.outcome, verdict.channel, verdict.asset) == (Outcome.EXPIRED, Channel.NONE, None)
        assert verdict.at_s == world.deadline_at_s or not world.anything_is_under_way()
        assert (verdict.reason is Reason.MONITOR_DOWN) == world.has_slept_through_the_end


def _channel_of(instruction: Instruction) -> Channel:
    return Channel.POLLING if isinstance(instruction, Poll) else Channel.SSE


@settings(max_examples=500)
@given(policy=_POLICIES, data=st.data(), resumed=st.sampled_from([None, None, 1.0, 3.5]))
def test_a_race_that_lingers_measures_both_channels_and_keeps_its_verdict(
    policy: Policy, data: st.DataObject, resumed: float | None
) -> None:
    world = _World(policy, data, 0.0, resumed, lingers=True)
    verdict = world.run()
    loser = Channel.POLLING if verdict.channel is Channel.SSE else Channel.SSE
    assert world.race.lingering in (None, loser)
    assert world.race.deadline_at_s <= verdict.at_s + MAX_LINGER_S or verdict.outcome is not Outcome.DELIVERED
    world.had_it.pop(loser, None)
    world.linger()
    assert world.race.verdict is verdict
    measurement = world.race.measurement
    if world.has_slept_through_the_end:
        assert measurement is None
    elif verdict.outcome is Outcome.EXPIRED:
        assert measurement is not None
        assert {measurement.sse, measurement.polling} <= {*_SHORTFALLS, ChannelResult.UNUSED}
    elif verdict.outcome is Outcome.DELIVERED:
        assert measurement is not None
        assert measurement.of(verdict.channel) is ChannelResult.WON
        if loser in world.had_it and world.had_it[loser] < world.race.deadline_at_s:
            assert measurement.of(loser) in (ChannelResult.CONFIRMED, *_SHORTFALLS)
        if measurement.of(loser) is ChannelResult.CONFIRMED:
            assert measurement.lag_s == world.had_it[loser] - verdict.at_s >= 0
        else:
            assert measurement.lag_s is None
    else:
        assert measurement is None


@settings(max_examples=200)
@given(policy=_POLICIES, data=st.data(), later_s=st.sampled_from([0.0, 1.0, 100.0]))
def test_what_is_told_after_the_verdict_changes_nothing(policy: Policy, data: st.DataObject, later_s: float) -> None:
    world = _World(policy, data, 0.0, None)
    verdict = world.run()
    at_s = verdict.at_s + later_s
    world.race.saw(at_s, Channel.SSE, ready("late"))
    world.race.saw(at_s, Channel.POLLING, Failed("late"))
    world.race.poll_failed(at_s, data.draw(_ERRORS))
    world.race.stream_ended(at_s, data.draw(_ERRORS))
    world.race.stream_opened(at_s)
    world.race.cancel(at_s)
    assert world.race.tick(at_s) == []
    assert world.race.verdict is verdict
    assert world.race.attempts == verdict.attempts


@given(
    grace_s=st.floats(0.0, 20.0),
    interval_s=st.floats(0.001, 20.0),
    started_at_s=st.floats(-1e6, 1e6),
    resumed_after_s=st.none() | st.floats(0.0, 30.0),
)
def test_on_any_numbers_the_race_moves_on_and_keeps_to_its_attempts(
    grace_s: float, interval_s: float, started_at_s: float, resumed_after_s: float | None
) -> None:
    policy = Policy(name="drawn", grace_s=grace_s, interval_s=interval_s, max_attempts=50, window_s=30.0)
    now_s = started_at_s + (resumed_after_s or 0.0)
    race = Race(policy, started_at_s, resumed_at_s=None if resumed_after_s is None else now_s)
    made = race.attempts
    while not _is_over(race):
        made += sum(isinstance(instruction, Poll) for instruction in race.tick(now_s))
        assert race.wake_at_s > now_s or _is_over(race)
        now_s = race.wake_at_s
    assert made == race.attempts <= policy.max_attempts
    if resumed_after_s is None:
        assert made >= min(policy.max_attempts, math.floor((30.0 - grace_s) / interval_s))


def _is_over(race: Race) -> bool:
    return race.verdict is not None
