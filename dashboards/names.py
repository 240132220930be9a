"""What dashboards are called, where they lead to, and the names of their variables. Alerts link to them by these."""

from enum import StrEnum
from typing import Final

from alerts.names import Alert
from alerts.objective import read_objective

TAG: Final = "generation-monitor"
"""All dashboards have it, and link to each other by it."""
DATASOURCE: Final = "datasource"
"""The variable that says which Prometheus is asked."""
_LINKS: Final = read_objective().links
STATUS_PAGE: Final = f"{_LINKS.monitor}/"
RUNBOOKS: Final = f"{_LINKS.runbooks}/"


class Uid(StrEnum):
    """The end of each dashboard's address. They are kept for good: people have bookmarks, and alerts have links."""

    DELIVERY = "generation-delivery"
    CHANNELS = "generation-channels"
    CANARIES = "generation-canaries"
    MONITOR = "generation-monitor"


def runbook(alert: Alert | str) -> str:
    """Where the runbook of an alert is; Grafana may fill in the name."""
    return f"{RUNBOOKS}{alert}.md"
