"""What users feel: generations that do not arrive. These wake a person, and one incident wakes once."""

from alerts.names import Alert, Severity, delivered, expired, lost_ratio, upper_bound
from alerts.objective import BurnWindow, ConfidenceWindow, seconds
from alerts.promql import Wanted, at_least, increase, series
from alerts.rule import Alerting, Group, Timing
from alerts.words import DELIVERY_BOARD, MONITOR_BOARD, NUMBER, PROVIDER, SHARE, counted
from monitor.delivery.model import Outcome, Reason
from monitor.telemetry import catalog

# An alert that inhibits another keeps firing until that has ended, else the other would page in its turn: the recent
# windows of the burn rate forget an incident after 30 minutes at the latest.
_KEEP_DELIVERY, _KEEP_REFUSED = "30m", "45m"
_REFUSED_WINDOWS = (("5m", "1m"), ("15m", "5m"))
_WITHOUT_ASSET = (Outcome.REJECTED, Outcome.EXPIRED)
_BEFORE_A_JOB = (Outcome.REJECTED, Outcome.CANCELLED)
_NO_JOB = (Reason.UNAVAILABLE, Reason.CREATE_UNKNOWN, Reason.RATE_LIMITED, Reason.CRASHED)
"""Of these no caller is the cause, as it may be of a refused prompt."""


def delivery_group(timing: Timing) -> Group:
    """All of them, the surest sign first."""
    objective = timing.objective
    return Group(
        "delivery-alerts",
        "30s",
        (
            *(_unauthorized(windows, timing) for windows in _REFUSED_WINDOWS),
            *(_no_way_through(windows, timing) for windows in _REFUSED_WINDOWS),
            *(_nothing(window, timing) for window in objective.outage.windows),
            *(_below(window, timing) for window in objective.confidence.windows),
            *(_burns(window, timing) for window in objective.burn.windows),
            _absent(),
        ),
    )


def _unauthorized(windows: tuple[str, str], timing: Timing) -> Alerting:
    """One model may well be refused; so it counts only while nothing comes."""
    window, quiet = windows
    return Alerting(
        Alert.PROVIDER_UNAUTHORIZED,
        Severity.PAGE,
        _ends_and_nothing_comes(windows, timing, _WITHOUT_ASSET, Reason.UNAUTHORIZED),
        f"{PROVIDER} refuses our token",
        f"{NUMBER} generations of the last {window} ended because {PROVIDER} refused the token, and none was delivered "
        f"in the last {quiet}. Every generation will fail until the token is renewed.",
        DELIVERY_BOARD,
        keep=_KEEP_REFUSED,
        labels={"window": window},
    )


def _no_way_through(windows: tuple[str, str], timing: Timing) -> Alerting:
    """What never became a job is in no ratio of delivery, and its callers get nothing all the same.

    It is held for a minute: after a restart, what was being submitted ends so all at once, before anything comes.
    """
    window, quiet = windows
    return Alerting(
        Alert.NOTHING_GETS_THROUGH,
        Severity.PAGE,
        _ends_and_nothing_comes(windows, timing, _BEFORE_A_JOB, _NO_JOB),
        f"No generation gets through to {PROVIDER}",
        f"{NUMBER} generations of the last {window} ended before {PROVIDER} made anything of them, and none was "
        f"delivered in the last {quiet}. They count in no ratio of delivery, and their callers get nothing.",
        DELIVERY_BOARD,
        hold="1m",
        keep=_KEEP_REFUSED,
        labels={"window": window},
    )


def _ends_and_nothing_comes(windows: tuple[str, str], timing: Timing, outcome: Wanted, reason: Wanted) -> str:
    """Enough ended in this way in the first window, while nothing was delivered in the second."""
    window, quiet = windows
    origins = timing.objective.objective.origins
    how = series(catalog.OUTCOMES, origin=origins, outcome=outcome, reason=reason)
    came = increase(series(catalog.OUTCOMES, origin=origins, outcome=Outcome.DELIVERED), timing.over(quiet))
    return f"{at_least(increase(how, timing.over(window)), timing.objective.causes.min_bad)} and ({came} == 0)"


def _nothing(window: str, timing: Timing) -> Alerting:
    """An outage needs no statistics."""
    lost = at_least(expired(window), timing.objective.outage.min_lost)
    return Alerting(
        Alert.DELIVERY_BELOW_OBJECTIVE,
        Severity.PAGE,
        f"{lost} and ({delivered(window)} == 0)",
        f"{PROVIDER} delivers nothing",
        f"In the last {window} {counted(expired(window))} generations of {PROVIDER} expired and none was delivered.",
        DELIVERY_BOARD,
        keep=_KEEP_DELIVERY,
        labels={"window": window, "delivered": "none"},
    )


def _below(window: ConfidenceWindow, timing: Timing) -> Alerting:
    objective = timing.objective
    ratio, z = objective.objective.ratio, objective.confidence.z
    lost = at_least(expired(window.long), objective.confidence.min_lost)
    goes_on = f" and ({lost_ratio(window.recent)} > {objective.budget:g})" if window.recent else ""
    return Alerting(
        Alert.DELIVERY_BELOW_OBJECTIVE,
        Severity.PAGE,
        f"({upper_bound(window.long)} < {ratio:g}) and {lost}{goes_on}",
        f"{PROVIDER} delivers less than {ratio * 100:g}% of its generations",
        f"In the last {window.long} {counted(expired(window.long))} generations of {PROVIDER} expired and "
        f"{counted(delivered(window.long))} were delivered. That is at most {SHARE} (z = {z:g}), "
        f"below the objective of {ratio * 100:g}%.",
        DELIVERY_BOARD,
        keep=_KEEP_DELIVERY,
        labels={"window": window.long},
    )


def _burns(window: BurnWindow, timing: Timing) -> Alerting:
    objective = timing.objective
    threshold = round(window.rate * objective.budget, 9)
    lost = at_least(expired(window.long), objective.burn.min_lost)
    is_page = window.severity is Severity.PAGE
    return Alerting(
        Alert.ERROR_BUDGET_BURNS_FAST if is_page else Alert.ERROR_BUDGET_BURNS,
        Severity(window.severity),
        f"({lost_ratio(window.long)} > {threshold:g}) and ({lost_ratio(window.recent)} > {threshold:g}) and {lost}",
        f"{PROVIDER} burns its error budget {window.rate:g} times too fast",
        f"{SHARE} of the generations of {PROVIDER} expired in the last {window.long} "
        f"({counted(expired(window.long))} of them), and it goes on. At this rate the budget of "
        f"{objective.objective.period} lasts {_lasts(objective.objective.period, window.rate)}.",
        DELIVERY_BOARD,
        labels={"window": window.long},
    )


def _lasts(period: str, rate: float) -> str:
    hours = seconds(period) / 3_600 / rate
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"


def _absent() -> Alerting:
    return Alerting(
        Alert.MONITOR_ABSENT,
        Severity.PAGE,
        f"absent({series(catalog.BUILD_INFO)})",
        "No delivery monitor is scraped",
        "For 5m Prometheus has had no sample of any delivery monitor. Whether anything is delivered is unknown, and no "
        "other alert of delivery can fire.",
        MONITOR_BOARD,
        hold="5m",
    )
