"""What Kubernetes is given is built from what everybody else is given, and the operator takes it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.names import JOB
from dashboards.build import JSON
from deploy.manifests import FOLDER, NAME, PORT, TOKEN_KEY, built_manifests
from tests.alerts.programs import ALERTS, run
from tests.stack.files import ROOT, StackFiles
from tests.stack.operator_schema import deviations, seconds

Manifest = dict[str, Any]
MANIFESTS: dict[str, Manifest] = {
    path.name: yaml.safe_load(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*"))
}
FILES = StackFiles(ROOT)


def _groups(manifest: Manifest) -> list[Manifest]:
    groups: list[Manifest] = manifest["spec"]["groups"]
    return groups


def _endpoint(manifest: Manifest) -> Manifest:
    (endpoint,) = manifest["spec"]["endpoints"]
    found: Manifest = endpoint
    return found


def test_the_committed_manifests_are_what_would_be_built() -> None:
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == built_manifests()


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_operator_takes_a_manifest(name: str) -> None:
    assert deviations(MANIFESTS[name]) == []


def test_no_two_manifests_overwrite_each_other() -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in MANIFESTS.values()]
    assert len(set(names)) == len(names)


def test_the_rules_are_those_that_prometheus_is_given_without_an_operator(tmp_path: Path) -> None:
    groups = _groups(MANIFESTS["prometheus-rule.yaml"])
    files = [yaml.safe_load(path.read_text("utf-8")) for path in (ALERTS / "rules").glob("*.yml")]
    given = {group["name"]: group for file in files for group in file["groups"]}
    assert {group["name"]: group for group in groups} == given
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}), "utf-8")
    said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_dashboards_are_those_that_grafana_is_given_without_an_operator() -> None:
    maps = [manifest for manifest in MANIFESTS.values() if manifest["kind"] == "ConfigMap"]
    texts = [text for manifest in maps for text in manifest["data"].values()]
    assert sorted(texts) == sorted(path.read_text("utf-8") for path in JSON.iterdir())
    assert all(json.loads(text)["uid"] for text in texts)
    assert len({name for manifest in maps for name in manifest["data"]}) == len(maps), "they end in one folder"
    for manifest in maps:
        assert manifest["metadata"]["labels"]["grafana_dashboard"] == "1"
        (folder,) = (provider["folder"] for provider in FILES.dashboards["providers"])
        assert manifest["metadata"]["annotations"]["grafana_folder"] == folder


def test_the_service_is_scraped_as_it_is_without_an_operator() -> None:
    endpoint = _endpoint(MANIFESTS["service-monitor.yaml"])
    assert endpoint["interval"] == FILES.prometheus["global"]["scrape_interval"]
    assert seconds(endpoint["scrapeTimeout"]) < seconds(endpoint["interval"])
    assert {"targetLabel": "job", "replacement": JOB, "action": "replace"} in endpoint["relabelings"]


def test_the_page_about_deployment_names_what_must_be_there() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    for named in (f"app.kubernetes.io/name: {NAME}", f"name: {PORT}", f"--from-file={TOKEN_KEY}="):
        assert named in page


@pytest.mark.parametrize(
    ("name", "sabotage", "said"),
    [
        ("service-monitor", lambda it: _endpoint(it).update(scrapeInterval="15s"), "scrapeInterval: Extra inputs"),
        ("service-monitor", lambda it: _endpoint(it).update(interval="15 s"), "interval: String should match"),
        ("service-monitor", lambda it: _endpoint(it).update(port=8080), "port: Input should be a valid string"),
        ("service-monitor", lambda it: it["spec"].pop("selector"), "selector: Field required"),
        ("service-monitor", lambda it: it.update(apiVersion="v1"), "apiVersion: Input should be"),
        ("prometheus-rule", lambda it: _groups(it)[0]["rules"][0].update(alert="A"), "a rule records or alerts"),
        ("prometheus-rule", lambda it: _groups(it)[0]["rules"][0].update({"for": "5m"}), "only alerts wait"),
        ("prometheus-rule", lambda it: _groups(it)[0]["rules"][0].update(labels={"window": 1}), "labels.window"),
        ("prometheus-rule", lambda it: _groups(it).append(_groups(it)[0]), "told apart by their names"),
        ("dashboard-delivery", lambda it: it["metadata"]["labels"].update(a=1), "labels.a: Input should be a valid"),
        ("dashboard-delivery", lambda it: it["metadata"].update(name="Delivery"), "name: String should match"),
        ("dashboard-delivery", lambda it: it["data"].update(more="x" * (1 << 20)), "more than 1048576 bytes"),
    ],
)
def test_what_the_operator_would_not_take_is_found(
    name: str, sabotage: Callable[[Manifest], object], said: str
) -> None:
    manifest = copy.deepcopy(MANIFESTS[f"{name}.yaml"])
    sabotage(manifest)
    assert [deviation for deviation in deviations(manifest) if said in deviation]
