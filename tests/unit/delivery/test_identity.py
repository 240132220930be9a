"""The ids of a generation and of its trace."""

import random
import re
import uuid

import pytest

from monitor.delivery.identity import (
    first_generation_id,
    new_generation_id,
    new_span_id,
    new_trace,
    parse_traceparent,
    traceparent,
)
from monitor.delivery.model import TraceContext

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
NOW_MS = 1_769_860_800_000


def test_a_generation_id_is_a_uuid_of_version_7_that_holds_its_instant() -> None:
    generation_id = new_generation_id(NOW_MS)
    parsed = uuid.UUID(generation_id)
    assert str(parsed) == generation_id
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == NOW_MS


def test_generation_ids_order_by_time() -> None:
    ids = [new_generation_id(NOW_MS + later_ms) for later_ms in range(100)]
    assert ids == sorted(ids)


def test_generation_ids_of_one_millisecond_differ() -> None:
    assert len({new_generation_id(NOW_MS) for _ in range(1_000)}) == 1_000


def test_the_first_id_of_an_instant_parts_what_came_before_from_what_came_then() -> None:
    for at_ms in (0, 1, 65_535, 65_536, 1_769_860_800_123):
        first = first_generation_id(at_ms)
        assert first < new_generation_id(at_ms) < first_generation_id(at_ms + 1)


def test_an_instant_too_large_for_its_48_bits_does_not_break_the_shape() -> None:
    assert uuid.UUID(new_generation_id(1 << 50)).version == 7


def test_a_span_id_is_eight_bytes_in_hex() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", new_span_id())


def test_a_span_id_is_never_all_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "getrandbits", lambda _: 0)
    assert new_span_id() == "0000000000000001"


def test_a_trace_of_our_own_has_no_parent() -> None:
    trace = new_trace()
    assert re.fullmatch(r"[0-9a-f]{32}", trace.trace_id)
    assert trace.parent_span_id is None
    assert not trace.sampled_by_caller


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_a_caller_gives_the_trace_and_the_parent(flags: str, sampled: bool) -> None:
    trace = new_trace(f" 00-{TRACE_ID}-{SPAN_ID}-{flags}\t")
    assert (trace.trace_id, trace.parent_span_id, trace.sampled_by_caller) == (TRACE_ID, SPAN_ID, sampled)
    assert trace.span_id != SPAN_ID


def test_a_later_version_may_have_more_to_say() -> None:
    assert parse_traceparent(f"01-{TRACE_ID}-{SPAN_ID}-01-more") == (TRACE_ID, SPAN_ID, True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-01-",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}a-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n00-{TRACE_ID}-{SPAN_ID}-01",
        "00-" + "\u0664" * 32 + f"-{SPAN_ID}-01",
    ],
)
def test_a_header_that_is_not_valid_is_as_good_as_none(header: str) -> None:
    assert parse_traceparent(header) is None
    assert new_trace(header).parent_span_id is None


def test_what_goes_to_the_provider_names_the_trace_and_the_call() -> None:
    header = traceparent(TraceContext(TRACE_ID, "1" * 16), SPAN_ID)
    assert header == f"00-{TRACE_ID}-{SPAN_ID}-01"
    assert parse_traceparent(header) == (TRACE_ID, SPAN_ID, True)
