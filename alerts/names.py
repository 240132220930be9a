"""The names of recorded series and of alerts. They exist here and nowhere else; metrics' names are the catalogue's.

Recorded series are called `level:metric:operation`, as Prometheus's naming advice has it; a window in a name is the one
that the rule looks back over.
"""

from enum import StrEnum
from typing import Final

JOB: Final = "monitor"
"""What Prometheus calls the scrape of the service; see `deploy/`."""
CONFIDENCE_WINDOW: Final = "15m"
SLO_WINDOW: Final = "30d"


def delivered(window: str) -> str:
    """Generations delivered within `window`, per provider."""
    return f"provider:generation_delivered:increase{window}"


def expired(window: str) -> str:
    """Generations expired within `window`, per provider."""
    return f"provider:generation_expired:increase{window}"


def lost_ratio(window: str) -> str:
    """Share of expired ones among delivered and expired within `window`, per provider; absent when nothing ended."""
    return f"provider:generation_lost:ratio{window}"


def upper_bound(window: str) -> str:
    """The highest share of deliveries that `window` is still compatible with, per provider: the upper Wilson bound."""
    return f"provider:generation_delivered:upper_bound{window}"


DELIVERY_UPPER_BOUND: Final = upper_bound(CONFIDENCE_WINDOW)
BUDGET_LEFT: Final = f"provider:generation_error_budget_left:ratio{SLO_WINDOW}"
"""Share of the error budget that is left: 1 when nothing was lost, 0 at the objective, negative below it."""


class Severity(StrEnum):
    """What becomes of an alert: it wakes a person, it waits for working hours, or it only shows that alerting lives."""

    PAGE = "page"
    TICKET = "ticket"
    HEARTBEAT = "heartbeat"


class Alert(StrEnum):
    """All alerts. Each has a runbook of its name in `alerts/runbooks/`."""

    DELIVERY_BELOW_OBJECTIVE = "DeliveryBelowObjective"
    ERROR_BUDGET_BURNS_FAST = "ErrorBudgetBurnsFast"
    ERROR_BUDGET_BURNS = "ErrorBudgetBurns"
    PROVIDER_UNAUTHORIZED = "ProviderUnauthorized"
    NOTHING_GETS_THROUGH = "NothingGetsThrough"
    MONITOR_ABSENT = "MonitorAbsent"
    STORE_FAILING = "StoreFailing"

    SSE_DEGRADED = "SseDegraded"
    POLLING_EXHAUSTED = "PollingExhausted"
    PROVIDER_UNREACHABLE = "ProviderUnreachable"
    ASSETS_BROKEN = "AssetsBroken"
    NO_TRAFFIC = "NoTraffic"
    GENERATIONS_CRASH = "GenerationsCrash"
    CANARY_FAILING = "CanaryFailing"
    CANARY_FAILING_ALONE = "CanaryFailingAlone"
    CANARY_SILENT = "CanarySilent"
    CANARY_LIMIT_REACHED = "CanaryLimitReached"
    TRACE_EXPORT_FAILING = "TraceExportFailing"
    OBSERVER_FAILING = "ObserverFailing"
    EVENT_LOOP_LAGGING = "EventLoopLagging"
    SCRAPE_FAILING = "ScrapeFailing"
    CLOCK_WRONG = "ClockWrong"
    OBJECTIVE_DISAGREES = "ObjectiveDisagrees"
    RELOAD_REFUSED = "ReloadRefused"

    WATCHDOG = "Watchdog"
