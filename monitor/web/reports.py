"""`POST /v1/reports`: applications report deliveries that they saw themselves, also pages of other origins."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from aiohttp import web

from monitor.delivery.errors import ShuttingDown
from monitor.reports import Receipt, Report
from monitor.web.access import ANY_ORIGIN
from monitor.web.bodies import json_response, parse_json, read_body
from monitor.web.context import CONTEXT
from monitor.web.problems import Problem
from monitor.web.report_bodies import Refused, judge, unpack

PATH: Final = "/v1/reports"
_REFUSED: Final = "refused"
_AT_A_TIME: Final = 50
"""Reports that are judged until the loop may turn: some milliseconds."""
_CONTENT_TYPES: Final = ("application/json", "text/plain")
"""A page that is left can still send plain text across origins; JSON would have to be asked for first (CORS)."""
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "7200",
}
_FILE_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",  # a page of any origin may import it; there is nothing secret in it
    "Cache-Control": "max-age=300",
    "X-Content-Type-Options": "nosniff",
}

routes = web.RouteTableDef()


@routes.post(PATH)
async def take_reports(request: web.Request) -> web.Response:
    """Take what can be taken: an item that is wrong is told, and the others count all the same."""
    context = request.app[CONTEXT]
    parcel = unpack(parse_json(await _read(request, context.settings.reports.max_body_bytes)))
    caller = context.access.admit_report(request, parcel.token, context.settings.reports.allowed_origins)
    if context.runner.is_stopping:
        raise ShuttingDown("the service is stopping; send the reports again in a moment")
    now = context.clock.now()
    judged: list[Report | Refused] = []
    for item in parcel.items:
        if len(judged) % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        judged.append(judge(item, parcel.sent_at, now, context.settings))
    good = [item for item in judged if isinstance(item, Report)]
    receipts = iter(await context.reports.take(caller.name, good) if good else ())
    return _answer([_told(at, item, receipts) for at, item in enumerate(judged)])


@routes.options(PATH)
async def answer_preflight(request: web.Request) -> web.Response:
    """Whether the page of an origin may ask (Fetch standard, section 3.3.5). `allow_origin` says the rest."""
    allowed = request.app[CONTEXT].settings.reports.allowed_origins
    if request.headers.get("Origin") not in allowed and ANY_ORIGIN not in allowed:
        raise Problem(
            HTTPStatus.FORBIDDEN, "pages of this origin may not report; reports.allowed_origins lists whose may"
        )
    return web.Response(status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)


@routes.get("/static/report.js")
async def read_module(_: web.Request) -> web.Response:
    """The browser module that delivers over SSE and polling, and reports."""
    return web.Response(text=_MODULE, content_type="text/javascript", charset="utf-8", headers=_FILE_HEADERS)


@routes.get("/static/report.d.ts")
async def read_types(_: web.Request) -> web.Response:
    """The types of the browser module."""
    return web.Response(text=_TYPES, content_type="text/plain", charset="utf-8", headers=_FILE_HEADERS)


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Let a page that may report read the answer, whatever it is. A signal of the application, before each answer.

    Credentials are allowed since a beacon always announces them; none is accepted here but the token.
    """
    if request.path != PATH:
        return
    allowed = request.app[CONTEXT].settings.reports.allowed_origins
    origin = request.headers.get("Origin", "")
    if allowed:
        response.headers["Vary"] = "Origin"
    if origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
    elif ANY_ORIGIN in allowed:
        response.headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
    else:
        return
    response.headers["Access-Control-Expose-Headers"] = "Retry-After"


async def _read(request: web.Request, max_bytes: int) -> bytes:
    """The body, which may be larger here than elsewhere. Raises Problem 400, 413 or 415."""
    if request.content_type not in _CONTENT_TYPES:
        detail = f"the body must be {' or '.join(_CONTENT_TYPES)}; the Content-Type says {request.content_type}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    try:
        return await read_body(request.clone(client_max_size=max_bytes))
    except web.HTTPRequestEntityTooLarge:
        detail = f"the body is larger than {max_bytes} bytes; send fewer reports at a time"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail) from None


def _told(at: int, item: Report | Refused, receipts: Any) -> dict[str, Any]:
    """What the application is told of one report."""
    if isinstance(item, Refused):
        return {"index": at, "id": item.id, "result": _REFUSED, "errors": item.errors}
    receipt, generation_id = next(receipts)
    return {"index": at, "id": item.id, "result": receipt, "generation": generation_id}


def _answer(told: Sequence[dict[str, Any]]) -> web.Response:
    """200 when at least one report stands; 422 with the same details when none does."""
    counts = Counter(item["result"] for item in told)
    if counts[Receipt.ACCEPTED] or counts[Receipt.DUPLICATE]:
        return json_response({**{str(name): counts[name] for name in (*Receipt, _REFUSED)}, "reports": told})
    errors = [{"index": item["index"], **error} for item in told for error in item.get("errors", ())]
    said = "; ".join(f"{error['index']}: {error['field']}: {error['message']}" for error in errors[:5])
    detail = f"none of {len(told)} was taken: {said or 'each has an id that was used for something else'}"
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors[:20], reports=told)


def _without_comments(source: str) -> str:
    """The module as it is served: without indentation, and without comments, which have lines of their own."""
    code = re.sub(r"^ *(/\*\*.*?\*/|//.*?)$", "", source, flags=re.DOTALL | re.MULTILINE)
    return "".join(f"{line.strip()}\n" for line in code.splitlines() if line.strip())


_STATIC: Final = files("monitor.web") / "static"
_MODULE: Final = _without_comments((_STATIC / "report.js").read_text("utf-8"))
_TYPES: Final = (_STATIC / "report.d.ts").read_text("utf-8")
