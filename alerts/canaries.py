"""Whether canaries, which stand in for traffic, run, come back, and are paid for.

A rule looks back over a fixed time, and canaries run every minute or once a week. So each rule comes once for each of
the intervals in `slo.toml`, looks back over four of it, and speaks of the canaries that run as seldom as that, but no
more so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from alerts.names import Alert, Severity
from alerts.objective import times
from alerts.promql import at_least, increase, series
from alerts.rule import Alerting, Group, Timing
from alerts.words import CANARIES_BOARD, CANARY, DURATION, NUMBER, PROVIDER
from monitor.delivery.model import Outcome
from monitor.telemetry import catalog
from monitor.telemetry.catalog import FOR_MONEY, Label, Metric, Skip

_LOOKS_BACK = 4
"""Intervals: jitter may push one of the three runs that count out of a window of three."""
FAILING_HOLD: Final = "2m"
"""Long enough for an alert of delivery that says more to be there first."""
_EACH = (Label.PROVIDER, Label.CANARY)
_FAILED = (Outcome.EXPIRED, Outcome.PROVIDER_FAILED, Outcome.REJECTED)


@dataclass(frozen=True, slots=True)
class _Pace:
    """Canaries that run every `interval` or more often, but more seldom than `oftener_s`."""

    interval: str
    oftener_s: float
    timing: Timing

    @property
    def window(self) -> str:
        """What is looked back over, in words."""
        return times(_LOOKS_BACK, self.interval)

    @property
    def over(self) -> str:
        """The same, for the rule."""
        return self.timing.over(self.window)

    @property
    def have_it(self) -> str:
        """Those that are due so now, with their intervals as values."""
        return f"({_of(catalog.CANARY_INTERVAL)} > {self.oftener_s:g} <= {self.timing.seconds_of(self.interval):g})"

    @property
    def had_it_long_enough(self) -> str:
        """Those that were there when that time began, and have been due no more seldom in all of it."""
        interval = series(catalog.CANARY_INTERVAL)
        always = (
            f"(max by {_by()} (max_over_time({interval}[{self.over}])) <= {self.timing.seconds_of(self.interval):g})"
        )
        return f"{always} and (group by {_by()} ({interval} offset {self.over}))"


def canaries_group(timing: Timing) -> Group:
    """All of them."""
    paces = list(_paces(timing))
    return Group(
        "canary-alerts",
        "30s",
        (
            *(_failing(pace) for pace in paces),
            *(_failing_alone(pace) for pace in paces),
            *(_silent(pace) for pace in paces),
            _limit_reached(timing),
        ),
    )


def _paces(timing: Timing) -> Iterator[_Pace]:
    oftener_s = 0.0
    for interval in timing.objective.canaries.intervals:
        yield _Pace(interval, oftener_s, timing)
        oftener_s = timing.seconds_of(interval)


def _failing(pace: _Pace) -> Alerting:
    """A page: where nothing else is delivered, canaries are all that speaks for the users.

    It is held, so that an alert of delivery that says more is there first, and silences it.
    """
    return Alerting(
        Alert.CANARY_FAILING,
        Severity.PAGE,
        f"{_fails(pace)} unless on ({Label.PROVIDER}) {_something_comes(pace)}",
        f"{CANARY} fails, and nothing else of {PROVIDER} is delivered",
        f"{NUMBER} runs of it failed in the last {pace.window}, none was delivered for three intervals, nor any other "
        f"generation of {PROVIDER} within {pace.interval}. Users would get nothing either.",
        CANARIES_BOARD,
        hold=FAILING_HOLD,
        labels={"window": pace.window},
    )


def _failing_alone(pace: _Pace) -> Alerting:
    return Alerting(
        Alert.CANARY_FAILING_ALONE,
        Severity.TICKET,
        f"{_fails(pace)} and on ({Label.PROVIDER}) {_something_comes(pace)}",
        f"{CANARY} fails, while others of {PROVIDER} are delivered",
        f"{NUMBER} runs of it failed in the last {pace.window}, and none was delivered for three intervals. Others are "
        "delivered: its model, its prompt or its kind is the cause.",
        CANARIES_BOARD,
        hold=FAILING_HOLD,
        labels={"window": pace.window},
    )


def _fails(pace: _Pace) -> str:
    """How many runs failed, of those canaries that have had no success since, and are not paused."""
    runs = increase(series(catalog.CANARY_RUNS, outcome=_FAILED), pace.over, _EACH)
    success = f"max by {_by()} (max_over_time({series(catalog.CANARY_LAST_SUCCESS)}[{pace.over}]))"
    succeeds = f"((time() - {success}) <= 3 * {_of(catalog.CANARY_INTERVAL)})"
    failed = at_least(runs, pace.timing.objective.canaries.min_failed)
    return f"{failed} and {pace.have_it} unless {succeeds} unless ({_of(catalog.CANARY_PAUSED)} > 0)"


def _something_comes(pace: _Pace) -> str:
    origins = pace.timing.objective.objective.origins
    delivered = series(catalog.OUTCOMES, origin=origins, outcome=Outcome.DELIVERED)
    return f"({increase(delivered, pace.timing.over(pace.interval))} > 0)"


def _silent(pace: _Pace) -> Alerting:
    """Pauses and limits are meant, and told elsewhere; after a pause there is a whole window to begin again."""
    ran = f"({increase(series(catalog.CANARY_RUNS), pace.over, _EACH)} > 0)"
    paused = f"(max by {_by()} (max_over_time({series(catalog.CANARY_PAUSED)}[{pace.over}])) > 0)"
    thinned = f"({increase(series(catalog.CANARY_SKIPPED, reason=FOR_MONEY), pace.over, _EACH)} > 0)"
    return Alerting(
        Alert.CANARY_SILENT,
        Severity.TICKET,
        f"{pace.have_it} and {pace.had_it_long_enough} unless {ran} unless {paused} unless {thinned}",
        f"{CANARY} does not run",
        f"No run of it ended in the last {pace.window}, though one is due every {DURATION}. It is neither paused nor "
        f"left out for money. Without it, losses of {PROVIDER} are seen later, or not at all.",
        CANARIES_BOARD,
        hold="5m",
        labels={"window": pace.window},
    )


def _limit_reached(timing: Timing) -> Alerting:
    skipped = increase(series(catalog.CANARY_SKIPPED, reason=Skip.LIMIT), timing.over("1h"), _EACH)
    return Alerting(
        Alert.CANARY_LIMIT_REACHED,
        Severity.TICKET,
        f"{skipped} > 0",
        f"{CANARY} has spent its limit",
        f"{NUMBER} runs were left out in the last 1h, as a spending limit leaves nothing for one more. Until its day "
        f"or month is over there is less signal of {PROVIDER}, or none.",
        CANARIES_BOARD,
    )


def _by() -> str:
    return f"({', '.join(_EACH)})"


def _of(gauge: Metric) -> str:
    """The value now, of replicas that tell the same."""
    return f"max by {_by()} ({series(gauge)})"
