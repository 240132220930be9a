"""The simulated provider as an aiohttp application."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from monitor.simulator import admin, answers, assets, creates, streams, wire
from monitor.simulator.admin import STAGE
from monitor.simulator.broker import BEATS
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.models import list_generation_configs
from monitor.simulator.stage import Stage

PREFIX: Final = "/api/v1"
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024
_EVENTS: Final = f"{PREFIX}/events/"

routes = web.RouteTableDef()


def build_simulator(config: SimulatorConfig) -> web.Application:
    """Wire everything; open nothing."""
    app = web.Application(middlewares=[_tell_errors, _check_token], client_max_size=_MAX_BODY_BYTES)
    app[STAGE] = Stage(config)
    app.cleanup_ctx.append(_heartbeats)
    app.on_shutdown.append(_close)
    app.add_routes(routes)
    app.add_routes(assets.routes)
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
    return web.json_response(list_generation_configs(request.app[STAGE].config))


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What there is not, and what is too large, is told as FastAPI tells it."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        error.headers.popall("Content-Type", None)
        return web.json_response({"detail": error.reason}, status=error.status, headers=error.headers)


@web.middleware
async def _check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The API wants the bearer token; a stream that was redirected elsewhere must do without it."""
    token = request.app[STAGE].config.token
    has_moved = request.path.startswith(_EVENTS) and request.query.get("moved") == "elsewhere"
    is_open = not request.path.startswith(PREFIX) or has_moved
    if token is None or is_open:
        return await handler(request)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        challenge = {"WWW-Authenticate": "Bearer"}
        return web.json_response({"detail": "Not authenticated"}, status=401, headers=challenge)
    return await handler(request)


async def _heartbeats(app: web.Application) -> AsyncIterator[None]:
    """One ticker for all streams."""
    stage = app[STAGE]
    ticker = asyncio.create_task(_beat(stage))
    yield
    ticker.cancel()
    await asyncio.wait({ticker})
    await stage.close()


async def _beat(stage: Stage) -> None:
    """Each stream hears a heartbeat every `heartbeat_s`; they take turns, so that thousands are not written at once."""
    for number in cycle(range(BEATS)):
        await asyncio.sleep(stage.config.heartbeat_s / BEATS)
        stage.broker.beat(number, wire.ping())


async def _close(app: web.Application) -> None:
    app[STAGE].begin_closing()


def _not_found() -> web.Response:
    return web.json_response({"detail": "Not found"}, status=404)
