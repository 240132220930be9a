"""How status calls are answered: by how far the job is, and by what its fault makes of that."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

import orjson
from aiohttp import web

from monitor.simulator import wire
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

_JSON: Final = "application/json"
_RETRY_AFTER_S: Final = 2
_DATE_AFTER_S: Final = 3
"""An HTTP date has whole seconds: one more, so that it is never sooner than two."""
_DRIPS: Final = 60
_DRIP_S: Final = 1.0
_NO_URL_S: Final = 3.0
_HELD_S: Final = 2.0
_HUGE_BYTES: Final = 50 * 1024 * 1024
_PART: Final = b" " * 65_536
_RESOLVE_FAILURES: Final = 2


@dataclass(frozen=True, slots=True)
class Call:
    """One status call: the `number` of calls before it, and `read`, what a healthy provider would answer now."""

    stage: Stage
    job: Job
    request: web.Request
    number: int
    read: Callable[[Stage, Job], dict[str, Any]]

    def note(self, answer: str) -> None:
        """Tell the truth about it."""
        at_ms = self.job.ms(self.stage.now_s)
        self.job.note_poll({"at_ms": at_ms, "path": self.request.path, "answer": answer})

    def healthy(self) -> web.Response:
        """The answer of a healthy provider, noted."""
        body = self.read(self.stage, self.job)
        self.note(_seen_in(body))
        return web.Response(body=orjson.dumps(body), content_type=_JSON)

    def failing(self, status: int, headers: dict[str, str] | None = None) -> web.Response:
        """An error, noted."""
        self.note(str(status))
        return web.json_response({"detail": f"simulated {status}"}, status=status, headers=headers)

    def spoilt(self, body: bytes, content_type: str) -> web.Response:
        """A body that is none, noted."""
        self.note("garbage")
        return web.Response(body=body, content_type=content_type)


async def answer_file(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    """`GET /file/{id}`: a status call in the file flow, a resolution in the project flow."""
    if job.project_id is None:
        return await _answer(stage, job, request, _file)
    stage.book.counts["polls"] += 1
    call = Call(stage, job, request, job.resolve_calls, _file)
    job.resolve_calls += 1
    return _resolve(call)


async def answer_project(stage: Stage, job: Job, request: web.Request) -> web.StreamResponse:
    """`GET /project/{id}`: a status call in the project flow."""
    return await _answer(stage, job, request, _project)


async def _answer(
    stage: Stage, job: Job, request: web.Request, read: Callable[[Stage, Job], dict[str, Any]]
) -> web.StreamResponse:
    stage.book.counts["polls"] += 1
    call = Call(stage, job, request, job.status_calls, read)
    job.status_calls += 1
    spoil = _SPOILT.get(job.fault.status)
    spoilt = None if spoil is None else await spoil(call)
    return call.healthy() if spoilt is None else spoilt


def _file(stage: Stage, job: Job) -> dict[str, Any]:
    """The file as it stands. In the file flow, the faults of resolving show in it directly."""
    way = job.fault.status
    is_ready = _shows_result(stage, job)
    if way == "poll_completed_no_url" and is_ready:
        has_url = stage.now_s >= (job.status_ready_at_s or 0.0) + _NO_URL_S * stage.config.time_scale
        return wire.file_read(job, is_ready=has_url) | {"tasks": [wire.task_read(job, "completed")]}
    file = wire.file_read(job, is_ready=is_ready)
    if way == "resolve_thumbnail":
        return wire.file_read(job, is_ready=False, thumbnail=is_ready)
    return file | {"type": "text"} if way == "resolve_wrong_type" else file


def _project(stage: Stage, job: Job) -> dict[str, Any]:
    """The project as it stands: the id of its file from the start, its URL at the end, but for some faults."""
    way = job.fault.status
    is_ready = _shows_result(stage, job)
    if way == "poll_completed_no_url" and is_ready:
        has_url = _file(stage, job)["url"] is not None
        tasks = [wire.task_read(job, "completed")]
        return wire.project_read(job, wire.data_of(job, is_ready=has_url)) | {"tasks": tasks}
    if way.startswith("resolve_"):
        return wire.project_read(job, {"file_id": job.file_id} if is_ready else None)
    return wire.project_read(job, wire.data_of(job, is_ready=is_ready))


def _shows_result(stage: Stage, job: Job) -> bool:
    return stage.is_status_ready(job) and not job.has_failed and job.fault.status != "poll_stale"


def _resolve(call: Call) -> web.Response:
    way = call.job.fault.status
    if call.number >= _RESOLVE_FAILURES or way not in ("resolve_404", "resolve_500", "resolve_pending"):
        return call.healthy()
    if way == "resolve_pending":
        call.note("pending")
        body = wire.file_read(call.job, is_ready=False)
        return web.Response(body=orjson.dumps(body), content_type=_JSON)
    return call.failing(int(way.removeprefix("resolve_")))


def _seen_in(body: dict[str, Any]) -> str:
    """What the answer showed: `ready`, `failed` or `pending`."""
    values = [item["value"] for item in body["data"]] if "data" in body else [body]
    if any(value and value.get("url") for value in values):
        return "ready"
    return "failed" if any(task["status"] == "error" for task in body["tasks"]) else "pending"


def _first_calls(count: int, status: int, headers: Callable[[], dict[str, str]] = dict) -> "Spoil":
    """The first `count` calls fail."""

    async def spoil(call: Call) -> web.Response | None:
        return call.failing(status, headers()) if call.number < count else None

    return spoil


def _later_calls(count: int, status: int) -> "Spoil":
    """All calls but the first `count` fail."""

    async def spoil(call: Call) -> web.Response | None:
        return call.failing(status) if call.number >= count else None

    return spoil


_GARBAGE: Final = (
    ("text/html", b"<html><body>Bad gateway</body></html>"),
    (_JSON, b'{"id": "truncated", "url": nul'),
    (_JSON, b"[1, 2, 3]"),
    (_JSON, b'{"id": 7, "url": {"a": 1}, "type": ["image"], "tasks": "none"}'),
)


async def _garbage(call: Call) -> web.Response | None:
    if call.number >= len(_GARBAGE):
        return None
    content_type, body = _GARBAGE[call.number]
    return call.spoilt(body, content_type)


async def _hang(call: Call) -> web.StreamResponse | None:
    if call.number > 0:
        return None
    call.note("hangs")
    await call.stage.hang()
    return web.Response(status=503)


async def _drip(call: Call) -> web.StreamResponse | None:
    """The true answer, a few bytes a second."""
    if call.number > 0:
        return None
    call.note("drips")
    body = orjson.dumps(call.read(call.stage, call.job))
    size = -(-len(body) // _DRIPS)
    response = await _begun(call.request)
    for at in range(0, len(body), size):
        await response.write(body[at : at + size])
        await call.stage.wait(_DRIP_S)
    return response


async def _flood(call: Call) -> web.StreamResponse | None:
    """The true answer, behind 50 MiB of white space."""
    if call.number > 0:
        return None
    call.note("huge")
    response = await _begun(call.request)
    for _ in range(_HUGE_BYTES // len(_PART)):
        await response.write(_PART)
    await response.write(orjson.dumps(call.read(call.stage, call.job)))
    return response


async def _begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": _JSON})
    await response.prepare(request)
    return response


async def _hold(call: Call) -> web.Response | None:
    """Answer in the very instant in which the event is published, if that is soon."""
    if 0 < call.job.due_at_s - call.stage.now_s <= _HELD_S * call.stage.config.time_scale:
        await asyncio.wait_for(call.job.completed.wait(), 2 * _HELD_S)
    return None


def _in_seconds() -> dict[str, str]:
    return {"Retry-After": str(_RETRY_AFTER_S)}


def _as_date() -> dict[str, str]:
    return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=_DATE_AFTER_S), usegmt=True)}


Spoil = Callable[[Call], Awaitable[web.StreamResponse | None]]
_SPOILT: Final[dict[str, Spoil]] = {
    "poll_5xx_burst": _first_calls(4, 502),
    "poll_500_always": _later_calls(0, 500),
    "poll_404_first": _first_calls(3, 404),
    "poll_429": _first_calls(2, 429, _in_seconds),
    "poll_429_date": _first_calls(2, 429, _as_date),
    "poll_401_mid": _later_calls(1, 401),
    "poll_hangs": _hang,
    "poll_slow_body": _drip,
    "poll_garbage": _garbage,
    "poll_huge": _flood,
    "both_at_once": _hold,
}
"""What a fault makes of a status call; None leaves it the healthy answer."""
