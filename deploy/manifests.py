"""Writes what the Prometheus operator and Grafana's sidecar read in Kubernetes: `python -m deploy.manifests`.

Built from the same rules, dashboards and intervals as everything else; docs/deployment.md says how to apply them.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from alerts.build import build_groups
from alerts.names import JOB
from alerts.objective import read_objective
from alerts.rule import Timing
from dashboards.build import built

_DEPLOY: Final = Path(__file__).parent
FOLDER: Final = _DEPLOY / "prometheus-operator"
NAME: Final = "generation-monitor"
PORT: Final = "http"
"""What the port of the Kubernetes Service is called."""
TOKEN_KEY: Final = "prometheus_token"  # noqa: S105  # the secret's key, as the file is called beside docker-compose.yml
_LABELS: Final = {"app.kubernetes.io/name": NAME}
_HEAD: Final = "# Built by `make manifests` from alerts/, dashboards/ and deploy/prometheus/; do not edit.\n"

Manifest = dict[str, Any]


def built_manifests() -> dict[str, str]:
    """The files, by name."""
    boards = {f"dashboard-{name.removesuffix('.json')}": text for name, text in built().items()}
    manifests = {
        "service-monitor.yaml": _service_monitor(),
        "prometheus-rule.yaml": _prometheus_rule(),
        **{f"{name}.yaml": _dashboard(name, text) for name, text in boards.items()},
    }
    return {name: _HEAD + _to_yaml(manifest) for name, manifest in manifests.items()}


def _service_monitor() -> Manifest:
    """Scrapes as deploy/prometheus/prometheus.yml does; the job is called as in the rules, whatever the Service is."""
    scrape = yaml.safe_load((_DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))["global"]
    endpoint = {
        "port": PORT,
        "path": "/metrics",
        "interval": scrape["scrape_interval"],
        "scrapeTimeout": scrape["scrape_timeout"],
        "authorization": {"type": "Bearer", "credentials": {"name": NAME, "key": TOKEN_KEY}},
        "relabelings": [{"targetLabel": "job", "replacement": JOB, "action": "replace"}],
    }
    spec = {"selector": {"matchLabels": _LABELS}, "endpoints": [endpoint]}
    return _manifest("monitoring.coreos.com/v1", "ServiceMonitor", NAME) | {"spec": spec}


def _prometheus_rule() -> Manifest:
    timing = Timing(read_objective())
    groups = [group.to_yaml(timing) for groups in build_groups(timing).values() for group in groups]
    return _manifest("monitoring.coreos.com/v1", "PrometheusRule", NAME) | {"spec": {"groups": groups}}


def _dashboard(name: str, text: str) -> Manifest:
    """Grafana's sidecar takes every ConfigMap that has this label, and puts it into the folder of the annotation."""
    manifest = _manifest("v1", "ConfigMap", f"{NAME}-{name}", grafana_dashboard="1")
    manifest["metadata"]["annotations"] = {"grafana_folder": "Generation monitor"}
    return manifest | {"data": {f"{NAME}-{name}.json": _Block(text)}}


def _manifest(version: str, kind: str, name: str, **labels: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {**_LABELS, **labels}}}


class _Block(str):
    """Text that YAML is to show line by line."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """One that writes each thing out where it stands, without references."""

    def ignore_aliases(self, _: object) -> bool:
        return True


_Dumper.add_representer(
    _Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def _to_yaml(manifest: Manifest) -> str:
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)
    return text


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in built_manifests().items():
        (FOLDER / name).write_text(text, "utf-8")
