"""Builds the rule files from the objective."""

from pathlib import Path
from typing import Final

import yaml

from alerts.canaries import canaries_group
from alerts.causes import causes_group
from alerts.delivery import delivery_group
from alerts.own import own_group
from alerts.recording import recording_groups
from alerts.rule import Group, Timing

FOLDER: Final = Path(__file__).with_name("rules")
_HEAD: Final = "# Built from alerts/slo.toml by `make alerts`; do not edit.\n"


def build_groups(timing: Timing) -> dict[str, list[Group]]:
    """All groups, by the name of their file."""
    return {
        "recording.rules.yml": recording_groups(timing),
        "delivery.rules.yml": [delivery_group(timing)],
        "causes.rules.yml": [causes_group(timing)],
        "canaries.rules.yml": [canaries_group(timing)],
        "monitor.rules.yml": [own_group(timing)],
    }


def render_rules(timing: Timing) -> dict[str, str]:
    """The files, by name."""
    return {name: _HEAD + _to_yaml(groups, timing) for name, groups in build_groups(timing).items()}


def _to_yaml(groups: list[Group], timing: Timing) -> str:
    content = {"groups": [group.to_yaml(timing) for group in groups]}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1_000)
