"""What the race decides, one rule a test. Full jitter is taken at its longest, so that every back-off is known."""

import math

import pytest

from monitor.delivery.errors import ChannelError
from monitor.delivery.instructions import Instruction, OpenStream, Poll, Resolve
from monitor.delivery.model import (
    Channel,
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
from monitor.delivery.race import Race
from monitor.delivery.sse_channel import BACKOFF_CAP_S, MAX_RECONNECTS, MAX_RESOLVES
from monitor.testing.scripted_provider import ready

HYBRID = Policy(name="hybrid")
JUST_BEFORE_THE_END = math.nextafter(75.0, 0.0)


def race_of(policy: Policy = FIXED, started_at_s: float = 0.0, resumed_at_s: float | None = None) -> Race:
    return Race(policy, started_at_s, resumed_at_s=resumed_at_s, jitter=lambda: 1.0)


def opened(policy: Policy = FIXED) -> Race:
    """A race whose stream stands from the first instant; a check on open is answered with 'pending'."""
    race = race_of(policy)
    race.tick(0.0)
    race.stream_opened(0.0)
    if race.tick(0.0):
        race.saw(0.0, Channel.POLLING, Pending())
    return race


def run_until(
    race: Race, at_s: float, poll: Ready | Pending | ChannelError | None = None
) -> list[tuple[float, Instruction]]:
    """Tick whenever the race wants to, up to and including `at_s`; polls are answered at once, if at all."""
    told: list[tuple[float, Instruction]] = []
    while race.verdict is None and race.wake_at_s <= at_s:
        now_s = race.wake_at_s
        due = race.tick(now_s)
        told += [(now_s, instruction) for instruction in due]
        for instruction in due:
            if isinstance(instruction, Poll):
                answer_poll(race, now_s, poll)
    return told


def answer_poll(race: Race, now_s: float, answer: Ready | Pending | ChannelError | None) -> None:
    if isinstance(answer, ChannelError):
        race.poll_failed(now_s, answer)
    elif answer is not None:
        race.saw(now_s, Channel.POLLING, answer)


def error(
    kind: ErrorKind = ErrorKind.UNAVAILABLE,
    *,
    retryable: bool = True,
    retry_after_s: float | None = None,
    connected: bool = True,
) -> ChannelError:
    return ChannelError(kind, Stage.POLL, "no", retryable=retryable, retry_after_s=retry_after_s, connected=connected)


GONE = error(ErrorKind.NOT_FOUND, retryable=False)
UNREACHABLE = error(connected=False)
UNAUTHORIZED = error(ErrorKind.UNAUTHORIZED, retryable=False)


def delivered(channel: Channel, at_s: float, attempts: int = 0, name: str = "a") -> Verdict:
    return Verdict(Outcome.DELIVERED, channel, at_s, attempts, ready(name).asset)


def expired(at_s: float, attempts: int, reason: Reason) -> Verdict:
    return Verdict(Outcome.EXPIRED, Channel.NONE, at_s, attempts, None, reason)


class TestPolling:
    def test_the_stream_opens_at_once_and_nothing_else_happens_before_the_grace_is_over(self) -> None:
        race = race_of()
        assert race.tick(0.0) == [OpenStream(1)]
        race.stream_opened(0.0)
        assert race.tick(0.0) == []
        assert race.wake_at_s == 10.0
        assert race.tick(math.nextafter(10.0, 0.0)) == []

    def test_fixed_polls_six_times_on_a_silent_stream_and_expires_after_75_seconds(self) -> None:
        race = opened()
        assert run_until(race, 80.0, Pending()) == [(10.0 * attempt, Poll(attempt)) for attempt in range(1, 7)]
        assert race.verdict == expired(75.0, 6, Reason.PENDING)

    def test_times_count_from_the_start_of_the_race(self) -> None:
        race = race_of(started_at_s=1_000.0)
        assert run_until(race, 1_020.0) == [(1_000.0, OpenStream(1)), (1_010.0, Poll(1)), (1_020.0, Poll(2))]
        assert race.deadline_at_s == 1_075.0

    def test_polling_delivers_at_the_sixth_attempt(self) -> None:
        race = opened()
        run_until(race, 59.0, Pending())
        run_until(race, 60.0, ready())
        assert race.verdict == delivered(Channel.POLLING, 60.0, 6)

    def test_a_poll_that_hangs_does_not_hold_up_the_next(self) -> None:
        race = opened()
        assert [at_s for at_s, _ in run_until(race, 70.0)] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]

    def test_a_late_tick_begins_one_poll_and_keeps_the_grid(self) -> None:
        race = opened()
        assert race.tick(27.5) == [Poll(1)]
        assert race.wake_at_s == 30.0

    def test_no_attempt_is_allowed_so_none_is_made(self) -> None:
        race = opened(Policy(name="stream-only", max_attempts=0))
        assert race.wake_at_s == 75.0
        assert race.tick(75.0) == []
        assert race.verdict == expired(75.0, 0, Reason.PENDING)  # the check on open said so

    def test_a_grace_of_nothing_polls_at_once(self) -> None:
        race = race_of(Policy(name="eager", grace_s=0.0))
        assert race.tick(0.0) == [OpenStream(1), Poll(1)]

    @pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.UNAUTHORIZED])
    def test_a_failed_poll_is_an_attempt_and_the_next_comes_on_time(self, kind: ErrorKind) -> None:
        race = opened()
        run_until(race, 10.0, error(kind))
        assert race.attempts == 1
        assert race.wake_at_s == 20.0
        run_until(race, 75.0, error(kind))
        assert race.verdict == expired(75.0, 6, Reason(kind))

    def test_unauthorized_ends_polling_but_not_the_stream(self) -> None:
        race = opened()
        run_until(race, 20.0, UNAUTHORIZED)
        assert race.attempts == 1
        assert race.wake_at_s == 75.0
        race.saw(74.0, Channel.SSE, ready())
        assert race.verdict == delivered(Channel.SSE, 74.0, 1)

    def test_unauthorized_ends_checks_on_open_too(self) -> None:
        race = opened(HYBRID)
        run_until(race, 10.0, UNAUTHORIZED)
        race.stream_ended(12.0, None)
        assert race.tick(12.5) == [OpenStream(2)]
        race.stream_opened(12.5)
        assert race.tick(12.5) == []
        assert race.wake_at_s == 75.0

    def test_an_unauthorized_check_on_open_ends_polling(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_opened(0.0)
        assert race.tick(0.0) == [Poll(0)]
        race.poll_failed(0.1, UNAUTHORIZED)
        assert run_until(race, 75.0) == []
        assert race.verdict == expired(75.0, 0, Reason.UNAUTHORIZED)

    def test_a_poll_that_hangs_to_the_end_is_told_as_timed_out(self) -> None:
        race = opened(Policy(name="once", max_attempts=1, check_on_open=False))
        run_until(race, 75.0)
        assert race.verdict == expired(75.0, 1, Reason.TIMEOUT)

    def test_what_a_poll_says_after_the_end_is_no_reason(self) -> None:
        race = opened()
        run_until(race, 60.0)
        race.poll_failed(75.0, UNAUTHORIZED)
        race.saw(75.0, Channel.POLLING, ready())
        assert race.verdict == expired(75.0, 6, Reason.TIMEOUT)

    def test_the_last_answer_is_the_reason_though_a_later_poll_hangs(self) -> None:
        race = opened(Policy(name="twice", max_attempts=2, check_on_open=False))
        run_until(race, 10.0, Pending())
        run_until(race, 75.0)
        assert race.verdict == expired(75.0, 2, Reason.PENDING)

    def test_nobody_asked_is_a_reason_of_its_own(self) -> None:
        race = opened(Policy(name="stream-only", max_attempts=0, check_on_open=False))
        race.tick(75.0)
        assert race.verdict == expired(75.0, 0, Reason.NOT_POLLED)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("told_s", "next_at_s"),
        [(0.0, 20.0), (9.0, 20.0), (10.0, 20.0), (10.5, 30.0), (20.0, 30.0), (math.nextafter(20.0, 99.0), 40.0)],
    )
    def test_the_next_poll_is_the_first_of_the_grid_that_is_not_sooner_than_told(
        self, told_s: float, next_at_s: float
    ) -> None:
        race = opened()
        run_until(race, 10.0, error(ErrorKind.RATE_LIMITED, retry_after_s=told_s))
        assert race.wake_at_s == next_at_s
        assert race.tick(next_at_s) == [Poll(2)]

    def test_one_that_reaches_over_the_window_lets_the_stream_go_on_alone(self) -> None:
        race = opened()
        run_until(race, 10.0, error(ErrorKind.RATE_LIMITED, retry_after_s=1e9))
        assert race.wake_at_s == 75.0

    def test_one_told_at_the_last_attempt_gives_no_seventh(self) -> None:
        race = opened()
        run_until(race, 60.0, error(ErrorKind.RATE_LIMITED, retry_after_s=1.0))
        assert race.attempts == 6
        assert race.wake_at_s == 75.0

    def test_a_check_on_open_waits_for_it(self) -> None:
        race = opened(HYBRID)
        run_until(race, 10.0, error(ErrorKind.RATE_LIMITED, retry_after_s=15.0))
        race.stream_ended(12.0, None)
        race.tick(12.5)
        race.stream_opened(12.5)
        assert race.tick(12.5) == []
        assert run_until(race, 30.0) == [(25.0, Poll(0)), (30.0, Poll(2))]

    def test_the_longer_of_two_holds_whichever_is_told_last(self) -> None:
        race = opened(HYBRID)
        race.tick(10.0)
        race.tick(20.0)
        race.poll_failed(21.0, error(ErrorKind.RATE_LIMITED, retry_after_s=14.0))
        race.poll_failed(22.0, error(ErrorKind.RATE_LIMITED, retry_after_s=1.0))
        race.stream_opened(24.0)
        assert run_until(race, 40.0) == [(35.0, Poll(0)), (40.0, Poll(3))]

    def test_a_check_that_already_waits_waits_longer_when_told_again(self) -> None:
        race = opened(HYBRID)
        assert race.tick(10.0) == [Poll(1)]
        assert race.tick(20.0) == [Poll(2)]
        race.poll_failed(21.0, error(ErrorKind.RATE_LIMITED, retry_after_s=5.0))
        race.stream_opened(22.0)
        race.poll_failed(23.0, error(ErrorKind.RATE_LIMITED, retry_after_s=10.0))
        assert run_until(race, 40.0) == [(33.0, Poll(0)), (40.0, Poll(3))]

    def test_the_early_fallback_waits_for_it(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_opened(0.0)
        race.tick(0.0)
        race.poll_failed(1.0, error(ErrorKind.RATE_LIMITED, retry_after_s=5.0))
        race.stream_ended(2.0, GONE)
        assert run_until(race, 20.0) == [(6.0, Poll(1)), (16.0, Poll(2))]
        assert race.polling_is_early

    def test_an_early_fallback_that_would_come_after_the_grace_is_none(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_opened(0.0)
        race.tick(0.0)
        race.poll_failed(1.0, error(ErrorKind.RATE_LIMITED, retry_after_s=15.0))
        race.stream_ended(2.0, GONE)
        assert run_until(race, 30.0) == [(20.0, Poll(1)), (30.0, Poll(2))]
        assert not race.polling_is_early

    def test_the_stream_is_not_reopened_sooner(self) -> None:
        race = race_of()
        race.tick(0.0)
        race.stream_ended(0.0, error(ErrorKind.RATE_LIMITED, retry_after_s=7.0))
        assert race.stream_due_at_s == 7.0

    def test_a_resolution_is_not_tried_sooner(self) -> None:
        race = opened()
        race.saw(1.0, Channel.SSE, Unresolved("f"))
        race.tick(1.0)
        race.resolve_missed(1.0, "f", retry_after_s=4.0)
        assert race.wake_at_s == 5.0


class TestEarlyFallback:
    @pytest.mark.parametrize("dead", [GONE, UNREACHABLE, UNAUTHORIZED], ids=["gone", "unreachable", "unauthorized"])
    def test_polling_begins_at_once_when_the_stream_is_known_to_be_dead(self, dead: ChannelError) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_ended(3.0, dead)
        assert Poll(1) in race.tick(3.0)
        assert race.polling_is_early

    def test_its_grid_begins_where_it_began(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_ended(3.0, GONE)
        polls = run_until(race, 74.0, Pending())
        assert polls == [(3.0 + 10.0 * made, Poll(made + 1)) for made in range(6)]

    def test_fixed_waits_for_its_grace_all_the_same(self) -> None:
        race = race_of(FIXED)
        race.tick(0.0)
        race.stream_ended(3.0, GONE)
        assert race.tick(3.0) == []
        assert race.wake_at_s == 10.0
        assert run_until(race, 10.0) == [(10.0, Poll(1))]
        assert not race.polling_is_early

    def test_a_server_in_trouble_is_not_dead(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_ended(3.0, error(ErrorKind.UNAVAILABLE))
        assert race.tick(3.0) == []
        assert not race.polling_is_early

    def test_it_comes_once_however_often_the_provider_is_unreachable(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_ended(0.0, UNREACHABLE)
        assert race.tick(0.0) == [Poll(1)]
        assert race.tick(0.5) == [OpenStream(2)]
        race.stream_ended(0.5, UNREACHABLE)
        assert race.tick(0.5) == []

    def test_a_stream_that_dies_as_the_grace_ends_makes_nothing_early(self) -> None:
        race = opened(HYBRID)
        race.stream_ended(10.0, GONE)
        assert race.tick(10.0) == [Poll(1)]
        assert not race.polling_is_early

    def test_polling_that_has_begun_is_not_early_any_more(self) -> None:
        race = opened(HYBRID)
        run_until(race, 10.0, Pending())
        race.stream_ended(12.0, GONE)
        assert race.tick(12.0) == []
        assert race.wake_at_s == 20.0
        assert not race.polling_is_early

    def test_a_dead_stream_gives_no_polls_where_none_are_allowed(self) -> None:
        race = race_of(Policy(name="stream-only", max_attempts=0))
        race.tick(0.0)
        race.stream_ended(3.0, GONE)
        assert race.tick(3.0) == []
        assert race.verdict == expired(3.0, 0, Reason.NOT_POLLED)


class TestReopening:
    def test_back_off_doubles_up_to_its_cap_and_ends(self) -> None:
        race = race_of(Policy(name="long", window_s=1_000.0, max_attempts=0))
        now_s, waits = 0.0, []
        race.tick(now_s)
        for _ in range(MAX_RECONNECTS):
            race.stream_ended(now_s, error())
            assert race.stream_due_at_s is not None
            waits.append(race.stream_due_at_s - now_s)
            now_s = race.stream_due_at_s
            assert race.tick(math.nextafter(now_s, 0.0)) == []
            assert race.tick(now_s) == [OpenStream(len(waits) + 1)]
        assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0, 10.0, 10.0]
        race.stream_ended(now_s, error())
        assert race.stream_due_at_s is None

    def test_jitter_may_take_all_of_it_away(self) -> None:
        race = Race(FIXED, 0.0, jitter=lambda: 0.0)
        race.tick(0.0)
        race.stream_ended(1.0, error())
        assert race.stream_due_at_s == 1.0

    def test_flapping_backs_off_and_ends_in_the_early_fallback(self) -> None:
        race = race_of(Policy(name="patient", grace_s=500.0, window_s=1_000.0, check_on_open=False))
        now_s, opened_streams = 0.0, 0
        while not race.polling_is_early:
            now_s = race.wake_at_s
            assert race.tick(now_s) == [OpenStream(opened_streams + 1)]
            opened_streams += 1
            race.stream_opened(now_s)
            race.stream_ended(now_s + 1.0, None)
        assert opened_streams == MAX_RECONNECTS + 1
        assert race.tick(now_s + 1.0) == [Poll(1)]

    @pytest.mark.parametrize(
        ("lived_s", "wait_s"), [(math.nextafter(BACKOFF_CAP_S, 0.0), 2.0), (BACKOFF_CAP_S, 0.5), (60.0, 0.5)]
    )
    def test_a_stream_that_was_stable_resets_the_back_off(self, lived_s: float, wait_s: float) -> None:
        race = race_of(Policy(name="long", window_s=1_000.0, max_attempts=0, check_on_open=False))
        race.tick(0.0)
        race.stream_ended(0.0, error())
        race.tick(0.5)
        race.stream_ended(0.5, error())
        race.tick(1.5)
        race.stream_opened(0.0)
        race.stream_ended(lived_s, None)
        assert race.stream_due_at_s == lived_s + wait_s

    def test_a_stream_that_never_stood_is_not_stable_however_long_it_took(self) -> None:
        race = race_of()
        race.tick(0.0)
        race.stream_ended(0.0, error())
        race.tick(0.5)
        race.stream_ended(30.0, error(ErrorKind.TIMEOUT))
        assert race.stream_due_at_s == 31.0

    def test_the_servers_retry_comes_on_top_of_the_back_off(self) -> None:
        race = opened()
        race.stream_ended(2.0, None, retry_s=5.0)
        assert race.stream_due_at_s == 7.5

    def test_the_longer_of_retry_and_retry_after_holds(self) -> None:
        race = opened()
        race.stream_ended(2.0, error(retry_after_s=5.0), retry_s=5.0)
        assert race.stream_due_at_s == 7.5

    @pytest.mark.parametrize("dead", [GONE, UNAUTHORIZED])
    def test_a_stream_that_is_gone_is_never_opened_again(self, dead: ChannelError) -> None:
        race = race_of()
        race.tick(0.0)
        race.stream_ended(0.0, dead)
        assert all(isinstance(instruction, Poll) for _, instruction in run_until(race, 74.0, Pending()))

    def test_a_reopening_that_the_window_does_not_reach_is_not_promised(self) -> None:
        race = opened()
        race.stream_ended(74.5, None)
        assert race.stream_due_at_s is None

    def test_a_stream_that_ends_after_the_verdict_is_not_reopened(self) -> None:
        race = opened()
        race.saw(5.0, Channel.SSE, ready())
        race.stream_ended(5.0, None)
        assert race.stream_due_at_s is None


class TestCheckOnOpen:
    def test_each_opening_asks_once_and_it_is_no_attempt(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_opened(0.25)
        assert race.tick(0.25) == [Poll(0)]
        assert race.tick(0.25) == []
        race.stream_ended(1.0, None)
        assert race.tick(1.5) == [OpenStream(2)]
        race.stream_opened(1.5)
        assert race.tick(1.5) == [Poll(0)]
        assert race.attempts == 0

    def test_fixed_never_asks(self) -> None:
        race = race_of(FIXED)
        race.tick(0.0)
        race.stream_opened(0.0)
        assert race.tick(0.0) == []
        assert race.wake_at_s == 10.0

    def test_it_can_deliver(self) -> None:
        race = race_of(HYBRID)
        race.tick(0.0)
        race.stream_opened(0.0)
        race.tick(0.0)
        race.saw(0.5, Channel.POLLING, ready())
        assert race.verdict == delivered(Channel.POLLING, 0.5, 0)


class TestResolution:
    def test_a_file_id_from_the_stream_is_resolved_and_sse_has_won(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, Unresolved("f"))
        assert race.wake_at_s == 3.0
        assert race.tick(3.0) == [Resolve("f", 1)]
        race.saw(3.5, Channel.SSE, ready())
        assert race.verdict == delivered(Channel.SSE, 3.5)

    def test_it_is_tried_again_after_a_back_off_and_not_for_ever(self) -> None:
        race = opened(Policy(name="stream-only", max_attempts=0, check_on_open=False))
        race.saw(0.0, Channel.SSE, Unresolved("f"))
        tried: list[tuple[float, Instruction]] = []
        while race.wake_at_s < 75.0:
            now_s = race.wake_at_s
            tried += [(now_s, instruction) for instruction in race.tick(now_s)]
            race.resolve_missed(now_s, "f")
        waits = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5]
        assert tried == [(at_s, Resolve("f", number)) for number, at_s in enumerate(waits, 1)]
        assert len(tried) == MAX_RESOLVES

    def test_the_same_file_is_resolved_once_however_often_it_is_named(self) -> None:
        race = opened()
        for _ in range(3):
            race.saw(3.0, Channel.SSE, Unresolved("f"))
        assert race.tick(3.0) == [Resolve("f", 1)]
        race.saw(3.0, Channel.SSE, Unresolved("f"))
        assert race.tick(3.0) == []

    def test_many_files_are_bounded(self) -> None:
        race = opened()
        for number in range(100):
            race.saw(3.0, Channel.SSE, Unresolved(f"f{number}"))
        assert race.tick(3.0) == [Resolve(f"f{number}", 1) for number in range(MAX_RESOLVES)]

    def test_a_file_id_that_a_poll_could_not_resolve_is_left_to_the_next_poll(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, Unresolved("f"))
        assert race.tick(10.0) == []
        assert race.wake_at_s == 20.0

    def test_a_job_that_failed_can_show_there(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, Unresolved("f"))
        race.tick(3.0)
        race.saw(4.0, Channel.SSE, Failed("no"))
        assert race.verdict == Verdict(Outcome.PROVIDER_FAILED, Channel.SSE, 4.0, 0, None, Reason.TASK_ERROR, "no")


class TestTheEnd:
    @pytest.mark.parametrize("channel", [Channel.SSE, Channel.POLLING])
    def test_a_result_just_before_the_deadline_is_delivered(self, channel: Channel) -> None:
        race = opened()
        run_until(race, 60.0)
        race.saw(JUST_BEFORE_THE_END, channel, ready())
        assert race.verdict == delivered(channel, JUST_BEFORE_THE_END, 6)

    @pytest.mark.parametrize("channel", [Channel.SSE, Channel.POLLING])
    @pytest.mark.parametrize("at_s", [75.0, 76.0])
    def test_a_result_at_the_deadline_or_later_is_too_late(self, channel: Channel, at_s: float) -> None:
        race = opened()
        run_until(race, 60.0, Pending())
        race.saw(at_s, channel, ready())
        assert race.verdict == expired(75.0, 6, Reason.PENDING)

    def test_a_tick_that_comes_late_expires_the_race_at_its_deadline(self) -> None:
        race = opened()
        assert race.tick(76.0) == []
        assert race.verdict == expired(75.0, 0, Reason.NOT_POLLED)

    @pytest.mark.parametrize("channel", [Channel.SSE, Channel.POLLING])
    def test_an_end_that_was_slept_through_is_our_own_fault(self, channel: Channel) -> None:
        race = opened()
        run_until(race, 60.0, Pending())
        race.saw(76.5, channel, ready())
        assert race.verdict == expired(75.0, 6, Reason.MONITOR_DOWN)

    def test_a_result_told_in_time_stands_although_the_tick_comes_after_the_deadline(self) -> None:
        race = opened()
        race.saw(74.0, Channel.SSE, ready())
        assert race.tick(99.0) == []
        assert race.verdict == delivered(Channel.SSE, 74.0)

    def test_of_two_results_in_one_instant_the_first_told_wins(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.SSE, ready("by-stream"))
        race.saw(10.0, Channel.POLLING, ready("by-poll"))
        assert race.verdict == delivered(Channel.SSE, 10.0, 1, "by-stream")

    def test_and_the_other_way_round(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready("by-poll"))
        race.saw(10.0, Channel.SSE, ready("by-stream"))
        assert race.verdict == delivered(Channel.POLLING, 10.0, 1, "by-poll")

    def test_a_task_error_after_the_result_changes_nothing(self) -> None:
        race = opened()
        race.saw(4.0, Channel.SSE, ready())
        race.saw(4.0, Channel.SSE, Failed("too late"))
        assert race.verdict == delivered(Channel.SSE, 4.0)

    @pytest.mark.parametrize("channel", [Channel.SSE, Channel.POLLING])
    def test_a_job_that_failed_ends_the_race_in_the_providers_words(self, channel: Channel) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.5, channel, Failed("out of memory"))
        assert race.verdict == Verdict(
            Outcome.PROVIDER_FAILED, channel, 10.5, 1, None, Reason.TASK_ERROR, "out of memory"
        )

    def test_pending_on_the_stream_changes_nothing(self) -> None:
        race = opened()
        race.saw(4.0, Channel.SSE, Pending())
        assert race.verdict is None
        assert race.wake_at_s == 10.0

    def test_the_caller_may_cancel(self) -> None:
        race = opened()
        race.cancel(4.0)
        assert race.verdict == Verdict(Outcome.CANCELLED, Channel.NONE, 4.0, 0, None, Reason.CALLER)
        assert race.tick(10.0) == []

    def test_a_cancellation_after_the_result_changes_nothing(self) -> None:
        race = opened()
        race.saw(4.0, Channel.SSE, ready())
        race.cancel(4.0)
        assert race.verdict == delivered(Channel.SSE, 4.0)

    @pytest.mark.parametrize("at_s", [75.0, 76.0])
    def test_a_cancellation_at_the_deadline_or_later_comes_too_late(self, at_s: float) -> None:
        race = opened()
        race.cancel(at_s)
        assert race.verdict == expired(75.0, 0, Reason.NOT_POLLED)

    def test_it_ends_early_when_nothing_can_bring_the_asset_any_more(self) -> None:
        race = opened()
        race.stream_ended(5.0, GONE)
        run_until(race, 60.0, Pending())
        assert race.wake_at_s == 75.0
        assert race.verdict is None
        race.tick(60.0)
        assert race.verdict == expired(60.0, 6, Reason.PENDING)

    def test_it_waits_for_a_poll_that_is_under_way(self) -> None:
        race = opened()
        race.stream_ended(5.0, GONE)
        run_until(race, 50.0, Pending())
        race.tick(60.0)
        race.tick(65.0)
        assert race.verdict is None
        race.poll_failed(66.0, error(ErrorKind.TIMEOUT))
        race.tick(66.0)
        assert race.verdict == expired(66.0, 6, Reason.TIMEOUT)

    def test_it_waits_for_a_resolution_that_goes_on(self) -> None:
        race = opened()
        race.saw(1.0, Channel.SSE, Unresolved("f"))
        race.tick(1.0)
        race.stream_ended(5.0, GONE)
        run_until(race, 10.0, UNAUTHORIZED)
        race.tick(11.0)
        assert race.verdict is None
        for now_s in range(12, 12 + 10 * MAX_RESOLVES, 10):
            race.resolve_missed(now_s, "f")
            race.tick(now_s)
            race.tick(race.wake_at_s)
        assert race.verdict == expired(62.0, 1, Reason.UNAUTHORIZED)

    def test_it_waits_for_a_check_on_open_that_was_put_off(self) -> None:
        race = opened(Policy(name="checks-only", max_attempts=0))
        race.stream_ended(0.0, None)
        race.tick(0.5)
        race.stream_opened(0.5)
        assert race.tick(0.5) == [Poll(0)]
        race.poll_failed(0.5, error(ErrorKind.RATE_LIMITED, retry_after_s=5.0))
        race.stream_ended(1.0, None)
        race.tick(2.0)
        race.stream_opened(2.0)
        race.stream_ended(2.0, GONE)
        assert run_until(race, 6.0) == [(5.5, Poll(0))]

    def test_it_does_not_wait_for_a_poll_that_would_come_after_the_window(self) -> None:
        race = opened()
        race.stream_ended(5.0, GONE)
        run_until(race, 10.0, error(ErrorKind.RATE_LIMITED, retry_after_s=70.0))
        race.tick(10.0)
        assert race.verdict == expired(10.0, 1, Reason.RATE_LIMITED)

    def test_it_does_not_wait_for_a_poll_that_would_come_as_the_window_ends(self) -> None:
        race = opened(Policy(name="twice", interval_s=65.0, early_fallback=False, check_on_open=False))
        race.stream_ended(5.0, GONE)
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, Pending())
        race.tick(10.0)
        assert race.verdict == expired(10.0, 1, Reason.PENDING)


class TestResumed:
    @pytest.mark.parametrize(
        ("resumed_at_s", "made", "next_at_s"),
        [
            (0.0, 0, 10.0),
            (9.0, 0, 10.0),
            (10.0, 0, 10.0),
            (math.nextafter(10.0, 99.0), 1, 20.0),
            (20.0, 1, 20.0),
            (25.0, 2, 30.0),
            (60.0, 5, 60.0),
        ],
    )
    def test_polls_that_were_due_before_count_as_made(self, resumed_at_s: float, made: int, next_at_s: float) -> None:
        race = race_of(resumed_at_s=resumed_at_s)
        due = race.tick(resumed_at_s)
        assert due[0] == OpenStream(1)
        assert race.attempts - len(due[1:]) == made
        assert due[1:] == ([Poll(made + 1)] if next_at_s == resumed_at_s else [])
        assert race.deadline_at_s == 75.0
        if not due[1:]:
            assert race.wake_at_s == next_at_s

    def test_no_more_polls_are_made_than_allowed(self) -> None:
        race = race_of(resumed_at_s=61.0)
        assert race.tick(61.0) == [OpenStream(1)]
        assert race.attempts == 6
        assert race.wake_at_s == 75.0

    def test_after_its_window_it_is_over_at_once(self) -> None:
        race = race_of(resumed_at_s=100.0)
        assert race.tick(100.0) == []
        assert race.verdict == expired(75.0, 6, Reason.MONITOR_DOWN)

    def test_a_start_before_the_loops_own_is_fine(self) -> None:
        race = race_of(started_at_s=-12.0, resumed_at_s=0.0)
        assert run_until(race, 8.0) == [(0.0, OpenStream(1)), (8.0, Poll(2))]
