"""The answer first: is what was asked for delivered, by which channel, how late, and what is wrong now."""

from typing import Final

from alerts.names import BUDGET_LEFT, Severity, lost_ratio
from alerts.objective import read_objective
from dashboards import colours
from dashboards.frame import Band, board
from dashboards.looks import Query, Unit
from dashboards.names import Uid, runbook
from dashboards.panels import bars, heatmap, stat, table, time_series, timeline
from dashboards.promql import Own, Part, increase, ratio, recorded, total, traffic
from dashboards.words import (
    BY_PROVIDER,
    CHANNELS,
    COUNTED,
    OBJECTIVE,
    TRAFFIC_VARIABLES,
    buckets,
    firing,
    own_success,
    quantiles_by_channel,
)
from monitor.delivery.model import Outcome
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Label, Phase

_DELIVERED: Final = traffic(catalog.OUTCOMES, outcome=Outcome.DELIVERED)
_COUNTED: Final = traffic(catalog.OUTCOMES, outcome=COUNTED)
_EXPIRED: Final = traffic(catalog.OUTCOMES, outcome=Outcome.EXPIRED)
_LATE: Final = traffic(catalog.LATE, Part.COUNT)
_PROVIDER: Final = f"{{{{{Label.PROVIDER}}}}}"

_SUCCESS: Final = ratio(increase(_DELIVERED, BY_PROVIDER), increase(_COUNTED, BY_PROVIDER))
_PAGES_FROM: Final = min(burn.rate for burn in read_objective().burn.windows if burn.severity is Severity.PAGE)
_BURN: Final = f"{recorded(lost_ratio('1h'))} / on ({Label.PROVIDER}) (1 - {OBJECTIVE})"


def _attempts_within(low: int | None, high: int | None) -> str:
    """How many ended with more than `low` polls and at most `high`."""
    up_to = increase(traffic(catalog.POLL_ATTEMPTS, Part.BUCKET, le=_bound(high)))
    if low is None:
        return up_to
    return f"{up_to} - {increase(traffic(catalog.POLL_ATTEMPTS, Part.BUCKET, le=_bound(low)))}"


def _bound(attempts: int | None) -> str:
    """As the client library writes it."""
    return "+Inf" if attempts is None else f"{attempts:.1f}"


def _polls(low: int | None, high: int | None) -> str:
    if low is None:
        return "none"
    if high is None:
        return f"over {low}"
    return str(high) if high == low + 1 else f"{low + 1} to {high}"


_ATTEMPTS: Final = [int(bound) for bound in catalog.POLL_ATTEMPTS.buckets]
_BETWEEN: Final = list(zip([None, *_ATTEMPTS], [*_ATTEMPTS, None], strict=True))

SUCCESS: Final = stat(
    "Is delivery at its objective?",
    "Delivered among delivered and expired, of each provider, in the time shown. Green: at or above the "
    "objective that the service exports; red: below. When it is red, look below which channel fails, and "
    "follow the runbook of the alert that fires.",
    Unit.SHARE,
    [
        Query(f"{_SUCCESS} >= on ({Label.PROVIDER}) {OBJECTIVE}", _PROVIDER, colour=colours.GOOD),
        Query(f"{_SUCCESS} < on ({Label.PROVIDER}) {OBJECTIVE}", _PROVIDER, colour=colours.BAD),
    ],
    decimals=2,
    none="nothing ended",
)

BUDGET: Final = stat(
    "How much error budget is left?",
    "Of what may be lost in 30 days, the share that is left; below zero the objective is missed. When it "
    "shrinks, stop what is risky, and see the burn beside it. From the recording rules, of api and canary: "
    "model and origin are not heeded.",
    Unit.SHARE,
    [Query(recorded(BUDGET_LEFT), _PROVIDER)],
    steps=((None, colours.BAD), (0, colours.WARNING), (0.25, colours.GOOD)),
    decimals=0,
    none="no rules",
    sparkline=True,
)

BURN: Final = stat(
    "How fast is the budget burnt?",
    "Within the last hour, as a multiple of what the objective allows: at 1× the budget lasts exactly 30 "
    f"days. Above {_PAGES_FROM:g}× somebody is paged when it stays so. From the recording rules: model and origin are "
    "not heeded.",
    Unit.TIMES,
    [Query(_BURN, _PROVIDER)],
    steps=((None, colours.GOOD), (1, colours.WARNING), (_PAGES_FROM, colours.BAD)),
    decimals=1,
    none="nothing ended",
    sparkline=True,
)

NUMBERS: Final = stat(
    "Generations that count",
    "What the success is a share of, in the time shown: with few, one loss weighs much. When there are "
    "none, callers or canaries have stopped. What came late is told of all models and origins.",
    Unit.PLAIN,
    [
        Query(increase(_DELIVERED), "delivered", colour=colours.of_word("delivered")),
        Query(increase(_EXPIRED), "expired", colour=colours.of_word("expired")),
        Query(increase(_LATE), "late", colour=colours.of_word("late")),
    ],
    decimals=0,
)

FIRING: Final = table(
    "Alerts that fire now",
    "Pages and tickets; a name opens its runbook. Start with the page.",
    Unit.PLAIN,
    Query(firing(Severity.PAGE, Severity.TICKET), ""),
    {Own.ALERT_NAME: "Alert", Label.PROVIDER: "Provider", Own.SEVERITY: "Severity"},
    link=("Alert", runbook("${__value.text}")),
    none="none fires",
)

OWN_SUCCESS: Final = bars(
    "How well does each channel do by itself?",
    "Share of the measured generations that a channel delivered, or would have: the two can be "
    "compared. Origin is not heeded. When SSE falls and polling holds, users are served, but late; when "
    "both fall, the provider does. The details are on the dashboard Channels.",
    Unit.SHARE,
    [Query(own_success(channel, "$__range"), name, colour=colours.of_word(name)) for channel, name in CHANNELS.items()],
    at_most=1,
    decimals=1,
    none="none measured",
)

WINS: Final = bars(
    "Which channel was first?",
    "Share of the deliveries that each channel won. It says who was faster, not who works: see the panel "
    "at the left for that. When polling wins more than it used to, SSE comes late or not at all.",
    Unit.SHARE,
    [
        Query(
            ratio(
                increase(traffic(catalog.OUTCOMES, outcome=Outcome.DELIVERED, channel=channel)),
                increase(_DELIVERED),
            ),
            name,
            colour=colours.of_word(name),
        )
        for channel, name in CHANNELS.items()
    ],
    at_most=1,
    decimals=1,
    none="none delivered",
)

SSE_VS_POLLING: Final = time_series(
    "SSE vs polling: success of each by itself",
    "As in the bars at the left, over time, beside the delivery that both make together and its objective. "
    "When a line falls, compare the moment with the deploys, and open Channels. Lines end where nothing "
    "was measured; the channels' own do not heed origin.",
    Unit.SHARE,
    [
        *(
            Query(own_success(channel, "$__rate_interval"), name, colour=colours.of_word(name))
            for channel, name in CHANNELS.items()
        ),
        Query(
            ratio(increase(_DELIVERED, over="$__rate_interval"), increase(_COUNTED, over="$__rate_interval")),
            "delivered",
            colour=colours.of_word("delivered"),
        ),
        Query(f"max({OBJECTIVE})", "objective", colour=colours.of_word("objective")),
    ],
    at_most=1,
    every="5m",
)

ENDED: Final = time_series(
    "Deliveries by channel, and what expired",
    "How many ended in each interval. When what expired grows, users wait in vain: see why at the right. "
    "When all of it shrinks, callers have stopped asking.",
    Unit.COUNT,
    [
        *(
            Query(
                increase(
                    traffic(catalog.OUTCOMES, outcome=Outcome.DELIVERED, channel=channel),
                    over="$__rate_interval",
                ),
                name,
                colour=colours.of_word(name),
            )
            for channel, name in CHANNELS.items()
        ),
        Query(increase(_EXPIRED, over="$__rate_interval"), "expired", colour=colours.of_word("expired")),
    ],
    stacked=True,
    every="2m",
)

LATE_OR_LOST: Final = time_series(
    "Expired: late, or lost?",
    "Expired generations, and those of them whose asset was found afterwards; model and origin are heeded "
    "only by what expired. When most are late, the backend is slow: a longer window helps. When they are "
    "not, results are lost.",
    Unit.COUNT,
    [
        Query(increase(_EXPIRED, over="$__rate_interval"), "expired", colour=colours.of_word("expired")),
        Query(increase(_LATE, over="$__rate_interval"), "late", colour=colours.of_word("late")),
    ],
    every="2m",
)

WHY_EXPIRED: Final = bars(
    "Why did they expire?",
    "What the last poll said. pending: the job was not ready in time, or its result was lost; the others "
    "are errors of the provider, and monitor_down is our own.",
    Unit.PLAIN,
    [
        Query(
            f"{increase(_EXPIRED, (Label.REASON,))} > 0",
            f"{{{{{Label.REASON}}}}}",
        )
    ],
    steps=((None, colours.BAD),),
    decimals=0,
    none="none expired",
)

LATENCY: Final = time_series(
    "How long until delivered?",
    "From the answer to the create call, by the channel that won: p50, p95, p99. Dots are single "
    "generations; a click opens the trace or the timeline. When polling's lines rise in steps, more "
    "attempts are needed; when SSE's rise, the provider is slow.",
    Unit.SECONDS,
    quantiles_by_channel(catalog.DELIVERY_DURATION),
    every="5m",
)

SPREAD: Final = [
    heatmap(
        f"Time to delivery over {name}",
        "How many deliveries took how long. Dots are single generations; a click opens the trace. Bands at "
        "the polls' slots are normal for polling; a band near the window's end warns of what will expire.",
        Unit.SECONDS,
        buckets(traffic(catalog.DELIVERY_DURATION, Part.BUCKET, channel=channel)),
        scheme=scheme,
    )
    for (channel, name), scheme in zip(CHANNELS.items(), ("Blues", "Oranges"), strict=True)
]
"""The same for each channel."""

POLLS: Final = bars(
    "How many polls did it take?",
    "Generations by the polls that were made until they ended. Many at the right mean that results come "
    "late: see the detection gap on Channels before the schedule is changed.",
    Unit.PLAIN,
    [Query(_attempts_within(low, high), _polls(low, high), colour=colours.POLLING) for low, high in _BETWEEN],
    decimals=0,
)

IN_FLIGHT: Final = time_series(
    "What is under way?",
    "Generations in flight by phase; model and origin are not heeded. When they pile up in polling, "
    "results do not come; in submitting, create calls hang; reconciling are expired ones, looked at again.",
    Unit.COUNT,
    [Query(total(traffic(catalog.IN_FLIGHT), (Label.PHASE,)), f"{{{{{Label.PHASE}}}}}", words=tuple(Phase))],
)

FIRED: Final = timeline(
    "Which alerts have fired?",
    "When each alert fired. Several at once are mostly one incident: the page names it, and tickets tell its causes.",
    [
        Query(
            f"2 * max by ({Own.ALERT_NAME}) ({firing(Severity.PAGE)})"
            f" or max by ({Own.ALERT_NAME}) ({firing(Severity.TICKET)})",
            f"{{{{{Own.ALERT_NAME}}}}}",
        )
    ],
    {1: ("ticket", colours.of_word("ticket")), 2: ("page", colours.of_word("page"))},
    none="none has fired",
)

dashboard = board(
    Uid.DELIVERY,
    "Delivery",
    "Is what was asked for delivered? By which channel, how fast, and what is wrong when it is not.",
    variables=TRAFFIC_VARIABLES,
    bands=[
        Band(5, [(5, SUCCESS), (5, BUDGET), (4, BURN), (4, NUMBERS), (6, FIRING)]),
        Band(7, [(5, OWN_SUCCESS), (5, WINS), (14, SSE_VS_POLLING)], title="SSE vs polling"),
        Band(7, [(10, ENDED), (7, LATE_OR_LOST), (7, WHY_EXPIRED)], title="What became of the generations"),
        Band(8, [(12, LATENCY), *((6, spread) for spread in SPREAD)], title="How long it took"),
        Band(8, [(8, POLLS), (8, IN_FLIGHT), (8, FIRED)], title="Work and alerts"),
    ],
)
