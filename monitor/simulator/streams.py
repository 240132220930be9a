"""How a subscription is met: the healthy stream, and all the ways in which one can go wrong."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from monitor.simulator.broker import Subscriber
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}
_RETRY_AFTER: Final = {"429": "2", "503": "2"}
_SLOW_HEADERS_S: Final = 20.0
_PROXY_TIMEOUT_S: Final = 5.0
_FLAP_S: Final = 1.0
_BOM: Final = b"\xef\xbb\xbf"
_RESET_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST, and not FIN."""


async def meet(stage: Stage, job: Job | None, channel: str, request: web.Request) -> web.StreamResponse:
    """Answer a subscription as the job's fault wants it. A channel of no job is accepted, and silent."""
    if job is None:
        return await _stream(stage, Subscriber(channel), request, None)
    connection = {
        "at_ms": job.ms(stage.now_s),
        "channel": channel,
        "last_event_id": request.headers.get("Last-Event-ID"),
        "authorised": "Authorization" in request.headers,
        "ended_at_ms": None,
    }
    job.note_connection(connection)
    try:
        return await _meet(stage, job, channel, request)
    finally:
        connection["ended_at_ms"] = job.ms(stage.now_s)


async def _meet(stage: Stage, job: Job, channel: str, request: web.Request) -> web.StreamResponse:
    way = job.fault.stream
    if way.startswith("status_"):
        return await _refuse(stage, way.removeprefix("status_"))
    if way in _INSTEAD:
        return await _INSTEAD[way](request)
    if way.startswith("redirect") and "moved" not in request.query:
        return _redirect(way, channel, request)
    if way == "slow_headers":
        await stage.wait(_SLOW_HEADERS_S)
    subscriber = Subscriber(channel, is_mute=way == "mute", is_bytewise=way == "bytewise")
    if way == "flap":
        asyncio.get_running_loop().call_later(_FLAP_S * stage.config.time_scale, subscriber.close)
    return await _stream(stage, subscriber, request, job, first=_BOM if way == "bom" else b"")


async def _stream(
    stage: Stage, subscriber: Subscriber, request: web.Request, job: Job | None, first: bytes = b""
) -> web.StreamResponse:
    """A stream that stands until its server or its listener ends it."""
    response = web.StreamResponse(headers=_HEADERS)
    stage.book.counts["streams"] += 1
    stage.broker.subscribe(subscriber)
    if stage.is_closing:
        subscriber.close()
    try:
        await response.prepare(request)
        if first:
            await response.write(first)
        if job is not None:
            job.connected.set()
        await subscriber.write_to(response, request)
    except ConnectionError:
        pass  # the listener has gone, which is its right
    finally:
        stage.broker.unsubscribe(subscriber)
    return response


async def _refuse(stage: Stage, status: str) -> web.Response:
    if status == "524":
        await stage.wait(_PROXY_TIMEOUT_S)
    if status == "204":
        return web.Response(status=204)
    headers = {"Retry-After": _RETRY_AFTER[status]} if status in _RETRY_AFTER else {}
    return web.json_response({"detail": f"simulated {status}"}, status=int(status), headers=headers)


def _redirect(way: str, channel: str, request: web.Request) -> web.Response:
    """To the same origin, or to this same server under another name, which is another origin."""
    is_elsewhere = way == "redirect_elsewhere"
    other_name = "127.0.0.1" if request.url.host == "localhost" else "localhost"
    origin = f"{request.scheme}://{other_name}:{request.url.port}" if is_elsewhere else ""
    path = f"/api/v1/events/{channel}?moved={'elsewhere' if is_elsewhere else 'here'}"
    return web.Response(status=307, headers={"Location": origin + path})


async def _closed_port(_: web.Request) -> web.Response:
    """The connection itself was accepted, so the refusal has to be elsewhere: at a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: tuple[Any, ...] = probe.getsockname()
    return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{address[1]}/"})


async def _reset(request: web.Request) -> web.Response:
    transport = request.transport
    if transport is not None:
        peer = transport.get_extra_info("socket")
        if peer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
        transport.abort()
    return web.Response(status=500)


async def _html(_: web.Request) -> web.Response:
    return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")


async def _json(_: web.Request) -> web.Response:
    return web.json_response({"detail": "this is no stream"})


_INSTEAD: Final[dict[str, Callable[[web.Request], Awaitable[web.Response]]]] = {
    "refuse": _closed_port,
    "reset": _reset,
    "html": _html,
    "json": _json,
}
"""What there is instead of a stream."""
