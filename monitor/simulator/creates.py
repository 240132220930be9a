"""How create calls are answered: refused as the fault wants, or taken."""

import random
from typing import Any, Final

import orjson
from aiohttp import web

from monitor.simulator import stories, wire
from monitor.simulator.faults import Fault
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage
from monitor.simulator.validation import BodyRefused, parse_create, problem

_WORDS: Final = {
    400: "Invalid payload",
    401: "Could not validate credentials",
    402: "Not enough credits",
    403: "This model needs a VIP account",
    422: [problem("enum", ["body", "config", "shot_size"], "Input should be 'Close-Up'", "x")],
}


async def create(stage: Stage, request: web.Request, *, kind: str, is_project: bool) -> web.StreamResponse:
    """Answer a create call."""
    dice = stage.book.next_dice()
    try:
        config = parse_create(await request.read(), kind=kind, is_project=is_project)
        fault = _choose(stage, config, dice)
    except BodyRefused as refused:
        return web.json_response({"detail": refused.problems}, status=422)
    refusal = _refusal(stage, fault, config)
    if refusal is not None:
        return refusal
    answer = _begin(stage, request, dice, config=config, kind=kind, fault=fault, is_project=is_project)
    if fault.create == "create_hangs":
        await stage.hang()
    if fault.create in ("create_hangs", "create_500_after_effect"):
        return web.json_response({"detail": "Internal Server Error"}, status=500)
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


def _choose(stage: Stage, config: dict[str, Any], dice: random.Random) -> Fault:
    """The fault of this call. Raises BodyRefused when the prompt names one that there is not."""
    prompt = config.get("prompt") or ""
    try:
        return stage.book.choose_fault(prompt, dice)
    except ValueError as unknown:
        raise BodyRefused([problem("value_error", ["body", "config", "prompt"], str(unknown), prompt)]) from None


def _begin(
    stage: Stage,
    request: web.Request,
    dice: random.Random,
    *,
    config: dict[str, Any],
    kind: str,
    fault: Fault,
    is_project: bool,
) -> Any:
    """Make the job, or the three of a batch; what the call is answered with."""
    origin, traceparent = f"{request.scheme}://{request.host}", request.headers.get("traceparent")
    jobs = [
        stage.book.make(
            dice, config=config, kind=kind, fault=fault, is_project=is_project, origin=origin, traceparent=traceparent
        )
        for _ in range(3 if fault.create == "create_list_of_three" else 1)
    ]
    stage.book.counts["jobs"] += 1
    for job in jobs:
        stories.begin(stage, job)
    return _taken(stage, jobs)


def _taken(stage: Stage, jobs: list[Job]) -> Any:
    """The answer of a create call that made a job: for images a list, unless the fault has another shape."""
    job = jobs[0]
    if job.project_id is not None:
        is_hushed = job.fault.status.startswith("resolve_") or job.fault.status == "poll_stale"
        is_ready = stage.is_status_ready(job) and not is_hushed
        return wire.project_read(job, None if is_hushed else wire.data_of(job, is_ready=is_ready))
    if job.kind == "video" or job.fault.create == "create_object":
        return wire.file_read(job, is_ready=False)
    return [wire.file_read(job, is_ready=False) for job in jobs]


def _refusal(stage: Stage, fault: Fault, config: dict[str, Any]) -> web.Response | None:
    """The answer of a create call that makes no job."""
    if fault.create == "create_409" and stage.book.refuse_once(f"409 {config.get('prompt')}", by=config.get("seed")):
        return web.json_response({"detail": "Integrity error, create"}, status=409)
    if fault.create == "create_429" and stage.book.refuse_once(f"429 {config.get('prompt')}"):
        return web.json_response({"detail": "Too many requests"}, status=429, headers={"Retry-After": "2"})
    status = fault.create.removeprefix("create_")
    if status.isdigit() and int(status) in _WORDS:
        return web.json_response({"detail": _WORDS[int(status)]}, status=int(status))
    return None
