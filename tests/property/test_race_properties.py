"""Random interleavings of what both channels do, told to the race; times are multiples of the policy's durations."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import (
    Asset,
    Channel,
    ErrorKind,
    Failed,
    Kind,
    Outcome,
    Pending,
    Ready,
    Sighting,
    Stage,
    Unresolved,
)
from monitor.delivery.policy import Policy
from monitor.delivery.race import OpenStream, Poll, Race

_FRACTIONS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0])
_POLICIES = st.builds(
    Policy,
    name=st.just("drawn"),
    grace_s=st.sampled_from([0.0, 1.0, 2.0]),
    interval_s=st.sampled_from([0.5, 1.0, 2.0]),
    max_attempts=st.integers(0, 6),
    window_s=st.sampled_from([4.0, 8.0, 10.5]),
    early_fallback=st.booleans(),
    check_on_open=st.booleans(),
)
_ASSETS = st.integers(0, 99).map(lambda number: Ready(Asset(f"https://cdn.test/{number}.png", Kind.IMAGE)))
_SIGHTINGS: st.SearchStrategy[Sighting] = st.one_of(
    st.just(Pending()), st.just(Pending()), _ASSETS, st.just(Unresolved("f")), st.just(Failed("no"))
)
_ERRORS = st.builds(
    ChannelError,
    st.sampled_from(list(ErrorKind)),
    st.just(Stage.POLL),
    st.just("drawn"),
    retryable=st.booleans(),
    connected=st.booleans(),
    retry_after_s=st.sampled_from([None, None, 0.0, 1.0, 2.0, 100.0]),
)
_ANSWERS = st.tuples(_FRACTIONS, st.one_of(_SIGHTINGS, _ERRORS))


@dataclass(frozen=True, slots=True)
class _News:
    """Something that will be told: when, by what, and what."""

    at_s: float
    by: object
    what: object


class _World:
    """Does what a race decides, with drawn answers, and checks on the way."""

    def __init__(self, policy: Policy, data: st.DataObject) -> None:
        self.policy = policy
        self.data = data
        self.race = Race(policy, 0.0, jitter=lambda: data.draw(st.sampled_from([0.0, 0.5, 0.99])))
        self.coming: list[_News] = []
        self.first_ready: tuple[float, Channel] | None = None
        self.polls = 0
        self.now_s = 0.0

    def run(self) -> None:
        for _ in range(500):
            self._begin_what_is_due()
            if self.race.verdict is not None:
                return
            assert self.race.wake_at_s > self.now_s
            self._go_on()
        raise AssertionError("the race does not end")

    def _begin_what_is_due(self) -> None:
        for step in self.race.tick(self.now_s):
            delay, answer = self.data.draw(_ANSWERS)
            self.polls += isinstance(step, Poll) and step.attempt > 0
            self.coming.append(_News(self.now_s + delay * self.policy.interval_s, step, answer))
        assert self.race.tick(self.now_s) == []

    def _go_on(self) -> None:
        """To the next news or the next timer, whichever is first; news first when both are at once."""
        news = min(self.coming, key=lambda item: item.at_s, default=None)
        if news is None or news.at_s > self.race.wake_at_s:
            self.now_s = self.race.wake_at_s
            return
        self.coming.remove(news)
        self.now_s = news.at_s
        self._tell(news)

    def _tell(self, news: _News) -> None:
        match news.by, news.what:
            case OpenStream(), ChannelError() as error:
                self.race.stream_ended(self.now_s, error)
            case OpenStream(), sighting:
                self.race.stream_opened(self.now_s)
                self._saw(Channel.SSE, sighting)
                if self.data.draw(st.booleans()):
                    self.coming.append(
                        _News(self.now_s + 0.5, news.by, ChannelError(ErrorKind.UNAVAILABLE, Stage.POLL, ""))
                    )
            case Poll(), ChannelError() as error:
                self.race.poll_failed(self.now_s, error)
            case Poll(), sighting:
                self._saw(Channel.POLLING, sighting)
            case _, ChannelError() | Pending() | Unresolved():
                self.race.resolve_missed(self.now_s, "f")
            case _, sighting:
                self._saw(Channel.SSE, sighting)

    def _saw(self, channel: Channel, sighting: object) -> None:
        assert isinstance(sighting, Ready | Pending | Unresolved | Failed)
        is_final = isinstance(sighting, Ready | Failed)
        if is_final and self.first_ready is None and self.now_s < self.policy.window_s:
            self.first_ready = (self.now_s, channel)
        self.race.saw(self.now_s, channel, sighting)


@settings(max_examples=400)
@given(policy=_POLICIES, data=st.data())
def test_one_outcome_by_who_was_first_and_never_too_many_attempts(policy: Policy, data: st.DataObject) -> None:
    world = _World(policy, data)
    world.run()
    verdict = world.race.verdict
    assert verdict is not None
    assert world.polls == world.race.attempts == verdict.attempts <= policy.max_attempts
    if world.first_ready is not None:
        assert (verdict.at_s, verdict.channel) == world.first_ready
        assert verdict.outcome in (Outcome.DELIVERED, Outcome.PROVIDER_FAILED)
        assert (verdict.asset is None) == (verdict.outcome is not Outcome.DELIVERED)
    else:
        assert (verdict.outcome, verdict.channel, verdict.asset) == (Outcome.EXPIRED, Channel.NONE, None)
        assert verdict.at_s <= policy.window_s
    world.race.saw(verdict.at_s, Channel.SSE, Ready(Asset("https://cdn.test/late.png", Kind.IMAGE)))
    world.race.cancel(verdict.at_s)
    assert world.race.verdict is verdict


@given(policy=_POLICIES, resumed=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.9, 4.0, 7.5]))
def test_a_resumed_race_never_polls_more_than_one_that_was_not_interrupted(policy: Policy, resumed: float) -> None:
    race = Race(policy, 0.0, resumed_at_s=resumed)
    made, now_s = race.attempts, resumed
    while race.verdict is None:
        for step in race.tick(now_s):
            made += isinstance(step, Poll) and step.attempt > 0
        now_s = race.wake_at_s
    assert made <= policy.max_attempts
