"""The trace of a caller, from its headers to those of the provider."""

import re

import pytest

from monitor.delivery.model import TraceContext
from monitor.delivery.trace_context import (
    MAX_STATE_CHARS,
    joined_trace,
    new_trace,
    parse_traceparent,
    parse_tracestate,
    trace_headers,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
VALID = f"00-{TRACE_ID}-{SPAN_ID}-01"


def test_a_trace_of_our_own_has_no_parent() -> None:
    trace = new_trace()
    assert re.fullmatch(r"[0-9a-f]{32}", trace.trace_id)
    assert trace.parent_span_id is None
    assert not trace.sampled_by_caller


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_a_caller_gives_the_trace_and_the_parent(flags: str, sampled: bool) -> None:
    trace = joined_trace([f" 00-{TRACE_ID}-{SPAN_ID}-{flags}\t"], [])
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
    assert joined_trace([header], ["vendor=x"]).parent_span_id is None


def test_two_parents_are_none() -> None:
    trace = joined_trace([VALID, VALID], ["vendor=x"])
    assert (trace.parent_span_id, trace.state) == (None, "")


def test_the_state_goes_with_the_parent_and_never_without() -> None:
    assert joined_trace([VALID], ["vendor=x"]).state == "vendor=x"
    assert joined_trace([], ["vendor=x"]).state == ""


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        ([], ""),
        (["a=1,b=2"], "a=1,b=2"),
        (["a=1", "b=2"], "a=1,b=2"),
        (["\ta=1 , ,b=2,", ""], "a=1,b=2"),
        (["tenant@system=x y", "0a_-*/=!~"], "tenant@system=x y,0a_-*/=!~"),
        (["a=new,b=2,a=old"], "a=new,b=2"),
        ([",".join(f"k{number}=1" for number in range(32))], ",".join(f"k{number}=1" for number in range(32))),
    ],
)
def test_a_state_is_one_list_of_the_vendors_members(headers: list[str], state: str) -> None:
    assert parse_tracestate(headers) == state


@pytest.mark.parametrize(
    "malformed",
    [
        "a", "a=", "=1", "A=1", "a =1", "a= ", "a=1=2", "a=\u00e9", "a=1\x00", "-a=1",
        f"{'a' * 257}=1", f"a={'x' * 257}",
        ",".join(f"k{number}=1" for number in range(33)),
    ],
)  # fmt: skip
def test_one_malformed_member_makes_a_state_worthless(malformed: str) -> None:
    assert parse_tracestate(["fine=1", malformed]) == ""


def test_a_state_that_is_too_long_loses_its_long_members_first_and_then_its_oldest() -> None:
    long, short = f"long={'x' * 200}", [f"k{number}={'x' * 100}" for number in range(6)]
    kept = parse_tracestate([",".join([long, *short])])
    assert kept == ",".join(short[:4])
    assert len(kept) <= MAX_STATE_CHARS


def test_what_goes_to_the_provider_names_the_trace_and_the_call() -> None:
    headers = trace_headers(TraceContext(TRACE_ID, "1" * 16), SPAN_ID)
    assert headers == {"traceparent": VALID}
    assert parse_traceparent(headers["traceparent"]) == (TRACE_ID, SPAN_ID, True)


def test_the_callers_state_goes_to_the_provider_as_it_came() -> None:
    headers = trace_headers(TraceContext(TRACE_ID, "1" * 16, state="vendor=x"), SPAN_ID)
    assert headers == {"traceparent": VALID, "tracestate": "vendor=x"}
