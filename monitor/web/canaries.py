"""Canaries over HTTP: how they are, a run on demand, pauses, and a changed plan."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from monitor.canary.plan import Canary
from monitor.delivery.errors import SettingsInvalid
from monitor.settings import Scope
from monitor.web.bodies import json_response, render_generation
from monitor.web.canary_bodies import read_pause, render_canary, render_pause
from monitor.web.context import CONTEXT
from monitor.web.problems import Problem

routes = web.RouteTableDef()


@routes.get("/v1/canaries")
async def list_canaries(request: web.Request) -> web.Response:
    """All canaries of the plan: when each is due, what it spent, its last runs."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    return json_response({"items": [render_canary(view) for view in await context.canaries.view()]})


@routes.post("/v1/canaries/{name}/run")
async def run_canary(request: web.Request) -> web.Response:
    """One run now. It counts in the spending limits."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.ADMIN)
    record = await context.canaries.run_now(_found(request))
    headers = {"Location": f"/v1/generations/{record.id}"}
    return json_response(render_generation(record), status=HTTPStatus.ACCEPTED, headers=headers)


@routes.post("/v1/canaries/{name}/pause")
async def pause_canary(request: web.Request) -> web.Response:
    """No run begins by itself until the pause ends."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.ADMIN)
    canary, body = _found(request), await read_pause(request)
    pause = await context.canaries.pause(canary, body.reason, body.ends_at(context.clock.now()))
    return json_response({"name": canary.name, "pause": render_pause(pause)})


@routes.post("/v1/canaries/{name}/resume")
async def resume_canary(request: web.Request) -> web.Response:
    """End the pause, if there is one."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.ADMIN)
    canary = _found(request)
    await context.canaries.resume(canary)
    return json_response({"name": canary.name, "pause": None})


@routes.post("/-/reload")
async def reload_plan(request: web.Request) -> web.Response:
    """Read the settings anew and put their canaries in force. Generations in flight go on."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.ADMIN)
    try:
        reloaded = await context.reloader.reload()
    except SettingsInvalid as error:
        detail = f"the settings are not valid; the canaries before go on: {error.problems[0]}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=_errors(error)) from None
    return json_response(
        {
            "canaries": reloaded.canaries,
            "changed": reloaded.changed,
            "gone": reloaded.gone,
            "limits_changed": reloaded.limits_changed,
            "needs_restart": reloaded.needs_restart,
        }
    )


def _errors(error: SettingsInvalid) -> list[dict[str, Any]]:
    parts = (problem.partition(": ") for problem in error.problems)
    return [{"field": key, "message": message} for key, _, message in parts]


def _found(request: web.Request) -> Canary:
    name, plan = request.match_info["name"], request.app[CONTEXT].canaries.plan
    canary = plan.canary(name)
    if canary is None:
        names = ", ".join(canary.name for canary in plan.canaries) or "none"
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no canary {name[:64]!r}; there are: {names}")
    return canary
