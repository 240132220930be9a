"""What SuperDuperAI's messages mean to us: pure functions from bytes to sightings, events and handles."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from yarl import URL

from monitor.delivery.model import Asset, Failed, Flow, Handle, Kind, Pending, Ready, Sighting, Stage, Unresolved
from monitor.delivery.ports import Foreign, Malformed, Progress, Seen, StreamItem
from monitor.providers.error_table import malformed, shorten
from monitor.providers.superduper_models import (
    CreatedFile,
    Event,
    FileRead,
    ProjectRead,
    RenderProgress,
    TaskRead,
    explain,
)

MAX_URL_CHARS: Final = 4_096
_EXTENSIONS: Final = {
    Kind.IMAGE: frozenset({"jpg", "jpeg", "png", "webp", "gif", "bmp", "svg", "avif"}),
    Kind.VIDEO: frozenset({"mp4", "mov", "webm", "avi", "mkv"}),
}
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TASK_FAILED: Final = "a task of the job ended in error"

_Model = TypeVar("_Model", bound=BaseModel)


def parse_created(body: bytes, kind: Kind, flow: Flow, status: int) -> Handle:
    """The handle in the answer to a create call. Raises ChannelError."""
    if flow is Flow.PROJECT:
        project = _parse(ProjectRead, body, Stage.CREATE, status)
        return Handle(flow, _id(project.id, status), kind, next(_file_ids(project), None))
    said = _json(body, Stage.CREATE, status)
    first = said[0] if isinstance(said, list) and said else said
    created = _check(CreatedFile, first, Stage.CREATE, status)
    nested = (value.get("file_id") for value in (item.value or {} for item in created.data))
    found = created.id or next((item for item in nested if isinstance(item, str)), None) or created.file_id
    return Handle(flow, _id(found, status), kind)


def parse_file(body: bytes, handle: Handle, file_id: str, base_url: URL, stage: Stage, status: int) -> Sighting:
    """What a file shows. Raises ChannelError when it is not understood or is another's."""
    file = _parse(FileRead, body, stage, status)
    if file.id is not None and file.id != file_id:
        raise malformed(stage, "the answer is about another file", status)
    return _file_sighting(file, handle, file_id, base_url)


def parse_project(body: bytes, handle: Handle, base_url: URL, status: int) -> Sighting:
    """What a project shows: a direct URL, else a file id, else its failure. Raises ChannelError."""
    project = _parse(ProjectRead, body, Stage.POLL, status)
    if project.id != handle.id:
        raise malformed(Stage.POLL, "the answer is about another project", status)
    for item in project.data:
        value = item.value or {}
        url = usable_url(value.get("url"), _optional(value.get("type")), handle.kind, base_url)
        if url is not None:
            return Ready(Asset(url, handle.kind, _optional(value.get("file_id"))))
    if (file_id := next(_file_ids(project), None)) is not None:
        return Unresolved(file_id)
    return Failed(_TASK_FAILED) if _has_failed(project.tasks) else Pending()


def parse_event(data: str, handle: Handle, base_url: URL) -> StreamItem:
    """What one message on our channel means. Never raises: what is not understood is `Malformed`."""
    try:
        event = Event.model_validate(orjson.loads(data))
        match event.type:
            case "file" | "render_result":
                return _file_event(event, handle, base_url)
            case "render_progress":
                progress = RenderProgress.model_validate(event.object).progress
                return Progress(min(max(progress / 100, 0.0), 1.0))
            case "task":
                return _task_event(TaskRead.model_validate(event.object), handle)
            case _:
                return Foreign()
    except orjson.JSONDecodeError:
        return Malformed("not JSON")
    except ValidationError as error:
        return Malformed(explain(error))


def usable_url(url: Any, type_: str | None, kind: Kind, base_url: URL) -> str | None:
    """`url` made absolute, if it is an asset of `kind`: by the file's type where that is told, else by extension."""
    if not isinstance(url, str) or not 0 < len(url) <= MAX_URL_CHARS or not url.isprintable() or " " in url:
        return None
    try:
        absolute = base_url.join(URL(url))
    except ValueError:
        return None
    if absolute.scheme not in ("http", "https") or not absolute.host:
        return None
    extension = absolute.path.rpartition("/")[2].rpartition(".")[2].lower()
    fits = type_ == kind if type_ is not None else extension in _EXTENSIONS[kind]
    return (url if URL(url).absolute else str(absolute)) if fits else None


def is_id(text: str) -> bool:
    """Whether `text` can be an id, and so a part of a path."""
    return _ID.fullmatch(text) is not None


def _file_event(event: Event, handle: Handle, base_url: URL) -> StreamItem:
    if not isinstance(event.object, dict):
        return Malformed(f"the object of a {event.type} event is no object")
    file = FileRead.model_validate(event.object)
    file_id = file.id or file.file_id
    if file_id is None:
        return Malformed("a file event without an id")
    if not _is_ours(file_id, file, handle):
        return Foreign()
    return Seen(_file_sighting(file, handle, file_id, base_url))


def _is_ours(file_id: str, file: FileRead, handle: Handle) -> bool:
    """In the file flow the id says it. A project's channel is its own: a file of the right kind there is its result."""
    if handle.flow is Flow.FILE:
        return file_id == handle.id
    if handle.file_id is not None:
        return file_id == handle.file_id
    return file.type is None or file.type == handle.kind


def _file_sighting(file: FileRead, handle: Handle, file_id: str, base_url: URL) -> Sighting:
    url = usable_url(file.url or file.file_url, file.type, handle.kind, base_url)
    if url is not None:
        return Ready(Asset(url, handle.kind, file_id))
    if _has_failed(file.tasks):
        return Failed(_TASK_FAILED)
    if file.id is None and file.file_id is not None and is_id(file.file_id):
        return Unresolved(file.file_id)
    return Pending()


def _task_event(task: TaskRead, handle: Handle) -> StreamItem:
    ours = {handle.id, handle.file_id} - {None}
    named = {task.file_id, task.project_id} - {None}
    if task.status != "error" or (named and not named & ours):
        return Foreign()
    return Seen(Failed(_TASK_FAILED))


def _has_failed(tasks: Iterable[TaskRead]) -> bool:
    """The last word counts: a task that failed and was done again has not."""
    last = next(reversed(tuple(tasks)), None)
    return last is not None and last.status == "error"


def _file_ids(project: ProjectRead) -> Iterator[str]:
    ids = ((item.value or {}).get("file_id") for item in project.data)
    return (file_id for file_id in ids if isinstance(file_id, str) and is_id(file_id))


def _optional(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _id(text: str | None, status: int) -> str:
    if text is None or not is_id(text):
        raise malformed(Stage.CREATE, "the answer names no id", status)
    return text


def _json(body: bytes, stage: Stage, status: int) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(stage, f"not JSON: {shorten(str(error))}", status) from None


def _parse(model: type[_Model], body: bytes, stage: Stage, status: int) -> _Model:
    return _check(model, _json(body, stage, status), stage, status)


def _check(model: type[_Model], value: Any, stage: Stage, status: int) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise malformed(stage, explain(error), status) from None
