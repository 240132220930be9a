"""A scrape is the client library's own text, without `_created`, in both formats; and Prometheus' linter takes it."""

import re
import subprocess
import threading
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitor.settings import Settings
from monitor.telemetry import catalog
from monitor.telemetry.catalog import ALL, Label, Metric, Type
from monitor.telemetry.exposition import render
from monitor.telemetry.instruments import build_metric
from monitor.telemetry.setup import build_telemetry
from tests.programs import require
from tests.unit.telemetry.facts_of import GENERATION, PROVIDER, delivered_by_polling, delivered_by_sse

OPENMETRICS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75"
VALUES = [0.0, 1.0, 0.1 + 0.2, 1e-7, 123456.0, 999999.5, 1e6, 1234567.5, 1e21, float("inf")]


def _filled(registry: CollectorRegistry | None = None) -> CollectorRegistry:
    telemetry = build_telemetry(Settings(providers=(PROVIDER,)), registry)
    telemetry.canaries.keep([(PROVIDER.name, "fox")])
    telemetry.canaries.interval(PROVIDER.name, "fox", 60)
    telemetry.canaries.limits({"canary fox, day": 0.25})
    for fact in [*delivered_by_sse(), *delivered_by_polling()]:
        telemetry.observer(GENERATION, fact)
    return telemetry.registry


def _without_created(text: bytes) -> bytes:
    return re.sub(rb"(?m)^(# (HELP|TYPE) )?\w+_created[ {].*\n", b"", text)


def _without_clock(text: bytes) -> bytes:
    """It goes on between two renderings."""
    return re.sub(rb"(?m)^%s .*\n" % catalog.CLOCK.name.encode(), b"", text)


def test_the_text_is_the_librarys_own_in_both_formats() -> None:
    registry = _filled(CollectorRegistry())
    for accept, encode in (("", generate_latest), (OPENMETRICS, generate_openmetrics)):
        theirs = _without_created(encode(registry))
        assert _without_clock(render(registry, accept)[0]) == _without_clock(theirs)


def test_a_gauge_with_a_function_is_asked_at_each_scrape() -> None:
    registry = CollectorRegistry()
    level = 1.0
    build_metric(Metric("g", Type.GAUGE, (), "says"), registry).set_function(lambda: level)
    assert b"\ng 1.0\n" in render(registry, "")[0]
    level = 2.0
    assert b"\ng 2.0\n" in render(registry, "")[0]


def test_the_clock_is_the_machines_at_the_scrape() -> None:
    before = datetime.now(UTC).timestamp()
    text = render(_filled(), "")[0].decode()
    shown = float(re.findall(rf"(?m)^{catalog.CLOCK.name} (.+)$", text)[0])
    assert before <= shown <= datetime.now(UTC).timestamp()


@pytest.mark.parametrize("value", [*VALUES, -1.5, float("nan"), float("-inf")])
def test_values_and_labels_are_written_as_the_library_writes_them(value: float) -> None:
    registry = CollectorRegistry()
    gauge = build_metric(Metric("g", Type.GAUGE, (Label.RESULT, Label.CODE), 'says \\ "this"\nand that'), registry)
    gauge.labels('quote " slash \\ line \n tail', "ü").set(value)
    for accept, encode in (("", generate_latest), (OPENMETRICS, generate_openmetrics)):
        assert render(registry, accept)[0] == encode(registry)


@pytest.mark.parametrize("value", VALUES)
def test_exemplars_are_written_where_openmetrics_is_asked_for(value: float) -> None:
    registry = CollectorRegistry()
    build_metric(Metric("c_total", Type.COUNTER, (), "says"), registry).inc(value, {"trace_id": "a" * 32})
    histogram = build_metric(Metric("h", Type.HISTOGRAM, (Label.CODE,), "says", (1, 2)), registry)
    histogram.labels("200").observe(value, {"trace_id": "b" * 32})
    assert render(registry, "")[0] == _without_created(generate_latest(registry))
    text = render(registry, OPENMETRICS)[0]
    assert text == _without_created(generate_openmetrics(registry))
    assert text.count(b"trace_id") == 2


def test_what_others_registered_is_scraped_too() -> None:
    registry = _filled(CollectorRegistry())
    Counter("somebody_elses_total", "theirs", registry=registry).inc()
    body, _ = render(registry, OPENMETRICS)
    assert b"\nsomebody_elses_total 1.0\n" in body
    assert body.endswith(b"# EOF\n")
    assert body.count(b"# EOF") == 1


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;escaping=dots;q=0.6,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        ("text/plain;version=newest", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=1.x", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_format_is_the_one_that_the_scraper_asks_for(accept: str, content_type: str) -> None:
    body, offered = render(_filled(CollectorRegistry()), accept)
    assert offered == content_type
    assert body.endswith(b"# EOF\n") == offered.startswith("application/openmetrics-text")


def test_a_strict_parser_finds_every_metric_of_the_catalogue() -> None:
    body, _ = render(_filled(CollectorRegistry()), OPENMETRICS)
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families.keys() == {metric.name.removesuffix("_total") for metric in ALL}
    for metric in ALL:
        found = {name for sample in families[metric.name.removesuffix("_total")].samples for name in sample.labels}
        assert found - {"le"} == set(metric.labels)


def test_a_scrape_on_a_thread_takes_no_harm_from_series_that_come_up_meanwhile() -> None:
    registry = CollectorRegistry()
    counter = build_metric(Metric("c_total", Type.COUNTER, (Label.CODE,), "says"), registry)
    failures: list[BaseException] = []

    def scrape() -> None:
        try:
            for _ in range(200):
                render(registry, "")
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(300):
        counter.labels(str(number)).inc()
    thread.join()
    assert not failures


def test_promtool_has_no_complaint() -> None:
    body, _ = render(_filled(), "")
    checked = subprocess.run([require("promtool"), "check", "metrics"], input=body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
