"""What a real Prometheus makes of a scrape: every metric is there, and exemplars lead to traces that were exported."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitor import reconciler
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry import catalog
from monitor.telemetry.catalog import ALL, MAX_SAMPLES, Label, Type
from tests.collector import Collector, attributes_of, collecting
from tests.programs import require
from tests.prometheus import Prometheus, open_prometheus
from tests.serving import Running, running

pytestmark = [pytest.mark.system, pytest.mark.timeout(180), pytest.mark.xdist_group("prometheus")]

POLICY: Final = {"grace": 0.3, "interval": 0.3, "max_attempts": 8, "window": 4.0, "check_on_open": False}
AT_ONCE: Final = ("healthy", "silent", "file_id_only", "task_error", "create_422", "poll_404_first")
ONE_BY_ONE: Final = {"duplicate": "sse", "sse_401": "polling"}
"""With the channel that delivers. Being the last there, they are the exemplars that stay."""
LATE: Final = "late"
FOX, ELK, OWL = "fox", "elk", "owl"
NEVER: Final = "0 3 29 2 *"
CANARIES: Final = [
    {"name": FOX, "prompt": "a fox", "cron": NEVER, "price_usd": 0.04},
    {"name": ELK, "prompt": "an elk", "interval": 1, "jitter": 0, "price_usd": 0.04, "max_usd_per_month": 0.04},
    {"name": OWL, "prompt": "an owl", "cron": NEVER, "price_usd": 0},
]
"""One that is run by hand, one whose money is too little for a month of seconds, and one that is paused."""
MONEY: Final = {"max_usd_per_day": 0.1}
QUIET: Final = {
    metric.name
    for metric in (catalog.OBSERVER_FAILURES, catalog.STORE_FAILURES, catalog.STORE_WAITING, catalog.REFUSALS)
}
"""Those that stay at zero as long as the service itself is well."""
BACK_TO_ZERO: Final = {catalog.IN_FLIGHT.name}


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was when all had happened."""

    generations: dict[str, dict[str, Any]]
    """By fault."""
    scrape: str
    samples: list[dict[str, Any]]
    exemplars: list[dict[str, Any]]
    types: dict[str, str]
    targets: list[dict[str, Any]]
    scraped_samples: float
    roots: dict[str, dict[str, Any]]
    """Of the spans that arrived, the attributes of each trace's root."""

    def total(self, name: str) -> float:
        return sum(float(sample["value"][1]) for sample in self.samples if sample["metric"]["__name__"] == name)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run of service, simulated provider, trace collector and Prometheus, for all tests."""
    require("prometheus")
    with pytest.MonkeyPatch.context() as patch, collecting() as collector:
        patch.setattr(reconciler, "LOOKS_AFTER_S", (0.2, 2.0, 5.0))
        yield asyncio.run(_watch(tmp_path_factory.mktemp("prometheus"), collector))


async def _watch(folder: Path, collector: Collector) -> Seen:
    provider = {"measured_ratio": 1.0, "checked_ratio": 1.0, "check_private_assets": True}
    changes = {"policies": {"quick": POLICY}, "provider": provider}
    tracing = {"endpoint": collector.url, "sample_ratio": 1.0}
    simulator = SimulatorConfig(time_scale=0.05, fixed_render_s=10)  # 0.5 s; `late` is ready after 4.5 s
    async with (
        running(folder, simulator, tracing=tracing, canary=CANARIES, canaries=MONEY, **changes) as service,
        open_prometheus(folder, service.url) as prometheus,
    ):
        if without_series := {metric.name for metric in ALL} - _names(service):
            pytest.fail(f"in the catalogue, and no series from the start: {', '.join(sorted(without_series))}")
        records = await _generate_all(service)
        wanted = {records[fault]["trace_id"] for fault in (*ONE_BY_ONE, LATE)}
        missing: set[str] | None = None
        try:
            async with asyncio.timeout(60):
                while missing := await _not_yet(prometheus) | await _not_named(prometheus, wanted):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"never counted, never named, or still in flight: {missing}")
        seen = await _look(service, prometheus, records)
    # closing the service has exported the rest of the spans
    seen.roots.update(
        {span.trace_id.hex(): attributes_of(span) for span in collector.spans() if span.name == "generation"}
    )
    return seen


def _names(service: Running) -> set[str]:
    """Of the metrics that have a series."""
    names = {sample.name for family in service.registry.collect() for sample in family.samples}
    return {metric.name for metric in ALL if names & set(_counts(metric))}


async def _generate_all(service: Running) -> dict[str, dict[str, Any]]:
    """What is late takes its time while the others go."""
    await _act(service, f"{OWL}/pause", {"reason": "asleep", "seconds": 3600})
    run = await _act(service, f"{FOX}/run")
    late = asyncio.create_task(service.generate(f"a fox [fault:{LATE}]"))
    at_once = await asyncio.gather(*(service.generate(f"a fox [fault:{fault}]") for fault in AT_ONCE))
    records = dict(zip(AT_ONCE, at_once, strict=True))
    for fault in ONE_BY_ONE:
        records[fault] = await service.generate(f"a fox [fault:{fault}]")
    records[LATE] = await late
    records[FOX] = await service.get(f"/v1/generations/{run['id']}")
    return records


async def _act(service: Running, path: str, body: Any = None) -> Any:
    async with service.http.post(f"{service.url}/v1/canaries/{path}", json=body) as response:
        assert response.ok, await response.text()
        return await response.json()


async def _not_named(prometheus: Prometheus, trace_ids: set[str]) -> set[str]:
    """Those that no exemplar has named so far."""
    found = await prometheus.exemplars("generation_outcomes_total")
    return trace_ids - {exemplar["labels"]["trace_id"] for entry in found for exemplar in entry["exemplars"]}


async def _not_yet(prometheus: Prometheus) -> set[str]:
    """The metrics that must have counted something by the end, and have not, or still hold generations."""
    found = await prometheus.query('{__name__=~"generation_.+"} > 0')
    counted = {sample["metric"]["__name__"] for sample in found}
    missing = {metric.name for metric in ALL if not counted & set(_counts(metric))} - QUIET - BACK_TO_ZERO
    in_flight = {name for name in BACK_TO_ZERO if name in counted}
    return missing | in_flight


async def _look(service: Running, prometheus: Prometheus, generations: dict[str, dict[str, Any]]) -> Seen:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with service.http.get(f"{service.url}/metrics", headers=accept) as response:
        scrape = await response.text()
    everything = '{__name__=~"generation_.+"}'
    metadata = await prometheus.api("metadata")
    (scraped,) = await prometheus.query("scrape_samples_scraped")
    return Seen(
        generations=generations,
        scrape=scrape,
        samples=await prometheus.query(everything),
        exemplars=await prometheus.exemplars(everything),
        types={name: kinds[0]["type"] for name, kinds in metadata.items()},
        targets=(await prometheus.api("targets"))["activeTargets"],
        scraped_samples=float(scraped["value"][1]),
        roots={},
    )


def _counts(metric: catalog.Metric) -> tuple[str, ...]:
    """The series of a metric that says how often something was counted."""
    return (f"{metric.name}_count",) if metric.type is Type.HISTOGRAM else (metric.name,)


def test_every_metric_of_the_catalogue_is_scraped_under_its_type(seen: Seen) -> None:
    names = {sample["metric"]["__name__"] for sample in seen.samples}
    for metric in ALL:
        if metric.type is Type.HISTOGRAM:
            assert {f"{metric.name}{suffix}" for suffix in ("_bucket", "_count", "_sum")} <= names
        else:
            assert metric.name in names
        assert seen.types[metric.name.removesuffix("_total")] == metric.type
    for sample in seen.samples:
        metric = next(item for item in ALL if sample["metric"]["__name__"].startswith(item.name))
        labels = set(sample["metric"]) - {"__name__", "job", "instance", "le"}
        assert labels | {Label.REASON} >= set(metric.labels) >= labels, "an empty reason is none to Prometheus"


def test_prometheus_takes_the_scrape_without_complaint_and_it_is_small(seen: Seen) -> None:
    (target,) = seen.targets
    assert (target["health"], target["lastError"]) == ("up", "")
    assert 500 < seen.scraped_samples <= MAX_SAMPLES


def test_what_happened_is_what_prometheus_counts(seen: Seen) -> None:
    outcomes = [record["outcome"] for record in seen.generations.values()]
    for metric in (catalog.REQUESTS, catalog.OUTCOMES):
        assert seen.total(metric.name) == len(outcomes)
    assert seen.total("generation_delivery_duration_seconds_count") == outcomes.count("delivered") == 7
    assert seen.total("generation_late_seconds_count") == outcomes.count("expired") == 1
    assert seen.total("generation_asset_checks_total") == outcomes.count("delivered")
    assert seen.total("generation_channel_results_total") == 2 * (outcomes.count("delivered") + 1)
    for name in QUIET:
        assert seen.total(name) == 0


@pytest.mark.parametrize(("fault", "channel"), ONE_BY_ONE.items())
def test_a_delivery_is_found_by_its_exemplar(seen: Seen, fault: str, channel: str) -> None:
    record = seen.generations[fault]
    assert record["channel"] == channel
    buckets = _exemplars(seen, "generation_delivery_duration_seconds_bucket", channel=channel)
    counters = _exemplars(seen, "generation_outcomes_total", channel=channel, outcome="delivered")
    wanted = {"trace_id": record["trace_id"], "generation_id": record["id"]}
    assert wanted in [labels for labels, _ in counters]
    assert wanted in [
        labels for labels, value in buckets if value == pytest.approx(record["duration_seconds"], abs=0.01)
    ]
    assert seen.roots[record["trace_id"]]["generation.id"] == record["id"]


def test_one_that_came_late_is_found_by_its_exemplar(seen: Seen) -> None:
    record = seen.generations[LATE]
    assert record["outcome"] == "expired"
    ((labels, value),) = _exemplars(seen, "generation_late_seconds_bucket")
    assert labels == {"trace_id": record["trace_id"], "generation_id": record["id"]}
    assert value > 0


def test_every_exemplar_leads_to_a_trace_that_was_exported(seen: Seen) -> None:
    names = {entry["seriesLabels"]["__name__"] for entry in seen.exemplars}
    assert len(names) >= 8
    for entry in seen.exemplars:
        for exemplar in entry["exemplars"]:
            assert seen.roots[exemplar["labels"]["trace_id"]]["generation.id"] == exemplar["labels"]["generation_id"]


def test_the_exposition_is_valid_openmetrics_with_exemplars_where_they_may_be(seen: Seen) -> None:
    assert seen.scrape.endswith("# EOF\n")
    found = 0
    for family in text_string_to_metric_families(seen.scrape):
        for sample in family.samples:
            if sample.exemplar is not None:
                found += 1
                assert sample.name.endswith(("_total", "_bucket"))
                assert sample.exemplar.timestamp is not None
                if "le" in sample.labels:
                    assert sample.exemplar.value <= float(sample.labels["le"])
    assert found > 10


def _exemplars(seen: Seen, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
    wanted = {"__name__": name, **labels}
    return [
        (exemplar["labels"], float(exemplar["value"]))
        for entry in seen.exemplars
        if wanted.items() <= entry["seriesLabels"].items()
        for exemplar in entry["exemplars"]
    ]
