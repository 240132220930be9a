"""What each channel does, and where it fails: streams, polls, and the calls to the provider beneath them."""

from collections.abc import Iterable
from typing import Final

from dashboards import colours
from dashboards.names import Uid
from dashboards.panels import Band, Panel, Query, Unit, bars, board, heatmap, stat, time_series
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
_HEALTH: Final = ((None, colours.BAD), (0.9, colours.WARNING), (0.98, colours.GOOD))


def _by(metric: Metric, label: Label, words: Iterable[str]) -> list[Query]:
    """How many in each interval, by a label: those that did not come are not drawn."""
    counted = increase(traffic(metric), (label,), over="$__rate_interval")
    return [Query(f"{counted} > 0", f"{{{{{label}}}}}", words=words)]


def _share(metric: Metric, label: Label, *good: str) -> str:
    return ratio(increase(traffic(metric, None, **{label: good})), increase(traffic(metric)))


def _overview() -> list[tuple[int, Panel]]:
    return [
        (
            5,
            stat(
                "Do streams open?",
                "Of the attempts to open an event stream in the time shown, the share that stood. When it falls, see "
                "at what they end below: unauthorized is our token, refused the provider's edge.",
                Unit.SHARE,
                [Query(_share(catalog.SSE_CONNECTIONS, Label.RESULT, StreamResult.OPENED), "opened")],
                steps=_HEALTH,
                decimals=1,
            ),
        ),
        (
            5,
            stat(
                "Do streams live until they are done?",
                "Of the streams that ended, the share that we closed because their generation had ended. The others "
                "were cut off or silent, and were opened again. When it falls, look at the proxies between.",
                Unit.SHARE,
                [Query(_share(catalog.SSE_DISCONNECTS, Label.REASON, Disconnect.DONE), "done")],
                steps=_HEALTH,
                decimals=1,
            ),
        ),
        (
            5,
            stat(
                "Do polls get an answer?",
                "Of the polls, the share that told the truth about the job, also when it was not ready yet. When it "
                "falls, see polls by result: users still wait for the fallback.",
                Unit.SHARE,
                [Query(_share(catalog.POLLS, Label.RESULT, *_GOOD_POLLS), "answered")],
                steps=_HEALTH,
                decimals=1,
            ),
        ),
        (
            5,
            stat(
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
            ),
        ),
        (
            4,
            stat(
                "Are the assets there?",
                "Of the delivered URLs that were fetched, the share that served the asset. When it falls, users get "
                "broken images although delivery looks well.",
                Unit.SHARE,
                [Query(_share(catalog.ASSET_CHECKS, Label.RESULT, AssetResult.OK), "ok")],
                steps=_HEALTH,
                decimals=1,
                none="none checked",
            ),
        ),
    ]


def _compared() -> list[tuple[int, Panel]]:
    return [
        *(
            (
                8,
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
                    every="1m",
                ),
            )
            for channel, name in CHANNELS.items()
        ),
        (
            8,
            time_series(
                "How long after the winner did the loser have it?",
                "Where both channels had the asset: p50, p95, p99 of the lag. Polling's lag is what users would wait "
                "longer without SSE.",
                Unit.SECONDS,
                quantiles_by_channel(catalog.CHANNEL_LAG),
                every="5m",
            ),
        ),
    ]


def _streams() -> list[list[tuple[int, Panel]]]:
    first_event = traffic(catalog.SSE_FIRST_EVENT, Part.BUCKET)
    silences = increase(traffic(catalog.SSE_DISCONNECTS, reason=Disconnect.SILENCE), BY_PROVIDER, "$__rate_interval")
    return [
        [
            (
                8,
                time_series(
                    "At what do attempts to open a stream end?",
                    "When anything but opened grows: unauthorized needs a new token, not_found a look at the "
                    "provider's API, refused and http_error its operators. Polling carries the users meanwhile.",
                    Unit.COUNT,
                    _by(catalog.SSE_CONNECTIONS, Label.RESULT, StreamResult),
                    stacked=True,
                    every="1m",
                ),
            ),
            (
                8,
                time_series(
                    "Why do streams end?",
                    "done: we closed it, all is well. eof and error: it was cut off; a proxy's time limit shows as a "
                    "steady share. silence: not a byte came, not even a heartbeat.",
                    Unit.COUNT,
                    _by(catalog.SSE_DISCONNECTS, Label.REASON, Disconnect),
                    stacked=True,
                    every="1m",
                ),
            ),
            (
                8,
                time_series(
                    "How many streams fell silent?",
                    "Streams that were given up because no byte came. Zero is normal. When it grows, something "
                    "buffers: ask for the proxy before the provider.",
                    Unit.COUNT,
                    [Query(silences, f"{{{{{Label.PROVIDER}}}}}")],
                    every="1m",
                ),
            ),
        ],
        [
            (
                8,
                time_series(
                    "What comes over the streams?",
                    "Events a second, by type. heartbeats without results: connected, and silent where it matters. "
                    "foreign: results of others on our channel. malformed: the provider's wire format has changed.",
                    Unit.PER_SECOND,
                    [
                        Query(
                            f"{rate(traffic(catalog.SSE_EVENTS), (Label.TYPE,))} > 0",
                            f"{{{{{Label.TYPE}}}}}",
                            words=EventType,
                        )
                    ],
                    at_least=None,
                    logarithmic=True,
                    every="1m",
                ),
            ),
            (
                8,
                time_series(
                    "How soon does the first event come?",
                    "From the opening of a stream: p50, p95, p99. It shows buffering before results get lost: when it "
                    "grows towards the grace of polling, SSE loses its lead.",
                    Unit.SECONDS,
                    quantiles(first_event, colours.SSE),
                    every="1m",
                ),
            ),
            (
                8,
                heatmap(
                    "Time to the first event",
                    "How many streams waited how long for their first event. A second band high above the first is a "
                    "part of the streams that is buffered. Dots are single generations; a click opens the trace.",
                    Unit.SECONDS,
                    buckets(first_event),
                ),
            ),
        ],
    ]


def _polls() -> list[tuple[int, Panel]]:
    gap = traffic(catalog.DETECTION_GAP, Part.BUCKET)
    return [
        (
            12,
            time_series(
                "What do polls say?",
                "Polls in each interval, by result. pending is normal; rate_limited asks for a longer interval; "
                "unauthorized for a new token; unavailable and timeout are the provider's.",
                Unit.COUNT,
                _by(catalog.POLLS, Label.RESULT, CallResult),
                stacked=True,
                every="1m",
            ),
        ),
        (
            12,
            time_series(
                "What does polling cost in time?",
                "From the last poll that found nothing to the one that delivered, by schedule: p50 and p95. A user may "
                "have waited so long for nothing; when it is near the interval, a shorter one would pay.",
                Unit.SECONDS,
                [
                    Query(quantile(0.5, gap, (Label.SCHEDULE,)), f"{{{{{Label.SCHEDULE}}}}} p50"),
                    Query(quantile(0.95, gap, (Label.SCHEDULE,)), f"{{{{{Label.SCHEDULE}}}}} p95", exemplars=True),
                ],
                every="5m",
            ),
        ),
    ]


def _provider() -> list[tuple[int, Panel]]:
    calls = traffic(catalog.PROVIDER_REQUESTS, Part.COUNT)
    return [
        (
            8,
            time_series(
                "Which calls does the provider get?",
                "Calls a second, by operation; poll includes the resolution of a file id, verify is a fetch of the "
                "asset. When polls grow faster than creates, results come late.",
                Unit.PER_SECOND,
                [Query(rate(calls, (Label.OPERATION,)), f"{{{{{Label.OPERATION}}}}}", words=Stage)],
                every="1m",
            ),
        ),
        (
            8,
            bars(
                "What did it answer?",
                "Calls in the time shown, by operation and class of the answer; what succeeded is left out. The "
                "longest bar is where to look first: 4xx is ours, 5xx and timeout are the provider's.",
                Unit.COUNT,
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
            ),
        ),
        (
            8,
            time_series(
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
                every="1m",
            ),
        ),
    ]


def _without(words: Iterable[str], *left_out: str) -> tuple[str, ...]:
    return tuple(word for word in words if word not in left_out)


_first, _second = _streams()
dashboard = board(
    Uid.CHANNELS,
    "Channels",
    "What SSE and polling each do, where they fail, and the calls to the provider beneath them. Of the variables, "
    "model narrows only what was measured; origin is heeded on Delivery.",
    variables=TRAFFIC_VARIABLES,
    bands=[
        Band(5, _overview()),
        Band(7, _compared(), title="SSE and polling, measured on the same generations"),
        Band(7, _first, title="SSE"),
        Band(7, _second),
        Band(7, _polls(), title="Polling"),
        Band(8, _provider(), title="The provider"),
    ],
)
