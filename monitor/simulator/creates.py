"""How create calls are answered: validated as FastAPI would, refused as the fault wants, or taken."""

import asyncio
from typing import Any, Final

import orjson
from aiohttp import web

from monitor.simulator import stories, wire
from monitor.simulator.faults import Fault
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

_WORDS: Final = {
    400: "Invalid payload",
    401: "Could not validate credentials",
    402: "Not enough credits",
    403: "This model needs a VIP account",
    422: [{"type": "enum", "loc": ["body", "config", "shot_size"], "msg": "Input should be 'Close-Up'", "input": "x"}],
}


async def create(stage: Stage, request: web.Request, *, kind: str, is_project: bool) -> web.StreamResponse:
    """Answer a create call."""
    stage.book.counts["creates"] += 1
    try:
        config = _config(await request.read())
        fault = stage.book.choose_fault(config["prompt"])
    except ValueError as error:
        return _invalid(error.args[0])
    refusal = _refusal(stage, fault, config)
    if refusal is not None:
        return refusal
    job = stage.book.make(
        prompt=config["prompt"],
        model=config["generation_config_name"],
        kind=kind,
        fault=fault,
        is_project=is_project,
        origin=f"{request.scheme}://{request.host}",
        traceparent=request.headers.get("traceparent"),
    )
    stories.begin(stage, job)
    if fault.create == "create_hangs":
        await asyncio.Event().wait()
    if fault.create == "create_500_after_effect":
        return web.json_response({"detail": "Internal Server Error"}, status=500)
    return web.Response(body=orjson.dumps(_taken(job)), content_type="application/json")


def _taken(job: Job) -> Any:
    """The answer of a create call that made a job: for images a list, unless the fault has another shape."""
    if job.project_id is not None:
        return wire.project_read(job, None)
    file = wire.file_read(job, is_ready=False)
    if job.kind == "video" or job.fault.create == "create_object":
        return file
    more = 2 if job.fault.create == "create_list_of_three" else 0
    return [file, *({**file, "id": f"{job.file_id[:-1]}{number}-other"} for number in range(more))]


def _refusal(stage: Stage, fault: Fault, config: dict[str, Any]) -> web.Response | None:
    """The answer of a create call that makes no job."""
    if fault.create == "create_409" and stage.book.refuse_once(f"409 {config['prompt']}"):
        return web.json_response({"detail": "Integrity error, create"}, status=409)
    if fault.create == "create_429" and stage.book.refuse_once(f"429 {config['prompt']}"):
        return web.json_response({"detail": "Too many requests"}, status=429, headers={"Retry-After": "2"})
    status = fault.create.removeprefix("create_")
    if status.isdigit() and int(status) in _WORDS:
        return web.json_response({"detail": _WORDS[int(status)]}, status=int(status))
    return None


def _config(raw: bytes) -> dict[str, Any]:
    """The `config` of a payload. Raises ValueError with FastAPI's list of problems."""
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ValueError([_problem("json_invalid", ["body"], "JSON decode error", None)]) from None
    config = payload.get("config") if isinstance(payload, dict) else None
    if not isinstance(config, dict):
        raise ValueError(  # noqa: TRY004 - of the caller's data, not of our code
            [_problem("missing", ["body", "config"], "Field required", payload)]
        )
    wrong = [name for name in ("prompt", "generation_config_name") if not isinstance(config.get(name), str)]
    if wrong:
        raise ValueError([_problem("missing", ["body", "config", name], "Field required", config) for name in wrong])
    return config


def _invalid(problems: Any) -> web.Response:
    """422 in FastAPI's shape."""
    said = (
        problems
        if isinstance(problems, list)
        else [_problem("value_error", ["body", "config", "prompt"], problems, None)]
    )
    return web.json_response({"detail": said}, status=422)


def _problem(type_: str, loc: list[str], msg: str, input_: Any) -> dict[str, Any]:
    return {"type": type_, "loc": loc, "msg": msg, "input": input_}
