"""Each file that is mounted, checked by the program that reads it, or where that does not run here, by its shape."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from tests.stack.files import ROOT, StackFiles
from tests.stack.native import NativeStack, require_programs
from tests.stack.wiring import UIDS

FILES = StackFiles(ROOT)


@pytest.fixture
def stack(tmp_path: Path) -> NativeStack:
    require_programs()
    return NativeStack(FILES, tmp_path)


def check(*command: str | Path, **variables: str) -> str:
    """What the checker says of a file that it has nothing against."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MONITOR_")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=kept | {"COLUMNS": "200"} | variables
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.system
def test_promtool_has_nothing_against_the_config_its_rules_and_its_token(stack: NativeStack) -> None:
    config = stack.path("prometheus", FILES.flags("prometheus")["--config.file"])
    said = check("promtool", "check", "config", config)
    rules = sum(1 for _ in (ROOT / "alerts/rules").glob("*.yml"))
    assert f"SUCCESS: {rules} rule files found" in said


@pytest.mark.system
def test_amtool_has_nothing_against_the_config(stack: NativeStack) -> None:
    assert "SUCCESS" in check(
        "amtool", "check-config", stack.path("alertmanager", FILES.flags("alertmanager")["--config.file"])
    )


@pytest.mark.parametrize("is_demo", [False, True])
def test_monitor_check_has_nothing_against_the_settings(stack: NativeStack, is_demo: bool) -> None:
    config = stack.path("monitor", "/etc/monitor/monitor.toml")
    given = stack.variables("monitor") if is_demo else {}
    said = check(sys.executable, "-m", "monitor", "check", "--config", config, **given)
    assert "The settings are valid." in said
    assert "0.0.0.0:8080" in said
    assert "prometheus, application, operator" in said
    assert ("127.0.0.1" if is_demo else "editor.superduperai.co") in said


def test_without_its_tokens_the_service_refuses_to_be_reached_from_outside(stack: NativeStack) -> None:
    stack.path("monitor", "/run/secrets/prometheus_token").write_text("", "utf-8")
    with pytest.raises(AssertionError, match="must hold one token of 16 or more"):
        check(sys.executable, "-m", "monitor", "check", "--config", stack.path("monitor", "/etc/monitor/monitor.toml"))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _TraceLink(_Strict):
    name: Literal["trace_id"]
    datasource_uid: str = Field(alias="datasourceUid")
    label: str = Field(alias="urlDisplayLabel")


class _TimelineLink(_Strict):
    name: Literal["generation_id"]
    url: str = Field(pattern=r"^http://[^/]+/generations/\$\$\{__value\.raw\}$")
    label: str = Field(alias="urlDisplayLabel")


class _PrometheusOptions(_Strict):
    method: Literal["POST", "GET"] = Field(alias="httpMethod")
    interval: str = Field(alias="timeInterval", pattern=r"^\d+s$")
    manage_alerts: bool = Field(alias="manageAlerts")
    alertmanager: str = Field(alias="alertmanagerUid")
    links: list[_TraceLink | _TimelineLink] = Field(alias="exemplarTraceIdDestinations", min_length=1)


class _AlertmanagerOptions(_Strict):
    implementation: Literal["prometheus"]
    takes_grafanas: bool = Field(alias="handleGrafanaManagedAlerts")


class _Datasource(_Strict):
    name: str
    uid: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,40}$")
    type: Literal["prometheus", "jaeger", "alertmanager"]
    access: Literal["proxy"]
    url: str = Field(pattern=r"^http://\w+:\d+$")
    is_default: bool = Field(False, alias="isDefault")
    is_editable: bool = Field(alias="editable")
    options: _PrometheusOptions | _AlertmanagerOptions | None = Field(None, alias="jsonData")


class _Datasources(_Strict):
    version: Literal[1] = Field(alias="apiVersion")
    prune: bool
    datasources: list[_Datasource]


class _Folder(_Strict):
    path: str = Field(pattern=r"^/")


class _Provider(_Strict):
    name: str
    type: Literal["file"]
    folder: str
    may_not_delete: bool = Field(alias="disableDeletion")
    may_change: bool = Field(alias="allowUiUpdates")
    interval_s: int = Field(alias="updateIntervalSeconds", ge=10)
    options: _Folder


class _Providers(_Strict):
    version: Literal[1] = Field(alias="apiVersion")
    providers: list[_Provider]


def test_grafana_is_given_each_datasource_once_and_one_default() -> None:
    given = _Datasources.model_validate(FILES.datasources).datasources
    assert [source.uid for source in given if source.is_default] == ["prometheus"]
    assert {source.uid: source.type for source in given} == {uid: uid for uid in UIDS}
    assert len({source.name for source in given}) == len(given)
    assert not any(source.is_editable for source in given)


def test_grafana_is_given_the_dashboards_and_may_not_change_them() -> None:
    (provider,) = _Providers.model_validate(FILES.dashboards).providers
    assert (provider.may_change, provider.may_not_delete) == (False, True)


def test_every_dashboard_that_is_mounted_has_a_uid_of_its_own_and_asks_datasources_that_there_are() -> None:
    boards = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "dashboards/json").glob("*.json"))]
    uids = [board["uid"] for board in boards]
    assert len(set(uids)) == len(boards) >= 3
    for board in boards:
        asked = {source["uid"] for source in _datasources_of(board)}
        assert {uid for uid in asked if not uid.startswith(("$", "-- "))} <= UIDS


def _datasources_of(part: Any) -> list[dict[str, str]]:
    """Every `{type, uid}` below."""
    if isinstance(part, list):
        return [found for item in part for found in _datasources_of(item)]
    if not isinstance(part, dict):
        return []
    own = part.get("datasource")
    found = [own] if isinstance(own, dict) and "uid" in own else []
    return found + [deeper for item in part.values() for deeper in _datasources_of(item)]
