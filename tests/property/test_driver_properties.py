"""The driver on virtual time against random scripts: one verdict, every beginning has its end, nothing stays open."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.delivery.driver import Delivery
from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import Fact, PollEnded, PollStarted, StreamEnded, StreamOpened
from monitor.delivery.model import (
    ErrorKind,
    Failed,
    Flow,
    Handle,
    Kind,
    Outcome,
    Pending,
    Stage,
    TraceContext,
    Unresolved,
    Verdict,
)
from monitor.delivery.policy import Policy
from monitor.delivery.ports import Foreign, Heartbeat, Malformed, Progress
from monitor.delivery.race import Race
from monitor.testing.scripted_provider import Connection, Say, ScriptedProvider, ready
from monitor.testing.virtual_time import VirtualTimeLoop

POLICY = Policy(name="drawn", grace_s=2.0, interval_s=2.0, max_attempts=4, window_s=12.0)
HANDLE = Handle(Flow.FILE, "f", Kind.IMAGE)
TRACE = TraceContext("a" * 32, "b" * 16)

_TIMES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 11.0, 12.0, 13.0, float("inf")])
_FAILURES = st.one_of(
    st.builds(
        ChannelError, st.sampled_from(list(ErrorKind)), st.just(Stage.POLL), st.just("x"), retryable=st.booleans()
    ),
    st.builds(RuntimeError, st.just("a bug in a channel")),
)
_SIGHTINGS = st.sampled_from([Pending(), Pending(), ready(), Unresolved("g"), Failed("no")])
_ITEMS = st.one_of(_SIGHTINGS, _FAILURES, st.sampled_from([Heartbeat(), Progress(0.5), Foreign(), Malformed("x")]))
_ANSWERS = st.lists(st.builds(Say, _TIMES, st.one_of(_SIGHTINGS, _FAILURES)), min_size=1, max_size=4)
_RESOLVED = st.sampled_from([Pending(), ready(), Failed("no")])
_CONNECTIONS = st.builds(
    Connection,
    says=st.lists(st.builds(Say, _TIMES, _ITEMS), max_size=4),
    opens_after_s=_TIMES,
    refusal=st.one_of(st.none(), st.none(), _FAILURES),
    stays_open=st.booleans(),
)
_PROVIDERS = st.builds(
    ScriptedProvider,
    handle=st.just(HANDLE),
    connections=st.lists(_CONNECTIONS, min_size=1, max_size=4),
    polls=_ANSWERS,
    resolves=st.lists(st.builds(Say, _TIMES, st.one_of(_RESOLVED, _FAILURES)), min_size=1, max_size=3),
)


def _run(
    provider: ScriptedProvider, cancel_at_s: float | None, *, from_outside: bool
) -> tuple[Verdict | None, list[Fact]]:
    facts: list[Fact] = []
    loop = VirtualTimeLoop()
    loop.set_exception_handler(lambda *_: None)
    try:
        return loop.run_until_complete(_story(provider, facts, cancel_at_s, from_outside=from_outside)), facts
    finally:
        assert not asyncio.all_tasks(loop)
        loop.close()


async def _story(
    provider: ScriptedProvider, facts: list[Fact], cancel_at_s: float | None, *, from_outside: bool
) -> Verdict | None:
    loop = asyncio.get_running_loop()
    delivery = Delivery(provider, HANDLE, Race(POLICY, loop.time(), jitter=lambda: 0.5), TRACE, facts.append)
    running = asyncio.ensure_future(delivery.run())
    if cancel_at_s is not None and cancel_at_s < float("inf"):
        stop: Any = running.cancel if from_outside else delivery.cancel
        loop.call_at(cancel_at_s, stop)
    try:
        return await running
    except asyncio.CancelledError:
        return None


@settings(max_examples=300, deadline=None)
@given(provider=_PROVIDERS, cancel_at_s=st.one_of(st.none(), _TIMES), from_outside=st.booleans())
def test_one_verdict_every_beginning_ends_and_nothing_stays_open(
    provider: ScriptedProvider, cancel_at_s: float | None, from_outside: bool
) -> None:
    verdict, facts = _run(provider, cancel_at_s, from_outside=from_outside)
    assert provider.open_calls == 0
    started = sorted(fact.attempt for fact in facts if isinstance(fact, PollStarted))
    ended = sorted(fact.attempt for fact in facts if isinstance(fact, PollEnded))
    assert started == ended
    opened = [fact.number for fact in facts if isinstance(fact, StreamOpened)]
    closed = [fact.number for fact in facts if isinstance(fact, StreamEnded) and fact.disconnect is not None]
    assert sorted(opened) == sorted(closed)
    if verdict is None:
        assert from_outside
        return
    assert verdict.attempts <= POLICY.max_attempts
    assert verdict.at_s <= POLICY.window_s
    assert (verdict.asset is not None) == (verdict.outcome is Outcome.DELIVERED)
    if cancel_at_s is None:
        assert verdict.outcome is not Outcome.CANCELLED
