"""The pass-through of the original system: the provider's own JSON about a project or a file."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind
from monitor.settings import Scope
from monitor.web.context import CONTEXT
from monitor.web.problems import Problem

routes = web.RouteTableDef()


@routes.get("/api/project/{id}")
async def read_project(request: web.Request) -> web.Response:
    """A project as the provider shows it."""
    return await _read(request, "project")


@routes.get("/api/file/{id}")
async def read_file(request: web.Request) -> web.Response:
    """A file as the provider shows it."""
    return await _read(request, "file")


async def _read(request: web.Request, what: str) -> web.Response:
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    provider = request.query.get("provider", context.settings.providers[0].name)
    reader = context.providers.get(provider)
    if reader is None:
        there_are = ", ".join(context.providers)
        raise Problem(HTTPStatus.NOT_FOUND, f"provider {provider[:40]!r} is not known; there are: {there_are}")
    try:
        body = await reader.fetch_raw(what, request.match_info["id"])
    except ChannelError as error:
        raise _problem(error, provider) from None
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


def _problem(error: ChannelError, provider: str) -> Problem:
    """401, 403 and 404 are told apart; whatever else goes wrong behind us is 502."""
    words: dict[str, Any] = {"provider": provider, "provider_status": error.status, "kind": error.kind}
    match error.kind:
        case ErrorKind.UNAUTHORIZED:
            status = HTTPStatus.FORBIDDEN if error.status == HTTPStatus.FORBIDDEN else HTTPStatus.UNAUTHORIZED
            return Problem(status, f"{provider} refuses this service's token: {error.detail}", **words)
        case ErrorKind.NOT_FOUND:
            return Problem(HTTPStatus.NOT_FOUND, f"{provider} does not know it: {error.detail}", **words)
        case _:
            return Problem(HTTPStatus.BAD_GATEWAY, f"{provider} did not answer properly: {error.detail}", **words)
