"""SSE against polling over a window of time, for programs and for the status page."""

import re
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from monitor.delivery.model import Channel, Outcome
from monitor.settings import Scope
from monitor.statistics import ratio, wilson_interval
from monitor.store.port import Quantiles, WindowFigures
from monitor.web.bodies import json_response
from monitor.web.context import CONTEXT, Context
from monitor.web.problems import Problem

DEFAULT_WINDOW: Final = timedelta(hours=1)
_WINDOW: Final = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MAX_WINDOW: Final = timedelta(days=366)

routes = web.RouteTableDef()


@routes.get("/v1/summary")
async def read_summary(request: web.Request) -> web.Response:
    """Success rates with 95% intervals, latency quantiles and attempts, over `window`."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    return json_response(await summarize(context, parse_window(request.query.get("window", "1h"))))


def parse_window(text: str) -> timedelta:
    """A window as `90s`, `15m`, `1h` or `7d`. Raises Problem 422."""
    found = _WINDOW.fullmatch(text)
    window = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < window <= _MAX_WINDOW:
        detail = f"window: {text[:40]!r} is not a window; write 90s, 15m, 1h or 7d, over 0 and up to 366d"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=[{"field": "window", "message": detail}])
    return window


async def summarize(context: Context, window: timedelta) -> dict[str, Any]:
    """The summary as JSON; `objective` is the strictest of the providers'."""
    figures = await context.store.figures(context.clock.now() - window)
    good = figures.outcomes.get(Outcome.DELIVERED, 0)
    total = good + figures.outcomes.get(Outcome.EXPIRED, 0)
    return {
        "window_seconds": window.total_seconds(),
        "objective": max(provider.objective for provider in context.settings.providers),
        "delivery": {
            "good": good,
            "total": total,
            "ratio": ratio(good, total),
            "interval": wilson_interval(good, total),
        },
        "outcomes": {outcome.value: figures.outcomes.get(outcome, 0) for outcome in Outcome},
        "channels": {
            "sse": _channel(figures, Channel.SSE, good),
            "polling": _channel(figures, Channel.POLLING, good)
            | {"attempts": {"mean": figures.polling_attempts_mean, "p95": figures.polling_attempts_p95}},
        },
        "in_flight": context.runner.in_flight,
    }


def _channel(figures: WindowFigures, channel: Channel, good: int) -> dict[str, Any]:
    """One channel. Its own success rate is not its share of wins: it is unknown until the losing channel is watched."""
    won = figures.won.get(channel, 0)
    return {
        "won": won,
        "share": ratio(won, good),
        "success": {"ratio": None, "interval": None, "n": 0},
        "latency_seconds": _quantiles(figures.latency_s.get(channel)),
    }


def _quantiles(quantiles: Quantiles | None) -> dict[str, float | None]:
    if quantiles is None:
        return {"p50": None, "p95": None, "p99": None}
    return {"p50": round(quantiles.p50, 3), "p95": round(quantiles.p95, 3), "p99": round(quantiles.p99, 3)}
