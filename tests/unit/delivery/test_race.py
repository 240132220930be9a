"""The race, told what happens: what it begins when, and how it ends."""

import pytest

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
    Reason,
    Stage,
    Unresolved,
)
from monitor.delivery.policy import FIXED, Policy
from monitor.delivery.race import BACKOFF_BASE_S, BACKOFF_CAP_S, MAX_RECONNECTS, OpenStream, Poll, Race, Resolve

QUICK = Policy(name="quick", grace_s=2.0, interval_s=2.0, max_attempts=10, window_s=30.0)
READY = Ready(Asset("https://cdn.test/a.webp", Kind.IMAGE))
START_S = 100.0


def _race(policy: Policy = QUICK, jitter: float = 1.0) -> Race:
    race = Race(policy, START_S, jitter=lambda: jitter)
    assert race.tick(START_S) == [OpenStream(1)]
    return race


def _error(
    kind: ErrorKind, *, retryable: bool = True, connected: bool = True, after_s: float | None = None
) -> ChannelError:
    return ChannelError(kind, Stage.POLL, "x", retryable=retryable, connected=connected, retry_after_s=after_s)


DEAD = _error(ErrorKind.UNAUTHORIZED, retryable=False)


def _polls_of_a_silent_race(race: Race) -> list[float]:
    """Offsets of all polls when SSE stays silent and each poll finds nothing."""
    race.stream_opened(START_S)
    times = []
    while race.verdict is None:
        now_s = race.wake_at_s
        for step in race.tick(now_s):
            if isinstance(step, Poll):
                times.append(now_s - START_S)
                race.saw(now_s, Channel.POLLING, Pending())
    return times


def test_fixed_polls_at_10_20_to_60_s_and_expires_at_75_s() -> None:
    race = _race(FIXED)
    assert _polls_of_a_silent_race(race) == [10, 20, 30, 40, 50, 60]
    assert race.verdict is not None
    assert race.verdict.at_s == START_S + 75
    assert (race.verdict.outcome, race.verdict.channel) == (Outcome.EXPIRED, Channel.NONE)
    assert (race.verdict.reason, race.verdict.attempts) == (Reason.PENDING, 6)


def test_the_stream_that_opens_is_followed_by_one_check_if_the_policy_allows() -> None:
    race = _race(QUICK)
    race.stream_opened(START_S + 0.1)
    assert race.tick(START_S + 0.1) == [Poll(0)]
    assert race.tick(START_S + 0.2) == []
    race = _race(FIXED)
    race.stream_opened(START_S + 0.1)
    assert race.tick(START_S + 0.1) == []


def test_the_first_usable_asset_wins_and_what_comes_after_changes_nothing() -> None:
    race = _race()
    race.stream_opened(START_S)
    race.tick(START_S)
    race.saw(START_S + 1.5, Channel.SSE, READY)
    verdict = race.verdict
    race.saw(START_S + 1.5, Channel.POLLING, READY)
    race.saw(START_S + 1.6, Channel.SSE, Failed("late news"))
    race.cancel(START_S + 1.7)
    assert race.verdict is verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.channel, verdict.at_s) == (Outcome.DELIVERED, Channel.SSE, START_S + 1.5)
    assert race.tick(START_S + 2) == []


@pytest.mark.parametrize(
    ("at_s", "outcome"), [(29.999, Outcome.DELIVERED), (30.0, Outcome.EXPIRED), (30.001, Outcome.EXPIRED)]
)
def test_the_window_ends_before_its_last_instant(at_s: float, outcome: Outcome) -> None:
    race = _race()
    race.stream_opened(START_S)
    race.saw(START_S + at_s, Channel.SSE, READY)
    assert race.verdict is not None
    assert race.verdict.outcome is outcome


def test_news_from_inside_the_window_counts_although_the_loop_was_late() -> None:
    race = _race()
    race.stream_opened(START_S)
    race.saw(START_S + 29, Channel.SSE, READY)
    race.tick(START_S + 33)
    assert race.verdict is not None
    assert race.verdict.outcome is Outcome.DELIVERED


def test_a_dead_stream_lets_polling_begin_at_once_and_is_not_opened_again() -> None:
    race = _race()
    race.stream_ended(START_S + 0.2, DEAD)
    assert race.tick(START_S + 0.2) == [Poll(1)]
    assert race.polling_is_early
    assert race.wake_at_s == START_S + 2.2
    assert race.stream_due_at_s is None


def test_fixed_keeps_its_grace_although_the_stream_is_dead() -> None:
    race = _race(FIXED)
    race.stream_ended(START_S + 0.2, DEAD)
    assert race.tick(START_S + 0.2) == []
    assert race.wake_at_s == START_S + 10


def test_an_unreachable_stream_lets_polling_begin_at_once_and_is_tried_again() -> None:
    race = _race()
    race.stream_ended(START_S + 0.2, _error(ErrorKind.UNAVAILABLE, connected=False))
    assert race.tick(START_S + 0.2) == [Poll(1)]
    assert race.stream_due_at_s == START_S + 0.2 + BACKOFF_BASE_S


def test_reconnects_back_off_up_to_the_cap_and_end() -> None:
    race, now_s, delays = _race(), START_S, []
    for number in range(1, MAX_RECONNECTS + 1):
        race.stream_ended(now_s, None)
        due_at_s = race.stream_due_at_s
        assert due_at_s is not None
        delays.append(due_at_s - now_s)
        now_s = due_at_s
        race.deadline_at_s = now_s + 100
        assert OpenStream(number + 1) in race.tick(now_s)
    assert delays[:5] == pytest.approx([0.5, 1, 2, 4, 8])
    assert max(delays) == pytest.approx(BACKOFF_CAP_S)
    race.stream_ended(now_s, None)
    assert race.stream_due_at_s is None


def test_a_stream_that_lived_long_begins_its_back_off_anew() -> None:
    race = _race()
    race.stream_ended(START_S, None)
    race.tick(START_S + 0.5)
    race.stream_opened(START_S + 1)
    race.stream_ended(START_S + 1 + BACKOFF_CAP_S, None)
    assert race.stream_due_at_s == START_S + 1 + BACKOFF_CAP_S + BACKOFF_BASE_S


def test_the_servers_retry_and_retry_after_are_kept() -> None:
    race = _race(jitter=0.5)
    race.stream_ended(START_S, None, retry_s=5.0)
    assert race.stream_due_at_s == START_S + 5 + 0.5 * BACKOFF_BASE_S
    race = _race(jitter=0.0)
    race.stream_ended(START_S, _error(ErrorKind.RATE_LIMITED, after_s=7.0))
    assert race.stream_due_at_s == START_S + 7
    assert not race.polling_is_early


def test_retry_after_moves_a_poll_to_the_first_slot_that_is_late_enough() -> None:
    race = _race()
    assert race.tick(START_S + 2) == [Poll(1)]
    race.poll_failed(START_S + 2.1, _error(ErrorKind.RATE_LIMITED, after_s=3.0))
    assert race.tick(START_S + 4) == []
    assert race.wake_at_s == START_S + 6
    assert race.tick(START_S + 6) == [Poll(2)]


def test_unauthorized_ends_polling_but_not_sse() -> None:
    race = _race()
    race.stream_opened(START_S)
    race.tick(START_S)
    race.poll_failed(START_S + 0.1, _error(ErrorKind.UNAUTHORIZED, retryable=False))
    assert race.wake_at_s == race.deadline_at_s
    race.saw(START_S + 20, Channel.SSE, READY)
    assert race.verdict is not None
    assert race.verdict.outcome is Outcome.DELIVERED


def test_when_nothing_can_come_any_more_it_expires_at_once_with_the_last_polls_reason() -> None:
    race = _race()
    race.stream_ended(START_S, DEAD)
    assert race.tick(START_S) == [Poll(1)]
    race.poll_failed(START_S + 0.5, _error(ErrorKind.UNAUTHORIZED, retryable=False))
    assert race.tick(START_S + 0.5) == []
    assert race.verdict is not None
    assert (race.verdict.outcome, race.verdict.reason) == (Outcome.EXPIRED, Reason.UNAUTHORIZED)
    assert race.verdict.at_s == START_S + 0.5


def test_a_poll_under_way_keeps_hope_alive() -> None:
    policy = Policy(name="one", grace_s=1, interval_s=1, max_attempts=1, window_s=30)
    race = _race(policy)
    race.stream_ended(START_S, DEAD)
    assert race.tick(START_S) == [Poll(1)]
    assert race.tick(START_S + 20) == []
    assert race.verdict is None
    race.saw(START_S + 21, Channel.POLLING, READY)
    assert race.verdict is not None


def test_a_file_id_from_sse_is_resolved_at_once_and_again_after_a_back_off() -> None:
    race = _race()
    race.stream_opened(START_S)
    race.tick(START_S)
    race.saw(START_S + 1, Channel.SSE, Unresolved("f"))
    race.saw(START_S + 1, Channel.SSE, Unresolved("f"))
    assert race.tick(START_S + 1) == [Resolve("f", 1)]
    race.resolve_missed(START_S + 1.2, "f")
    assert race.wake_at_s == START_S + 1.2 + BACKOFF_BASE_S
    assert race.tick(race.wake_at_s) == [Resolve("f", 2)]
    race.saw(START_S + 1.9, Channel.SSE, READY)
    assert race.verdict is not None
    assert race.verdict.channel is Channel.SSE


def test_the_providers_failure_ends_it_by_the_channel_that_told() -> None:
    race = _race()
    race.saw(START_S + 1, Channel.POLLING, Failed("a task ended in error"))
    assert race.verdict is not None
    assert (race.verdict.outcome, race.verdict.channel) == (Outcome.PROVIDER_FAILED, Channel.POLLING)
    assert race.verdict.reason is Reason.TASK_ERROR


def test_a_resumed_race_goes_on_at_the_next_slot_with_the_attempts_that_are_left() -> None:
    race = Race(FIXED, START_S, resumed_at_s=START_S + 35)
    assert race.tick(START_S + 35) == [OpenStream(1)]
    assert race.attempts == 3
    assert race.wake_at_s == START_S + 40
    race = Race(FIXED, START_S, resumed_at_s=START_S + 74)
    assert race.tick(START_S + 74) == [OpenStream(1)]
    assert race.wake_at_s == START_S + 75


def test_a_late_tick_makes_one_poll_and_not_all_that_were_missed() -> None:
    race = _race()
    assert race.tick(START_S + 9) == [Poll(1)]
    assert race.wake_at_s == START_S + 10


def test_no_polls_at_all_is_a_policy() -> None:
    race = Race(Policy(name="none", max_attempts=0), START_S)
    assert race.tick(START_S) == [OpenStream(1)]
    assert race.wake_at_s == race.deadline_at_s
    race.tick(race.deadline_at_s)
    assert race.verdict is not None
    assert race.verdict.reason is Reason.NOT_POLLED
