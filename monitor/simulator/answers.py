"""How status calls are answered: by how far the job is, and by what its fault makes of that."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from aiohttp import web

from monitor.simulator import wire
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

_FIRST: Final = {
    "poll_5xx_burst": (4, 502),
    "poll_404_first": (3, 404),
    "poll_429": (2, 429),
    "poll_429_date": (2, 429),
}
"""So many calls fail at first, with this status."""
_DRIP_S: Final = 60.0
_NO_URL_S: Final = 3.0
_HELD_S: Final = 1.0
_HUGE_BYTES: Final = 50 * 1024 * 1024
_RESOLVE_FAILURES: Final = 2


async def answer_file(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    """`GET /file/{id}`: a status call in the file flow, a resolution in the project flow."""
    if job.project_id is not None:
        return _noted(stage, job, request, _resolve(stage, job))
    return await _answer(stage, job, request, _file(stage, job))


async def answer_project(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    """`GET /project/{id}`: a status call in the project flow."""
    return await _answer(stage, job, request, _project(stage, job))


async def _answer(stage: Stage, job: Job, request: web.Request, healthy: dict[str, Any]) -> web.StreamResponse:
    number, way = job.status_calls, job.fault.status
    job.status_calls += 1
    if way in _FIRST and number < _FIRST[way][0]:
        return _noted(stage, job, request, _failure(way, _FIRST[way][1]))
    match way:
        case "poll_500_always":
            return _noted(stage, job, request, _failure(way, 500))
        case "poll_401_mid" if number >= 1:
            return _noted(stage, job, request, _failure(way, 401))
        case "poll_garbage" if number < len(_GARBAGE):
            return _noted(stage, job, request, web.Response(body=_GARBAGE[number][1], content_type=_GARBAGE[number][0]))
        case "poll_hangs" if number == 0:
            return await _hang(stage, job, request)
        case "poll_slow_body" if number == 0:
            return await _drip(stage, job, request)
        case "poll_huge" if number == 0:
            return await _flood(stage, job, request)
        case "held":
            return await _hold(stage, job, request)
        case _:
            return _noted(stage, job, request, web.json_response(healthy))


def _file(stage: Stage, job: Job) -> dict[str, Any]:
    """The file as it stands. In the file flow, the faults of resolving show in it directly."""
    is_ready = stage.is_status_ready(job) and not job.has_failed
    way = job.fault.status
    if way == "poll_stale":
        is_ready = False
    if way == "poll_completed_no_url" and is_ready:
        is_ready = stage.now_s >= (job.status_ready_at_s or 0.0) + _NO_URL_S * stage.config.time_scale
        job_tasks = [wire.task_read(job, "completed")]
        return wire.file_read(job, is_ready=is_ready) | {"tasks": job_tasks}
    file = wire.file_read(job, is_ready=is_ready)
    return file | {"type": "text"} if way == "resolve_wrong_type" else file


def _project(stage: Stage, job: Job) -> dict[str, Any]:
    """The project as it stands: a direct URL, or only a file id where resolving it is the point."""
    is_ready = stage.is_status_ready(job) and not job.has_failed and job.fault.status != "poll_stale"
    if not is_ready:
        return wire.project_read(job, None)
    if job.fault.status.startswith("resolve_"):
        return wire.project_read(job, {"file_id": job.file_id})
    return wire.project_read(job, {"url": wire.result_url(job), "file_id": job.file_id})


def _resolve(stage: Stage, job: Job) -> web.Response:
    number, way = job.resolve_calls, job.fault.status
    job.resolve_calls += 1
    is_failing = number < _RESOLVE_FAILURES
    match way:
        case "resolve_404" | "resolve_500" if is_failing:
            return _failure(way, int(way.removeprefix("resolve_")))
        case "resolve_pending" if is_failing:
            return web.json_response(wire.file_read(job, is_ready=False))
        case _:
            return web.json_response(_file(stage, job))


def _failure(way: str, status: int) -> web.Response:
    headers = {}
    if way == "poll_429":
        headers["Retry-After"] = "2"
    elif way == "poll_429_date":
        headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    return web.json_response({"detail": f"simulated {status}"}, status=status, headers=headers)


_GARBAGE: Final = (
    ("text/html", b"<html><body>Bad gateway</body></html>"),
    ("application/json", b'{"id": "truncated", "url": nul'),
    ("application/json", b"[1, 2, 3]"),
    ("application/json", b'{"id": 7, "url": {"a": 1}, "type": ["image"], "tasks": "none"}'),
)


async def _hang(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    _note(stage, job, request, "hangs")
    await asyncio.Event().wait()
    return web.Response()


async def _drip(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    _note(stage, job, request, "drips")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(60):
        await response.write(b" ")
        await stage.wait(_DRIP_S / 60)
    return response


async def _flood(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    _note(stage, job, request, "huge")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    part = b" " * 65_536
    for _ in range(_HUGE_BYTES // len(part)):
        await response.write(part)
    return response


async def _hold(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    """Answer in the instant in which the event is published."""
    due_at_s = job.created_at_s + job.render_s
    if 0 < due_at_s - stage.now_s <= _HELD_S * stage.config.time_scale:
        await asyncio.sleep(due_at_s - stage.now_s)
    return _noted(stage, job, request, web.json_response(_file(stage, job)))


def _noted(stage: Stage, job: Job, request: web.Request, response: web.Response) -> web.Response:
    """The answer, with a note of it for the truth."""
    body = response.body if isinstance(response.body, bytes) else b""
    said = "ready" if response.status == 200 and b'"url": "' in body else str(response.status)
    _note(stage, job, request, said)
    return response


def _note(stage: Stage, job: Job, request: web.Request, answer: str) -> None:
    stage.book.counts["polls"] += 1
    if len(job.polls) < 200:
        job.polls.append({"at_ms": job.ms(stage.now_s), "path": request.path, "answer": answer})
