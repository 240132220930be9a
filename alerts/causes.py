"""Why delivery may suffer, or soon will. Users are still served, so these make tickets."""

from alerts.names import Alert, Severity
from alerts.promql import at_least, increase, series, wilson_upper
from alerts.promql import lost_ratio as ratio_of
from alerts.rule import Alerting, Group, Timing
from alerts.words import CHANNELS_BOARD, DELIVERY_BOARD, NUMBER, PROVIDER, SHARE
from monitor.delivery.model import HAD_IT, HAD_IT_NOT, AssetResult, Channel, Outcome, Reason, Stage
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Code, Label

_NO_ANSWER = (Code.FAILED, Code.TIMEOUT, Code.ERROR)
_ANSWER = (Code.SUCCESS, Code.REFUSED, Code.RATE_LIMITED, Code.OTHER)
_CALLS = (Stage.CREATE, Stage.SUBSCRIBE, Stage.POLL, Stage.RESOLVE)
_POLLING_EXHAUSTED = tuple(
    reason for reason in Reason if reason not in (Reason.MONITOR_DOWN, Reason.NOT_POLLED, Reason.UNAUTHORIZED)
)


def causes_group(timing: Timing) -> Group:
    """All of them."""
    return Group(
        "delivery-causes",
        "30s",
        (_sse(timing), _polling(timing), _unreachable(timing), _assets(timing), _crash(timing), _no_traffic(timing)),
    )


def _sse(timing: Timing) -> Alerting:
    causes, over = timing.objective.causes, timing.over("1h")
    good = increase(series(catalog.CHANNEL_RESULTS, channel=Channel.SSE, result=HAD_IT), over)
    bad = increase(series(catalog.CHANNEL_RESULTS, channel=Channel.SSE, result=HAD_IT_NOT), over)
    return Alerting(
        Alert.SSE_DEGRADED,
        Severity.TICKET,
        f"({wilson_upper(good, bad, causes.z)} < {causes.sse_success:g}) and {at_least(bad, causes.min_bad)}",
        f"SSE of {PROVIDER} misses results",
        f"Of the generations of the last 1h whose both channels were measured, SSE had at most {SHARE}; "
        f"{causes.sse_success * 100:g}% is expected. Polling carries them: users are served, but wait longer.",
        CHANNELS_BOARD,
        hold="5m",
    )


def _polling(timing: Timing) -> Alerting:
    """Compared with a day, so only where there was one to look back over."""
    origins, day = timing.objective.objective.origins, timing.over("1d")
    selector = series(catalog.OUTCOMES, origin=origins, outcome=Outcome.EXPIRED, reason=_POLLING_EXHAUSTED)
    now, usual = increase(selector, timing.over("1h")), f"{increase(selector, day)} / 24"
    return Alerting(
        Alert.POLLING_EXHAUSTED,
        Severity.TICKET,
        f"{at_least(now, timing.objective.causes.min_bad)} and ({now} > 2 * {usual}) and {_was_there(selector, day)}",
        f"More generations of {PROVIDER} use up all polls",
        f"{NUMBER} generations of {PROVIDER} expired in the last 1h with nothing found by any "
        "poll: more than twice as many as in a usual hour of the last 1d.",
        DELIVERY_BOARD,
        hold="5m",
    )


def _unreachable(timing: Timing) -> Alerting:
    causes, over = timing.objective.causes, timing.over("5m")
    none, some = (
        increase(series(catalog.PROVIDER_REQUESTS, "_count", operation=_CALLS, code=codes), over)
        for codes in (_NO_ANSWER, _ANSWER)
    )
    # a code that never came has no series at all
    some = f"({some} or {none} * 0)"
    return Alerting(
        Alert.PROVIDER_UNREACHABLE,
        Severity.TICKET,
        f"({ratio_of(some, none)} > {causes.unreachable_ratio:g}) and {at_least(none, causes.min_bad)}",
        f"{PROVIDER} does not answer",
        f"{SHARE} of the calls to {PROVIDER} in the last 5m ended without an answer, or with a status of 500 to 599.",
        CHANNELS_BOARD,
        hold="2m",
    )


def _assets(timing: Timing) -> Alerting:
    causes, over = timing.objective.causes, timing.over("6h")
    broken = tuple(result for result in AssetResult if result is not AssetResult.OK)
    good = increase(series(catalog.ASSET_CHECKS, result=AssetResult.OK), over)
    bad = increase(series(catalog.ASSET_CHECKS, result=broken), over)
    return Alerting(
        Alert.ASSETS_BROKEN,
        Severity.TICKET,
        f"({wilson_upper(good, bad, causes.z)} < {causes.asset_success:g}) and {at_least(bad, causes.min_bad)}",
        f"URLs of {PROVIDER} do not serve what they should",
        f"Of the delivered URLs that were fetched in the last 6h, at most {SHARE} served an asset of their kind; "
        f"{causes.asset_success * 100:g}% is expected. They count as delivered, and users see nothing.",
        DELIVERY_BOARD,
    )


def _crash(timing: Timing) -> Alerting:
    """Crashed ones are in no ratio of delivery, so that one that crashes in three would else be seen by nobody."""
    origins = timing.objective.objective.origins
    crashed = increase(series(catalog.OUTCOMES, origin=origins, reason=Reason.CRASHED), timing.over("15m"))
    return Alerting(
        Alert.GENERATIONS_CRASH,
        Severity.TICKET,
        f"{crashed} > 0",
        f"Generations of {PROVIDER} crash in the monitor",
        f"{NUMBER} generations of {PROVIDER} ended in an error of the monitor itself in the last "
        "15m. It is a bug. Their callers got nothing, and no ratio of delivery counts them.",
        DELIVERY_BOARD,
    )


def _no_traffic(timing: Timing) -> Alerting:
    """Only where there was an hour to look back over: a provider that is new here has not been without for so long.

    While canaries are paused, somebody wants it so; after that they have an hour to begin again.
    """
    requests, hour = series(catalog.REQUESTS, origin=timing.objective.objective.origins), timing.over("1h")
    paused = f"max by ({Label.PROVIDER}) (max_over_time({series(catalog.CANARY_PAUSED)}[{hour}]))"
    return Alerting(
        Alert.NO_TRAFFIC,
        Severity.TICKET,
        f"({increase(requests, hour)} == 0) and {_was_there(requests, hour)} unless ({paused} > 0)",
        f"Nothing is generated with {PROVIDER}",
        f"No generation of {PROVIDER} was accepted in the last 1h, so nobody knows whether it would be delivered. "
        "Canaries keep a signal alive.",
        DELIVERY_BOARD,
        hold="15m",
    )


def _was_there(selector: str, ago: str) -> str:
    """The providers that were known so long ago."""
    return f"group by ({Label.PROVIDER}) ({selector} offset {ago})"
