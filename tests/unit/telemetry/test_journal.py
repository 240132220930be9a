"""What is kept of a generation: everything that matters, bounded whatever a provider sends."""

import pytest

from monitor.delivery.facts import (
    Accepted,
    CallResult,
    Disconnect,
    Ended,
    EventSeen,
    EventType,
    PollStarted,
    StreamEnded,
    StreamResult,
)
from monitor.delivery.model import Channel, Outcome
from monitor.telemetry.journal import MAX_FACTS, Journal
from tests.unit.telemetry.facts_of import (
    delivered_by_sse,
    found_out_after_sse_won,
    looks_again,
    poll,
    span_id,
    verdict,
)

END = Ended(9.0, verdict(Outcome.DELIVERED, 9.0, Channel.SSE), 0.0)


def _progress(ratio: float | None) -> EventSeen:
    return EventSeen(1.0, EventType.PROGRESS, ratio)


def test_facts_are_kept_in_order() -> None:
    journal, told = Journal(), delivered_by_sse()
    for fact in told:
        journal.append(fact)
    assert journal.facts == [fact for fact in told if not isinstance(fact, Accepted)]


def test_what_only_begins_is_not_kept() -> None:
    journal = Journal()
    assert not journal.append(PollStarted(1.0, 1, 6))
    assert not journal.append(Accepted(0.0))
    assert journal.dropped == 0


def test_progress_is_kept_each_ten_percent() -> None:
    journal = Journal()
    kept = [number for number in range(101) if journal.append(_progress(number / 100))]
    assert kept == list(range(0, 101, 10))


@pytest.mark.parametrize("ratio", [float("nan"), float("inf"), -1.0, 1e300, None])
def test_progress_that_makes_no_sense_is_kept_once(ratio: float | None) -> None:
    journal = Journal()
    assert [journal.append(_progress(ratio)) for _ in range(3)] == [True, False, False]


def test_progress_that_goes_to_and_fro_is_no_news() -> None:
    journal = Journal()
    assert [journal.append(_progress(ratio)) for ratio in (0.5, 0.1, 0.5, 0.2, 0.6)] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_of_mere_signs_of_life_the_first_is_kept() -> None:
    journal = Journal()
    types = [EventType.HEARTBEAT, EventType.FOREIGN, EventType.HEARTBEAT]
    assert [journal.append(EventSeen(1.0, type_)) for type_ in types] == [True, False, False]


def test_a_flood_of_events_leaves_room_for_polls_and_the_end() -> None:
    journal = Journal()
    for _ in range(10_000):
        journal.append(EventSeen(1.0, EventType.MALFORMED, detail="x"))
    polls = [poll(number, 2.0, CallResult.PENDING) for number in range(1, 101)]
    assert all(journal.append(fact) for fact in polls)
    assert journal.append(END)
    assert journal.facts[-101:] == [*polls, END]
    assert len(journal.facts) < MAX_FACTS
    assert journal.dropped == 10_000 - (len(journal.facts) - 101)


def test_however_much_happens_the_last_calls_and_the_end_find_room() -> None:
    journal = Journal()
    for number in range(1_000):
        journal.append(poll(number, 2.0, CallResult.PENDING))
        journal.append(StreamEnded(3.0, 2.0, span_id(1), number, StreamResult.OPENED, 200, Disconnect.EOF, None, 1.0))
    assert journal.append(END)
    assert len(journal.facts) == MAX_FACTS
    assert journal.facts[-1] is END
    assert journal.dropped == 2_000 - (MAX_FACTS - 1)


def test_what_is_found_out_later_finds_room_in_a_journal_that_is_full() -> None:
    journal = Journal()
    for number in range(1_000):
        journal.append(poll(number, 2.0, CallResult.PENDING))
    journal.append(END)
    _, _, checked, measured = found_out_after_sse_won()
    started, first_look, _, reconciled = looks_again()
    assert all(journal.append(fact) for fact in (checked, measured, started, reconciled))
    assert not journal.append(first_look), "looks are as many as they are, and dropped like polls"
    assert journal.facts[-5:] == [END, checked, measured, started, reconciled]


def test_looks_at_what_expired_are_kept_in_an_ordinary_journal() -> None:
    journal = Journal()
    assert all(journal.append(fact) for fact in looks_again())
