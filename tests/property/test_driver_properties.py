"""The driver on virtual time against random scripts: one verdict, every beginning has its end, nothing stays open."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.delivery.closing import CLOSING_TRY_S
from monitor.delivery.driver import Delivery
from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import (
    CallResult,
    Fact,
    PollEnded,
    PollingStarted,
    PollStarted,
    ResolveEnded,
    StreamEnded,
    StreamOpened,
)
from monitor.delivery.model import (
    Channel,
    ErrorKind,
    Failed,
    Flow,
    Handle,
    Kind,
    Outcome,
    Pending,
    Ready,
    Reason,
    Stage,
    TraceContext,
    Unresolved,
    Verdict,
)
from monitor.delivery.policy import Policy
from monitor.delivery.ports import Cursor, Foreign, Heartbeat, Malformed, Notify, Progress, Seen, StreamItem
from monitor.delivery.race import Race
from monitor.delivery.trace_context import TraceHeaders
from monitor.testing.scripted_provider import Connection, Say, ScriptedProvider, ready
from monitor.testing.virtual_time import VirtualTimeLoop

HANDLE = Handle(Flow.FILE, "f", Kind.IMAGE)
TRACE = TraceContext("a" * 32, "b" * 16)

_Drawn = TypeVar("_Drawn")


def _mostly(usual: st.SearchStrategy[_Drawn], seldom: st.SearchStrategy[_Drawn]) -> st.SearchStrategy[_Drawn]:
    """Three times of four the usual. (`one_of` leaves out what it is told twice.)"""
    return st.sampled_from([usual, usual, usual, seldom]).flatmap(lambda drawn: drawn)


_POLICIES = st.builds(
    Policy,
    name=st.just("drawn"),
    grace_s=st.just(2.0),
    interval_s=st.just(2.0),
    max_attempts=st.integers(0, 4),
    window_s=st.just(12.0),
    early_fallback=st.booleans(),
    check_on_open=st.booleans(),
)
_TIMES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 10.0, 11.0, 12.0, 13.0, float("inf")])
_DELAYS = _mostly(st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0]), _TIMES)
"""Of a script, where they add up: were each as likely to be long, most stories would be over before a word is said."""
_FAILURES = st.one_of(
    st.builds(
        ChannelError,
        st.sampled_from(list(ErrorKind)),
        st.just(Stage.POLL),
        st.just("x"),
        retryable=st.booleans(),
        connected=st.booleans(),
        retry_after_s=st.sampled_from([None, 0.0, 1.0, 3.0, 100.0]),
    ),
    st.builds(RuntimeError, st.just("a bug in a channel")),
)
_SIGHTINGS = st.sampled_from([Pending(), Pending(), ready("a"), ready("b"), Unresolved("g"), Failed("no")])
_SIGNS = st.sampled_from([Heartbeat(), Progress(0.5), Foreign(), Malformed("x")])
_ITEMS = _mostly(_SIGHTINGS | _SIGNS, _FAILURES)
_ANSWERS = st.lists(st.builds(Say, _DELAYS, _mostly(_SIGHTINGS, _FAILURES)), min_size=1, max_size=4)
_RESOLVED = st.sampled_from([Pending(), ready("c"), Failed("no")])
_CONNECTIONS = st.builds(
    Connection,
    says=st.lists(st.builds(Say, _DELAYS, _ITEMS), min_size=1, max_size=4),
    opens_after_s=_DELAYS,
    refusal=_mostly(st.none(), _FAILURES),
    stays_open=st.booleans(),
)


@dataclass(slots=True)
class Stubborn(ScriptedProvider):
    """Its first calls that are cancelled swallow that, and hang on. It notes when its streams brought a decision."""

    swallows: int = 0
    decided_at_s: list[float] = field(default_factory=list)

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders) -> None:
        def note(item: StreamItem) -> None:
            if isinstance(item, Seen) and isinstance(item.sighting, Ready | Failed):
                self.decided_at_s.append(asyncio.get_running_loop().time())
            notify(item)

        await ScriptedProvider.subscribe(self, handle, cursor, note, trace_headers=trace_headers)

    async def _play(self, call: str, script: Sequence[Say], trace_headers: TraceHeaders) -> object:
        try:
            return await ScriptedProvider._play(self, call, script, trace_headers)
        except asyncio.CancelledError:
            if self.swallows == 0:
                raise
            self.swallows -= 1
            self.open_calls += 1
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.open_calls -= 1
            raise


_PROVIDERS = st.builds(
    Stubborn,
    handle=st.just(HANDLE),
    connections=st.lists(_CONNECTIONS, min_size=1, max_size=4),
    polls=_ANSWERS,
    resolves=st.lists(st.builds(Say, _DELAYS, _mostly(_RESOLVED, _FAILURES)), min_size=1, max_size=3),
    swallows=st.sampled_from([0, 0, 1]),
)


@dataclass(slots=True)
class _Stop:
    """When it is cancelled, and whether by the caller's `cancel` or by that of the task."""

    at_s: float
    is_of_the_task: bool


_STOPS = _mostly(st.none(), st.builds(_Stop, _TIMES, st.booleans()))


@dataclass(slots=True)
class _Story:
    """One delivery from its begin to its end, and what could be seen of it."""

    policy: Policy
    provider: Stubborn
    stop: _Stop | None
    emit_fails: bool
    lingers: bool
    facts: list[Fact] = field(default_factory=list)
    verdict: Verdict | None = None
    ended_at_s: float = 0.0
    troubles: list[dict[str, Any]] = field(default_factory=list)

    def play(self) -> None:
        loop = VirtualTimeLoop()
        loop.set_exception_handler(lambda _, trouble: self.troubles.append(trouble))
        try:
            loop.run_until_complete(self._run())
            assert not asyncio.all_tasks(loop)
        finally:
            loop.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        race = Race(self.policy, loop.time(), lingers=self.lingers, jitter=lambda: 0.5)
        delivery = Delivery(self.provider, HANDLE, race, TRACE, self._hear)
        running = loop.create_task(delivery.run())
        if self.stop is not None and self.stop.at_s < float("inf"):
            loop.call_at(self.stop.at_s, running.cancel if self.stop.is_of_the_task else delivery.cancel)
        await asyncio.wait([running])
        self.ended_at_s = loop.time()
        self.verdict = None if running.cancelled() else running.result()
        if self.verdict is not None and delivery.is_lingering:
            await self._linger(delivery)
        heard, calls = len(self.facts), dict(self.provider.calls)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(100.0)
        assert (len(self.facts), self.provider.calls) == (heard, calls)

    async def _linger(self, delivery: Delivery) -> None:
        """Only the loser's calls are made any more."""
        assert self.verdict is not None
        won = "subscribe" if self.verdict.channel is Channel.SSE else "poll"
        made = self.provider.calls[won]
        await delivery.linger()
        assert self.provider.calls[won] == made
        assert delivery.measurement is not None

    def _hear(self, fact: Fact) -> None:
        self.facts.append(fact)
        if self.emit_fails:
            raise ValueError("an observer that raises")

    def of(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def attempts_for_the_verdict(self) -> int:
        """Polls that began, without checks on open and without those that linger."""
        return sum(fact.attempt > 0 and not fact.lingering for fact in self.of(PollStarted))


_STORIES = st.builds(_Story, _POLICIES, _PROVIDERS, _STOPS, st.booleans(), _mostly(st.just(True), st.just(False)))


@settings(max_examples=400)
@given(story=_STORIES)
def test_every_beginning_has_one_end_and_nothing_stays_open(story: _Story) -> None:
    story.play()
    assert story.provider.open_calls == 0
    assert story.troubles == []
    begun, ended = (Counter(fact.attempt for fact in story.of(kind)) for kind in (PollStarted, PollEnded))
    assert begun == ended
    assert all(count == 1 for attempt, count in begun.items() if attempt > 0)
    opened = [fact.number for fact in story.of(StreamOpened)]
    closed = [fact.number for fact in story.of(StreamEnded)]
    assert opened == [fact.number for fact in story.of(StreamEnded) if fact.disconnect is not None]
    assert closed == list(range(1, len(closed) + 1))
    assert len(closed) == story.provider.calls["subscribe"]
    assert sum(begun.values()) == story.provider.calls["poll"]
    assert len(story.of(ResolveEnded)) == story.provider.calls["resolve"]
    assert len(story.of(PollingStarted)) == (1 if story.attempts_for_the_verdict else 0)


@settings(max_examples=400)
@given(story=_STORIES)
def test_there_is_one_verdict_in_the_window_by_who_was_first(story: _Story) -> None:
    story.play()
    verdict = story.verdict
    if verdict is None:
        assert story.stop is not None
        assert story.stop.is_of_the_task
        return
    begun = story.attempts_for_the_verdict
    # A poll that is decided in the instant in which the other channel wins counts, and is cancelled unbegun.
    assert begun <= verdict.attempts <= min(begun + 1, story.policy.max_attempts)
    assert verdict.at_s <= story.policy.window_s
    assert story.ended_at_s <= verdict.at_s + CLOSING_TRY_S
    match verdict.outcome:
        case Outcome.DELIVERED | Outcome.PROVIDER_FAILED:
            assert verdict.at_s < story.policy.window_s
            assert (verdict.at_s, verdict.channel) in news_of(story)
            assert verdict.at_s == news_of(story)[0][0]
            assert (verdict.asset is not None) == (verdict.outcome is Outcome.DELIVERED)
        case Outcome.CANCELLED:
            assert story.stop is not None
            assert (verdict.at_s, verdict.reason) == (story.stop.at_s, Reason.CALLER)
        case _:
            assert (verdict.outcome, verdict.channel) == (Outcome.EXPIRED, Channel.NONE)
            assert all(at_s >= story.policy.window_s for at_s, _ in news_of(story))


def news_of(story: _Story) -> list[tuple[float, Channel]]:
    """What could decide, and when it was there: events, results of polls, and resolutions for the stream."""
    news = [(at_s, Channel.SSE) for at_s in story.provider.decided_at_s]
    for fact in story.facts:
        match fact:
            case PollEnded(at_s=at_s, result=CallResult.READY | CallResult.FAILED):
                news.append((at_s, Channel.POLLING))
            case ResolveEnded(at_s=at_s, channel=Channel.SSE, result=CallResult.READY | CallResult.FAILED):
                news.append((at_s, Channel.SSE))
            case _:
                pass
    return sorted(news)
