"""What canaries do in place of traffic: whether they run and arrive, and what they cost."""

from typing import Final

from alerts.objective import read_objective
from dashboards import colours
from dashboards.frame import Band, board, label_variable
from dashboards.looks import Query, Unit
from dashboards.names import Uid
from dashboards.panels import bars, stat, time_series, timeline
from dashboards.promql import RATE, canaries, increase, ratio
from dashboards.words import CHANNELS, own_success, quantiles_by_channel
from monitor.delivery.model import Outcome
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Label, Metric, Skip

_EACH: Final = (Label.PROVIDER, Label.CANARY)
_CANARY: Final = f"{{{{{Label.CANARY}}}}}"
_JUDGED: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.CANCELLED)
_OVERDUE: Final = 3
"""Intervals without a success, as in the alerts."""


def _newest(metric: Metric) -> str:
    """The value now, of replicas that tell the same."""
    return f"max by ({', '.join(_EACH)}) ({canaries(metric)})"


_SINCE: Final = f"(time() - ({_newest(catalog.CANARY_LAST_SUCCESS)} > 0))"
_LATEST: Final = f"{_OVERDUE} * {_newest(catalog.CANARY_INTERVAL)}"
_SPENT: Final = canaries(catalog.CANARY_SPEND)

ARRIVE: Final = bars(
    "Do canaries arrive?",
    "Of the runs of each canary in the time shown that were not cancelled, the share that was delivered. When all of a "
    "provider's fall, users are hit too: see Delivery. When one falls alone, look at its model and its prompt.",
    Unit.SHARE,
    [
        Query(
            ratio(
                increase(canaries(catalog.CANARY_RUNS, outcome=Outcome.DELIVERED), _EACH),
                increase(canaries(catalog.CANARY_RUNS, outcome=_JUDGED), _EACH),
            ),
            _CANARY,
        )
    ],
    at_most=1,
    steps=((None, colours.BAD), (0.9, colours.WARNING), (read_objective().objective.ratio, colours.GOOD)),
    decimals=1,
    none="none has run",
)

LAST_SUCCESS: Final = bars(
    "How long ago was the last success?",
    f"Of each canary that ever had one. Red: more than {_OVERDUE} of its intervals ago, which alerts when runs fail or "
    "do not come; see at the right whether it is paused, and below why runs were left out.",
    Unit.SECONDS,
    [
        Query(f"{_SINCE} <= {_LATEST}", _CANARY, colour=colours.GOOD),
        Query(f"{_SINCE} > {_LATEST}", _CANARY, colour=colours.BAD),
    ],
    decimals=0,
    none="none yet",
)

PAUSED: Final = stat(
    "How many are paused?",
    "Paused by somebody, with a reason and an end that the status page tells. While they are, the alerts of silence "
    "are quiet. When you know of no maintenance, ask who paused them, and resume.",
    Unit.PLAIN,
    [Query(f"sum({_newest(catalog.CANARY_PAUSED)})", "paused")],
    steps=((None, colours.GOOD), (1, colours.WARNING)),
    decimals=0,
)

COST: Final = stat(
    "What did they cost?",
    "US dollars in the time shown, by the prices in the settings, counted when a create call is sent. When it is more "
    "than you meant, set a limit or a longer interval: monitor check tells what a plan costs.",
    Unit.DOLLARS,
    [Query(increase(_SPENT), "spent")],
    decimals=2,
)

LIMITS: Final = bars(
    "How much of each limit is used?",
    "Of the spending limits of the day and of the month; canary is not heeded. Near the limit runs are thinned evenly, "
    "at it they are left out, and a ticket says so. Limits are of the calendar, in the zone of the settings.",
    Unit.SHARE,
    [Query(f"max by ({Label.LIMIT}) ({canaries(catalog.CANARY_LIMIT_USED)})", f"{{{{{Label.LIMIT}}}}}")],
    at_most=1,
    steps=((None, colours.GOOD), (0.8, colours.WARNING), (1, colours.BAD)),
    decimals=0,
    none="no limit",
)

RUNS: Final = time_series(
    "What became of the runs?",
    "Runs by outcome. expired is a loss as users have it; rejected and provider_failed are mostly the canary's own: "
    "its prompt, its model, the account. When there are none at all, see why they were left out.",
    Unit.COUNT,
    [
        Query(
            f"{increase(canaries(catalog.CANARY_RUNS), (Label.OUTCOME,), RATE)} > 0",
            f"{{{{{Label.OUTCOME}}}}}",
            words=Outcome,
        )
    ],
    stacked=True,
    every="5m",
)

SKIPPED: Final = time_series(
    "Which runs were left out, and why?",
    "Runs that were due and not made, by reason. For money: raise the limit or run less often. Others: the one before "
    "still ran, or the service was busy or down.",
    Unit.COUNT,
    [
        Query(
            f"{increase(canaries(catalog.CANARY_SKIPPED), (Label.REASON,), RATE)} > 0",
            f"{{{{{Label.REASON}}}}}",
            words=Skip,
        )
    ],
    stacked=True,
    every="5m",
)

SPENDING: Final = time_series(
    "What does each canary cost?",
    "US dollars in each interval, by canary. A step up is a new plan or a new price; a canary that is run by hand "
    "shows as a single bar. When it thins out towards the evening, a limit is near.",
    Unit.DOLLARS,
    [Query(increase(_SPENT, (Label.CANARY,), RATE), _CANARY)],
    stacked=True,
    every="5m",
)

WHEN_PAUSED: Final = timeline(
    "When was which canary paused?",
    "Compare with gaps in the runs: silence that is not paused is a fault, and makes a ticket.",
    [Query(f"max by ({Label.CANARY}) ({canaries(catalog.CANARY_PAUSED)})", _CANARY)],
    {0: ("on", colours.GOOD), 1: ("paused", colours.QUIET)},
)

OWN_SUCCESS: Final = time_series(
    "How well does each channel do by itself?",
    "Share of the measured generations of the provider that a channel delivered, or would have. All canaries are "
    "measured, and a sample of the rest; canary is not heeded. When SSE falls and polling holds, users wait longer.",
    Unit.SHARE,
    [
        Query(own_success(channel, RATE, canaries), name, colour=colours.of_word(name))
        for channel, name in CHANNELS.items()
    ],
    at_most=1,
    every="5m",
)

LATENCY: Final = time_series(
    "How long until canaries are delivered?",
    "From the answer to the create call, by the channel that won: p50, p95, p99; canary is not heeded. Their load is "
    "the same at any hour, so what changes here is the provider. Dots lead to single runs.",
    Unit.SECONDS,
    quantiles_by_channel(catalog.DELIVERY_DURATION, select=canaries),
    every="5m",
)

dashboard = board(
    Uid.CANARIES,
    "Canaries and cost",
    "Scheduled generations that keep a signal alive: do they run and arrive, and what do they cost?",
    variables=(
        label_variable(Label.PROVIDER, catalog.CANARY_RUNS),
        label_variable(Label.CANARY, catalog.CANARY_RUNS, only={Label.PROVIDER: Label.PROVIDER}),
    ),
    bands=[
        Band(6, [(6, ARRIVE), (6, LAST_SUCCESS), (3, PAUSED), (3, COST), (6, LIMITS)]),
        Band(7, [(12, RUNS), (12, SKIPPED)], title="Runs"),
        Band(7, [(12, SPENDING), (12, WHEN_PAUSED)], title="Cost and pauses"),
        Band(8, [(12, OWN_SUCCESS), (12, LATENCY)], title="What they show"),
    ],
)
