"""How a subscription is met: the healthy stream, and all the ways in which one can go wrong."""

import asyncio
import socket
from typing import Any, Final

from aiohttp import web

from monitor.simulator.broker import Subscriber
from monitor.simulator.jobs import Job
from monitor.simulator.stage import Stage

_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "keep-alive"}
_RETRY_AFTER: Final = {"429": "2", "503": "2"}
_SLOW_HEADERS_S: Final = 20.0
_PROXY_TIMEOUT_S: Final = 5.0
_FLAP_S: Final = 1.0


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
    job.connections.append(connection)
    try:
        return await _meet(stage, job, channel, request)
    finally:
        connection["ended_at_ms"] = job.ms(stage.now_s)


async def _meet(stage: Stage, job: Job, channel: str, request: web.Request) -> web.StreamResponse:
    way = job.fault.stream
    if way.startswith("status_"):
        return await _refuse(stage, way.removeprefix("status_"))
    if way.startswith("redirect") and "moved" not in request.query:
        return _redirect(way, channel, request)
    match way:
        case "refuse":
            return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{_closed_port()}/"})
        case "reset":
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        case "html":
            return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")
        case "json":
            return web.json_response({"detail": "this is no stream"})
        case "slow_headers":
            await stage.wait(_SLOW_HEADERS_S)
        case _:
            pass
    subscriber = Subscriber(channel, is_mute=way == "mute", is_bytewise=way == "bytewise")
    if way == "flap":
        asyncio.get_running_loop().call_later(_FLAP_S * stage.config.time_scale, subscriber.close)
    return await _stream(stage, subscriber, request, job, first=b"\xef\xbb\xbf" if way == "bom" else b"")


async def _stream(
    stage: Stage, subscriber: Subscriber, request: web.Request, job: Job | None, first: bytes = b""
) -> web.StreamResponse:
    """A stream that stands until its server or its listener ends it."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", **_HEADERS})
    stage.book.counts["streams"] += 1
    stage.broker.subscribe(subscriber)
    try:
        await response.prepare(request)
        if job is not None:
            job.connected.set()
        if first:
            await response.write(first)
        await subscriber.write_to(response, request)
    except ConnectionError:
        pass  # the listener has gone
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
    path = f"/api/v1/events/{channel}?moved={'elsewhere' if way == 'redirect_elsewhere' else 'here'}"
    origin = f"http://localhost:{request.url.port}" if way == "redirect_elsewhere" else ""
    return web.Response(status=307, headers={"Location": origin + path})


def _closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: tuple[Any, ...] = probe.getsockname()
    return int(address[1])
