"""Alertmanager takes the configuration, and pages, tickets and the heartbeat go where they belong."""

from typing import Any

import pytest
import yaml

from alerts.names import Alert
from tests.alerts.programs import ALERTS, run

CONFIG = ALERTS / "alertmanager.yml"


def test_alertmanager_takes_the_configuration() -> None:
    said = run("amtool", "check-config", CONFIG)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(
    ("severity", "receiver"), [("page", "pager"), ("ticket", "tickets"), ("heartbeat", "heartbeat"), ("odd", "tickets")]
)
def test_an_alert_goes_to_the_receiver_of_its_severity(severity: str, receiver: str) -> None:
    said = run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}", "provider=p")
    assert said.stdout.strip() == receiver, said.stderr


def test_alerts_are_grouped_by_provider_and_name() -> None:
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text("utf-8"))
    assert config["route"]["group_by"] == ["provider", "alertname"]


def test_inhibitions_name_alerts_that_exist() -> None:
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text("utf-8"))
    matchers = [matcher for rule in config["inhibit_rules"] for side in rule.values() for matcher in side]
    named = {name for matcher in matchers if "=" in matcher for name in matcher.split('"')[1].split("|")}
    assert named <= set(Alert)
