"""Rules and groups of rules as values, and as what Prometheus reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alerts.names import Alert, Severity
from alerts.objective import Objective, seconds


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed ahead."""

    record: str
    expression: str

    def to_yaml(self, _: "Timing") -> dict[str, Any]:
        """As in a rule file."""
        return {"record": self.record, "expr": self.expression}


@dataclass(frozen=True, slots=True)
class Alerting:
    """One alert. Durations are windows as Prometheus writes them; an empty one is none."""

    alert: Alert
    severity: Severity
    expression: str
    summary: str
    description: str
    dashboard: str
    hold: str = ""
    """How long the expression must hold before the alert fires."""
    keep: str = ""
    """How long it goes on firing after that has ended, so that one incident does not fire twice."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_yaml(self, timing: "Timing") -> dict[str, Any]:
        """As in a rule file."""
        links = timing.objective.links
        rule: dict[str, Any] = {"alert": str(self.alert), "expr": self.expression}
        if self.hold:
            rule["for"] = timing.over(self.hold)
        if self.keep:
            rule["keep_firing_for"] = timing.over(self.keep)
        rule["labels"] = {"severity": str(self.severity), **self.labels}
        rule["annotations"] = {
            "summary": self.summary,
            "description": self.description,
            "runbook_url": f"{links.runbooks}/{self.alert}.md",
            "dashboard_url": links.dashboards + self.dashboard,
        }
        return rule


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after another, every `interval`."""

    name: str
    interval: str
    rules: tuple[Recording | Alerting, ...]

    def to_yaml(self, timing: "Timing") -> dict[str, Any]:
        """As in a rule file."""
        return {
            "name": self.name,
            "interval": timing.over(self.interval),
            "rules": [rule.to_yaml(timing) for rule in self.rules],
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """The objective, and how much faster than real its rules run: a test of the whole chain cannot wait for hours."""

    objective: Objective
    times_faster: int = 1

    def over(self, window: str) -> str:
        """`window` as the rules are to have it."""
        if self.times_faster == 1:
            return window
        return f"{max(1, seconds(window) * 1_000 // self.times_faster)}ms"

    def seconds_of(self, window: str) -> float:
        """How long `window` is then."""
        return seconds(window) / self.times_faster
