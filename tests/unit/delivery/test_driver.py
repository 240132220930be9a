"""The race driven over a scripted provider, on virtual time: every end, and that nothing stays open."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from monitor.delivery.closing import CLOSING_TRIES, CLOSING_TRY_S
from monitor.delivery.driver import Delivery
from monitor.delivery.errors import ChannelError
from monitor.delivery.facts import (
    CallResult,
    Disconnect,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    PollingStarted,
    PollStarted,
    ResolveEnded,
    StreamEnded,
    StreamOpened,
    StreamResult,
)
from monitor.delivery.instructions import Instruction, OpenStream
from monitor.delivery.model import (
    Channel,
    ChannelResult,
    ErrorKind,
    Failed,
    Flow,
    Handle,
    Kind,
    Measurement,
    Outcome,
    Pending,
    Reason,
    Stage,
    TraceContext,
    Unresolved,
    Verdict,
)
from monitor.delivery.policy import FIXED, Policy
from monitor.delivery.ports import Cursor, Foreign, Heartbeat, Malformed, Notify, Progress, Reply, Seen
from monitor.delivery.race import Race
from monitor.delivery.trace_context import TraceHeaders, parse_traceparent
from monitor.testing.scripted_provider import HANG, Connection, Say, ScriptedProvider, ready

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("no_stray_tasks")]

HANDLE = Handle(Flow.FILE, "f", Kind.IMAGE)
TRACE = TraceContext("a" * 32, "b" * 16)
HYBRID = Policy(name="hybrid")
PENDING = Say(0.0, Pending())
JUST_BEFORE_THE_END = math.nextafter(75.0, 0.0)


@dataclass
class Played:
    """One delivery over a script, with the facts it told."""

    provider: ScriptedProvider
    policy: Policy = FIXED
    listener: Callable[[Fact], None] | None = None
    lingers: bool = False
    facts: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        race = Race(self.policy, asyncio.get_running_loop().time(), lingers=self.lingers, jitter=lambda: 1.0)
        self.delivery = Delivery(self.provider, HANDLE, race, TRACE, self._hear)

    async def run(self) -> Verdict:
        verdict = await self.delivery.run()
        assert self.provider.open_calls == 0
        return verdict

    def of(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def _hear(self, fact: Fact) -> None:
        self.facts.append(fact)
        if self.listener is not None:
            self.listener(fact)


def scripted(
    *connections: Connection, polls: Sequence[Say] = (PENDING,), resolves: Sequence[Say] = (PENDING,)
) -> ScriptedProvider:
    return ScriptedProvider(HANDLE, connections or (Connection(),), polls, resolves)


def error(
    kind: ErrorKind = ErrorKind.UNAVAILABLE, *, status: int | None = 503, retryable: bool = True, **more: Any
) -> ChannelError:
    return ChannelError(kind, Stage.POLL, "no", status=status, retryable=retryable, **more)


def delivered(channel: Channel, at_s: float, attempts: int = 0, name: str = "a") -> Verdict:
    return Verdict(Outcome.DELIVERED, channel, at_s, attempts, ready(name).asset)


def expired(at_s: float, attempts: int, reason: Reason) -> Verdict:
    return Verdict(Outcome.EXPIRED, Channel.NONE, at_s, attempts, None, reason)


class Stubborn(ScriptedProvider):
    """Its status call swallows the first `swallows` cancellations."""

    swallows = 1

    async def poll(self, handle: Handle, *, trace_headers: TraceHeaders) -> Reply:
        self.open_calls += 1
        try:
            while True:
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    self.swallows -= 1
                    if self.swallows < 0:
                        raise
        finally:
            self.open_calls -= 1


class Clinging(ScriptedProvider):
    """Its streams swallow their first cancellation."""

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders) -> None:
        try:
            await super().subscribe(handle, cursor, notify, trace_headers=trace_headers)
        except asyncio.CancelledError:
            await asyncio.get_running_loop().create_future()


class Confused(ScriptedProvider):
    """Its calls are cancelled from inside, which nobody asked for."""

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders) -> None:
        if self.calls["subscribe"] == 0:
            self.calls["subscribe"] += 1
            raise asyncio.CancelledError
        await super().subscribe(handle, cursor, notify, trace_headers=trace_headers)

    async def poll(self, handle: Handle, *, trace_headers: TraceHeaders) -> Reply:
        if self.calls["poll"] == 0:
            self.calls["poll"] += 1
            raise asyncio.CancelledError
        return await super().poll(handle, trace_headers=trace_headers)


def broken_race(method: str) -> Race:
    """A race with a bug in one of its methods."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError(method)

    broken: type[Race] = type("BrokenRace", (Race,), {method: fail})
    return broken(FIXED, 0.0, jitter=lambda: 1.0)


class TestDelivered:
    async def test_the_stream_delivers_and_is_closed(self) -> None:
        played = Played(scripted(Connection([Say(3.0, ready())])))
        assert await played.run() == delivered(Channel.SSE, 3.0)
        (ended,) = played.of(StreamEnded)
        assert (ended.at_s, ended.result, ended.disconnect, ended.retry_in_s) == (
            3.0,
            StreamResult.OPENED,
            Disconnect.DONE,
            None,
        )

    async def test_polling_delivers_at_the_sixth_attempt_when_the_stream_stays_silent(self) -> None:
        played = Played(scripted(polls=[PENDING] * 5 + [Say(0.0, ready())]))
        assert await played.run() == delivered(Channel.POLLING, 60.0, 6)
        assert played.provider.polled_at_s == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        assert [(fact.at_s, fact.attempt, fact.result) for fact in played.of(PollEnded)] == [
            *((10.0 * attempt, attempt, CallResult.PENDING) for attempt in range(1, 6)),
            (60.0, 6, CallResult.READY),
        ]
        assert played.of(PollingStarted) == [PollingStarted(10.0, early=False)]

    async def test_a_poll_in_flight_when_the_stream_wins_is_cancelled_and_told(self) -> None:
        played = Played(scripted(Connection([Say(12.0, ready())]), polls=[HANG]))
        assert await played.run() == delivered(Channel.SSE, 12.0, 1)
        (ended,) = played.of(PollEnded)
        assert (ended.at_s, ended.started_at_s, ended.result, ended.status) == (12.0, 10.0, CallResult.CANCELLED, None)

    async def test_a_poll_that_begins_in_the_instant_of_the_end_is_none_that_lingers(self) -> None:
        played = Played(scripted(polls=[HANG]))
        task = asyncio.create_task(played.run())
        await asyncio.sleep(5.0)
        asyncio.get_running_loop().call_at(10.0, played.delivery.cancel)  # after the timer of the race
        assert (await task).attempts == 1
        assert played.of(PollingStarted) == [PollingStarted(10.0, early=False)]
        assert [fact.lingering for fact in played.of(PollStarted) + played.of(PollEnded)] == [False, False]

    async def test_both_in_one_instant_make_one_winner(self) -> None:
        stream = Connection([Say(11.0, ready("by-stream"))])
        played = Played(scripted(stream, polls=[Say(1.0, ready("by-poll"))]))
        verdict = await played.run()
        assert verdict in (
            delivered(Channel.SSE, 11.0, 1, "by-stream"),
            delivered(Channel.POLLING, 11.0, 1, "by-poll"),
        )
        assert len(played.of(PollEnded)) == len(played.of(StreamEnded)) == 1

    async def test_a_result_published_before_we_listened_is_found_by_the_check_on_open(self) -> None:
        played = Played(scripted(Connection(opens_after_s=0.5), polls=[Say(0.25, ready())]), HYBRID)
        assert await played.run() == delivered(Channel.POLLING, 0.75, 0)
        assert played.of(PollStarted) == [PollStarted(0.5, 0, 6)]
        assert played.of(PollingStarted) == []

    async def test_a_dead_stream_makes_polling_begin_at_once(self) -> None:
        gone = Connection(opens_after_s=2.0, refusal=error(ErrorKind.NOT_FOUND, status=404, retryable=False))
        played = Played(scripted(gone, polls=[PENDING, Say(0.0, ready())]), HYBRID)
        assert await played.run() == delivered(Channel.POLLING, 12.0, 2)
        assert played.of(PollingStarted) == [PollingStarted(2.0, early=True)]
        assert played.provider.subscribed_at_s == [0.0]
        (ended,) = played.of(StreamEnded)
        assert (ended.result, ended.status, ended.disconnect, ended.retry_in_s) == (
            StreamResult.NOT_FOUND,
            404,
            None,
            None,
        )

    async def test_in_fixed_it_does_not(self) -> None:
        gone = Connection(refusal=error(ErrorKind.NOT_FOUND, status=404, retryable=False))
        played = Played(scripted(gone, polls=[Say(0.0, ready())]))
        assert await played.run() == delivered(Channel.POLLING, 10.0, 1)
        assert played.of(PollingStarted) == [PollingStarted(10.0, early=False)]

    async def test_a_stream_that_dropped_is_reopened_after_a_back_off_and_can_deliver(self) -> None:
        dropped = Connection([Say(1.0, error())])
        played = Played(scripted(dropped, dropped, Connection([Say(1.0, ready())])))
        assert await played.run() == delivered(Channel.SSE, 4.5)
        assert played.provider.subscribed_at_s == [0.0, 1.5, 3.5]
        assert [(fact.number, fact.disconnect, fact.retry_in_s) for fact in played.of(StreamEnded)] == [
            (1, Disconnect.ERROR, 0.5),
            (2, Disconnect.ERROR, 1.0),
            (3, Disconnect.DONE, None),
        ]

    async def test_the_servers_retry_is_waited_for(self) -> None:
        class Told(ScriptedProvider):
            async def subscribe(
                self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders
            ) -> None:
                cursor.retry_s = 5.0
                await super().subscribe(handle, cursor, notify, trace_headers=trace_headers)

        provider = Told(
            HANDLE, [Connection([Say(1.0, Heartbeat())], stays_open=False), Connection([Say(0.0, ready())])]
        )
        played = Played(provider)
        assert await played.run() == delivered(Channel.SSE, 6.5)
        assert played.of(StreamEnded)[0].disconnect is Disconnect.EOF

    async def test_retry_after_keeps_the_polls_on_their_grid(self) -> None:
        limited = Say(0.25, error(ErrorKind.RATE_LIMITED, status=429, retry_after_s=12.0))
        played = Played(scripted(polls=[limited, Say(0.0, ready())]))
        assert await played.run() == delivered(Channel.POLLING, 30.0, 2)

    async def test_a_poll_that_never_returns_does_not_hold_up_the_next(self) -> None:
        played = Played(scripted(polls=[HANG, Say(0.0, ready())]))
        assert await played.run() == delivered(Channel.POLLING, 20.0, 2)
        assert [(fact.attempt, fact.result) for fact in played.of(PollEnded)] == [
            (2, CallResult.READY),
            (1, CallResult.CANCELLED),
        ]

    async def test_a_file_id_from_the_stream_is_resolved_with_retries_and_sse_has_won(self) -> None:
        provider = scripted(
            Connection([Say(3.0, Unresolved("x"))]), resolves=[PENDING, Say(0.0, error()), Say(0.25, ready())]
        )
        played = Played(provider)
        assert await played.run() == delivered(Channel.SSE, 4.75)
        assert [(fact.at_s, fact.channel, fact.attempt, fact.result) for fact in played.of(ResolveEnded)] == [
            (3.0, Channel.SSE, 1, CallResult.PENDING),
            (3.5, Channel.SSE, 2, CallResult.UNAVAILABLE),
            (4.75, Channel.SSE, 3, CallResult.READY),
        ]

    async def test_a_resolution_is_not_tried_sooner_than_the_provider_told(self) -> None:
        told = error(ErrorKind.RATE_LIMITED, status=429, retry_after_s=4.0)
        stream = Connection([Say(1.0, Unresolved("x"))])
        played = Played(scripted(stream, resolves=[Say(0.0, told), Say(0.0, ready())]))
        assert await played.run() == delivered(Channel.SSE, 5.0)

    async def test_a_resolution_may_show_that_the_job_has_failed(self) -> None:
        stream = Connection([Say(1.0, Unresolved("x"))])
        verdict = await Played(scripted(stream, resolves=[Say(0.0, Failed("no"))])).run()
        assert (verdict.outcome, verdict.channel, verdict.at_s) == (Outcome.PROVIDER_FAILED, Channel.SSE, 1.0)

    async def test_a_file_id_from_a_poll_is_resolved_within_the_attempt(self) -> None:
        provider = scripted(polls=[Say(0.5, Unresolved("x"))], resolves=[PENDING, Say(0.25, ready())])
        played = Played(provider)
        assert await played.run() == delivered(Channel.POLLING, 20.75, 2)
        assert [(fact.at_s, fact.result) for fact in played.of(PollEnded)] == [
            (10.5, CallResult.PENDING),
            (20.75, CallResult.READY),
        ]
        assert [(fact.channel, fact.attempt) for fact in played.of(ResolveEnded)] == [
            (Channel.POLLING, 1),
            (Channel.POLLING, 2),
        ]

    async def test_a_resolution_that_fails_fails_its_attempt(self) -> None:
        provider = scripted(
            polls=[Say(0.0, Unresolved("x"))], resolves=[Say(0.0, error(status=502)), Say(0.0, ready())]
        )
        played = Played(provider)
        assert await played.run() == delivered(Channel.POLLING, 20.0, 2)
        first = played.of(PollEnded)[0]
        assert (first.result, first.status, first.detail) == (CallResult.UNAVAILABLE, 502, "no")

    async def test_a_result_of_the_last_moment_is_delivered(self) -> None:
        played = Played(scripted(Connection([Say(JUST_BEFORE_THE_END, ready())])))
        assert await played.run() == delivered(Channel.SSE, JUST_BEFORE_THE_END, 6)

    async def test_a_result_that_was_told_stands_although_the_loop_was_blocked_past_the_deadline(self) -> None:
        def block(fact: Fact) -> None:
            if isinstance(fact, EventSeen):
                asyncio.get_running_loop().call_soon(pass_the_deadline)

        def pass_the_deadline() -> None:
            asyncio.get_running_loop()._jumping.now_s = 100.0  # type: ignore[attr-defined]

        played = Played(scripted(Connection([Say(74.0, ready())])), listener=block)
        assert await played.run() == delivered(Channel.SSE, 74.0, 6)


class TestLingering:
    async def test_a_stream_that_ended_with_its_result_is_not_opened_again_while_polls_are_measured(self) -> None:
        stream = Connection([Say(3.0, ready())], stays_open=False)
        played = Played(scripted(stream, polls=[PENDING, Say(0.0, ready())]), lingers=True)
        assert await played.run() == delivered(Channel.SSE, 3.0)
        await played.delivery.linger()
        assert played.provider.subscribed_at_s == [0.0]
        assert played.provider.polled_at_s == [10.0, 20.0]
        assert played.delivery.measurement == Measurement(ChannelResult.WON, ChannelResult.CONFIRMED, 17.0)

    async def test_the_stream_stays_open_until_it_confirms(self) -> None:
        played = Played(scripted(Connection([Say(12.0, ready())]), polls=[Say(0.0, ready())]), lingers=True)
        assert await played.delivery.run() == delivered(Channel.POLLING, 10.0, 1)
        assert played.provider.open_calls == 1
        await played.delivery.linger()
        assert played.provider.open_calls == 0
        assert played.delivery.measurement == Measurement(ChannelResult.CONFIRMED, ChannelResult.WON, 2.0)

    async def test_a_resolution_for_the_stream_goes_on_when_polling_has_won(self) -> None:
        provider = scripted(
            Connection([Say(8.0, Unresolved("x"))]), polls=[Say(0.0, ready())], resolves=[Say(3.0, ready())]
        )
        played = Played(provider, lingers=True)
        assert await played.delivery.run() == delivered(Channel.POLLING, 10.0, 1)
        await played.delivery.linger()
        assert played.provider.calls["resolve"] == 1
        assert played.delivery.measurement == Measurement(ChannelResult.CONFIRMED, ChannelResult.WON, 1.0)

    async def test_a_stream_that_ends_after_the_verdict_says_so(self) -> None:
        provider = scripted(Connection([Say(5.0, error())]), Connection(), polls=[Say(0.0, ready())])
        played = Played(provider, lingers=True)
        await played.delivery.run()
        await played.delivery.linger()
        assert [fact.after_verdict for fact in played.of(StreamEnded)] == [False, True]

    async def test_a_task_that_is_cancelled_while_it_lingers_closes_everything(self) -> None:
        played = Played(scripted(polls=[Say(0.0, ready())]), lingers=True)
        await played.delivery.run()
        task = asyncio.create_task(played.delivery.linger())
        asyncio.get_running_loop().call_at(20.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (played.provider.open_calls, played.delivery.measurement) == (0, None)

    async def test_a_cancellation_as_the_winner_is_closed_closes_the_loser_too(self) -> None:
        played = Played(Clinging(HANDLE, [Connection([Say(12.0, ready())])], polls=[HANG]), lingers=True)
        task = asyncio.create_task(played.delivery.run())
        asyncio.get_running_loop().call_at(12.5, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert played.provider.open_calls == 0

    async def test_a_loser_that_confirms_as_the_winner_is_closed_is_closed_too(self) -> None:
        quick = Policy(name="quick", interval_s=1.0, check_on_open=False)
        provider = Clinging(HANDLE, [Connection([Say(12.0, ready())])], polls=[Say(2.5, ready()), HANG])
        played = Played(provider, quick, lingers=True)
        assert await played.run() == delivered(Channel.SSE, 12.0, 3)
        assert not played.delivery.is_lingering
        assert played.delivery.measurement == Measurement(ChannelResult.WON, ChannelResult.CONFIRMED, 0.5)

    async def test_a_bug_in_a_race_that_lingers_ends_it_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        class BreaksLater(Race):
            def tick(self, now_s: float) -> list[Instruction]:
                return super().tick(now_s) if self.lingering is None else [OpenStream(1 // 0)]

        race = BreaksLater(FIXED, asyncio.get_running_loop().time(), lingers=True)
        delivery = Delivery(scripted(Connection([Say(3.0, ready())])), HANDLE, race, TRACE, lambda _: None)
        assert await delivery.run() == delivered(Channel.SSE, 3.0)
        await delivery.linger()
        assert (asyncio.get_running_loop().time(), delivery.measurement) == (3.0, None)
        assert len(caplog.records) == 1

    async def test_polls_that_linger_say_so_and_do_not_start_polling_again(self) -> None:
        played = Played(scripted(Connection([Say(3.0, ready())])), lingers=True)
        await played.run()
        await played.delivery.linger()
        assert [fact.lingering for fact in played.of(PollStarted)] == [True] * 6
        assert [fact.lingering for fact in played.of(PollEnded)] == [True] * 6
        assert played.of(PollingStarted) == []


class TestNotDelivered:
    async def test_a_provider_that_never_answers_anything_expires(self) -> None:
        never = Connection(opens_after_s=float("inf"))
        played = Played(scripted(never, polls=[HANG]))
        assert await played.run() == expired(75.0, 6, Reason.TIMEOUT)
        assert {fact.result for fact in played.of(PollEnded)} == {CallResult.CANCELLED}
        (ended,) = played.of(StreamEnded)
        assert (ended.at_s, ended.result, ended.disconnect) == (75.0, StreamResult.CANCELLED, None)

    async def test_the_job_that_failed_is_not_asked_again(self) -> None:
        played = Played(scripted(polls=[Say(0.0, Failed("out of memory"))]))
        verdict = await played.run()
        assert (verdict.outcome, verdict.channel, verdict.detail) == (
            Outcome.PROVIDER_FAILED,
            Channel.POLLING,
            "out of memory",
        )
        assert played.of(PollEnded)[0].result is CallResult.FAILED

    async def test_unauthorized_ends_polling_but_not_the_stream(self) -> None:
        refused = Say(0.0, error(ErrorKind.UNAUTHORIZED, status=401, retryable=False))
        played = Played(scripted(Connection([Say(70.0, ready())]), polls=[refused]))
        assert await played.run() == delivered(Channel.SSE, 70.0, 1)
        assert played.provider.polled_at_s == [10.0]

    async def test_a_hopeless_race_ends_before_its_window(self) -> None:
        gone = Connection(refusal=error(ErrorKind.UNAUTHORIZED, status=403, retryable=False))
        refused = Say(0.5, error(ErrorKind.UNAUTHORIZED, status=403, retryable=False))
        played = Played(scripted(gone, polls=[refused]), HYBRID)
        assert await played.run() == expired(0.5, 1, Reason.UNAUTHORIZED)

    async def test_a_result_in_the_instant_of_the_deadline_is_too_late(self) -> None:
        played = Played(scripted(Connection([Say(75.0, ready())])))
        assert await played.run() == expired(75.0, 6, Reason.PENDING)

    async def test_both_channels_crash_and_it_still_ends_as_expired(self, caplog: pytest.LogCaptureFixture) -> None:
        crash = RuntimeError("ours")
        played = Played(scripted(Connection([Say(0.0, crash)]), polls=[Say(0.0, crash)]))
        assert await played.run() == expired(65.5, 6, Reason.CRASHED)  # the last reconnect is used up
        assert {fact.result for fact in played.of(PollEnded)} == {CallResult.CRASHED}
        assert TRACE.trace_id in caplog.text
        assert "ours" in caplog.text

    async def test_a_crash_in_one_channel_leaves_the_other_alone(self) -> None:
        played = Played(scripted(Connection(refusal=RuntimeError("ours")), polls=[Say(0.0, ready())]))
        assert await played.run() == delivered(Channel.POLLING, 10.0, 1)
        assert played.of(StreamEnded)[0].result is StreamResult.CRASHED

    async def test_a_crash_in_a_resolution_is_tried_again(self) -> None:
        provider = scripted(
            Connection([Say(3.0, Unresolved("x"))]), resolves=[Say(0.0, KeyError("ours")), Say(0.0, ready())]
        )
        played = Played(provider)
        assert await played.run() == delivered(Channel.SSE, 3.5)
        assert played.of(ResolveEnded)[0].result is CallResult.CRASHED

    async def test_a_cancellation_that_nobody_asked_for_is_a_crash_and_silences_no_channel(self) -> None:
        played = Played(Confused(HANDLE, [Connection([Say(30.0, ready())])]))
        assert await played.run() == delivered(Channel.SSE, 30.5, 3)
        assert played.of(StreamEnded)[0].result is StreamResult.CRASHED
        assert played.of(PollEnded)[0].result is CallResult.CRASHED


class TestCancelled:
    @pytest.mark.parametrize("at_s", [0.0, 0.25, 5.0, 10.0, 10.25, 60.5, 74.0])
    async def test_the_caller_may_cancel_at_any_time(self, at_s: float) -> None:
        played = Played(scripted(Connection(opens_after_s=0.5), polls=[Say(0.5, Pending())]), HYBRID)
        asyncio.get_running_loop().call_at(at_s, played.delivery.cancel)
        verdict = await played.run()
        assert (verdict.outcome, verdict.reason, verdict.at_s) == (Outcome.CANCELLED, Reason.CALLER, at_s)
        assert asyncio.get_running_loop().time() == at_s

    async def test_before_it_runs_nothing_is_opened(self) -> None:
        played = Played(scripted())
        played.delivery.cancel()
        assert (await played.run()).outcome is Outcome.CANCELLED
        assert played.facts == []
        assert played.provider.subscribed_at_s == []

    @pytest.mark.parametrize("is_cancelled", [False, True])
    async def test_no_timer_is_left_when_it_is_over(self, is_cancelled: bool) -> None:
        played = Played(scripted(Connection([Say(1.0, Pending()), Say(32.0, ready())])))
        loop, task = asyncio.get_running_loop(), asyncio.create_task(played.run())
        if is_cancelled:
            loop.call_at(15.0, task.cancel)
        await asyncio.wait([task])
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]

    async def test_after_the_end_nothing_changes(self) -> None:
        played = Played(scripted(Connection([Say(3.0, ready())])))
        verdict = await played.run()
        played.delivery.cancel()
        assert verdict == delivered(Channel.SSE, 3.0)
        assert played.delivery._race.verdict == verdict

    @pytest.mark.parametrize("at_s", [0.0, 0.25, 5.0, 10.0, 10.25, 60.5, 74.0])
    async def test_a_task_that_is_cancelled_closes_everything(self, at_s: float) -> None:
        played = Played(scripted(Connection(opens_after_s=0.5), polls=[Say(0.5, Pending())]), HYBRID)
        task = asyncio.create_task(played.run())
        asyncio.get_running_loop().call_at(at_s, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(100.0)
        assert played.provider.open_calls == 0
        assert all(fact.at_s <= at_s for fact in played.facts)
        assert len(played.of(PollStarted)) == len(played.of(PollEnded))

    async def test_a_call_that_turns_its_cancellation_into_an_error_begins_nothing_new(self) -> None:
        class Translating(ScriptedProvider):
            async def poll(self, handle: Handle, *, trace_headers: TraceHeaders) -> Reply:
                try:
                    return await super().poll(handle, trace_headers=trace_headers)
                except asyncio.CancelledError:
                    raise error(ErrorKind.TIMEOUT, status=None) from None

        played = Played(Translating(HANDLE, polls=[HANG]))
        task = asyncio.create_task(played.run())
        asyncio.get_running_loop().call_at(20.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(100.0)
        assert played.provider.open_calls == 0
        assert len(played.provider.polled_at_s) <= 2

    async def test_a_call_that_swallows_a_cancellation_is_cancelled_again(self) -> None:
        played = Played(Stubborn(HANDLE, [Connection([Say(12.0, ready())])]))
        assert await played.run() == delivered(Channel.SSE, 12.0, 1)
        assert asyncio.get_running_loop().time() == 12.0 + CLOSING_TRY_S
        assert played.of(PollEnded)[0].result is CallResult.CANCELLED

    async def test_a_cancellation_while_it_closes_does_not_leave_anything_behind(self) -> None:
        provider = Stubborn(HANDLE, [Connection([Say(12.0, ready())])])
        provider.swallows = 2
        played = Played(provider)
        task = asyncio.create_task(played.run())
        asyncio.get_running_loop().call_at(12.5, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert provider.open_calls == 0
        assert asyncio.get_running_loop().time() == 12.5 + CLOSING_TRY_S

    async def test_a_call_that_swallows_them_all_is_left_behind_loudly(self, caplog: pytest.LogCaptureFixture) -> None:
        provider = Stubborn(HANDLE, [Connection([Say(12.0, ready())])])
        provider.swallows = CLOSING_TRIES
        played = Played(provider)
        assert await played.delivery.run() == delivered(Channel.SSE, 12.0, 1)
        assert asyncio.get_running_loop().time() == 12.0 + CLOSING_TRIES * CLOSING_TRY_S
        assert "1 calls of trace" in caplog.text
        await played.delivery.close()
        assert provider.open_calls == 0


class TestTrouble:
    async def test_an_emit_that_raises_each_time_changes_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        def raising(fact: Fact) -> None:
            raise ValueError("no room")

        flaky = Connection([Say(1.0, Heartbeat()), Say(1.0, error())])
        quiet, troubled = (
            Played(
                scripted(flaky, polls=[PENDING, Say(0.5, Unresolved("x"))], resolves=[Say(0.0, ready())]), HYBRID, heard
            )
            for heard in (None, raising)
        )
        at_s = asyncio.get_running_loop().time()
        verdict = await quiet.run()
        later_s = asyncio.get_running_loop().time() - at_s
        troubled = Played(troubled.provider, HYBRID, raising)
        assert await troubled.run() == Verdict(
            verdict.outcome, verdict.channel, verdict.at_s + later_s, verdict.attempts, verdict.asset
        )
        assert [type(fact) for fact in quiet.facts] == [type(fact) for fact in troubled.facts]
        assert "no room" in caplog.text

    @pytest.mark.parametrize(
        "method", ["tick", "saw", "stream_opened", "stream_ended", "poll_failed", "resolve_missed"]
    )
    async def test_a_bug_in_the_race_ends_the_delivery_as_crashed(
        self, method: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        provider = scripted(
            Connection([Say(1.0, Unresolved("x")), Say(20.0, error())]),
            polls=[Say(0.0, error()), PENDING],
        )
        facts: list[Fact] = []
        verdict = await Delivery(provider, HANDLE, broken_race(method), TRACE, facts.append).run()
        assert (verdict.outcome, verdict.reason, verdict.detail) == (
            Outcome.CANCELLED,
            Reason.CRASHED,
            "ZeroDivisionError",
        )
        assert provider.open_calls == 0
        assert TRACE.trace_id in caplog.text
        assert f"ZeroDivisionError: {method}" in caplog.text


class TestFacts:
    async def test_every_kind_of_event_is_told_and_only_the_first_says_how_long_it_took(self) -> None:
        items = [Heartbeat(), Progress(0.5), Foreign(), Malformed("bad JSON"), Seen(Pending()), Seen(ready())]
        says = [Say(0.5, item) for item in items]
        played = Played(scripted(Connection(says, opens_after_s=0.25)))
        assert await played.run() == delivered(Channel.SSE, 3.25)
        assert played.of(StreamOpened) == [StreamOpened(0.25, 0.0, 1, 200)]
        assert played.of(EventSeen) == [
            EventSeen(0.75, EventType.HEARTBEAT, None, True, 0.5),
            EventSeen(1.25, EventType.PROGRESS, 0.5),
            EventSeen(1.75, EventType.FOREIGN),
            EventSeen(2.25, EventType.MALFORMED, detail="bad JSON"),
            EventSeen(2.75, EventType.PROGRESS),
            EventSeen(3.25, EventType.RESULT),
        ]

    @pytest.mark.parametrize(
        ("refusal", "result"),
        [
            (error(ErrorKind.UNAUTHORIZED, status=401), StreamResult.UNAUTHORIZED),
            (error(ErrorKind.NOT_FOUND, status=404), StreamResult.NOT_FOUND),
            (error(ErrorKind.TIMEOUT, status=None), StreamResult.TIMEOUT),
            (error(ErrorKind.MALFORMED, status=200), StreamResult.WRONG_TYPE),
            (error(ErrorKind.UNAVAILABLE, status=500), StreamResult.HTTP_ERROR),
            (error(ErrorKind.UNAVAILABLE, status=None, connected=False), StreamResult.REFUSED),
            (RuntimeError("ours"), StreamResult.CRASHED),
        ],
    )
    async def test_why_a_stream_never_stood_is_told(self, refusal: Exception, result: StreamResult) -> None:
        played = Played(scripted(Connection(refusal=refusal), polls=[Say(0.0, ready())]))
        await played.run()
        first = played.of(StreamEnded)[0]
        assert first.result is result
        assert first.disconnect is None

    async def test_a_silent_stream_is_told_as_silent(self) -> None:
        silent = Connection([Say(5.0, error(ErrorKind.TIMEOUT, status=None))])
        played = Played(scripted(silent, polls=[Say(0.0, ready())]))
        await played.run()
        assert played.of(StreamEnded)[0].disconnect is Disconnect.SILENCE

    async def test_no_reopening_is_promised_by_a_stream_that_ends_with_its_result(self) -> None:
        played = Played(scripted(Connection([Say(3.0, ready())], stays_open=False)))
        await played.run()
        (ended,) = played.of(StreamEnded)
        assert (ended.disconnect, ended.retry_in_s) == (Disconnect.EOF, None)

    async def test_each_call_has_a_span_of_its_own_in_the_trace(self) -> None:
        provider = scripted(
            Connection([Say(2.0, error())]), polls=[Say(0.0, Unresolved("x"))], resolves=[Say(0.0, ready())]
        )
        played = Played(provider)
        await played.run()
        sent = [parse_traceparent(headers["traceparent"]) for headers in provider.traces]
        spans = [fact.span_id for fact in played.facts if isinstance(fact, StreamEnded | PollEnded | ResolveEnded)]
        assert {found[0] for found in sent if found} == {TRACE.trace_id}
        assert sorted(found[1] for found in sent if found) == sorted(spans)
        assert len(set(spans)) == len(spans)

    async def test_facts_are_told_in_order_of_time(self) -> None:
        flaky = Connection([Say(1.0, Heartbeat()), Say(1.0, error())])
        played = Played(scripted(flaky, polls=[Say(3.0, Pending())]), HYBRID)
        await played.run()
        assert all(
            one.at_s <= next_one.at_s
            for one, next_one in pairwise(played.facts)
            if not isinstance(next_one, PollStarted | PollingStarted)
        )
