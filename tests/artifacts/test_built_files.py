"""Built files are what would be built now; run `make docs` when this fails."""

import re
import subprocess
from pathlib import Path

from prometheus_client import CollectorRegistry

from monitor.settings import docs as settings_docs
from monitor.settings import load_settings
from monitor.simulator import docs as simulator_docs
from monitor.telemetry import catalog
from monitor.telemetry import docs as metrics_docs
from monitor.telemetry.exposition import render
from monitor.telemetry.setup import build_telemetry
from tests.programs import require

ROOT = Path(__file__).parents[2]


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert (ROOT / metrics_docs.PATH).read_text("utf-8") == metrics_docs.render_metrics_page()


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / settings_docs.PATH).read_text("utf-8") == settings_docs.render_settings_page()


def test_the_table_of_faults_is_up_to_date() -> None:
    page = (ROOT / simulator_docs.PATH).read_text("utf-8")
    assert simulator_docs.with_faults(page) == page


def test_every_file_that_the_readme_links_to_is_there() -> None:
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def _registry(models: list[str]) -> CollectorRegistry:
    provider = {"name": "superduperai", "base_url": "http://127.0.0.1:9", "models": models}
    return build_telemetry(load_settings(overrides={"providers": [provider]})).registry


def test_a_scrape_has_every_metric_of_the_catalogue_and_nothing_that_promtool_objects_to() -> None:
    text, content_type = render(_registry(["comfyui/flux"]), "")
    assert content_type.startswith("text/plain")
    for metric in catalog.ALL:
        assert f"# TYPE {metric.name} {metric.type}\n".encode() in text, metric.name
    promtool = require("promtool")
    said = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


def test_openmetrics_is_spoken_where_it_is_asked_for() -> None:
    text, content_type = render(_registry(["comfyui/flux"]), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_samples_of_a_scrape_stay_under_the_bound_with_five_models() -> None:
    text, _ = render(_registry([f"model-{number}" for number in range(5)]), "")
    samples = [line for line in text.splitlines() if not line.startswith(b"#")]
    assert len(samples) <= 3_000
