"""When the provider is asked for the job again, and when never."""

import asyncio

import pytest

from monitor.delivery.errors import ChannelError, GenerationRejected
from monitor.delivery.facts import CreateEnded, Fact
from monitor.delivery.model import ErrorKind, Flow, GenerationRequest, Handle, Kind, Reason, Stage, TraceContext
from monitor.delivery.ports import Created
from monitor.delivery.submission import MAX_TRIES, MAX_WAIT_S, longest_submission_s, retry_in_s, submit
from monitor.delivery.trace_context import TraceHeaders, parse_traceparent
from monitor.testing.scripted_provider import HANG, Say, ScriptedProvider

pytestmark = [pytest.mark.virtual_time, pytest.mark.usefixtures("no_stray_tasks")]

HANDLE = Handle(Flow.FILE, "f", Kind.IMAGE)
REQUEST = GenerationRequest("a fox", "comfyui/flux")
TRACE = TraceContext("a" * 32, "b" * 16)


def failure(
    kind: ErrorKind, *, may_have_effect: bool = False, retry_after_s: float | None = None, status: int | None = None
) -> ChannelError:
    return ChannelError(
        kind, Stage.CREATE, "no", status=status, retry_after_s=retry_after_s, may_have_effect=may_have_effect
    )


def provider_of(*answers: object) -> ScriptedProvider:
    return ScriptedProvider(HANDLE, creates=[Say(1.0, answer) for answer in answers])


async def rejection(provider: ScriptedProvider, facts: list[Fact]) -> GenerationRejected:
    with pytest.raises(GenerationRejected) as caught:
        await submit(provider, REQUEST, TRACE, facts.append)
    return caught.value


async def test_the_handle_comes_with_one_fact() -> None:
    provider, facts = provider_of(HANDLE), list[Fact]()
    assert await submit(provider, REQUEST, TRACE, facts.append) == HANDLE
    (fact,) = facts
    assert isinstance(fact, CreateEnded)
    assert fact == CreateEnded(1.0, 0.0, fact.span_id, 200, None)
    assert parse_traceparent(provider.traces[0]["traceparent"]) == (TRACE.trace_id, fact.span_id, True)


async def test_each_try_has_a_fact_that_says_when_the_next_comes() -> None:
    provider, facts = provider_of(failure(ErrorKind.RATE_LIMITED, retry_after_s=2.0, status=429), HANDLE), list[Fact]()
    assert await submit(provider, REQUEST, TRACE, facts.append) == HANDLE
    first, second = facts
    assert isinstance(first, CreateEnded)
    assert isinstance(second, CreateEnded)
    assert first == CreateEnded(1.0, 0.0, first.span_id, 429, ErrorKind.RATE_LIMITED, False, 2.0)
    assert second == CreateEnded(4.0, 3.0, second.span_id, 200, None)
    assert first.span_id != second.span_id


async def test_a_conflict_is_asked_again_at_once_and_only_once() -> None:
    provider, facts = provider_of(failure(ErrorKind.CONFLICT, status=409)), list[Fact]()
    rejected = await rejection(provider, facts)
    assert (rejected.reason, rejected.status, rejected.detail) == (Reason.CONFLICT, 409, "no")
    assert [fact.at_s for fact in facts] == [1.0, 2.0]


async def test_a_conflict_after_another_refusal_is_asked_again_too_but_never_more_than_three_times() -> None:
    busy, clash = failure(ErrorKind.RATE_LIMITED, retry_after_s=2.0), failure(ErrorKind.CONFLICT, status=409)
    facts = list[Fact]()
    assert await submit(provider_of(busy, clash, HANDLE), REQUEST, TRACE, facts.append) == HANDLE
    facts.clear()
    rejected = await rejection(provider_of(busy, busy, clash, HANDLE), facts)
    assert (rejected.reason, len(facts)) == (Reason.CONFLICT, 3)


async def test_an_unavailable_provider_is_asked_three_times() -> None:
    provider, facts = provider_of(failure(ErrorKind.UNAVAILABLE)), list[Fact]()
    rejected = await rejection(provider, facts)
    assert rejected.reason is Reason.UNAVAILABLE
    assert provider.calls["create"] == MAX_TRIES[ErrorKind.UNAVAILABLE] == 3


@pytest.mark.parametrize("kind", list(ErrorKind))
async def test_a_create_that_may_have_made_a_job_is_never_repeated(kind: ErrorKind) -> None:
    provider, facts = provider_of(failure(kind, may_have_effect=True, retry_after_s=0.0)), list[Fact]()
    rejected = await rejection(provider, facts)
    assert rejected.reason is Reason.CREATE_UNKNOWN
    assert provider.calls["create"] == 1
    assert [fact.retry_in_s for fact in facts if isinstance(fact, CreateEnded)] == [None]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ErrorKind.REJECTED, Reason.REJECTED),
        (ErrorKind.UNAUTHORIZED, Reason.UNAUTHORIZED),
        (ErrorKind.NOT_FOUND, Reason.NOT_FOUND),
        (ErrorKind.MALFORMED, Reason.UNAVAILABLE),
        (ErrorKind.TIMEOUT, Reason.UNAVAILABLE),
    ],
)
async def test_a_refusal_is_not_asked_twice(kind: ErrorKind, reason: Reason) -> None:
    provider, facts = provider_of(failure(kind)), list[Fact]()
    assert (await rejection(provider, facts)).reason is reason
    assert provider.calls["create"] == 1


async def test_a_bug_in_the_channel_is_no_refusal_and_still_has_its_fact() -> None:
    provider, facts = provider_of(RuntimeError("ours")), list[Fact]()
    with pytest.raises(RuntimeError, match="ours"):
        await submit(provider, REQUEST, TRACE, facts.append)
    (fact,) = facts
    assert isinstance(fact, CreateEnded)
    assert (fact.error, fact.cancelled, fact.status) == (ErrorKind.CRASHED, False, None)
    assert provider.open_calls == 0


class Lapsing(ScriptedProvider):
    async def create(self, request: GenerationRequest, *, tries: int, trace_headers: TraceHeaders) -> Created:
        raise asyncio.CancelledError


async def test_a_cancellation_that_nobody_asked_for_is_a_bug_like_any_other() -> None:
    facts: list[Fact] = []
    with pytest.raises(RuntimeError, match="nobody"):
        await submit(Lapsing(HANDLE), REQUEST, TRACE, facts.append)
    (fact,) = facts
    assert isinstance(fact, CreateEnded)
    assert (fact.error, fact.cancelled) == (ErrorKind.CRASHED, False)


async def test_a_cancellation_in_the_call_closes_it_and_is_told() -> None:
    provider, facts = ScriptedProvider(HANDLE, creates=[HANG]), list[Fact]()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7.0):
            await submit(provider, REQUEST, TRACE, facts.append)
    (fact,) = facts
    assert isinstance(fact, CreateEnded)
    assert (fact.at_s, fact.cancelled) == (7.0, True)
    assert provider.open_calls == 0


async def test_a_cancellation_between_two_tries_makes_no_second() -> None:
    provider, facts = provider_of(failure(ErrorKind.RATE_LIMITED, retry_after_s=20.0)), list[Fact]()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7.0):
            await submit(provider, REQUEST, TRACE, facts.append)
    assert len(facts) == provider.calls["create"] == 1


async def test_an_emit_that_raises_does_not_lose_the_job(caplog: pytest.LogCaptureFixture) -> None:
    def raising(fact: Fact) -> None:
        raise ValueError("no room")

    assert await submit(provider_of(HANDLE), REQUEST, TRACE, raising) == HANDLE
    assert "CreateEnded" in caplog.text


@pytest.mark.parametrize(
    ("told_s", "wait_s"),
    [(None, 1.0), (0.0, 0.0), (2.5, 2.5), (MAX_WAIT_S, MAX_WAIT_S), (MAX_WAIT_S + 0.001, None)],
)
async def test_a_provider_that_wants_too_long_a_wait_has_refused(told_s: float | None, wait_s: float | None) -> None:
    assert retry_in_s(failure(ErrorKind.RATE_LIMITED, retry_after_s=told_s), []) == wait_s


async def test_what_is_not_told_backs_off() -> None:
    waits = [retry_in_s(failure(ErrorKind.UNAVAILABLE), [ErrorKind.UNAVAILABLE] * before) for before in range(3)]
    assert waits == [1.0, 2.0, None]


@pytest.mark.parametrize("kind", list(ErrorKind))
async def test_it_is_over_after_the_longest_time_at_the_latest(kind: ErrorKind) -> None:
    slow = ScriptedProvider(HANDLE, creates=[Say(20.0, failure(kind, retry_after_s=MAX_WAIT_S))])
    with pytest.raises(GenerationRejected):
        await submit(slow, REQUEST, TRACE, lambda _: None)
    assert asyncio.get_running_loop().time() <= longest_submission_s(20.0) <= 150.0
