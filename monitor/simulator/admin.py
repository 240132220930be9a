"""The simulator's own endpoints, under /-/: change the faults while it runs, and be told the truth afterwards."""

from typing import Final

import orjson
from aiohttp import web

from monitor.simulator.faults import FAULTS
from monitor.simulator.stage import Stage

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
        mix = orjson.loads(await request.read())["mix"]
        book.change_mix({str(name): float(weight) for name, weight in mix.items()})
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        detail = 'the body must be JSON like {"mix": {"silent": 0.3, "healthy": 0.7}}'
        return web.json_response({"detail": detail}, status=422)
    except ValueError as error:
        return web.json_response({"detail": str(error)}, status=422)
    return web.json_response({"mix": book.mix})


@routes.get("/-/jobs")
async def list_jobs(request: web.Request) -> web.Response:
    """The newest jobs, in short."""
    text = request.query.get("limit", "100")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 100
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
