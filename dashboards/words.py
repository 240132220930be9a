"""What several dashboards ask for in the same way, and how channels are called in their legends."""

from collections.abc import Callable, Mapping
from typing import Final

from alerts.names import Severity
from dashboards import colours
from dashboards.frame import label_variable
from dashboards.looks import Line, Query
from dashboards.promql import RATE, Own, Part, increase, quantile, ratio, traffic
from monitor.delivery.model import HAD_IT, HAD_IT_NOT, Channel, Origin, Outcome
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Label, Metric

CHANNELS: Final[Mapping[Channel, str]] = {Channel.SSE: "SSE", Channel.POLLING: "polling"}
"""The channels that deliver, and their names in legends."""
MEASURED: Final = (*HAD_IT, *HAD_IT_NOT)
COUNTED: Final = (Outcome.DELIVERED, Outcome.EXPIRED)
"""The two outcomes that count in delivery."""
QUANTILES: Final = ((0.5, Line.SOLID), (0.95, Line.DASHED), (0.99, Line.DOTTED))

BY_PROVIDER: Final = (Label.PROVIDER,)
OBJECTIVE: Final = f"max by ({Label.PROVIDER}) ({traffic(catalog.OBJECTIVE)})"

TRAFFIC_VARIABLES: Final = (
    label_variable(Label.PROVIDER, catalog.REQUESTS),
    label_variable(Label.MODEL, catalog.REQUESTS, only={Label.PROVIDER: Label.PROVIDER}),
    label_variable(Label.ORIGIN, catalog.REQUESTS, chosen=(Origin.API, Origin.CANARY)),
)
"""Reports are what others say they saw, so they are not among the chosen origins."""


def own_success(channel: Channel, over: str, select: Callable[..., str] = traffic) -> str:
    """Share of the measured generations that a channel delivered, or would have."""
    had_it = select(catalog.CHANNEL_RESULTS, channel=channel, result=HAD_IT)
    measured = select(catalog.CHANNEL_RESULTS, channel=channel, result=MEASURED)
    return ratio(increase(had_it, over=over), increase(measured, over=over))


def quantiles_by_channel(
    metric: Metric, channels: Mapping[Channel, str] = CHANNELS, select: Callable[..., str] = traffic
) -> list[Query]:
    """Three lines for each channel, in its colour."""
    return [
        Query(
            quantile(share, select(metric, Part.BUCKET, channel=channel)),
            f"{name} p{share * 100:g}",
            colour=colours.of_word(name),
            line=line,
            exemplars=line is not Line.SOLID,
        )
        for channel, name in channels.items()
        for share, line in QUANTILES
    ]


def quantiles(selector: str, colour: str, *, exemplars: bool = True) -> list[Query]:
    """Three lines of one histogram's buckets."""
    return [
        Query(quantile(share, selector), f"p{share * 100:g}", colour=colour, line=line, exemplars=exemplars)
        for share, line in QUANTILES
    ]


def buckets(selector: str) -> str:
    """What a heatmap draws."""
    return increase(selector, (Own.BUCKET,), RATE)


def firing(*severities: Severity) -> str:
    """The alerts of these severities that fire."""
    wanted = "|".join(severities)
    return f'{Own.ALERTS}{{{Own.ALERT_STATE}="firing", {Own.SEVERITY}=~"{wanted}"}}'
