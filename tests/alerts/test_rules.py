"""The rules are those of the objective, Prometheus takes them, and each fires when it should and only then."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.build import FOLDER, render_rules
from alerts.names import Alert, Severity
from alerts.objective import PATH, ObjectiveInvalid, read_objective, seconds
from alerts.rule import Timing
from monitor.settings import ProviderSettings
from monitor.telemetry import catalog
from tests.alerts.programs import ALERTS, run

CASES = sorted((ALERTS / "tests").glob("*.test.yml"))
LOOK_BACK_S = 300
"""How far Prometheus goes back for the last sample of a series, unless it is told otherwise."""
HEADINGS = ["Meaning", "Impact", "Confirm in two minutes", "What to do", "How to know it is over"]


def _alerting() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yml")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]


def test_the_rule_files_are_those_of_the_objective() -> None:
    built = render_rules(Timing(read_objective()))
    assert {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()} == built


def test_what_is_recorded_is_there_for_alerts_even_when_one_evaluation_comes_late() -> None:
    for path in FOLDER.glob("*.yml"):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            assert seconds(group["interval"]) * 2 < LOOK_BACK_S, group["name"]


def test_the_objective_is_the_one_that_providers_have_by_default() -> None:
    assert ProviderSettings.model_fields["objective"].default == read_objective().objective.ratio


def test_prometheus_takes_the_rules() -> None:
    said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(FOLDER.glob("*.yml")))
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(case: Path) -> None:
    said = run("promtool", "test", "rules", case)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    expected = " ".join(
        test["labels"]
        for path in CASES
        for case in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for check in case.get("promql_expr_test", ())
        for test in check["exp_samples"]
        if "labels" in test
    )
    assert {alert for alert in Alert if f'alertname="{alert}"' not in expected} == set()


@pytest.mark.parametrize(
    ("file", "before", "after", "cases", "case"),
    [
        ("delivery.rules.yml", "< 0.99)", "< 0.9)", "delivery", "a fall to 95%"),
        ("delivery.rules.yml", "== 0)", "< 0)", "delivery", "canaries alone"),
        ("recording.rules.yml", 'outcome="expired"', 'outcome="lost"', "delivery", "one provider that fails"),
        ("causes.rules.yml", 'channel="sse"', 'channel="polling"', "causes", "SSE that misses every third"),
        ("monitor.rules.yml", "> 0.25", "> 5", "monitor", "what goes wrong"),
    ],
)
def test_a_rule_that_was_tampered_with_is_found(
    tmp_path: Path, file: str, before: str, after: str, cases: str, case: str
) -> None:
    shutil.copytree(ALERTS, tmp_path / "alerts")
    rules, tests = tmp_path / "alerts" / "rules" / file, tmp_path / "alerts" / "tests" / f"{cases}.test.yml"
    content = yaml.safe_load(tests.read_text("utf-8"))
    content["tests"] = [test for test in content["tests"] if test["name"].startswith(case)]
    tests.write_text(yaml.safe_dump(content), "utf-8")
    assert run("promtool", "test", "rules", tests).returncode == 0
    text = rules.read_text("utf-8")
    assert before in text
    rules.write_text(text.replace(before, after), "utf-8")
    assert run("promtool", "test", "rules", tests).returncode == 1


def test_every_alert_says_what_it_must_and_has_its_runbook() -> None:
    rules = _alerting()
    assert {rule["alert"] for rule in rules} == set(Alert)
    for rule in rules:
        assert rule["labels"]["severity"] in set(Severity), rule["alert"]
        assert all(rule["annotations"][key] for key in ("summary", "description", "dashboard_url")), rule["alert"]
        assert rule["annotations"]["runbook_url"].endswith(f"/{rule['alert']}.md")
    for alert in Alert:
        text = (ALERTS / "runbooks" / f"{alert}.md").read_text("utf-8")
        assert re.findall(r"(?m)^## (.+)$", text) == HEADINGS, alert
    assert {path.stem for path in (ALERTS / "runbooks").iterdir()} == {*Alert, "commands"}


def test_every_metric_that_rules_and_runbooks_name_is_in_the_catalogue() -> None:
    known = {metric.name for metric in catalog.ALL}
    texts = [path.read_text("utf-8") for folder in ("rules", "runbooks") for path in (ALERTS / folder).iterdir()]
    named = {name for text in texts for name in re.findall(r"(?<![:\w])generation_\w+", text)}
    assert {name for name in named if re.sub(r"_(bucket|count|sum)$", "", name) not in known} == set()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("ratio = 0.99 ", "ratio = 99 ", "objective.ratio"),
        ('long = "15m"', 'long = "15 minutes"', "a window looks like 30s, 5m, 6h or 30d, not '15 minutes'"),
        ('long = "15m"', 'long = "10m"', "must be '15m'"),
        ('recent = "5m" },\n    { long', 'recent = "2h" },\n    { long', "recent '2h' must be shorter than long '1h'"),
        ("rate = 14.4", "rate = 144", "more would be lost than there is"),
        ("z = 5.25", "z = 6", "confidence: too strict. The burn rate over '6h' would page before it"),
        ("min_lost = 7", "min_lost = 8", "confidence: too strict. The burn rate over '1h' would page before it"),
        ("z = 5.25", "zed = 5.25", "confidence.z"),
        ("z = 5.25", "z = ", "slo.toml"),
    ],
)
def test_an_objective_that_does_not_hold_together_is_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    text = PATH.read_text("utf-8")
    assert before in text
    path = tmp_path / "slo.toml"
    path.write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(ObjectiveInvalid) as raised:
        read_objective(path)
    assert said in str(raised.value)
