"""Series of canaries: there are those of the plan, and no others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from monitor.delivery.clock import Clock
from monitor.delivery.facts import Ended
from monitor.delivery.model import Channel, Generation, Origin, Outcome, Verdict
from monitor.telemetry import catalog
from monitor.telemetry.canary_series import SAMPLES_EACH, CanarySeries
from monitor.telemetry.catalog import Metric, Skip
from tests.records import new_record

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WHO = {"provider": "one", "canary": "fox"}


class _NoonClock(Clock):
    def now(self) -> datetime:
        return NOW


class _Told:
    """The series with what a scrape would have of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.series = CanarySeries(self.registry, _NoonClock())
        self.series.keep([("one", "fox")])

    def value(self, metric: Metric, **labels: Any) -> float | None:
        return self.registry.get_sample_value(metric.name, labels)

    def samples(self) -> int:
        samples = (sample for family in self.registry.collect() for sample in family.samples)
        return sum(not sample.name.endswith("_created") for sample in samples)


@pytest.fixture
def told() -> _Told:
    return _Told()


def _end(outcome: Outcome) -> Ended:
    return Ended(1.0, Verdict(outcome, Channel.NONE, 1.0), 0.0)


def _run(canary: str | None = "fox") -> Generation:
    origin = Origin.API if canary is None else Origin.CANARY
    return new_record(provider="one", origin=origin, canary=canary).generation


def test_only_a_delivered_run_is_a_success(told: _Told) -> None:
    told.series(_run(), _end(Outcome.EXPIRED))
    assert told.value(catalog.CANARY_RUNS, **WHO, outcome="expired") == 1
    assert told.value(catalog.CANARY_LAST_SUCCESS, **WHO) == 0
    told.series(_run(), _end(Outcome.DELIVERED))
    assert told.value(catalog.CANARY_LAST_SUCCESS, **WHO) == NOW.timestamp()


def test_what_is_told_of_a_canary_that_is_gone_brings_no_series_back(told: _Told) -> None:
    told.series.interval("one", "fox", 60.0)
    assert told.samples() == SAMPLES_EACH
    told.series.keep([])
    for tell in (
        lambda: told.series(_run(), _end(Outcome.DELIVERED)),
        lambda: told.series(_run(None), _end(Outcome.DELIVERED)),
        lambda: told.series.skipped("one", "fox", Skip.BUSY),
        lambda: told.series.spent("one", "fox", 40_000),
        lambda: told.series.pauses(["fox"]),
    ):
        tell()
        assert told.samples() == 0


def test_a_limit_that_is_taken_away_has_no_share(told: _Told) -> None:
    told.series.limits({"all canaries, day": 0.5, "canary fox, day": 0.25})
    told.series.limits({"all canaries, day": 0.75})
    assert told.value(catalog.CANARY_LIMIT_USED, limit="all canaries, day") == 0.75
    assert told.value(catalog.CANARY_LIMIT_USED, limit="canary fox, day") is None
