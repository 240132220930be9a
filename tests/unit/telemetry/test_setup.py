"""The observers as the composition root gets them."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.delivery.facts import Accepted, Fact
from monitor.delivery.model import Generation
from monitor.settings import Settings
from monitor.telemetry.setup import LAG_INTERVAL_S, Telemetry, build_telemetry
from tests.unit.telemetry.facts_of import GENERATION, PROVIDER


def _telemetry(registry: CollectorRegistry, *more: object) -> Telemetry:
    return build_telemetry(Settings(providers=(PROVIDER,)), registry, more)  # type: ignore[arg-type]


def test_an_observer_that_raises_is_counted_from_zero() -> None:
    def choke(generation: Generation, fact: Fact, /) -> None:
        raise ValueError("no")

    registry = CollectorRegistry()
    telemetry = _telemetry(registry, choke)
    labels = {"observer": "choke"}
    assert registry.get_sample_value("generation_monitor_observer_failures_total", labels) == 0
    with capture_logs():
        telemetry.observer(GENERATION, Accepted(0.0))
    assert registry.get_sample_value("generation_monitor_observer_failures_total", labels) == 1
    others = {"observer": "MetricsObserver"}
    assert registry.get_sample_value("generation_monitor_observer_failures_total", others) == 0


def test_the_stores_failures_are_counted_by_what_is_new() -> None:
    registry = CollectorRegistry()
    telemetry = _telemetry(registry)
    for waiting, failed_in_all in ((5, 2), (3, 2), (0, 7)):
        telemetry.note_store(waiting, failed_in_all)
    assert registry.get_sample_value("generation_monitor_store_waiting_writes") == 0
    assert registry.get_sample_value("generation_monitor_store_failures_total") == 7


@pytest.mark.parametrize(("variable", "revision"), [("4f2a91c", "4f2a91c"), ("", "unknown")])
def test_the_build_is_told(variable: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITOR_REVISION", variable)
    registry = CollectorRegistry()
    _telemetry(registry)
    (family,) = [item for item in registry.collect() if item.name == "generation_monitor_build_info"]
    assert [(sample.labels["revision"], sample.value) for sample in family.samples] == [(revision, 1.0)]


def test_many_can_be_built_in_one_process() -> None:
    assert (
        build_telemetry(Settings(providers=(PROVIDER,))).registry
        is not build_telemetry(Settings(providers=(PROVIDER,))).registry
    )


@pytest.mark.virtual_time
async def test_the_lag_of_the_loop_is_measured_twice_a_second() -> None:
    registry = CollectorRegistry()
    watching = asyncio.create_task(_telemetry(registry).watch_loop())
    await asyncio.sleep(10 * LAG_INTERVAL_S + 0.1)
    watching.cancel()
    await asyncio.wait([watching])
    assert registry.get_sample_value("generation_monitor_event_loop_lag_seconds_count") == 10
    assert registry.get_sample_value("generation_monitor_event_loop_lag_seconds_sum") == 0
