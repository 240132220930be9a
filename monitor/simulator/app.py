"""The simulated provider as an aiohttp application."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from monitor.simulator import admin, answers, creates, streams, wire
from monitor.simulator.admin import STAGE
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.stage import Stage

PREFIX: Final = "/api/v1"
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_LINK_LOCAL: Final = "http://169.254.169.254/latest/meta-data/"

routes = web.RouteTableDef()


def build_simulator(config: SimulatorConfig) -> web.Application:
    """Wire everything; open nothing."""
    app = web.Application(middlewares=[_check_token], client_max_size=_MAX_BODY_BYTES)
    app[STAGE] = Stage(config)
    app.cleanup_ctx.append(_heartbeats)
    app.on_shutdown.append(_close)
    app.add_routes(routes)
    app.add_routes(admin.routes)
    return app


@asynccontextmanager
async def serve_simulator(config: SimulatorConfig, host: str, port: int) -> AsyncIterator[str]:
    """The simulator on `host` and `port` (0: a free one); its URL."""
    runner = web.AppRunner(build_simulator(config), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@routes.post(f"{PREFIX}/file/generate-image")
async def create_image(request: web.Request) -> web.StreamResponse:
    """Make an image."""
    return await creates.create(request.app[STAGE], request, kind="image", is_project=False)


@routes.post(f"{PREFIX}/file/generate-video")
async def create_video(request: web.Request) -> web.StreamResponse:
    """Make a video."""
    return await creates.create(request.app[STAGE], request, kind="video", is_project=False)


@routes.post(f"{PREFIX}/project/image")
async def create_project_image(request: web.Request) -> web.StreamResponse:
    """Make a project with an image in it."""
    return await creates.create(request.app[STAGE], request, kind="image", is_project=True)


@routes.post(f"{PREFIX}/project/video")
async def create_project_video(request: web.Request) -> web.StreamResponse:
    """Make a project with a video in it."""
    return await creates.create(request.app[STAGE], request, kind="video", is_project=True)


@routes.get(f"{PREFIX}/file/{{id}}")
async def read_file(request: web.Request) -> web.StreamResponse:
    """A file as it stands."""
    stage = request.app[STAGE]
    job = stage.book.by_file(request.match_info["id"])
    return _not_found() if job is None else await answers.answer_file(stage, job, request)


@routes.get(f"{PREFIX}/project/{{id}}")
async def read_project(request: web.Request) -> web.StreamResponse:
    """A project as it stands."""
    stage = request.app[STAGE]
    job = stage.book.by_project(request.match_info["id"])
    return _not_found() if job is None else await answers.answer_project(stage, job, request)


@routes.get(f"{PREFIX}/events/{{channel}}")
async def subscribe(request: web.Request) -> web.StreamResponse:
    """The events of a channel, from now on."""
    stage, channel = request.app[STAGE], request.match_info["channel"]
    return await streams.meet(stage, stage.book.by_channel(channel), channel, request)


@routes.get(f"{PREFIX}/ping")
async def ping(_: web.Request) -> web.Response:
    """It answers."""
    return web.json_response("pong")


@routes.get(f"{PREFIX}/generation-config")
async def list_models(request: web.Request) -> web.Response:
    """The models it knows the render times of."""
    items: list[dict[str, Any]] = [
        {"name": name, "label": None, "source": "local", "params": {}} for name in request.app[STAGE].config.render
    ]
    return web.json_response({"items": items, "total": len(items), "limit": 50, "offset": 0})


@routes.get("/assets/generated/{kind}/{name}")
async def read_asset(request: web.Request) -> web.StreamResponse:
    """The result itself, or what the fault serves instead. Nobody is asked for a token."""
    file_id = request.match_info["name"].partition(".")[0]
    job = request.app[STAGE].book.by_file(file_id)
    body, content_type = wire.asset_bytes(file_id, request.match_info["kind"])
    match job.fault.asset if job else "404":
        case "404":
            return _not_found()
        case "html":
            return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")
        case "empty":
            return web.Response(body=b"", content_type=content_type)
        case "private":
            return web.Response(status=302, headers={"Location": _LINK_LOCAL})
        case _:
            return web.Response(body=body, content_type=content_type)


@web.middleware
async def _check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The API wants the bearer token; a stream that was redirected elsewhere must do without it."""
    token = request.app[STAGE].config.token
    is_open = not request.path.startswith(PREFIX) or request.query.get("moved") == "elsewhere"
    if token is None or is_open:
        return await handler(request)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return web.json_response({"detail": "Not authenticated"}, status=401)
    return await handler(request)


async def _heartbeats(app: web.Application) -> AsyncIterator[None]:
    """One ticker for all streams."""
    stage = app[STAGE]

    async def beat() -> None:
        while True:
            await asyncio.sleep(stage.config.heartbeat_s)
            stage.broker.tell_all(wire.ping())

    ticker = asyncio.create_task(beat())
    yield
    ticker.cancel()
    await asyncio.wait({ticker})
    await stage.close()


async def _close(app: web.Application) -> None:
    app[STAGE].broker.close_all()


def _not_found() -> web.Response:
    return web.json_response({"detail": "Not found"}, status=404)
