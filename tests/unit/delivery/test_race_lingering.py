"""What a race that lingers decides after its verdict: only the loser goes on, and both channels are measured."""

import math

import pytest

from monitor.delivery.errors import ChannelError
from monitor.delivery.instructions import Instruction, OpenStream, Poll, Resolve
from monitor.delivery.model import Channel, ChannelResult, ErrorKind, Failed, Measurement, Pending, Stage, Unresolved
from monitor.delivery.policy import FIXED, Policy
from monitor.delivery.race import MAX_LINGER_S, Race
from monitor.testing.scripted_provider import ready

CONFIRMED, FAILED, MISSED, UNUSED, WON = (
    ChannelResult.CONFIRMED,
    ChannelResult.FAILED,
    ChannelResult.MISSED,
    ChannelResult.UNUSED,
    ChannelResult.WON,
)
HYBRID = Policy(name="hybrid")
LONG = Policy(name="long", max_attempts=100, window_s=200.0)
TROUBLE = ChannelError(ErrorKind.UNAVAILABLE, Stage.POLL, "no")
GONE = ChannelError(ErrorKind.NOT_FOUND, Stage.SUBSCRIBE, "no", retryable=False)


def opened(policy: Policy = FIXED) -> Race:
    """A race that lingers, whose stream stands from the first instant; a check on open is answered with 'pending'."""
    race = Race(policy, 0.0, lingers=True, jitter=lambda: 1.0)
    race.tick(0.0)
    race.stream_opened(0.0)
    if race.tick(0.0):
        race.saw(0.0, Channel.POLLING, Pending())
    return race


def run(race: Race, poll: ChannelError | None = None) -> list[tuple[float, Instruction]]:
    """Tick whenever the race wants to, until it is finished. Polls are answered with 'pending', or fail."""
    told: list[tuple[float, Instruction]] = []
    while not race.is_finished:
        now_s = race.wake_at_s
        for instruction in race.tick(now_s):
            told.append((now_s, instruction))
            if not isinstance(instruction, Poll):
                continue
            if poll is None:
                race.saw(now_s, Channel.POLLING, Pending())
            else:
                race.poll_failed(now_s, poll)
    return told


class TestAfterTheStreamHasWon:
    def test_polls_go_on_until_one_confirms(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, ready())
        assert race.lingering is Channel.POLLING
        assert race.tick(10.0) == [Poll(1)]
        race.saw(10.5, Channel.POLLING, ready())
        assert race.is_finished
        assert race.measurement == Measurement(WON, CONFIRMED, 7.5)

    def test_a_stream_that_ends_is_not_opened_again(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, ready())
        race.stream_ended(3.0, None)
        assert race.stream_due_at_s is None
        assert race.wake_at_s == 10.0

    def test_a_stream_that_was_closed_when_its_resolution_won_is_not_opened_again(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, Unresolved("f"))
        race.tick(3.0)
        race.stream_ended(3.0, None)
        race.saw(3.1, Channel.SSE, ready())
        assert race.wake_at_s == 10.0

    def test_other_files_are_not_resolved_any_more(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, Unresolved("f"))
        race.saw(3.0, Channel.SSE, ready())
        race.resolve_missed(3.5, "f")
        assert race.wake_at_s == 10.0

    def test_the_stream_that_says_it_again_confirms_nothing(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, ready())
        race.saw(4.0, Channel.SSE, ready())
        assert race.lingering is Channel.POLLING

    def test_a_job_that_failed_for_the_polls_is_a_miss_without_lag(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, ready())
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, Failed("no"))
        assert race.measurement == Measurement(WON, MISSED)

    @pytest.mark.parametrize(("poll", "result"), [(None, MISSED), (TROUBLE, FAILED)])
    def test_polls_that_never_show_it_end_with_the_last_of_them(
        self, poll: ChannelError | None, result: ChannelResult
    ) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, ready())
        assert run(race, poll) == [(10.0 * attempt, Poll(attempt)) for attempt in range(1, 7)]
        assert race.measurement == Measurement(WON, result)

    def test_it_is_over_with_the_answer_of_the_last_poll(self) -> None:
        race = opened(Policy(name="once", max_attempts=1, check_on_open=False))
        race.saw(3.0, Channel.SSE, ready())
        race.tick(10.0)
        race.saw(11.0, Channel.POLLING, Pending())
        assert race.tick(11.0) == []
        assert race.is_finished

    def test_polls_that_there_was_no_time_for_have_not_failed(self) -> None:
        race = opened(Policy(name="patient", grace_s=100.0, window_s=200.0, check_on_open=False))
        race.saw(3.0, Channel.SSE, ready())
        assert race.tick(3.0) == []
        assert race.is_finished  # at once: the first poll would come after all lingering
        assert race.measurement == Measurement(WON, MISSED)

    def test_polls_that_are_not_allowed_are_not_measured(self) -> None:
        race = opened(Policy(name="stream only", max_attempts=0, check_on_open=False))
        race.saw(3.0, Channel.SSE, ready())
        assert run(race) == []
        assert race.measurement == Measurement(WON, UNUSED)


class TestAfterPollingHasWon:
    def test_the_stream_may_confirm(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        assert (race.lingering, race.tick(20.0)) == (Channel.SSE, [])
        race.saw(25.0, Channel.SSE, ready())
        assert race.measurement == Measurement(CONFIRMED, WON, 15.0)

    def test_the_stream_is_opened_again_without_another_check(self) -> None:
        race = opened(HYBRID)
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        race.stream_ended(12.0, None)
        assert race.tick(12.5) == [OpenStream(2)]
        race.stream_opened(12.5)
        assert run(race) == []

    def test_a_check_that_waits_is_not_made_any_more(self) -> None:
        race = Race(HYBRID, 0.0, lingers=True)
        race.tick(0.0)
        race.tick(10.0)
        race.stream_opened(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        assert race.tick(10.0) == []

    def test_a_file_that_the_stream_names_is_resolved_and_confirms(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        race.saw(12.0, Channel.SSE, Unresolved("f"))
        assert race.tick(12.0) == [Resolve("f", 1)]
        race.saw(12.5, Channel.SSE, ready())
        assert race.measurement == Measurement(CONFIRMED, WON, 2.5)

    def test_nothing_is_waited_for_when_the_stream_is_dead(self) -> None:
        race = opened()
        race.stream_ended(1.0, GONE)
        race.tick(10.0)
        race.tick(20.0)  # while the first poll hangs
        race.saw(20.0, Channel.POLLING, ready())
        assert race.tick(20.0) == []
        assert race.measurement == Measurement(FAILED, WON)

    def test_a_stream_that_is_not_there_at_the_end_has_failed(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        race.stream_ended(69.9, None)
        race.tick(70.0)
        assert race.measurement == Measurement(FAILED, WON)


class TestHowLong:
    def test_no_longer_than_is_waited_for_a_loser(self) -> None:
        race = opened(LONG)
        race.saw(3.0, Channel.SSE, ready())
        assert [at_s for at_s, _ in run(race)] == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        assert race.deadline_at_s == 3.0 + MAX_LINGER_S == 63.0

    def test_never_beyond_the_window(self) -> None:
        race = opened()
        race.saw(50.0, Channel.SSE, ready())
        assert race.deadline_at_s == 75.0
        race.saw(math.nextafter(75.0, 0.0), Channel.POLLING, Pending())
        assert race.lingering is Channel.POLLING
        race.tick(75.0)
        assert race.is_finished

    @pytest.mark.parametrize("at_s", [70.0, 71.0])
    def test_what_comes_at_its_end_or_later_confirms_nothing(self, at_s: float) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        race.saw(at_s, Channel.SSE, ready())
        assert (race.is_finished, race.measurement) == (True, Measurement(MISSED, WON))

    def test_an_end_that_was_slept_through_measures_nobody(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(10.0, Channel.POLLING, ready())
        race.saw(71.5, Channel.SSE, ready())
        assert (race.is_finished, race.measurement) == (True, None)

    def test_a_cancellation_changes_nothing(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, ready())
        race.cancel(4.0)
        assert race.lingering is Channel.POLLING


class TestOfAnExpiry:
    def test_channels_that_worked_and_told_nothing_have_missed(self) -> None:
        race = opened()
        run(race)
        assert race.measurement == Measurement(MISSED, MISSED)

    def test_a_stream_that_waits_to_be_opened_again_has_failed(self) -> None:
        race = opened()
        race.stream_ended(74.9, None)
        run(race)
        assert race.measurement == Measurement(FAILED, MISSED)

    def test_what_comes_after_the_window_is_no_failure_although_the_tick_is_late(self) -> None:
        race = opened()
        race.tick(10.0)
        race.saw(11.0, Channel.POLLING, Pending())
        race.stream_ended(75.0, GONE)
        race.poll_failed(75.0, TROUBLE)
        race.tick(75.1)
        assert race.measurement == Measurement(MISSED, MISSED)

    def test_a_window_whose_end_was_slept_through_measures_nobody(self) -> None:
        race = opened()
        race.tick(76.5)
        assert (race.is_finished, race.measurement) == (True, None)

    def test_a_stream_that_is_being_opened_has_failed(self) -> None:
        race = opened()
        race.stream_ended(70.0, None)
        run(race, TROUBLE)
        assert race.measurement == Measurement(FAILED, FAILED)

    def test_a_job_that_failed_measures_nobody(self) -> None:
        race = opened()
        race.saw(3.0, Channel.SSE, Failed("no"))
        assert (race.is_finished, race.measurement) == (True, None)
