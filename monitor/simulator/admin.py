"""The simulator's own endpoints, under /-/: change the faults while it runs, and be told the truth afterwards."""

import re
from typing import Final

import orjson
from aiohttp import web

from monitor.simulator.faults import FAULTS
from monitor.simulator.stage import Stage

_SHOWN: Final = 100
"""So many characters of what was wrong are told again."""
_LIKE: Final = 'it must be like {"mix": {"silent": 0.3, "healthy": 0.7}}'
STAGE: Final = web.AppKey("STAGE", Stage)

routes = web.RouteTableDef()


@routes.get("/-/healthy")
async def is_healthy(_: web.Request) -> web.Response:
    """It runs."""
    return web.Response(text="healthy\n")


@routes.get("/-/faults")
async def list_faults(request: web.Request) -> web.Response:
    """All faults, and how they are mixed now."""
    told = [
        {"name": fault.name, "group": fault.group, "says": fault.says, "end": fault.end} for fault in FAULTS.values()
    ]
    return web.json_response({"mix": request.app[STAGE].book.mix, "faults": told})


@routes.put("/-/mix")
async def change_mix(request: web.Request) -> web.Response:
    """Mix the faults of new jobs like this from now on."""
    book = request.app[STAGE].book
    try:
        book.change_mix(_parse_mix(await request.read()))
    except ValueError as error:
        return web.json_response({"detail": str(error)}, status=422)
    return web.json_response({"mix": book.mix})


@routes.get("/-/jobs")
async def list_jobs(request: web.Request) -> web.Response:
    """The newest jobs, in short."""
    text = request.query.get("limit", "100")
    if not re.fullmatch(r"[0-9]{1,8}", text):
        detail = f"limit is {text[:_SHOWN]!r}; it must be a whole number, 0 to 99999999"
        return web.json_response({"detail": detail}, status=422)
    limit = int(text)
    jobs = list(request.app[STAGE].book.jobs.values())[-limit:] if limit else []
    short = [
        {
            "id": job.file_id,
            "project_id": job.project_id,
            "fault": job.fault.name,
            "completed_at_ms": job.completed_at_ms,
        }
        for job in reversed(jobs)
    ]
    return web.json_response({"jobs": short})


@routes.get("/-/jobs/{id}")
async def tell_job(request: web.Request) -> web.Response:
    """The truth about one job, by the id of its file or of its project."""
    book, id_ = request.app[STAGE].book, request.match_info["id"]
    job = book.by_file(id_) or book.by_project(id_)
    if job is None:
        return web.json_response({"detail": "no such job is remembered"}, status=404)
    return web.json_response(job.truth())


@routes.get("/-/counts")
async def tell_counts(request: web.Request) -> web.Response:
    """How many creates, jobs, status calls and streams there were, and how many streams are open now."""
    stage = request.app[STAGE]
    return web.json_response({**stage.book.counts, "streams_open": stage.broker.open_streams})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse_mix(raw: bytes) -> dict[str, float]:
    """The mix of a body: weights by names. Raises ValueError."""
    found = repr(raw[:_SHOWN].decode(errors="replace"))
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the body is {found}, which is no JSON ({error}); {_LIKE}") from None
    if not isinstance(body, dict) or set(body) != {"mix"} or not isinstance(body["mix"], dict):
        raise ValueError(f"the body is {found}; {_LIKE}")
    for name, weight in body["mix"].items():
        if not _is_number(weight):
            found = repr(weight)[:_SHOWN]
            raise ValueError(f"mix: the weight of {name[:_SHOWN]} is {found}; it must be a finite number, 0 or more")
    return dict(body["mix"])
