"""For those who run the service: the scrape, liveness, readiness, and the OpenAPI document."""

import asyncio
from http import HTTPStatus

from aiohttp import web

from monitor.delivery.errors import StoreUnavailable
from monitor.settings import Scope
from monitor.telemetry.exposition import render
from monitor.web.bodies import json_response
from monitor.web.context import CONTEXT
from monitor.web.openapi import build_openapi
from monitor.web.problems import Problem

routes = web.RouteTableDef()


@routes.get("/metrics")
async def scrape(request: web.Request) -> web.Response:
    """All metrics, as Prometheus or OpenMetrics text. Rendered off the event loop, so that no delivery waits for it."""
    context = request.app[CONTEXT]
    context.access.admit(request, Scope.READ)
    context.before_scrape()
    body, content_type = await asyncio.to_thread(render, context.registry, request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


@routes.get("/-/healthy")
async def is_healthy(_: web.Request) -> web.Response:
    """The process is alive and its event loop turns. Needs no token: it tells nothing else."""
    return web.Response(text="healthy\n")


@routes.get("/-/ready")
async def is_ready(request: web.Request) -> web.Response:
    """Generations are accepted: not stopping, and the store answers. Needs no token."""
    context = request.app[CONTEXT]
    if context.runner.is_stopping:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "stopping: no new generations are accepted")
    try:
        async with asyncio.timeout(2):
            await context.store.check()
    except (StoreUnavailable, TimeoutError) as error:
        detail = f"the store does not answer: {str(error) or 'no reply in 2 s'}"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail) from None
    return web.Response(text="ready\n")


@routes.get("/openapi.json")
async def read_openapi(_: web.Request) -> web.Response:
    """What this API is, for machines. Needs no token."""
    return json_response(build_openapi())
