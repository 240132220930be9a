"""What the metrics say of generations, and that they exist before anything happened."""

from collections.abc import Iterable, Sequence

import pytest
from prometheus_client import CollectorRegistry

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disconnect,
    Disowned,
    Ended,
    EventType,
    Fact,
    LookedAgain,
    PollEnded,
    PollingStarted,
    Reconciled,
    ReconcilingStarted,
    ResolveEnded,
    Resumed,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.model import (
    UNMEASURED,
    AssetResult,
    Channel,
    ChannelResult,
    ErrorKind,
    Generation,
    Measurement,
    Origin,
    Outcome,
    Reason,
)
from monitor.settings import ProviderSettings, TracingSettings
from monitor.telemetry import catalog
from monitor.telemetry.exemplars import Exemplars
from monitor.telemetry.metrics import MetricsObserver
from monitor.telemetry.series import outcome_labels
from tests.unit.telemetry.facts_of import (
    GENERATION,
    PROVIDER,
    delivered_by_polling,
    delivered_by_sse,
    expired,
    found_out_after_sse_won,
    like,
    looks_again,
    poll,
    span_id,
    verdict,
)

API = {"provider": "superduperai", "model": "comfyui/flux", "origin": "api"}


class Watched:
    """An observer with the registry that it counts in."""

    def __init__(self, *providers: ProviderSettings) -> None:
        self.registry = CollectorRegistry()
        self.observe = MetricsObserver(self.registry, providers or (PROVIDER,), Exemplars(TracingSettings()))

    def tell(self, facts: Iterable[Fact], generation: Generation = GENERATION) -> None:
        for fact in facts:
            self.observe(generation, fact)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def channel_result(self, channel: str, result: str) -> float | None:
        labels = {"provider": "superduperai", "model": "comfyui/flux", "channel": channel, "result": result}
        return self.value("generation_channel_results_total", **labels)

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
    assert watched.value("generation_delivery_duration_seconds_bucket", **API, channel="sse", le="5.0") == 1
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
        (CreateEnded(8.0, 7.0, span_id(1), 201, None), "create", "2xx"),
        (CreateEnded(8.0, 7.0, span_id(1), None, None, cancelled=True), "create", "cancelled"),
        (CreateEnded(8.0, 7.0, span_id(1), None, ErrorKind.TIMEOUT), "create", "timeout"),
        (CreateEnded(8.0, 7.0, span_id(1), None, ErrorKind.UNAVAILABLE), "create", "error"),
        (CreateEnded(8.0, 7.0, span_id(1), 418, ErrorKind.REJECTED), "create", "4xx"),
        (CreateEnded(8.0, 7.0, span_id(1), 307, ErrorKind.MALFORMED), "create", "other"),
        (CreateEnded(8.0, 7.0, span_id(1), 999, ErrorKind.MALFORMED), "create", "other"),
        (CreateEnded(8.0, 7.0, span_id(1), 429, ErrorKind.RATE_LIMITED), "create", "429"),
        (StreamOpened(8.0, 7.0, 1, 200), "subscribe", "2xx"),
        (StreamEnded(8.0, 7.0, span_id(1), 1, StreamResult.NOT_FOUND, 404, None, None, None), "subscribe", "4xx"),
        (StreamEnded(8.0, 7.0, span_id(1), 1, StreamResult.REFUSED, None, None, None, None), "subscribe", "error"),
        (PollEnded(8.0, 7.0, span_id(1), 1, CallResult.TIMEOUT, None, None), "poll", "timeout"),
        (PollEnded(8.0, 7.0, span_id(1), 1, CallResult.UNAVAILABLE, 524, None), "poll", "5xx"),
        (LookedAgain(8.0, 7.0, span_id(1), 1, CallResult.PENDING, 200, None), "poll", "2xx"),
        (ResolveEnded(8.0, 7.0, span_id(1), Channel.SSE, 1, CallResult.READY, 200, None), "resolve", "2xx"),
        (AssetChecked(8.0, 7.0, span_id(1), AssetResult.OK, 200, None), "verify", "2xx"),
        (AssetChecked(8.0, 7.0, span_id(1), AssetResult.UNREACHABLE, None, "no host"), "verify", "error"),
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
    labels = {"provider": "superduperai", "operation": "subscribe", "code": "2xx"}
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


@pytest.mark.parametrize("outcome", [Outcome.EXPIRED, Outcome.PROVIDER_FAILED, Outcome.CANCELLED])
def test_what_was_not_delivered_has_attempts_but_no_duration(outcome: Outcome) -> None:
    watched = Watched()
    watched.tell([Accepted(0.0), Submitted(0.5, 10.0), Ended(20.5, verdict(outcome, 20.5), 0.5)])
    assert watched.value("generation_poll_attempts_count", **API, channel="none") == 1
    assert not watched.value("generation_delivery_duration_seconds_count", **API, channel="none")


def test_a_delivery_in_less_than_a_second_counts_as_it_took() -> None:
    watched = Watched()
    end = Ended(0.75, verdict(Outcome.DELIVERED, 0.75, Channel.SSE), 0.5)
    watched.tell([Accepted(0.0), Submitted(0.5, 10.0), end])
    assert watched.value("generation_delivery_duration_seconds_sum", **API, channel="sse") == 0.25


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
        ("generation_asset_checks_total", "result", list(AssetResult)),
        ("generation_channel_lag_seconds_count", "channel", ["sse", "polling"]),
    ]
    for name, label, values in named:
        for value in values:
            assert watched.value(name, **{"provider": "superduperai", label: value}) == 0
    for measured in ChannelResult:
        assert watched.channel_result("sse", measured) == watched.channel_result("polling", measured) == 0
    assert watched.value("generation_late_seconds_count", provider="superduperai") == 0
    assert watched.value("generation_slo_objective_ratio", provider="superduperai") == 0.99


def test_both_channels_are_told_of_where_they_were_measured() -> None:
    watched = Watched()
    watched.tell([*delivered_by_sse(), *found_out_after_sse_won()])
    assert watched.channel_result("sse", "won") == 1
    assert watched.channel_result("polling", "confirmed") == 1
    lag = {"provider": "superduperai", "channel": "polling"}
    assert watched.value("generation_channel_lag_seconds_sum", **lag) == 2.1
    assert watched.value("generation_channel_lag_seconds_bucket", **lag, le="2.0") == 0
    assert watched.value("generation_channel_lag_seconds_bucket", **lag, le="5.0") == 1
    assert watched.value("generation_channel_lag_seconds_count", provider="superduperai", channel="sse") == 0
    assert watched.value("generation_asset_checks_total", provider="superduperai", result="ok") == 1
    assert set(watched.in_flight().values()) == {0}, "what lingers is in flight no more"


@pytest.mark.parametrize("result", [ChannelResult.MISSED, ChannelResult.FAILED])
def test_a_channel_that_never_had_it_has_no_lag(result: ChannelResult) -> None:
    watched = Watched()
    watched.tell([ChannelsMeasured(1.0, Measurement(result, ChannelResult.WON))])
    assert watched.channel_result("sse", result) == watched.channel_result("polling", "won") == 1
    for channel in ("sse", "polling"):
        assert watched.value("generation_channel_lag_seconds_count", provider="superduperai", channel=channel) == 0


def test_what_was_not_measured_is_unused_on_both_channels() -> None:
    watched = Watched()
    watched.tell([*delivered_by_sse(), ChannelsMeasured(103.6, UNMEASURED)])
    assert watched.channel_result("sse", "unused") == watched.channel_result("polling", "unused") == 1
    assert watched.channel_result("sse", "won") == 0


def test_what_expired_is_reconciling_until_it_is_found_and_late() -> None:
    watched = Watched()
    watched.tell(expired())
    assert set(watched.in_flight().values()) == {0}
    started, first, second, reconciled = looks_again()
    watched.tell([started])
    assert watched.in_flight() == {"submitting": 0, "streaming": 0, "polling": 0, "reconciling": 1}
    watched.tell([first, second, reconciled])
    assert set(watched.in_flight().values()) == {0}
    assert watched.value("generation_late_seconds_sum", provider="superduperai") == 90.2
    assert watched.value("generation_late_seconds_bucket", provider="superduperai", le="60.0") == 0
    assert watched.value("generation_late_seconds_bucket", provider="superduperai", le="120.0") == 1
    labels = {**API, "outcome": "expired", "channel": "none", "reason": "pending"}
    assert watched.value("generation_outcomes_total", **labels) == 1, "the outcome stays"
    assert watched.value("generation_polls_total", provider="superduperai", result="ready") == 0, "a look is no poll"


def test_what_is_never_found_is_not_late() -> None:
    watched = Watched()
    watched.tell([*expired(), *looks_again(late_s=None)])
    assert set(watched.in_flight().values()) == {0}
    assert watched.value("generation_late_seconds_count", provider="superduperai") == 0


def test_after_a_restart_the_looks_go_on_without_a_second_outcome() -> None:
    watched = Watched()
    watched.tell([ReconcilingStarted(0.0)])
    assert watched.in_flight()["reconciling"] == 1
    watched.tell([Reconciled(1.0, 3.0)])
    assert set(watched.in_flight().values()) == {0}
    assert watched.value("generation_requests_total", **API) == 0


def test_the_gap_of_a_policy_that_the_settings_no_longer_name_is_not_told_apart() -> None:
    watched = Watched()
    for number in range(50):
        watched.tell(delivered_by_polling(), like(id=str(number), policy=f"of-old-{number}"))
    gap = {"provider": "superduperai", "schedule": "other"}
    assert watched.value("generation_detection_gap_seconds_count", **gap) == 50
