"""What the metrics say of generations, that they exist before anything happened, and that they stay few."""

from collections.abc import Iterable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from monitor.delivery.facts import (
    Accepted,
    CallResult,
    CreateEnded,
    Disconnect,
    Disowned,
    Ended,
    EventType,
    Fact,
    PollEnded,
    PollingStarted,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import Channel, ErrorKind, Generation, Origin, Outcome, Reason
from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from monitor.telemetry.exposition import render
from monitor.telemetry.metrics import MetricsObserver
from monitor.telemetry.series import outcome_labels
from tests.unit.telemetry.facts_of import (
    GENERATION,
    PROVIDER,
    delivered_by_polling,
    delivered_by_sse,
    like,
    poll,
    span_id,
    verdict,
)

MAX_SAMPLES = 3_000
API = {"provider": "superduperai", "model": "comfyui/flux", "origin": "api"}


class Watched:
    """An observer with the registry that it counts in."""

    def __init__(self, *providers: ProviderSettings) -> None:
        self.registry = CollectorRegistry()
        self.observe = MetricsObserver(self.registry, providers or (PROVIDER,))

    def tell(self, facts: Iterable[Fact], generation: Generation = GENERATION) -> None:
        for fact in facts:
            self.observe(generation, fact)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def in_flight(self) -> dict[str, float | None]:
        return {
            phase.value: self.value("generation_in_flight", provider="superduperai", phase=phase)
            for phase in catalog.Phase
        }


def test_a_delivery_by_sse_is_counted_once_with_its_duration() -> None:
    watched = Watched()
    watched.tell(delivered_by_sse())
    assert watched.value("generation_requests_total", **API) == 1
    labels = {**API, "outcome": "delivered", "channel": "sse", "reason": ""}
    assert watched.value("generation_outcomes_total", **labels) == 1
    assert watched.value("generation_delivery_duration_seconds_sum", **API, channel="sse") == 3.0
    assert watched.value("generation_delivery_duration_seconds_bucket", **API, channel="sse", le="3.0") == 1
    assert watched.value("generation_delivery_duration_seconds_bucket", **API, channel="sse", le="2.0") == 0
    assert watched.value("generation_poll_attempts_bucket", **API, channel="sse", le="0.0") == 1
    assert watched.value("generation_sse_connections_total", provider="superduperai", result="opened") == 1
    assert watched.value("generation_sse_disconnects_total", provider="superduperai", reason="done") == 1
    assert watched.value("generation_sse_events_total", provider="superduperai", type="progress") == 1
    assert watched.value("generation_sse_first_event_seconds_sum", provider="superduperai") == 0.4


def test_a_delivery_by_polling_tells_what_the_interval_may_have_cost() -> None:
    watched = Watched()
    watched.tell(delivered_by_polling())
    gap = {"provider": "superduperai", "schedule": "fixed"}
    assert watched.value("generation_detection_gap_seconds_sum", **gap) == pytest.approx(10.0)
    assert watched.value("generation_poll_attempts_sum", **API, channel="polling") == 2
    assert watched.value("generation_polls_total", provider="superduperai", result="pending") == 1
    assert watched.value("generation_polls_total", provider="superduperai", result="ready") == 1
    assert watched.value("generation_sse_connections_total", provider="superduperai", result="unauthorized") == 1


def test_a_poll_that_was_ready_when_sse_had_already_won_tells_no_gap() -> None:
    watched = Watched()
    end = Ended(20.1, verdict(Outcome.DELIVERED, 20.1, Channel.SSE, attempts=2), 0.0)
    watched.tell([Accepted(0.0), Submitted(0.0, 10.0), poll(1, 10.2, CallResult.PENDING)])
    watched.tell([poll(2, 20.2, CallResult.READY), end])
    assert watched.value("generation_detection_gap_seconds_count", provider="superduperai", schedule="fixed") == 0


@pytest.mark.parametrize(
    ("fact", "operation", "code"),
    [
        (CreateEnded(1.0, 0.0, span_id(1), 200, None), "create", "200"),
        (CreateEnded(1.0, 0.0, span_id(1), None, None, cancelled=True), "create", "cancelled"),
        (CreateEnded(1.0, 0.0, span_id(1), None, ErrorKind.TIMEOUT), "create", "timeout"),
        (CreateEnded(1.0, 0.0, span_id(1), None, ErrorKind.UNAVAILABLE), "create", "error"),
        (CreateEnded(1.0, 0.0, span_id(1), 418, ErrorKind.REJECTED), "create", "other"),
        (StreamOpened(1.0, 0.0, 1, 200), "subscribe", "200"),
        (StreamEnded(1.0, 0.0, span_id(1), 1, StreamResult.NOT_FOUND, 404, None, None, None), "subscribe", "404"),
        (StreamEnded(1.0, 0.0, span_id(1), 1, StreamResult.REFUSED, None, None, None, None), "subscribe", "error"),
        (PollEnded(1.0, 0.0, span_id(1), 1, CallResult.TIMEOUT, None, None), "poll", "timeout"),
        (ResolveEnded(1.0, 0.0, span_id(1), Channel.SSE, 1, CallResult.READY, 200, None), "resolve", "200"),
    ],
)
def test_each_call_is_measured_under_its_status_or_what_went_wrong(fact: Fact, operation: str, code: str) -> None:
    watched = Watched()
    watched.tell([fact])
    labels = {"provider": "superduperai", "operation": operation, "code": code}
    assert watched.value("generation_provider_request_duration_seconds_sum", **labels) == 1.0


def test_a_stream_that_stood_is_not_measured_again_when_it_ends() -> None:
    watched = Watched()
    opened = StreamOpened(1.0, 0.0, 1, 200)
    watched.tell([opened, StreamEnded(9.0, 0.0, span_id(1), 1, StreamResult.OPENED, 200, Disconnect.EOF, None, 1.0)])
    assert watched.value("generation_sse_connections_total", provider="superduperai", result="opened") == 1
    labels = {"provider": "superduperai", "operation": "subscribe", "code": "200"}
    assert watched.value("generation_provider_request_duration_seconds_count", **labels) == 1


def test_a_generation_is_in_one_phase_at_a_time() -> None:
    watched = Watched()
    told: list[tuple[Fact, str | None]] = [
        (Accepted(0.0), "submitting"),
        (Submitted(1.0, 10.0), "streaming"),
        (PollingStarted(11.0, False), "polling"),
        (Ended(12.0, verdict(Outcome.DELIVERED, 12.0, Channel.POLLING), 1.0), None),
    ]
    for fact, phase in told:
        watched.tell([fact])
        assert watched.in_flight() == {name.value: float(name == phase) for name in catalog.Phase}


@pytest.mark.parametrize(("submitted_at_s", "phase"), [(None, "submitting"), (-30.0, "streaming")])
def test_what_is_taken_up_again_is_in_flight_but_not_accepted_twice(submitted_at_s: float | None, phase: str) -> None:
    watched = Watched()
    watched.tell([Resumed(5.0, submitted_at_s)])
    assert watched.in_flight()[phase] == 1
    assert watched.value("generation_requests_total", **API) == 0


def test_a_verdict_that_another_process_beat_counts_for_nothing() -> None:
    watched = Watched()
    watched.tell([*delivered_by_sse()[:-1], Disowned(104.0)])
    assert set(watched.in_flight().values()) == {0}
    assert watched.value("generation_delivery_duration_seconds_count", **API, channel="sse") == 0


def test_a_call_that_ends_after_its_generation_moves_no_gauge() -> None:
    watched = Watched()
    watched.tell([*delivered_by_sse(), poll(1, 110.0, CallResult.PENDING), PollingStarted(110.5, False)])
    assert set(watched.in_flight().values()) == {0}


def test_models_that_are_not_configured_are_not_told_apart() -> None:
    watched = Watched()
    for number in range(50):
        watched.tell([Accepted(0.0)], like(id=str(number), model=f"invented-{number}"))
    assert watched.value("generation_requests_total", **{**API, "model": "other"}) == 50


def test_a_rejected_generation_has_an_outcome_but_neither_duration_nor_attempts() -> None:
    watched = Watched()
    end = Ended(1.0, verdict(Outcome.REJECTED, 1.0, reason=Reason.UNAUTHORIZED), None)
    watched.tell([Accepted(0.0), end])
    labels = {**API, "outcome": "rejected", "channel": "none", "reason": "unauthorized"}
    assert watched.value("generation_outcomes_total", **labels) == 1
    assert watched.value("generation_poll_attempts_count", **API, channel="none") == 0


def test_every_series_that_an_alert_may_ask_for_exists_at_zero() -> None:
    watched = Watched()
    for origin in Origin:
        for model in ("comfyui/flux", "other"):
            who = {"provider": "superduperai", "model": model, "origin": origin.value}
            assert watched.value("generation_requests_total", **who) == 0
            for outcome, channel, reason in outcome_labels():
                labels = {**who, "outcome": outcome.value, "channel": channel.value, "reason": reason}
                assert watched.value("generation_outcomes_total", **labels) == 0
    named: list[tuple[str, str, Sequence[str]]] = [
        ("generation_polls_total", "result", list(CallResult)),
        ("generation_sse_connections_total", "result", list(StreamResult)),
        ("generation_sse_disconnects_total", "reason", list(Disconnect)),
        ("generation_sse_events_total", "type", list(EventType)),
        ("generation_in_flight", "phase", list(catalog.Phase)),
    ]
    for name, label, values in named:
        for value in values:
            assert watched.value(name, **{"provider": "superduperai", label: value}) == 0
    assert watched.value("generation_slo_objective_ratio", provider="superduperai") == 0.99


def test_at_full_spread_a_scrape_has_at_most_3000_samples() -> None:
    models = tuple(f"model/{number}" for number in range(5))
    watched = Watched(ProviderSettings(name="superduperai", base_url="http://x.test", models=models))
    for fact in _calls_of_every_kind():
        watched.tell([fact])
    for model in (*models, "unknown"):
        for origin in Origin:
            for outcome, channel, reason in outcome_labels():
                end = verdict(outcome, 60.0, channel, Reason(reason) if reason else None)
                told: list[Fact] = [Accepted(0.0), Submitted(0.0, 10.0), poll(1, 10.0, CallResult.PENDING)]
                told.append(Ended(60.0, end, 0.0))
                watched.tell(told, like(origin=origin, model=model))
    body, _ = render(watched.registry, "")
    samples = [line for line in body.splitlines() if not line.startswith(b"#")]
    assert 2_000 < len(samples) <= MAX_SAMPLES - 150, "room for what is yet to come"


def _calls_of_every_kind() -> Iterable[Fact]:
    for status in range(100, 600):
        yield CreateEnded(1.0, 0.0, span_id(1), status, None)
        yield StreamOpened(1.0, 0.0, 1, status)
        yield poll(1, 1.0, CallResult.READY, status)
        yield ResolveEnded(1.0, 0.0, span_id(1), Channel.SSE, 1, CallResult.READY, status, None)
    for kind in ErrorKind:
        yield CreateEnded(1.0, 0.0, span_id(1), None, kind)
    yield CreateEnded(1.0, 0.0, span_id(1), None, None, cancelled=True)
    for stream in StreamResult:
        yield StreamEnded(1.0, 0.0, span_id(1), 1, stream, None, None, None, None)
    for result in CallResult:
        yield poll(1, 1.0, result, None)
        yield ResolveEnded(1.0, 0.0, span_id(1), Channel.SSE, 1, result, None, None)
