"""The pages for people: how delivery stands, and what happened to one generation. Plain HTML, made on the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import jinja2
from aiohttp import web

import monitor
from monitor.canary.money import render_usd
from monitor.delivery.model import Channel, Outcome
from monitor.settings import Scope
from monitor.store.port import Record, RecordFilter, TimelineEntry
from monitor.web.bodies import render_instant
from monitor.web.context import CONTEXT
from monitor.web.problems import Problem
from monitor.web.summary import DEFAULT_WINDOW, summarize
from monitor.web.wording import ago, ahead, percentage, seconds, span

LATEST: Final = 20
_SECURITY: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

routes = web.RouteTableDef()


@dataclass(frozen=True, slots=True)
class Mark:
    """Something on a lane: where it is, how wide (both in percent of the strip), how it looks, what it says."""

    left: float
    width: float
    look: str
    says: str


@dataclass(frozen=True, slots=True)
class Row:
    """One generation as the page lists it."""

    record: Record
    seconds: float | None
    sse: Sequence[Mark]
    polling: Sequence[Mark]
    span_s: float


@routes.get("/")
async def show_status(request: web.Request) -> web.Response:
    """Success against the objective, SSE vs polling, what is in flight, and the latest generations."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    summary = await summarize(context, DEFAULT_WINDOW)
    records = await context.store.page(RecordFilter(), before_id=None, limit=LATEST)
    now = context.clock.now()
    rows = [_row(context.runner.current(record), now) for record in records]
    return _page(
        "status.html",
        summary=summary,
        rows=rows,
        canaries=await context.canaries.view(),
        at=now,
        now=render_instant(now),
        settings=context.settings,
    )


@routes.get("/generations/{id}")
async def show_generation(request: web.Request) -> web.Response:
    """One generation with its timeline."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    record = await context.runner.get(request.match_info["id"])
    if record is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no generation {request.match_info['id'][:64]!r}")
    return _page("generation.html", row=_row(record, context.clock.now()), details=details)


@routes.get("/static/status.css")
async def read_style(_: web.Request) -> web.Response:
    """The style of the pages."""
    return web.Response(text=_STYLE, content_type="text/css", headers={"Cache-Control": "max-age=300"})


@routes.get("/static/renew.js")
async def read_script(_: web.Request) -> web.Response:
    """What renews a page in place."""
    return web.Response(text=_SCRIPT, content_type="text/javascript", headers={"Cache-Control": "max-age=300"})


def lanes(timeline: Sequence[TimelineEntry], span_ms: float) -> tuple[list[Mark], list[Mark]]:
    """The SSE lane and the polling lane of a timeline, drawn over `span_ms`."""
    sse: list[Mark] = []
    polling: list[Mark] = []
    opened_ms: float | None = None
    for entry in timeline:
        at_ms, event = entry["at_ms"], entry["event"]
        if event == "sse_opened":
            opened_ms = at_ms
        elif event == "sse_closed":
            sse.append(_span(opened_ms, at_ms, span_ms, entry))
            opened_ms = None
        elif event == "sse_event" and entry.get("type") == "result":
            sse.append(Mark(_percent(at_ms, span_ms), 0, "result", f"result at {at_ms / 1000:.2f} s"))
        elif event == "poll":
            polling.append(_poll_mark(entry, span_ms))
    if opened_ms is not None:
        sse.insert(0, _span(opened_ms, span_ms, span_ms, {"reason": "still open"}))
    return sorted(sse, key=lambda mark: mark.look == "result"), polling


def _span(opened_ms: float | None, at_ms: float, span_ms: float, entry: TimelineEntry) -> Mark:
    """An open stream as a bar, or one that never stood as a mark."""
    if opened_ms is None:
        says = f"could not open at {at_ms / 1000:.2f} s: {entry.get('reason')}"
        return Mark(_percent(at_ms, span_ms), 0, "bad", says)
    left = _percent(opened_ms, span_ms)
    says = f"open from {opened_ms / 1000:.2f} to {at_ms / 1000:.2f} s: {entry.get('reason')}"
    return Mark(left, max(_percent(at_ms, span_ms) - left, 0.5), "open", says)


def _poll_mark(entry: TimelineEntry, span_ms: float) -> Mark:
    result = entry.get("result")
    look = {"ready": "result", "pending": "pending", "cancelled": "pending"}.get(str(result), "bad")
    says = f"attempt {entry.get('attempt')} at {entry['at_ms'] / 1000:.2f} s: {result}"
    return Mark(_percent(entry["at_ms"], span_ms), 0, look, says)


def _percent(at_ms: float, span_ms: float) -> float:
    return round(min(max(at_ms / span_ms, 0.0), 1.0) * 100, 2)


def _row(record: Record, now: datetime) -> Row:
    seconds = record.duration_s
    if seconds is None and record.submitted_at is not None:
        seconds = max(0.0, (now - record.submitted_at) / timedelta(seconds=1))
    span_s = max(1.0, (seconds or 0.0) * 1.02)
    sse, polling = lanes(record.timeline, span_s * 1000)
    return Row(record, seconds, sse, polling, span_s)


def details(entry: TimelineEntry) -> str:
    """What an entry says beside its time and name."""
    told = (_detail(key, value) for key, value in entry.items() if key not in ("at_ms", "event"))
    return ", ".join(words for words in told if words)


def _detail(key: str, value: object) -> str:
    """A key with its value and unit, in words. What is not so is not told."""
    if value is None or value is False or value == "":
        return ""
    name, _, unit = key.rpartition("_")
    words, unit = (name, f" {unit}") if unit in ("ms", "s") else (key, "")
    words = words.replace("_", " ")
    if value is True:
        return words
    return f"{words} {value:g}{unit}" if isinstance(value, float) else f"{words} {value}{unit}"


def _page(template: str, **values: Any) -> web.Response:
    text = _TEMPLATES.get_template(template).render(version=monitor.__version__, **values)
    return web.Response(text=text, content_type="text/html", headers=_SECURITY)


_PACKAGE: Final = files("monitor.web")
_STYLE: Final = (_PACKAGE / "static" / "status.css").read_text("utf-8")
_SCRIPT: Final = (_PACKAGE / "static" / "renew.js").read_text("utf-8")
_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("monitor.web"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters.update(
    percentage=percentage, seconds=seconds, instant=render_instant, span=span, ago=ago, ahead=ahead, usd=render_usd
)
_TEMPLATES.globals.update(Outcome=Outcome, Channel=Channel)
