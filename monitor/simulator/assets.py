"""The results themselves, for which nobody is asked for a token: bytes that really are a picture."""

import struct
import zlib
from typing import Final

from aiohttp import web

from monitor.simulator.admin import STAGE

_SIDE: Final = 32
_FTYP: Final = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
_LINK_LOCAL: Final = "http://169.254.169.254/latest/meta-data/"

routes = web.RouteTableDef()


@routes.get("/assets/generated/{kind}/{name}")
async def read_asset(request: web.Request) -> web.StreamResponse:
    """The result of a job that is done, or what its fault serves instead."""
    file_id = request.match_info["name"].partition(".")[0]
    job = request.app[STAGE].book.by_file(file_id)
    if job is None or job.kind != request.match_info["kind"] or job.completed_at_ms is None:
        return _not_found()
    body, content_type = render_asset(file_id, job.kind)
    match job.fault.asset:
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


@routes.get("/assets/uploaded/{kind}/{name}")
async def read_thumbnail(request: web.Request) -> web.StreamResponse:
    """A thumbnail: always a picture, also of a video."""
    file_id = request.match_info["name"].partition("-thumbnail.")[0]
    if request.app[STAGE].book.by_file(file_id) is None:
        return _not_found()
    body, content_type = render_asset(file_id, "image")
    return web.Response(body=body, content_type=content_type)


def render_asset(file_id: str, kind: str) -> tuple[bytes, str]:
    """The asset and its content type: a PNG in a colour of its own, or the head of an MP4. The same for the same id."""
    if kind != "image":
        return _FTYP + file_id.encode(), "video/mp4"
    red, green, blue = zlib.crc32(file_id.encode()).to_bytes(4, "big")[:3]
    row = b"\x00" + bytes((red, green, blue)) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(row * _SIDE)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts), "image/png"


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _not_found() -> web.Response:
    return web.json_response({"detail": "Not found"}, status=404)
