"""The API for applications: ask for a generation, read, list, follow and cancel it."""

import re
from http import HTTPStatus
from typing import Final

from aiohttp import web

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import GenerationRequest, State
from monitor.delivery.trace_context import joined_trace
from monitor.settings import Scope
from monitor.store.port import Idempotency, Record, RecordFilter
from monitor.web.access import Caller
from monitor.web.bodies import invalid_field, json_response, read_generation_body, read_list_query, render_generation
from monitor.web.context import CONTEXT, CallersProvider
from monitor.web.events import END_ID, stream_events
from monitor.web.problems import Problem

MAX_WAIT_S: Final = 300.0
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\"?)(\d+)\1(?=$|[,;\s])", re.ASCII | re.IGNORECASE)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")

routes = web.RouteTableDef()


@routes.post("/v1/generations")
async def create_generation(request: web.Request) -> web.Response:
    """Accept a generation; with `Prefer: wait=N` answer with the result if it comes within N seconds."""
    context = request.app[CONTEXT]
    caller = context.access.admit(request, Scope.GENERATE)
    provider, asked, request_hash = await read_generation_body(request, context.settings)
    _check(context.providers[provider], asked)
    idempotency = _idempotency(request, caller, request_hash)
    trace = joined_trace(request.headers.getall("traceparent", ()), request.headers.getall("tracestate", ()))
    record, is_new = await context.runner.accept(provider, asked, idempotency=idempotency, trace=trace)
    headers = {"Location": f"/v1/generations/{record.id}"}
    if not is_new:
        headers["Idempotent-Replayed"] = "true"
    wait_s = _wait_s(request)
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s:.0f}"
        record = await context.runner.wait(record.id, wait_s) or record
    return json_response(render_generation(record), status=_status_of(record), headers=headers)


@routes.get("/v1/generations")
async def list_generations(request: web.Request) -> web.Response:
    """A page of generations, newest first."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    query = read_list_query(request)
    wanted = RecordFilter(outcome=query.outcome, channel=query.channel, provider=query.provider, origin=query.origin)
    records = await context.store.page(wanted, before_id=query.cursor, limit=query.limit + 1)
    page = records[: query.limit]
    following = page[-1].id if len(records) > query.limit else None
    items = [render_generation(context.runner.current(record)) for record in page]
    return json_response({"items": items, "next": following})


@routes.get("/v1/generations/{id}")
async def read_generation(request: web.Request) -> web.Response:
    """One generation with its timeline."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    return json_response(render_generation(_found(request, await context.runner.get(request.match_info["id"]))))


@routes.delete("/v1/generations/{id}")
async def cancel_generation(request: web.Request) -> web.Response:
    """Cancel a generation; one that has ended stays as it is and is shown.

    202 says that another service on the same store has it in flight, and has not heard of it yet.
    """
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.GENERATE)
    record = _found(request, await context.runner.cancel(request.match_info["id"]))
    return json_response(render_generation(record), status=_status_of(record))


@routes.get("/v1/generations/{id}/events", allow_head=False)
async def follow_generation(request: web.Request) -> web.StreamResponse:
    """The timeline as it grows, as Server-Sent Events, and at last the whole generation.

    Each entry has an id, the last event `end`; a caller that comes back with `Last-Event-ID` misses nothing.
    One that has seen the end gets 204, which tells an EventSource not to come back (WHATWG HTML, section 9.2.3).
    """
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    generation_id = request.match_info["id"]
    record = _found(request, await context.runner.get(generation_id))
    last_id = request.headers.get("Last-Event-ID", "")
    if record.state is State.ENDED and last_id == END_ID:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    with context.streams.place():
        return await stream_events(request, context.runner, generation_id, last_id)


def _status_of(record: Record) -> HTTPStatus:
    return HTTPStatus.OK if record.state is State.ENDED else HTTPStatus.ACCEPTED


def _found(request: web.Request, record: Record | None) -> Record:
    if record is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no generation {request.match_info['id'][:64]!r}")
    return record


def _check(provider: CallersProvider, asked: GenerationRequest) -> None:
    """What a provider cannot be asked for is the caller's mistake, and counts for nobody."""
    try:
        provider.check(asked)
    except ChannelError as error:
        field, _, message = error.detail.partition(": ")
        raise invalid_field(field, message) from None


def _idempotency(request: web.Request, caller: Caller, request_hash: str) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        detail = "Idempotency-Key: 1 to 200 visible ASCII characters are allowed"
        raise Problem(HTTPStatus.BAD_REQUEST, detail)
    return Idempotency(caller.name, key, request_hash)


def _wait_s(request: web.Request) -> float | None:
    """Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), bounded."""
    found = _WAIT.search(", ".join(request.headers.getall("Prefer", ())))
    return min(float(found[2]), MAX_WAIT_S) if found else None
