"""What goes over the wire: file and project objects, event frames, result URLs, and bytes that really are a picture."""

import struct
import zlib
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from monitor.simulator.jobs import Job

PNG_TYPE: Final = "image/png"
_SIDE: Final = 32
_FTYP: Final = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"


def file_read(job: Job, *, is_ready: bool, url: str | None = None, thumbnail: bool | None = None) -> dict[str, Any]:
    """An `IFileRead`. Its URL is null until the file is ready."""
    has_thumbnail = is_ready if thumbnail is None else thumbnail
    return {
        "id": job.file_id,
        "url": (url or result_url(job)) if is_ready else None,
        "thumbnail_url": f"{job.origin}/assets/uploaded/{job.file_id}-thumbnail.webp" if has_thumbnail else None,
        "type": job.kind,
        "duration": None,
        "image_generation_id": job.generation_id if job.kind == "image" else None,
        "image_generation": {"id": job.generation_id, "prompt": job.prompt, "generation_config_name": job.model}
        if job.kind == "image"
        else None,
        "video_generation_id": job.generation_id if job.kind == "video" else None,
        "video_generation": None,
        "audio_generation_id": None,
        "audio_generation": None,
        "tasks": tasks_of(job, is_ready=is_ready),
    }


def tasks_of(job: Job, *, is_ready: bool) -> list[dict[str, Any]]:
    """Images have no tasks until one fails; videos have one from the start."""
    if not job.has_failed and job.kind == "image":
        return []
    status = "error" if job.has_failed else "completed" if is_ready else "in_progress"
    return [task_read(job, status)]


def task_read(job: Job, status: str) -> dict[str, Any]:
    """An `ITaskRead`."""
    kind = f"{job.kind}-generation-flow"
    return {
        "type": kind,
        "status": status,
        "id": job.generation_id,
        "file_id": job.file_id,
        "project_id": job.project_id,
    }


def project_read(job: Job, value: dict[str, Any] | None) -> dict[str, Any]:
    """An `IProjectRead`, with one item of data when there is a value."""
    item = {"id": job.generation_id, "project_id": job.project_id, "type": "image", "value": value}
    return {
        "id": job.project_id,
        "type": "media",
        "data": [] if value is None else [item],
        "tasks": [task_read(job, "error")] if job.has_failed else [],
        "config": {},
        "music": None,
        "template_name": None,
        "style_name": None,
        "music_id": None,
        "style": None,
        "created_at": datetime.now(UTC).isoformat(),
    }


def result_url(job: Job) -> str:
    """The URL of the result, in the shape that the job's fault asks for."""
    extension = "png" if job.kind == "image" else "mp4"
    path = f"/assets/generated/{job.kind}/{job.file_id}"
    match job.fault.url:
        case "signed":
            return f"{job.origin}{path}.{extension}?sig=a%2Bb%3D&expires=4102444800"
        case "bare":
            return f"{job.origin}{path}"
        case "uppercase":
            return f"{job.origin}{path}.{extension.upper()}"
        case "relative":
            return f"{path}.{extension}"
        case "data":
            return "data:image/png;base64,iVBORw0KGgo="
        case _:
            return f"{job.origin}{path}.{extension}"


def message(type_: str, object_: Any) -> bytes:
    """A `WSMessage` as JSON."""
    return orjson.dumps({"type": type_, "object": object_})


def frame(data: bytes, *, id_: str | None = None, retry_ms: int | None = None) -> bytes:
    """An event as sse-starlette writes it: CRLF, and nothing but data unless it is asked for."""
    head = b"" if id_ is None else b"id: %s\r\n" % id_.encode()
    head += b"" if retry_ms is None else b"retry: %d\r\n" % retry_ms
    return b"%sdata: %s\r\n\r\n" % (head, data)


def ping() -> bytes:
    """A heartbeat: a comment that no EventSource shows its page."""
    return f": ping - {datetime.now(UTC).isoformat(sep=' ')}\r\n\r\n".encode()


def asset_bytes(file_id: str, kind: str) -> tuple[bytes, str]:
    """The asset and its content type: a real PNG in a colour of its own, or the head of an MP4."""
    if kind != "image":
        return _FTYP + file_id.encode(), "video/mp4"
    red, green, blue = zlib.crc32(file_id.encode()).to_bytes(4, "big")[:3]
    row = b"\x00" + bytes((red, green, blue)) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(row * _SIDE)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts), PNG_TYPE


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
