"""What goes over the wire: file, task and project objects, event frames and result URLs."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson

from monitor.simulator.jobs import Job
from monitor.simulator.models import generation_config_read

_IMAGE: Final[dict[str, Any]] = {
    "negative_prompt": "",
    "width": 1024,
    "height": 1024,
    "steps": 20,
    "shot_size": None,
    "style_name": None,
    "references": [],
    "entity_ids": [],
}
_VIDEO: Final[dict[str, Any]] = {
    "negative_prompt": "",
    "duration": 5.0,
    "width": None,
    "height": None,
    "aspect_ratio": None,
    "references": [],
}
"""The real provider's defaults, as captured."""


def file_read(job: Job, *, is_ready: bool, url: str | None = None, thumbnail: bool | None = None) -> dict[str, Any]:
    """An `IFileRead`. Its URL is null until the file is ready."""
    is_image = job.kind == "image"
    has_thumbnail = is_ready if thumbnail is None else thumbnail
    return {
        "id": job.file_id,
        "url": (url or result_url(job)) if is_ready else None,
        "thumbnail_url": f"{job.origin}/assets/uploaded/image/{job.file_id}-thumbnail.png" if has_thumbnail else None,
        "type": job.kind,
        "duration": None,
        "image_generation_id": job.generation_id if is_image else None,
        "image_generation": generation_read(job) if is_image else None,
        "video_generation_id": None if is_image else job.generation_id,
        "video_generation": None if is_image else generation_read(job),
        "audio_generation_id": None,
        "audio_generation": None,
        "tasks": tasks_of(job, is_ready=is_ready),
    }


def generation_read(job: Job) -> dict[str, Any]:
    """An `IImageGenerationRead` or `IVideoGenerationRead`: what was asked for, with the provider's defaults."""
    defaults = _IMAGE if job.kind == "image" else _VIDEO
    asked = {key: default if job.told.get(key) is None else job.told[key] for key, default in defaults.items()}
    read = {"id": job.generation_id, "prompt": job.prompt, "generation_config_name": job.model, **asked}
    read["seed"] = job.seed
    return read if job.kind == "image" else read | {"generation_config": generation_config_read(job.model)}


def tasks_of(job: Job, *, is_ready: bool) -> list[dict[str, Any]]:
    """Images have no tasks until one fails; videos have one from the start."""
    if not job.has_failed and job.kind == "image":
        return []
    return [task_read(job, "error" if job.has_failed else "completed" if is_ready else "in_progress")]


def task_read(job: Job, status: str) -> dict[str, Any]:
    """An `ITaskRead`. It has no field for what went wrong."""
    return {
        "type": f"{job.kind}-generation-flow",
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
        "config": job.told,
        "thumbnail_url": None,
        "music": None,
        "template_name": None,
        "style_name": None,
        "music_id": None,
        "style": None,
        "created_at": job.created_at.isoformat(),
    }


def data_of(job: Job, *, is_ready: bool) -> dict[str, Any] | None:
    """What a project says of its file: the id from the start, the URL at the end; `create_project` has no id before."""
    if is_ready:
        return {"url": result_url(job), "file_id": job.file_id}
    return None if job.fault.create == "create_project" else {"file_id": job.file_id}


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
