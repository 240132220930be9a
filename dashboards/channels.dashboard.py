"""What each channel does, and where it fails: streams, polls, and the calls to the provider beneath them."""

from collections.abc import Iterable
from typing import Final

from alerts.objective import read_objective
from dashboards import colours
from dashboards.frame import Band, board
from dashboards.looks import Line, Query, Unit
from dashboards.names import Uid
from dashboards.panels import bars, heatmap, stat, time_series
from dashboards.promql import Part, increase, quantile, rate, ratio, traffic
from dashboards.words import (
    BY_PROVIDER,
    CHANNELS,
    MEASURED,
    TRAFFIC_VARIABLES,
    buckets,
    quantiles,
    quantiles_by_channel,
)
from monitor.delivery.facts import CallResult, Disconnect, EventType, StreamResult
from monitor.delivery.model import AssetResult, Stage
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Code, Label, Metric

_GOOD_POLLS: Final = (CallResult.READY, CallResult.PENDING, CallResult.NOT_FOUND)
_ANSWERED: Final = (Code.SUCCESS, Code.REFUSED, Code.RATE_LIMITED)
"""Codes that say that the provider is there."""
_CAUSES: Final = read_objective().causes
_HEALTH: Final = ((None, colours.BAD), (0.9, colours.WARNING), (0.98, colours.GOOD))

_FIRST_EVENT: Final = traffic(catalog.SSE_FIRST_EVENT, Part.BUCKET)
_SILENT: Final = traffic(catalog.SSE_DISCONNECTS, reason=Disconnect.SILENCE)
_GAP: Final = traffic(catalog.DETECTION_GAP, Part.BUCKET)
_CALLS: Final = traffic(catalog.PROVIDER_REQUESTS, Part.COUNT)


def _by(metric: Metric, label: Label, words: Iterable[str]) -> list[Query]:
    """How many in each interval, by a label: those that did not come are not drawn."""
    counted = increase(traffic(metric), (label,), over="$__rate_interval")
    return [Query(f"{counted} > 0", f"{{{{{label}}}}}", words=words)]


def _share(metric: Metric, label: Label, *good: str) -> str:
    return ratio(increase(traffic(metric, None, **{label: good})), increase(traffic(metric)))


def _without(words: Iterable[str], *left_out: str) -> tuple[str, ...]:
    return tuple(word for word in words if word not in left_out)


OPENED: Final = stat(
    "Do streams open?",
    "Of the attempts to open an event stream in the time shown, the share that stood. When it falls, see "
    "at what they end below: unauthorized is our token, refused the provider's edge.",
    Unit.SHARE,
    [Query(_share(catalog.SSE_CONNECTIONS, Label.RESULT, StreamResult.OPENED), "opened")],
    steps=_HEALTH,
    decimals=1,
)

LIVED: Final = stat(
    "Do streams live until they are done?",
    "Of the streams that ended, the share that we closed because their generation had ended. The others "
    "were cut off or silent, and were opened again. When it falls, look at the proxies between.",
    Unit.SHARE,
    [Query(_share(catalog.SSE_DISCONNECTS, Label.REASON, Disconnect.DONE), "done")],
    steps=_HEALTH,
    decimals=1,
)

ANSWERED: Final = stat(
    "Do polls get an answer?",
    "Of the polls, the share that told the truth about the job, also when it was not ready yet. When it "
    "falls, see polls by result: users still wait for the fallback.",
    Unit.SHARE,
    [Query(_share(catalog.POLLS, Label.RESULT, *_GOOD_POLLS), "answered")],
    steps=_HEALTH,
    decimals=1,
)

PROVIDER: Final = stat(
    "Is the provider there?",
    "Of all calls, the share that it answered without a failure of its own. When it falls below a half, an "
    "alert says that the provider is unreachable; ask its operators.",
    Unit.SHARE,
    [
        Query(
            ratio(
                increase(traffic(catalog.PROVIDER_REQUESTS, Part.COUNT, code=_ANSWERED)),
                increase(traffic(catalog.PROVIDER_REQUESTS, Part.COUNT)),
            ),
            "answered",
        )
    ],
    steps=_HEALTH,
    decimals=1,
)

ASSETS: Final = stat(
    "Are the assets there?",
    "Of the delivered URLs that were fetched, the share that served the asset. When it falls, users get "
    "broken images although delivery looks well.",
    Unit.SHARE,
    [Query(_share(catalog.ASSET_CHECKS, Label.RESULT, AssetResult.OK), "ok")],
    steps=((None, colours.BAD), (0.9, colours.WARNING), (_CAUSES.asset_success, colours.GOOD)),
    decimals=1,
    none="none checked",
)

MEASURED_RESULTS: Final = [
    time_series(
        f"How did {name} do where it was measured?",
        "won: it was first. confirmed: it had the asset too, later. missed: it worked and did not tell. "
        "failed: it was not there. When missed grows, results get lost on the way; when failed grows, the "
        "channel is down.",
        Unit.COUNT,
        [
            Query(
                increase(
                    traffic(catalog.CHANNEL_RESULTS, channel=channel, result=MEASURED),
                    (Label.RESULT,),
                    over="$__rate_interval",
                ),
                f"{{{{{Label.RESULT}}}}}",
                words=MEASURED,
            )
        ],
        stacked=True,
        every="2m",
    )
    for channel, name in CHANNELS.items()
]
"""The same for each channel."""

LAG: Final = time_series(
    "How long after the winner did the loser have it?",
    "Where both channels had the asset: p50, p95, p99 of the lag. Polling's lag is what users would wait "
    "longer without SSE.",
    Unit.SECONDS,
    quantiles_by_channel(catalog.CHANNEL_LAG),
    every="5m",
)

CONNECTIONS: Final = time_series(
    "At what do attempts to open a stream end?",
    "When anything but opened grows: unauthorized needs a new token, not_found a look at the "
    "provider's API, refused and http_error its operators. Polling carries the users meanwhile.",
    Unit.COUNT,
    _by(catalog.SSE_CONNECTIONS, Label.RESULT, StreamResult),
    stacked=True,
    every="2m",
)

DISCONNECTS: Final = time_series(
    "Why do streams end?",
    "done: we closed it, all is well. eof and error: it was cut off; a proxy's time limit shows as a "
    "steady share. silence: not a byte came, not even a heartbeat.",
    Unit.COUNT,
    _by(catalog.SSE_DISCONNECTS, Label.REASON, Disconnect),
    stacked=True,
    every="2m",
)

SILENCES: Final = time_series(
    "How many streams fell silent?",
    "Streams that were given up because no byte came. Zero is normal. When it grows, something "
    "buffers: ask for the proxy before the provider.",
    Unit.COUNT,
    [Query(increase(_SILENT, BY_PROVIDER, "$__rate_interval"), f"{{{{{Label.PROVIDER}}}}}")],
    every="2m",
)

EVENTS: Final = time_series(
    "What comes over the streams?",
    "Events a second, by type. heartbeats without results: connected, and silent where it matters. "
    "foreign: results of others on our channel. malformed: the provider's wire format has changed.",
    Unit.EVENTS_A_SECOND,
    [
        Query(
            f"{rate(traffic(catalog.SSE_EVENTS), (Label.TYPE,))} > 0",
            f"{{{{{Label.TYPE}}}}}",
            words=EventType,
        )
    ],
    at_least=None,
    logarithmic=True,
    every="2m",
)

FIRST_EVENT: Final = time_series(
    "How soon does the first event come?",
    "From the opening of a stream: p50, p95, p99. It shows buffering before results get lost: when it "
    "grows towards the grace of polling, SSE loses its lead.",
    Unit.SECONDS,
    quantiles(_FIRST_EVENT, colours.SSE),
    every="5m",
)

FIRST_EVENT_SPREAD: Final = heatmap(
    "Time to the first event",
    "How many streams waited how long for their first event. A second band high above the first is a "
    "part of the streams that is buffered. Dots are single generations; a click opens the trace.",
    Unit.SECONDS,
    buckets(_FIRST_EVENT),
)

POLLS: Final = time_series(
    "What do polls say?",
    "Polls in each interval, by result. pending is normal; rate_limited asks for a longer interval; "
    "unauthorized for a new token; unavailable and timeout are the provider's.",
    Unit.COUNT,
    _by(catalog.POLLS, Label.RESULT, CallResult),
    stacked=True,
    every="2m",
)

DETECTION_GAP: Final = time_series(
    "What does polling cost in time?",
    "From the last poll that found nothing to the one that delivered, by schedule: p50 and p95. A user may "
    "have waited so long for nothing; when it is near the interval, a shorter one would pay.",
    Unit.SECONDS,
    [
        Query(quantile(0.5, _GAP, (Label.SCHEDULE,)), f"{{{{{Label.SCHEDULE}}}}} p50"),
        Query(
            quantile(0.95, _GAP, (Label.SCHEDULE,)),
            f"{{{{{Label.SCHEDULE}}}}} p95",
            line=Line.DASHED,
            exemplars=True,
        ),
    ],
    every="5m",
)

CALLS: Final = time_series(
    "Which calls does the provider get?",
    "Calls a second, by operation; poll includes the resolution of a file id, verify is a fetch of the "
    "asset. When polls grow faster than creates, results come late.",
    Unit.CALLS_A_SECOND,
    [Query(rate(_CALLS, (Label.OPERATION,)), f"{{{{{Label.OPERATION}}}}}", words=Stage)],
    every="2m",
)

REFUSED_CALLS: Final = bars(
    "Which calls failed, and how?",
    "Calls in the time shown that did not succeed, by operation and class of the answer. A poll's 4xx may be a job "
    "that is not visible yet. The longest bar is where to look first: other 4xx are ours, 5xx and timeout are the "
    "provider's.",
    Unit.PLAIN,
    [
        Query(
            "topk(8, "
            + increase(
                traffic(catalog.PROVIDER_REQUESTS, Part.COUNT, code=_without(Code, Code.SUCCESS)),
                (Label.OPERATION, Label.CODE),
            )
            + " > 0)",
            f"{{{{{Label.OPERATION}}}}} {{{{{Label.CODE}}}}}",
        )
    ],
    steps=((None, colours.BAD),),
    decimals=0,
    none="nothing but successes",
)

CALL_DURATION: Final = time_series(
    "How long do calls take?",
    "p95 by operation; of a stream, until its headers are there. When polls take longer than their "
    "interval, they overlap; when creates do, callers wait.",
    Unit.SECONDS,
    [
        Query(
            quantile(0.95, traffic(catalog.PROVIDER_REQUESTS, Part.BUCKET), (Label.OPERATION,)),
            f"{{{{{Label.OPERATION}}}}}",
            words=Stage,
            exemplars=True,
        )
    ],
    every="2m",
)

dashboard = board(
    Uid.CHANNELS,
    "Channels",
    "What SSE and polling each do, where they fail, and the calls to the provider beneath them. Of the variables, "
    "model narrows only what was measured; origin is heeded on Delivery.",
    variables=TRAFFIC_VARIABLES,
    bands=[
        Band(4, [(5, OPENED), (5, LIVED), (5, ANSWERED), (5, PROVIDER), (4, ASSETS)]),
        Band(
            7,
            [*((8, results) for results in MEASURED_RESULTS), (8, LAG)],
            title="SSE and polling, on the same generations",
        ),
        Band(7, [(8, CONNECTIONS), (8, DISCONNECTS), (8, SILENCES)], title="SSE"),
        Band(7, [(8, EVENTS), (8, FIRST_EVENT), (8, FIRST_EVENT_SPREAD)]),
        Band(7, [(12, POLLS), (12, DETECTION_GAP)], title="Polling"),
        Band(8, [(8, CALLS), (8, REFUSED_CALLS), (8, CALL_DURATION)], title="The provider"),
    ],
)
