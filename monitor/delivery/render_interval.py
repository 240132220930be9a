"""What a generation's facts say of its render time: an interval, as a poll only tells that it was or was not ready."""

import math
from collections.abc import Iterable
from typing import Final

from monitor.delivery.facts import CallResult, EventSeen, EventType, Fact, PollEnded, ResolveEnded, StreamOpened
from monitor.delivery.model import Channel, Outcome, Verdict
from monitor.delivery.values import value

_NOT_READY: Final = (CallResult.PENDING, CallResult.NOT_FOUND)


@value(frozen=True, slots=True)
class RenderInterval:
    """Ready after `after_s` and by `by_s`, in seconds from the create call's answer.

    Equal where SSE told the moment; `by_s` is infinite where it was never seen to be ready.
    """

    after_s: float
    by_s: float


def render_interval(facts: Iterable[Fact], submitted_at_s: float | None, verdict: Verdict) -> RenderInterval | None:
    """The interval, or None when the facts tell nothing: the job failed, or nobody had an answer about it."""
    if submitted_at_s is None or verdict.outcome not in (Outcome.DELIVERED, Outcome.EXPIRED):
        return None
    facts = tuple(facts)
    is_found = verdict.outcome is Outcome.DELIVERED
    if is_found and verdict.channel is Channel.SSE and _tells_the_moment(facts):
        at_s = verdict.at_s - submitted_at_s
        return RenderInterval(at_s, at_s)
    looks = [fact for fact in facts if isinstance(fact, PollEnded | ResolveEnded) and fact.at_s <= verdict.at_s]
    seen_s = [look.started_at_s for look in looks if look.result in _NOT_READY]
    if not is_found and not seen_s:
        return None
    after_s = max(0.0, max(seen_s, default=submitted_at_s) - submitted_at_s)
    return RenderInterval(after_s, verdict.at_s - submitted_at_s if is_found else math.inf)


def _tells_the_moment(facts: tuple[Fact, ...]) -> bool:
    """Whether the result was published while we listened, with its URL.

    The first event after a reconnect may be one that was kept for us, and a file id says nothing of when its URL came.
    """
    connection = 0
    was_live = False
    for fact in facts:
        match fact:
            case StreamOpened():
                connection = fact.number
            case EventSeen(type=EventType.RESULT):
                was_live = connection == 1 or not fact.first
            case ResolveEnded(channel=Channel.SSE):
                return False
            case _:
                pass
    return was_live
