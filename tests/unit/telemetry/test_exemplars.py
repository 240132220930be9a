"""Which samples name their generation: those whose trace is kept, and no other."""

from collections.abc import Iterable, Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitor.delivery.facts import CallResult, Fact
from monitor.delivery.model import Generation, Origin, TraceContext
from monitor.settings import TracingSettings
from monitor.telemetry.exemplars import Exemplars
from monitor.telemetry.exposition import render
from monitor.telemetry.metrics import MetricsObserver
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
)

TRACE_ID = "f" * 32
ORDINARY = like(trace=TraceContext(TRACE_ID, "b" * 16))
SAMPLED = like(trace=TraceContext(TRACE_ID, "b" * 16, "c" * 16, sampled_by_caller=True))
CANARY = like(origin=Origin.CANARY, trace=TraceContext(TRACE_ID, "b" * 16))
EXPORTED = TracingSettings(endpoint="http://127.0.0.1:4318", sample_ratio=0.0, slow=15.0)
BOTH = {"trace_id": TRACE_ID, "generation_id": GENERATION.id}
MAX_CHARS = 128

SEEN_TO_THE_END = {
    "generation_outcomes_total",
    "generation_delivery_duration_seconds",
    "generation_poll_attempts",
}


def _exemplars(
    facts: Iterable[Fact], generation: Generation = ORDINARY, settings: TracingSettings = EXPORTED
) -> Iterator[tuple[str, dict[str, str]]]:
    """The metric and the labels of each exemplar in a scrape."""
    registry = CollectorRegistry()
    observe = MetricsObserver(registry, (PROVIDER,), Exemplars(settings))
    for fact in facts:
        observe(generation, fact)
    body, _ = render(registry, "application/openmetrics-text; version=1.0.0")
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            if sample.exemplar is not None:
                name = sample.name.removesuffix("_bucket")
                assert sample.exemplar.value is not None
                yield name, sample.exemplar.labels


def _named(facts: Iterable[Fact], generation: Generation = ORDINARY) -> set[str]:
    found = list(_exemplars(facts, generation))
    assert all(labels == BOTH for _, labels in found)
    return {name for name, _ in found}


def test_an_ordinary_delivery_is_named_nowhere() -> None:
    assert _named([*delivered_by_sse(), *found_out_after_sse_won()]) == set()


@pytest.mark.parametrize("generation", [SAMPLED, CANARY], ids=["sampled by the caller", "canary"])
def test_what_is_kept_however_it_goes_is_named_in_every_histogram(generation: Generation) -> None:
    assert _named([*delivered_by_sse(), *found_out_after_sse_won()], generation) == SEEN_TO_THE_END | {
        "generation_sse_first_event_seconds",
        "generation_provider_request_duration_seconds",
        "generation_channel_lag_seconds",
    }
    assert "generation_detection_gap_seconds" in _named(delivered_by_polling(), generation)


def test_a_slow_delivery_is_named_where_its_end_is_told() -> None:
    assert _named(delivered_by_polling()) == SEEN_TO_THE_END | {"generation_detection_gap_seconds"}


def test_one_that_expired_is_named_at_its_end_and_at_what_was_found_out_later() -> None:
    assert _named(expired()) == {"generation_outcomes_total", "generation_poll_attempts"}
    assert _named(looks_again()) == {"generation_late_seconds", "generation_provider_request_duration_seconds"}
    assert _named(looks_again(late_s=None)) == {"generation_provider_request_duration_seconds"}


def test_the_share_that_is_kept_anyway_is_named_before_its_end_is_known() -> None:
    settings = TracingSettings(endpoint="http://127.0.0.1:4318", sample_ratio=0.5)
    for last_half, is_kept in (("0" * 16, True), ("f" * 16, False)):
        generation = like(trace=TraceContext("f" * 16 + last_half, "b" * 16))
        assert bool(list(_exemplars([poll(1, 1.0, CallResult.PENDING)], generation, settings))) == is_kept


def test_where_no_trace_is_exported_none_is_named_and_the_stored_timeline_still_is() -> None:
    found = dict(_exemplars(expired(), settings=TracingSettings(sample_ratio=0.0)))
    assert found["generation_outcomes_total"] == {"generation_id": GENERATION.id}


def test_exemplars_are_as_small_as_openmetrics_wants_them() -> None:
    said = Exemplars(EXPORTED).of_expired(GENERATION)
    assert sum(len(name) + len(value) for name, value in said.items()) == 89 <= MAX_CHARS


def test_prometheus_own_format_has_none() -> None:
    registry = CollectorRegistry()
    observe = MetricsObserver(registry, (PROVIDER,), Exemplars(EXPORTED))
    for fact in expired():
        observe(ORDINARY, fact)
    assert b"trace_id" not in render(registry, "")[0]
