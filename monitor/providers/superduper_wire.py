"""What SuperDuperAI's messages mean to us: pure functions from bytes to sightings, events and handles."""

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from monitor.delivery.model import Asset, Failed, Flow, Handle, Kind, Pending, Ready, Sighting, Stage, Unresolved
from monitor.delivery.ports import Foreign, Malformed, Progress, Seen, StreamItem
from monitor.providers.asset_url import usable_url
from monitor.providers.error_table import malformed, shorten
from monitor.providers.superduper_models import (
    MESSAGES,
    CreatedFile,
    DataMessage,
    DataRead,
    Event,
    FileMessage,
    FileRead,
    ProgressMessage,
    ProjectRead,
    RenderProgress,
    TaskMessage,
    TaskRead,
    explain,
)

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_READ: Final = ("file", "render_result", "render_progress", "task")
_TASK_FAILED: Final = "a task of the job ended in error"

_Model = TypeVar("_Model", bound=BaseModel)


def is_id(text: str) -> bool:
    """Whether `text` can be an id, and so a part of a path."""
    return _ID.fullmatch(text) is not None


def parse_created(body: bytes, kind: Kind, flow: Flow, status: int) -> Handle:
    """The handle in the answer to a create call, one object or a list of them. Raises ChannelError."""
    said = _json(body, Stage.CREATE, status)
    for item in said if isinstance(said, list) else [said]:
        if flow is Flow.PROJECT:
            project = _check(ProjectRead, item, Stage.CREATE, status)
            found, file_id = project.id, _file_id_in(project.data or ())
        else:
            found = next(_check(CreatedFile, item, Stage.CREATE, status).ids(), "")
            file_id = None
        if is_id(found):
            return Handle(flow, found, kind, file_id)
    raise malformed(Stage.CREATE, "the answer names no id", status)


def parse_file(body: bytes, handle: Handle, file_id: str, base_url: str, stage: Stage, status: int) -> Sighting:
    """What a file shows. Raises ChannelError when it is not understood or is another's."""
    file = _check(FileRead, _json(body, stage, status), stage, status)
    if file.id != file_id:
        raise malformed(stage, "id: not that of the file that was asked for", status)
    return _file_sighting(file, handle, file_id, base_url)


def parse_project(body: bytes, handle: Handle, base_url: str, status: int) -> Sighting:
    """What a project shows. Raises ChannelError when it is not understood or is another's."""
    project = _check(ProjectRead, _json(body, Stage.POLL, status), Stage.POLL, status)
    if project.id != handle.id:
        raise malformed(Stage.POLL, "id: not that of the project that was asked for", status)
    sighting = _data_sighting(project.data or (), handle, base_url)
    if isinstance(sighting, Pending) and _has_failed(project.tasks):
        return Failed(_TASK_FAILED)
    return sighting


def parse_event(data: str, handle: Handle, base_url: str) -> StreamItem:
    """What one message on our channel means. Never raises: what is not understood is `Malformed`."""
    try:
        message = MESSAGES.validate_json(data)
    except ValidationError as error:
        return _unread(data, handle, error)
    match message:
        case FileMessage():
            return _file_event(message.object, handle, base_url)
        case ProgressMessage():
            return _progress_event(message.object, handle)
        case TaskMessage():
            return _task_event(message.object, handle)
        case DataMessage():
            return _data_event(message.object, handle, base_url)


def _unread(data: str, handle: Handle, error: ValidationError) -> StreamItem:
    """A message that is not of those that we read, or not as it should be."""
    try:
        event = Event.model_validate(orjson.loads(data))
    except orjson.JSONDecodeError:
        return Malformed("not JSON")
    except ValidationError as own:
        return Malformed(explain(own))
    is_read = event.type in _READ or (event.type == "data" and handle.flow is Flow.PROJECT)
    return Malformed(explain(error)) if is_read else Foreign()


def _file_event(file: FileRead, handle: Handle, base_url: str) -> StreamItem:
    file_id = file.id or file.file_id
    if file_id is None:
        return Malformed("a file event without an id")
    if not _is_ours(file_id, handle) or (_is_unknown(handle) and file.type not in (None, handle.kind)):
        return Foreign()
    return Seen(_file_sighting(file, handle, file_id, base_url))


def _progress_event(progress: RenderProgress, handle: Handle) -> StreamItem:
    if progress.file_id is not None and not _is_ours(progress.file_id, handle):
        return Foreign()
    return Progress(min(max(progress.progress / 100, 0.0), 1.0))


def _task_event(task: TaskRead, handle: Handle) -> StreamItem:
    """A failed task is ours when it names our file; if it names none that we could compare, our project or nothing."""
    if task.file_id is not None and not _is_unknown(handle):
        is_ours = _is_ours(task.file_id, handle)
    else:
        is_ours = task.project_id in (None, handle.id)
    return Seen(Failed(_TASK_FAILED)) if is_ours and task.status == "error" else Foreign()


def _data_event(data: DataRead, handle: Handle, base_url: str) -> StreamItem:
    """A result as a status call would show it, so it is read as there; other data of the project says nothing."""
    if handle.flow is not Flow.PROJECT:
        return Foreign()
    sighting = _data_sighting([data], handle, base_url)
    if data.project_id != handle.id or isinstance(sighting, Pending):
        return Foreign()
    return Seen(sighting)


def _is_ours(file_id: str, handle: Handle) -> bool:
    """In the file flow the id says it. A project's channel is its own: while it has named no file, any is its."""
    return _is_unknown(handle) or file_id == (handle.id if handle.flow is Flow.FILE else handle.file_id)


def _is_unknown(handle: Handle) -> bool:
    """Whether a project has not said which file is its result."""
    return handle.flow is Flow.PROJECT and handle.file_id is None


def _file_sighting(file: FileRead, handle: Handle, file_id: str, base_url: str) -> Sighting:
    url = usable_url(file.url or file.file_url, file.type, handle.kind, base_url)
    if url is not None:
        return Ready(Asset(url, handle.kind, file_id))
    if _has_failed(file.tasks):
        return Failed(_TASK_FAILED)
    if file.id is None and file.file_id is not None and is_id(file.file_id):
        return Unresolved(file.file_id)
    return Pending()


def _data_sighting(items: Iterable[DataRead], handle: Handle, base_url: str) -> Sighting:
    """The first usable URL, else the first file id."""
    items = tuple(items)
    for item in items:
        media_type = item.text("type") or ("image" if item.type == "image" else None)
        url = usable_url(item.text("url"), media_type, handle.kind, base_url)
        if url is not None:
            return Ready(Asset(url, handle.kind, item.text("file_id")))
    file_id = _file_id_in(items)
    return Pending() if file_id is None else Unresolved(file_id)


def _file_id_in(items: Iterable[DataRead]) -> str | None:
    named = (item.text("file_id") for item in items)
    return next((file_id for file_id in named if file_id is not None and is_id(file_id)), None)


def _has_failed(tasks: tuple[TaskRead, ...] | None) -> bool:
    """The last word counts: a task that failed and was done again has not."""
    return tasks[-1].status == "error" if tasks else False


def _json(body: bytes, stage: Stage, status: int) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(stage, f"not JSON: {shorten(str(error))}", status) from None


def _check(model: type[_Model], value: Any, stage: Stage, status: int) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise malformed(stage, explain(error), status) from None
