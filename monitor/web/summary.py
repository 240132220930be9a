"""SSE against polling over a window of time, for programs and for the status page."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from monitor.delivery.model import HAD_IT, HAD_IT_NOT, SEEN_HERE, Channel, Origin, Outcome
from monitor.render_times import Interval, RenderTimes, estimate_render_times
from monitor.settings import Scope
from monitor.statistics import ratio, wilson_interval
from monitor.store.port import Quantiles, RenderObservation, WindowFigures
from monitor.telemetry.catalog import DELIVERY_S
from monitor.web.bodies import json_response
from monitor.web.context import CONTEXT, Context
from monitor.web.distributions import render_distributions
from monitor.web.problems import Problem
from monitor.web.windows import parse_window

DEFAULT_WINDOW: Final = timedelta(hours=1)
MAX_RENDER_OBSERVATIONS: Final = 20_000
_FLAGS: Final = {"true": True, "false": False}
_QUERY: Final = ("window", "origin", "distributions")

routes = web.RouteTableDef()


@routes.get("/v1/summary")
async def read_summary(request: web.Request) -> web.Response:
    """Success rates with 95% intervals, latency quantiles and attempts, over `window`, of one `origin` or of all that
    was seen here; `distributions` on demand.
    """
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    if unknown := sorted(set(request.query) - set(_QUERY)):
        raise _refused(unknown[0][:40], f"there is no such parameter; there are: {', '.join(_QUERY)}")
    window = _parse_window(request.query.get("window", "1h"))
    origins = _parse_origins(request.query.get("origin"))
    wanted = _parse_flag("distributions", request.query.get("distributions", "false"))
    return json_response(await summarize(context, window, origins, with_distributions=wanted))


def _parse_window(text: str) -> timedelta:
    try:
        return parse_window(text)
    except ValueError as error:
        raise _refused("window", str(error)) from None


def _parse_flag(name: str, text: str) -> bool:
    if text not in _FLAGS:
        raise _refused(name, f"{text[:40]!r} is neither true nor false")
    return _FLAGS[text]


def _parse_origins(text: str | None) -> tuple[Origin, ...]:
    if text is None:
        return SEEN_HERE
    if text not in tuple(Origin):
        raise _refused("origin", f"{text[:40]!r} is none of {', '.join(Origin)}")
    return (Origin(text),)


def _refused(field: str, message: str) -> Problem:
    detail = f"{field}: {message}"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=[{"field": field, "message": message}])


async def summarize(
    context: Context,
    window: timedelta,
    origins: tuple[Origin, ...] = SEEN_HERE,
    *,
    with_distributions: bool = False,
) -> dict[str, Any]:
    """The summary of `origins` as JSON, and the delivery of each origin; `objective` is the strictest provider's."""
    since = context.clock.now() - window
    bounds_s = DELIVERY_S if with_distributions else ()
    figures = await context.store.figures(since, origins=origins, bounds_s=bounds_s)
    observations = await context.store.render_observations(since, limit=MAX_RENDER_OBSERVATIONS, origins=origins)
    estimates = await asyncio.to_thread(_estimates, observations)
    good = figures.outcomes.get(Outcome.DELIVERED, 0)
    summary = {
        "window_seconds": window.total_seconds(),
        "origins": origins,
        "objective": max(provider.objective for provider in context.settings.providers),
        "delivery": _delivery(figures.outcomes),
        "delivery_by_origin": {origin.value: _delivery(figures.by_origin.get(origin, {})) for origin in Origin},
        "outcomes": {outcome.value: figures.outcomes.get(outcome, 0) for outcome in Outcome},
        "channels": {
            "sse": _channel(figures, Channel.SSE, good),
            "polling": _channel(figures, Channel.POLLING, good)
            | {"attempts": {"mean": figures.polling_attempts_mean, "p95": figures.polling_attempts_p95}},
        },
        "render_times": [
            {"provider": provider, "model": model, "n": estimate.n, "seconds": _render_quantiles(estimate)}
            for (provider, model), estimate in estimates.items()
        ],
        "in_flight": context.runner.in_flight,
    }
    if with_distributions:
        summary["distributions"] = await asyncio.to_thread(render_distributions, figures, DELIVERY_S, estimates)
    return summary


def _delivery(outcomes: Mapping[Outcome, int]) -> dict[str, Any]:
    good = outcomes.get(Outcome.DELIVERED, 0)
    total = good + outcomes.get(Outcome.EXPIRED, 0)
    interval = _rounded(wilson_interval(good, total))
    return {"good": good, "total": total, "ratio": ratio(good, total), "interval": interval}


def _channel(figures: WindowFigures, channel: Channel, good: int) -> dict[str, Any]:
    """One channel. Its own success rate is not its share of wins: it comes from the generations that were measured."""
    won = figures.won.get(channel, 0)
    measured = figures.measured.get(channel, {})
    good_alone = sum(measured.get(result, 0) for result in HAD_IT)
    n = good_alone + sum(measured.get(result, 0) for result in HAD_IT_NOT)
    return {
        "won": won,
        "share": ratio(won, good),
        "success": {"ratio": ratio(good_alone, n), "interval": _rounded(wilson_interval(good_alone, n)), "n": n},
        "latency_seconds": _quantiles(figures.latency_s.get(channel)),
    }


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(end, 6) for end in interval]


def _estimates(observations: Sequence[RenderObservation]) -> dict[tuple[str, str], RenderTimes]:
    """What is known of the render times of each model, by provider and model."""
    of_model: Mapping[tuple[str, str], list[Interval]] = defaultdict(list)
    for item in observations:
        of_model[item.provider, item.model].append((item.interval.after_s, item.interval.by_s))
    return {model: estimate_render_times(intervals) for model, intervals in sorted(of_model.items())}


def _render_quantiles(estimate: RenderTimes) -> dict[str, Any]:
    """As intervals, in seconds: a poll does not tell the moment at which a render was ready."""
    return {f"p{percent}": _finite(estimate.quantile(percent / 100)) for percent in (50, 95, 99)}


def _finite(interval: Interval | None) -> list[float | None] | None:
    """JSON has no infinity: an end that nobody saw is null."""
    return None if interval is None else [round(at_s, 3) if math.isfinite(at_s) else None for at_s in interval]


def _quantiles(quantiles: Quantiles | None) -> dict[str, float | None]:
    if quantiles is None:
        return {"p50": None, "p95": None, "p99": None}
    return {"p50": round(quantiles.p50, 3), "p95": round(quantiles.p95, 3), "p99": round(quantiles.p99, 3)}
