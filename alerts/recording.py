"""The recorded series: what was delivered and lost in every window that an alert or a dashboard looks at."""

from alerts.names import BUDGET_LEFT, SLO_WINDOW, delivered, expired, lost_ratio, upper_bound
from alerts.objective import seconds
from alerts.promql import increase, series, wilson_upper
from alerts.promql import lost_ratio as ratio_of
from alerts.rule import Group, Recording, Timing
from monitor.delivery.model import Outcome
from monitor.telemetry import catalog

_LONG_S = 86_400
"""From here on a window moves too slowly to be worth a look every half minute."""


def recording_groups(timing: Timing) -> list[Group]:
    """Short windows often, long ones seldom; but twice within the 5 minutes for which Prometheus goes back to find a
    sample, or one late evaluation would end the alerts that look at them.
    """
    windows = sorted(_windows(timing), key=seconds)
    short = [rule for window in windows if seconds(window) < _LONG_S for rule in _of(window, timing)]
    long = [rule for window in windows if seconds(window) >= _LONG_S for rule in _of(window, timing)]
    return [
        Group("delivery-recent", "30s", tuple(short)),
        Group("delivery-long", "2m", (*long, _budget_left(timing))),
    ]


def _windows(timing: Timing) -> set[str]:
    objective = timing.objective
    compared = {window for pair in objective.window_pairs for window in pair if window is not None}
    return {SLO_WINDOW, *objective.outage.windows, *compared}


def _of(window: str, timing: Timing) -> list[Recording]:
    objective = timing.objective
    origins, over = objective.objective.origins, timing.over(window)

    def ended(outcome: Outcome) -> str:
        return increase(series(catalog.OUTCOMES, origin=origins, outcome=outcome), over)

    rules = [
        Recording(delivered(window), ended(Outcome.DELIVERED)),
        Recording(expired(window), ended(Outcome.EXPIRED)),
        Recording(lost_ratio(window), ratio_of(delivered(window), expired(window))),
    ]
    if window in {confidence.long for confidence in objective.confidence.windows}:
        z = objective.confidence.z
        rules.append(Recording(upper_bound(window), wilson_upper(delivered(window), expired(window), z)))
    return rules


def _budget_left(timing: Timing) -> Recording:
    return Recording(BUDGET_LEFT, f"1 - {lost_ratio(SLO_WINDOW)} / {timing.objective.budget:g}")
