"""Which traces are kept, and the spans that are made of a generation's facts."""

from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from monitor.delivery.facts import (
    AssetChecked,
    CallResult,
    CreateEnded,
    Disconnect,
    Ended,
    EventSeen,
    EventType,
    Fact,
    PollEnded,
    ResolveEnded,
    StreamEnded,
    StreamResult,
)
from monitor.delivery.model import AssetResult, Channel, ErrorKind, Origin, Outcome, Reason, TraceContext
from monitor.providers.superduper import url_template
from monitor.settings import TracingSettings
from monitor.telemetry.http_attributes import HttpCalls
from monitor.telemetry.spans import SCHEMA_URL, build_resource, build_spans
from monitor.telemetry.tracing import NoTraces, build_trace_sink, is_worth_keeping
from tests.unit.telemetry.facts_of import (
    GENERATION,
    PROVIDER,
    delivered_by_polling,
    delivered_by_sse,
    found_out_after_sse_won,
    like,
    looks_again,
    poll,
    span_id,
    verdict,
)

EPOCH = datetime(2026, 1, 31, 12, tzinfo=UTC)
NEVER_SAMPLED = TraceContext("f" * 32, "b" * 16)
RARELY = TracingSettings(sample_ratio=0.1, slow=30.0)


def _wall(at_s: float) -> datetime:
    return EPOCH + timedelta(seconds=at_s - 100.0)


def _spans(facts: list[Fact], trace: TraceContext = GENERATION.trace) -> list[ReadableSpan]:
    return build_spans(like(trace=trace), facts, _wall, 100.0, build_resource(), HttpCalls((PROVIDER,), url_template))


def _attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def _named(spans: list[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def _id(span: ReadableSpan) -> str:
    assert span.context is not None
    return format(span.context.span_id, "016x")


def _parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else format(span.parent.span_id, "016x")


def _seconds(span: ReadableSpan) -> tuple[float, float]:
    assert span.start_time is not None
    assert span.end_time is not None
    began = EPOCH.timestamp()
    return round(span.start_time / 1e9 - began, 3), round(span.end_time / 1e9 - began, 3)


def test_spans_have_the_ids_that_went_to_the_provider() -> None:
    spans = _spans(delivered_by_polling())
    assert {span.name: _id(span) for span in spans if span.name != "poll"} == {
        "create": span_id(1),
        "stream": span_id(2),
        "resolve": span_id(3),
        "generation": "b" * 16,
    }
    assert [_id(span) for span in _named(spans, "poll")] == [span_id(101), span_id(102)]
    assert {format(span.context.trace_id, "032x") for span in spans if span.context} == {"a" * 32}


def test_the_root_spans_accept_to_end_and_says_how_it_went() -> None:
    (root,) = _named(_spans(delivered_by_polling()), "generation")
    assert _seconds(root) == (0.0, 20.7)
    assert root.attributes is not None
    assert dict(root.attributes) == {
        "generation.id": GENERATION.id,
        "generation.origin": "api",
        "generation.provider": "superduperai",
        "generation.model": "comfyui/flux",
        "generation.policy": "fixed",
        "generation.outcome": "delivered",
        "generation.channel": "polling",
        "generation.attempts": 2,
        "generation.reason": "",
    }
    assert root.status.status_code is StatusCode.UNSET
    assert [event.name for event in root.events] == ["fallback scheduled", "polling started"]
    assert _parent(root) is None


def test_the_root_of_a_canarys_says_whose_run_it_was() -> None:
    end = Ended(175.5, verdict(Outcome.EXPIRED, 175.5, reason=Reason.PENDING), 100.5)
    canaries = like(origin=Origin.CANARY, canary="fox")
    (root,) = build_spans(canaries, [end], _wall, 100.0, build_resource())
    attributes = _attributes(root)
    assert (attributes["generation.origin"], attributes["generation.canary"]) == ("canary", "fox")
    (other,) = _spans([end])
    assert "generation.canary" not in _attributes(other)


def test_the_callers_span_is_a_remote_parent() -> None:
    trace = TraceContext("a" * 32, "b" * 16, parent_span_id="c" * 16, sampled_by_caller=True)
    spans = _spans(delivered_by_sse(), trace)
    (root,) = _named(spans, "generation")
    assert root.parent is not None
    assert (_parent(root), root.parent.is_remote) == ("c" * 16, True)
    assert {_parent(span) for span in spans if span is not root} == {"b" * 16}
    assert all(span.parent is not None and not span.parent.is_remote for span in spans if span is not root)


def test_events_of_a_stream_are_events_of_its_span() -> None:
    (stream,) = _named(_spans(delivered_by_sse()), "stream")
    assert stream.kind is SpanKind.CLIENT
    assert [(event.name, round(event.timestamp / 1e9 - EPOCH.timestamp(), 3)) for event in stream.events] == [
        ("sse.heartbeat", 1.0),
        ("sse.progress", 2.0),
        ("sse.result", 3.5),
    ]
    assert _seconds(stream) == (0.5, 3.6)


def test_each_connection_has_a_span_with_its_own_events() -> None:
    facts: list[Fact] = [
        EventSeen(101.0, EventType.HEARTBEAT),
        StreamEnded(102.0, 100.0, span_id(1), 1, StreamResult.OPENED, 200, Disconnect.ERROR, "reset", 0.5),
        EventSeen(103.0, EventType.RESULT),
        StreamEnded(104.0, 102.5, span_id(2), 2, StreamResult.OPENED, 200, Disconnect.DONE, None, None),
    ]
    broken, good = _spans(facts)
    assert [[event.name for event in span.events] for span in (broken, good)] == [["sse.heartbeat"], ["sse.result"]]
    assert (broken.status.status_code, broken.status.description) == (StatusCode.ERROR, "reset")
    assert good.status.status_code is StatusCode.UNSET


def test_a_resolution_hangs_below_the_poll_that_it_is_part_of() -> None:
    def check(number: int, at_s: float) -> list[Fact]:
        """A check on open; each is attempt 0."""
        asked = ResolveEnded(at_s, at_s - 0.1, span_id(10 + number), Channel.POLLING, 0, CallResult.PENDING, 200, None)
        return [asked, PollEnded(at_s, at_s - 0.2, span_id(number), 0, CallResult.PENDING, 200, None)]

    spans = _spans([*check(1, 101.0), *check(2, 105.0)])
    assert {_id(span): _parent(span) for span in _named(spans, "resolve")} == {
        span_id(11): span_id(1),
        span_id(12): span_id(2),
    }


def test_a_resolution_for_sse_hangs_below_the_stream_that_brought_the_file_id() -> None:
    def stream(number: int, began_at_s: float, at_s: float) -> StreamEnded:
        return StreamEnded(
            at_s, began_at_s, span_id(number), number, StreamResult.OPENED, 200, Disconnect.EOF, None, None
        )

    asked = ResolveEnded(105.0, 104.0, span_id(9), Channel.SSE, 1, CallResult.READY, 200, None)
    early = ResolveEnded(99.0, 98.0, span_id(8), Channel.SSE, 1, CallResult.READY, 200, None)
    spans = _spans([early, stream(1, 100.0, 102.0), asked, stream(2, 103.0, 106.0), stream(3, 107.0, 108.0)])
    assert {_id(span): _parent(span) for span in _named(spans, "resolve")} == {
        span_id(9): span_id(2),
        span_id(8): "b" * 16,
    }


@pytest.mark.parametrize(
    ("fact", "problem"),
    [
        (CreateEnded(1.0, 0.0, span_id(1), 503, ErrorKind.UNAVAILABLE), "unavailable"),
        (CreateEnded(1.0, 0.0, span_id(1), None, None, cancelled=True), None),
        (poll(1, 1.0, CallResult.PENDING), None),
        (poll(1, 1.0, CallResult.CANCELLED), None),
        (poll(1, 1.0, CallResult.TIMEOUT, None, "no answer in 10 s"), "no answer in 10 s"),
        (ResolveEnded(1.0, 0.0, span_id(1), Channel.SSE, 1, CallResult.CRASHED, None, None), "crashed"),
        (StreamEnded(1.0, 0.0, span_id(1), 1, StreamResult.REFUSED, None, None, None, None), "refused"),
        (StreamEnded(1.0, 0.0, span_id(1), 1, StreamResult.CANCELLED, None, None, None, None), None),
        (StreamEnded(1.0, 0.0, span_id(1), 1, StreamResult.OPENED, 200, Disconnect.EOF, None, None), None),
        (Ended(1.0, verdict(Outcome.EXPIRED, 1.0, reason=Reason.PENDING), 0.0), "expired: pending"),
        (Ended(1.0, verdict(Outcome.CANCELLED, 1.0, reason=Reason.CALLER), 0.0), None),
        (Ended(1.0, verdict(Outcome.CANCELLED, 1.0, reason=Reason.CRASHED), 0.0), "cancelled: crashed"),
    ],
)
def test_what_failed_has_status_error_with_the_reason(fact: Fact, problem: str | None) -> None:
    (span,) = _spans([fact])
    assert span.status.is_ok == (problem is None)
    assert span.status.description == problem


def test_a_call_is_told_by_the_conventions_for_http_clients() -> None:
    (span,) = _spans([poll(3, 1.0, CallResult.UNAVAILABLE, 502)])
    assert span.kind is SpanKind.CLIENT
    assert _attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 502,
        "server.address": "provider.test",
        "server.port": 80,
        "url.template": "/api/v1/file/{file_id}",
        "url.full": "http://provider.test/api/v1/file/REDACTED",
        "error.type": "unavailable",
        "generation.attempt": 3,
        "generation.poll.result": "unavailable",
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == SCHEMA_URL


def test_the_type_of_an_error_is_from_a_closed_set_whatever_words_came_with_it() -> None:
    (span,) = _spans([poll(1, 1.0, CallResult.MALFORMED, 200, "not JSON: line 1")])
    assert _attributes(span)["error.type"] == "malformed"
    assert span.status.description == "not JSON: line 1"
    for fine in (CallResult.READY, CallResult.PENDING, CallResult.CANCELLED):
        (span,) = _spans([poll(1, 1.0, fine)])
        assert "error.type" not in _attributes(span)


def test_a_create_that_is_sent_again_says_which_time_it_is_and_how_long_was_waited() -> None:
    facts: list[Fact] = [
        CreateEnded(1.0, 0.0, span_id(1), 503, ErrorKind.UNAVAILABLE, retry_in_s=1.5),
        CreateEnded(3.0, 2.5, span_id(2), 200, None),
    ]
    first, second = map(_attributes, _spans(facts))
    assert first["http.request.method"] == second["http.request.method"] == "POST"
    assert (first["error.type"], first["generation.retry_in_s"]) == ("unavailable", 1.5)
    assert "http.request.resend_count" not in first
    assert second["http.request.resend_count"] == 1
    assert "error.type" not in second


def test_the_check_of_the_asset_is_a_child_of_the_root_that_tells_no_more_than_the_host() -> None:
    spans = _spans([*delivered_by_sse(), *found_out_after_sse_won()])
    (verify,) = _named(spans, "verify")
    assert (_id(verify), _parent(verify), _seconds(verify)) == (span_id(4), "b" * 16, (5.6, 5.9))
    assert _attributes(verify) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "cdn.test",
        "server.port": 443,
        "url.full": "https://cdn.test/REDACTED",
        "generation.verify.result": "ok",
    }
    assert verify.status.status_code is StatusCode.UNSET


def test_an_asset_that_is_none_is_an_error_of_its_check_alone() -> None:
    checked = AssetChecked(105.9, 105.6, span_id(4), AssetResult.WRONG_TYPE, 200, "said to be text/html")
    spans = _spans([*delivered_by_sse(), checked])
    (verify,), (root,) = _named(spans, "verify"), _named(spans, "generation")
    assert (_attributes(verify)["error.type"], verify.status.description) == ("wrong_type", "said to be text/html")
    assert root.status.status_code is StatusCode.UNSET


def test_what_lingered_is_told_and_how_both_channels_did() -> None:
    spans = _spans([*delivered_by_sse(), *found_out_after_sse_won()])
    (lingering,), (root,) = _named(spans, "poll"), _named(spans, "generation")
    assert _attributes(lingering)["generation.lingering"] is True
    assert [(event.name, dict(event.attributes or {})) for event in root.events] == [
        ("fallback scheduled", {"polling_in_s": 10.0}),
        ("channels measured", {"sse": "won", "polling": "confirmed"}),
    ]
    assert "generation.lingering" not in _attributes(_spans([poll(1, 1.0, CallResult.READY)])[0])


def test_looks_again_are_children_of_the_root_and_the_last_tells_how_late_it_was() -> None:
    first, last = _spans(looks_again())
    assert (first.name, last.name) == ("look again", "look again")
    assert (_id(first), _id(last)) == (span_id(11), span_id(12))
    assert _parent(first) == _parent(last) == "b" * 16
    assert (_attributes(last)["generation.look"], _attributes(last)["generation.poll.result"]) == (2, "ready")
    assert list(first.events) == []
    assert [(event.name, dict(event.attributes or {})) for event in last.events] == [
        ("reconciled", {"late": True, "late_s": 90.2})
    ]


def test_what_was_never_found_says_so_at_the_last_look() -> None:
    *_, last = _spans(looks_again(late_s=None))
    assert [(event.name, dict(event.attributes or {})) for event in last.events] == [("reconciled", {"late": False})]
    assert (_attributes(last)["error.type"], last.status.description) == ("unavailable", "come back later")


def test_nothing_that_is_secret_is_in_a_span() -> None:
    spans = _spans([*delivered_by_sse(), *found_out_after_sse_won()])
    assert "s3cret" not in "".join(span.to_json() for span in spans)


def _end(outcome: Outcome = Outcome.DELIVERED, duration_s: float = 3.0) -> Ended:
    return Ended(duration_s, verdict(outcome, duration_s, Channel.SSE), 0.0)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.DELIVERED])
def test_what_was_not_delivered_is_kept(outcome: Outcome) -> None:
    assert is_worth_keeping(like(trace=NEVER_SAMPLED), _end(outcome), RARELY)


def test_slow_canary_and_sampled_by_the_caller_are_kept_and_the_rest_is_not() -> None:
    ordinary = like(trace=NEVER_SAMPLED)
    assert not is_worth_keeping(ordinary, _end(), RARELY)
    assert is_worth_keeping(ordinary, _end(duration_s=30.0), RARELY)
    assert is_worth_keeping(like(trace=NEVER_SAMPLED, origin=Origin.CANARY), _end(), RARELY)
    sampled = TraceContext("f" * 32, "b" * 16, "c" * 16, sampled_by_caller=True)
    assert is_worth_keeping(like(trace=sampled), _end(), RARELY)


@pytest.mark.parametrize(("ratio", "kept"), [(0.0, 0), (0.25, 64), (1.0, 256)])
def test_the_share_is_taken_by_trace_id_so_that_every_service_takes_the_same(ratio: float, kept: int) -> None:
    settings = TracingSettings(sample_ratio=ratio)
    traces = [TraceContext("a" * 16 + f"{number:02x}" + "8" * 14, "b" * 16) for number in range(256)]
    assert sum(is_worth_keeping(like(trace=trace), _end(), settings) for trace in traces) == kept


async def test_without_an_endpoint_nothing_is_exported() -> None:
    traces = build_trace_sink(TracingSettings(), lambda result, number: pytest.fail("nothing to count"))
    traces.write(GENERATION, delivered_by_sse(), _wall, 100.0)
    await traces.close()
    assert isinstance(traces, NoTraces)
