"""The compose file: the specification's schema, a compose implementation's reading, and what we keep to."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.stack.files import ROOT, StackFiles
from tests.stack.hardening import hardening_problems
from tests.stack.wiring import wiring_problems

FILES = StackFiles(ROOT)
SCHEMA = json.loads((Path(__file__).parent / "schemas/compose-spec.json").read_text("utf-8"))
"""Of the Compose Specification, under the licence beside it."""
PLANS = {"": {"monitor", "prometheus", "alertmanager", "grafana", "jaeger"}, "demo": {"simulator", "visitor"}}
"""Which services start with which profile, beside those that always do."""


def all_problems(files: StackFiles) -> list[str]:
    return hardening_problems(files) + wiring_problems(files)


def test_it_keeps_to_the_specification() -> None:
    problems = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(FILES.compose)
    ]
    assert problems == []


def test_the_schema_finds_what_is_misspelt() -> None:
    wrong = {**FILES.compose, "services": {"monitor": {"image": "x", "read_olny": True}}}
    assert not Draft202012Validator(SCHEMA).is_valid(wrong)


def test_every_service_is_hardened_and_all_files_agree() -> None:
    assert all_problems(FILES) == []


@pytest.mark.parametrize("env_file", ["", "deploy/demo.env"])
def test_a_compose_implementation_reads_it(tmp_path: Path, env_file: str) -> None:
    """Without an engine: that is asked for its version only."""
    engine = tmp_path / "podman"
    engine.write_text("#!/bin/sh\necho podman version 5.4.2\n", "utf-8")
    engine.chmod(0o755)
    options = ["--env-file", env_file] if env_file else []
    command = [sys.executable, "-m", "podman_compose", "--podman-path", str(engine), *options, "config"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MONITOR_", "COMPOSE_"))}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load(done.stdout)
    assert set(read["services"]) == PLANS[""] | (PLANS["demo"] if env_file else set())


def test_what_is_started_with_which_profile() -> None:
    by_profile: dict[str, set[str]] = {}
    for name, service in FILES.services.items():
        for profile in service.get("profiles", [""]):
            by_profile.setdefault(profile, set()).add(name)
    assert by_profile == PLANS


def test_what_waits_for_what() -> None:
    """Prometheus does not wait for the service that it is there to watch."""
    waits = {
        name: {other: how["condition"].removeprefix("service_") for other, how in service["depends_on"].items()}
        for name, service in FILES.services.items()
        if "depends_on" in service
    }
    assert waits == {
        "monitor": {"jaeger": "started"},
        "prometheus": {"alertmanager": "healthy"},
        "grafana": {"prometheus": "healthy"},
        "visitor": {"monitor": "healthy", "simulator": "healthy"},
    }


def test_the_secrets_that_are_made_are_those_that_are_read(tmp_path: Path) -> None:
    made = _make_secrets(tmp_path)
    assert {path.name for path in made.iterdir()} == set(FILES.compose["secrets"])
    assert made.stat().st_mode & 0o777 == 0o700, "of this machine's users, only their owner gets at them"
    for path in made.iterdir():
        assert path.stat().st_mode & 0o777 == 0o644, "users inside containers have other numbers"
        expected = r"" if path.name == "provider_token" else r"gm_[\w-]{43}\n"
        assert re.fullmatch(expected, path.read_text("utf-8")), path.name
    before = {path.name: path.read_text("utf-8") for path in made.iterdir()}
    assert {path.name: path.read_text("utf-8") for path in _make_secrets(tmp_path).iterdir()} == before


def _make_secrets(folder: Path) -> Path:
    script = folder / "make-secrets"
    shutil.copy(ROOT / "deploy/make-secrets", script)
    variables = {**os.environ, "MONITOR": f"{sys.executable} -m monitor", "PYTHONPATH": str(ROOT)}
    variables.pop("SUPERDUPERAI_TOKEN", None)
    subprocess.run([script], check=True, capture_output=True, env=variables)
    return folder / "secrets"


def _service(name: str, **changes: Any) -> Callable[[StackFiles], None]:
    def change(files: StackFiles) -> None:
        files.services[name].update(changes)

    return change


def _text(path: str, old: str, new: str) -> Callable[[StackFiles], None]:
    def change(files: StackFiles) -> None:
        file = files.root / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    return change


def _remove(path: str) -> Callable[[StackFiles], None]:
    def change(files: StackFiles) -> None:
        for file in files.root.glob(path):
            shutil.rmtree(file) if file.is_dir() else file.unlink()

    return change


COMPOSE, PROMETHEUS, MONITOR = "docker-compose.yml", "deploy/prometheus/prometheus.yml", "deploy/monitor.toml"
JAEGER, SOURCES, DEMO = "deploy/jaeger/jaeger.yaml", "deploy/grafana/datasources.yaml", "deploy/demo.env"


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        (_service("grafana", ports=["3000:3000"]), "grafana: '3000:3000' is not published on 127.0.0.1 alone"),
        (_service("monitor", ports=["0.0.0.0:8080:8080"]), "monitor: '0.0.0.0:8080:8080' is not published on"),
        (_service("prometheus", ports=["127.0.0.1:9091:9090"]), "prometheus: 9090 is published as 9091"),
        (
            _service("jaeger", image="jaegertracing/jaeger:latest"),
            "jaeger: the image 'jaegertracing/jaeger:latest' is not",
        ),
        (_service("monitor", user="root"), "monitor: runs as root"),
        (_service("grafana", user="0:0"), "grafana: runs as root"),
        (_service("simulator", read_only=False), "simulator: read_only is False"),
        (_service("simulator", cap_add=["NET_ADMIN"]), "simulator: cap_add has no place here"),
        (_service("alertmanager", tmpfs=[]), "alertmanager: has no /tmp to write to"),
        (_service("alertmanager", healthcheck={}), "alertmanager: has no health check"),
        (_service("grafana", depends_on={"loki": {"condition": "service_healthy"}}), "grafana: waits for 'loki'"),
        (
            _service("monitor", depends_on={"simulator": {"condition": "service_healthy"}}),
            "monitor: waits for simulator",
        ),
        (_service("monitor", environment={"API_TOKEN": "abc"}), "monitor: API_TOKEN holds a secret itself"),
        (_service("monitor", secrets=["provider_token"]), "monitor.toml: token files"),
        (_service("prometheus", secrets=[]), "prometheus.yml: '/run/secrets/prometheus_token' is no secret"),
        (
            _text(COMPOSE, "./deploy/jaeger/jaeger.yaml", "./deploy/jaeger.yaml"),
            "jaeger: reads '/etc/jaeger/jaeger.yaml'",
        ),
        (
            _text(COMPOSE, "target: /etc/prometheus/rules,", "target: /etc/rules,"),
            "prometheus.yml: /etc/prometheus/rules/*",
        ),
        (
            _text(COMPOSE, "target: /etc/monitor/monitor.toml", "target: /etc/monitor.toml"),
            "Dockerfile: the service reads",
        ),
        (
            _text(COMPOSE, "dashboards/delivery.json", "dashboards/home.json"),
            "grafana: reads /etc/grafana/dashboards/home",
        ),
        (_text(COMPOSE, "target: /prometheus}", "target: /data}"), "prometheus: --storage.tsdb.path is on no volume"),
        (_text(COMPOSE, "retention.time=35d", "retention.time=15d"), "prometheus: does not keep what the objective"),
        (_text(COMPOSE, "exemplar-storage", "agent"), "prometheus: does not store exemplars"),
        (
            _text(COMPOSE, "127.0.0.1:13133/status", "127.0.0.1:13134/status"),
            "jaeger: its health check asks port 13134",
        ),
        (_text(COMPOSE, "--port=9100", "--port=9101"), "docker-compose.yml: the simulated provider listens elsewhere"),
        (
            _text(PROMETHEUS, "[monitor:8080]", "[monitor:8081]"),
            "prometheus.yml, job monitor: nobody listens at monitor:8081",
        ),
        (
            _text(PROMETHEUS, "alertmanager:9093", "alerts:9093"),
            "prometheus.yml, alerting: nobody listens at alerts:9093",
        ),
        (_text(PROMETHEUS, "job_name: monitor", "job_name: service"), "prometheus.yml: there is no job 'monitor'"),
        (
            _text(PROMETHEUS, "prometheus_token", "operator_token"),
            "prometheus.yml: '/run/secrets/operator_token' is no",
        ),
        (_text(PROMETHEUS, "scrape_interval: 15s", "scrape_interval: 30s"), "datasources.yaml: timeInterval is 15s"),
        (
            _text(MONITOR, "jaeger:4318", "jaeger:4317"),
            "deploy/monitor.toml, tracing: nobody listens at http://jaeger:4317",
        ),
        (_text(MONITOR, "port = 8080", "port = 8000"), "Dockerfile: EXPOSE and HEALTHCHECK do not say 8000"),
        (_text(MONITOR, "/var/lib/monitor/", "/srv/"), "monitor.toml: /srv/monitor.db is on no volume"),
        (
            _text(JAEGER, "0.0.0.0:4318", "0.0.0.0:4328"),
            "deploy/monitor.toml, tracing: nobody listens at http://jaeger:4318",
        ),
        (_text(JAEGER, "{traces: on_disk}", "{traces: elsewhere}"), "jaeger.yaml: written to and read from"),
        (_text(JAEGER, "/tmp/jaeger/keys", "/badger/keys"), "jaeger.yaml: /badger/keys is on no volume"),
        (_text(JAEGER, "0.0.0.0:16686", "127.0.0.1:16686"), "jaeger.yaml: the page listens on 127.0.0.1:16686"),
        (_text(SOURCES, "uid: jaeger", "uid: traces"), "datasources.yaml: the uids are"),
        (_text(SOURCES, "name: generation_id", "name: id"), "datasources.yaml: exemplars have"),
        (_text(SOURCES, "8080/generations", "8000/generations"), "datasources.yaml: a link leads to http://127"),
        (_text(SOURCES, "datasourceUid: jaeger", "datasourceUid: tempo"), "datasources.yaml: a link leads to 'tempo'"),
        (
            _text(DEMO, "simulator:9100", "simulator:9000"),
            "demo.env, base_url: nobody listens at http://simulator:9000",
        ),
        (_text(DEMO, "simulator-token", "another"), "demo.env: the token is not the one"),
        (_text("Dockerfile", "USER 10001:10001", "USER 1000:1000"), "Dockerfile: the user is 1000:1000"),
        (_text("Dockerfile", "EXPOSE 8080", "EXPOSE 80"), "Dockerfile: EXPOSE and HEALTHCHECK"),
        (_remove("alerts/rules/*"), "prometheus.yml: /etc/prometheus/rules/*.yml matches no file"),
        (_remove("alerts/alertmanager.yml"), "alertmanager: alerts/alertmanager.yml is mounted and is not there"),
        (_remove("alerts/runbooks"), "prometheus: serves runbooks from where none are mounted"),
        (_remove("dashboards/json/delivery.json"), "grafana: reads /etc/grafana/dashboards/delivery.json"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_sabotage_is_found(tmp_path: Path, sabotage: Callable[[StackFiles], None], problem: str) -> None:
    for path in ("deploy", "alerts", "dashboards/json", "Dockerfile", COMPOSE):
        source, target = ROOT / path, tmp_path / path
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.py", "secrets", "__pycache__"))
        else:
            shutil.copy(source, target)
    files = StackFiles(tmp_path)
    sabotage(files)
    assert [found for found in all_problems(files) if found.startswith(problem)], all_problems(files)
