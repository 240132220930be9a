"""What pages over delivery, for `monitor canary plan`, which has no rules at hand where it runs."""

from alerts.canaries import FAILING_HOLD
from alerts.objective import Objective, seconds
from monitor.canary.page_rule import PageRule


def page_rule(objective: Objective) -> PageRule:
    """The windows, bounds and guards of all pages of delivery, in seconds and numbers."""
    return PageRule(
        objective=objective.objective.ratio,
        z=objective.confidence.z,
        min_lost=objective.confidence.min_lost,
        windows_s=tuple(seconds(window.long) for window in objective.confidence.windows),
        outage_min_lost=objective.outage.min_lost,
        outage_windows_s=tuple(seconds(window) for window in objective.outage.windows),
        canary_min_failed=objective.canaries.min_failed,
        canary_intervals_s=tuple(seconds(interval) for interval in objective.canaries.intervals),
        canary_hold_s=seconds(FAILING_HOLD),
    )


def render_page_rule(objective: Objective) -> str:
    """The file that the package ships."""
    return page_rule(objective).model_dump_json(indent=2) + "\n"
