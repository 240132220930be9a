"""Providers that answer as a test wants: over HTTP, or with bare bytes where no proper server would do such a thing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from monitor.delivery.model import Flow, Handle, Kind
from monitor.providers.http import open_provider_http
from monitor.providers.superduper import SuperDuperProvider
from monitor.settings import ProviderSettings

TOKEN = "t0ken-of-thirty-two-characters-xx"
TRACE_HEADERS = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=of-the-caller",
}
FILE_ID, PROJECT_ID = "5b4f0d1e-0000-4000-8000-000000000001", "5b4f0d1e-0000-4000-8000-000000000002"
FILE = Handle(Flow.FILE, FILE_ID, Kind.IMAGE)
PROJECT = Handle(Flow.PROJECT, PROJECT_ID, Kind.IMAGE)
ASSET_URL = "https://cdn.example/generated/a.webp?sig=a%2Bb%3D"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Peer:
    """What a server was asked, and how it answers. `gone` is set whenever a request was broken off by its client."""

    answer: Answer
    url: str = ""
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take note, then answer."""
        self.requests.append(request)
        self.bodies.append(await request.read())
        try:
            return await self.answer(request)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise


@asynccontextmanager
async def serve(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[Peer]:
    """A server on a free port of loopback."""
    peer = Peer(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", peer.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        peer.url = f"http://{host}:{runner.addresses[0][1]}"
        yield peer
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serve_bytes(
    reply: bytes, *, reset: bool = False, connections: list[bytes] | None = None
) -> AsyncIterator[str]:
    """A server that reads a request's head, writes `reply` and closes, by a reset if asked to."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if connections is not None:
            connections.append(head)
        writer.write(reply)
        await writer.drain()
        if reset:
            writer.transport.abort()
        else:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


@asynccontextmanager
async def provider_at(url: str, **changes: Any) -> AsyncIterator[SuperDuperProvider]:
    """The adapter, pointed at a server, with limits that fit a test; those it does not reach are long."""
    values = {"name": "p", "base_url": url, "token": TOKEN, "models": ("comfyui/flux",), **changes}
    async with open_provider_http(ProviderSettings(**values)) as http:
        yield SuperDuperProvider(http)


def a_file(**changes: Any) -> dict[str, Any]:
    """An `IFileRead` that is not ready."""
    return {"id": FILE_ID, "url": None, "thumbnail_url": None, "type": "image", "tasks": [], **changes}


def a_project(value: dict[str, Any] | None = None) -> dict[str, Any]:
    """An `IProjectRead`."""
    data = [] if value is None else [{"id": "d", "project_id": PROJECT_ID, "type": "image", "value": value}]
    return {"id": PROJECT_ID, "type": "media", "data": data, "tasks": []}


def always(body: Any, status: int = 200, **headers: str) -> Answer:
    """The same JSON for everything."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def never(_: web.Request) -> web.StreamResponse:
    """No answer at all."""
    await asyncio.Event().wait()
    raise AssertionError


def closed_port(url: str = "http://127.0.0.1") -> str:
    """Where nobody listens: port 1 belongs to nobody on a machine of today."""
    return f"{url}:1"
