"""What SuperDuperAI's messages mean to us: pure functions from bytes to sightings, events and handles."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import Asset, Failed, Flow, Handle, Kind, Pending, Ready, Sighting, Stage, Unresolved
from monitor.delivery.ports import Foreign, Malformed, Progress, Seen, StreamItem
from monitor.providers.asset_url import usable_url
from monitor.providers.error_table import malformed, shorten
from monitor.providers.superduper_models import (
    ANY_MESSAGE,
    CREATED,
    DATA,
    FILE,
    MESSAGE,
    PROJECT,
    CreatedRead,
    DataRead,
    FileRead,
    Message,
    RenderProgress,
    TaskRead,
    explain,
)

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_READ: Final = ("file", "render_result", "render_progress", "task")
_TASK_FAILED: Final = "a task of the job ended in error"

_Reply = TypeVar("_Reply")


def is_id(text: str) -> bool:
    """Whether `text` can be an id, and so a part of a path."""
    return _ID.fullmatch(text) is not None


def parse_created(body: bytes, kind: Kind, flow: Flow, status: int) -> Handle:
    """The handle in the answer to a create call, one object or a list of them. Raises ChannelError.

    An id is all that is needed: a job is not lost because something else in the answer is not as it should be.
    """
    said = _json(body, Stage.CREATE, status)
    wrong: ChannelError | None = None
    for item in said if isinstance(said, list) else [said]:
        try:
            created = _check(CREATED, item, Stage.CREATE, status)
        except ChannelError as error:
            wrong = wrong or error
            continue
        data = _data_of(created)
        ids = [created.get("id")] if flow is Flow.PROJECT else _ids_in(created, data)
        if (found := next((text for text in ids if text and is_id(text)), None)) is not None:
            return Handle(flow, found, kind, _file_id_in(data) if flow is Flow.PROJECT else None)
    raise wrong or malformed(Stage.CREATE, "the answer names no id", status)


def parse_file(body: bytes, handle: Handle, file_id: str, base_url: str, stage: Stage, status: int) -> Sighting:
    """What a file shows. Raises ChannelError when it is not understood or is another's."""
    file = _check(FILE, _json(body, stage, status), stage, status)
    if file.get("id") != file_id:
        raise malformed(stage, "id: not that of the file that was asked for", status)
    return _file_sighting(file, handle, file_id, base_url)


def parse_project(body: bytes, handle: Handle, base_url: str, status: int) -> Sighting:
    """What a project shows. Raises ChannelError when it is not understood or is another's."""
    project = _check(PROJECT, _json(body, Stage.POLL, status), Stage.POLL, status)
    if project["id"] != handle.id:
        raise malformed(Stage.POLL, "id: not that of the project that was asked for", status)
    sighting = _data_sighting(project.get("data") or (), handle, base_url)
    if isinstance(sighting, Pending) and _has_failed(project.get("tasks")):
        return Failed(_TASK_FAILED)
    return sighting


def parse_event(data: str, handle: Handle, base_url: str) -> StreamItem:
    """What one message on our channel means. Never raises: what is not understood is `Malformed`."""
    try:
        message: Message = MESSAGE.validator.validate_json(data)  # the adapter's own method adds a quarter
    except ValidationError as error:
        return _unread(data, handle, error)
    match message["type"]:
        case "file" | "render_result":
            return _file_event(message["object"], handle, base_url)
        case "render_progress":
            return _progress_event(message["object"], handle)
        case "task":
            return _task_event(message["object"], handle)
        case "data":
            return _data_event(message["object"], handle, base_url)


def _unread(data: str, handle: Handle, error: ValidationError) -> StreamItem:
    """A message that is not of those that we read, or not as it should be."""
    try:
        type_ = ANY_MESSAGE.validate_python(orjson.loads(data))["type"]
    except orjson.JSONDecodeError:
        return Malformed("not JSON")
    except ValidationError as own:
        return Malformed(explain(own))
    is_read = type_ in _READ or (type_ == "data" and handle.flow is Flow.PROJECT)
    return Malformed(explain(error)) if is_read else Foreign()


def _file_event(file: FileRead, handle: Handle, base_url: str) -> StreamItem:
    file_id = file.get("id") or file.get("file_id")
    if file_id is None:
        return Malformed("a file event without an id")
    if not _is_ours(file_id, handle) or (_is_unknown(handle) and file.get("type") not in (None, handle.kind)):
        return Foreign()
    return Seen(_file_sighting(file, handle, file_id, base_url))


def _progress_event(progress: RenderProgress, handle: Handle) -> StreamItem:
    file_id = progress.get("file_id")
    if file_id is not None and not _is_ours(file_id, handle):
        return Foreign()
    return Progress(min(max(progress["progress"] / 100, 0.0), 1.0))


def _task_event(task: TaskRead, handle: Handle) -> StreamItem:
    """A failed task is ours when it names our file; if it names none that we could compare, our project or nothing."""
    file_id = task.get("file_id")
    if file_id is not None and not _is_unknown(handle):
        is_ours = _is_ours(file_id, handle)
    else:
        is_ours = task.get("project_id") in (None, handle.id)
    return Seen(Failed(_TASK_FAILED)) if is_ours and task.get("status") == "error" else Foreign()


def _data_event(data: DataRead, handle: Handle, base_url: str) -> StreamItem:
    """A result as a status call would show it, so it is read as there; other data of the project says nothing."""
    if handle.flow is not Flow.PROJECT:
        return Foreign()
    sighting = _data_sighting([data], handle, base_url)
    if data.get("project_id") != handle.id or isinstance(sighting, Pending):
        return Foreign()
    return Seen(sighting)


def _is_ours(file_id: str, handle: Handle) -> bool:
    """In the file flow the id says it. A project's channel is its own: while it has named no file, any is its."""
    return _is_unknown(handle) or file_id == (handle.id if handle.flow is Flow.FILE else handle.file_id)


def _is_unknown(handle: Handle) -> bool:
    """Whether a project has not said which file is its result."""
    return handle.flow is Flow.PROJECT and handle.file_id is None


def _file_sighting(file: FileRead, handle: Handle, file_id: str, base_url: str) -> Sighting:
    url = usable_url(file.get("url") or file.get("file_url"), file.get("type"), handle.kind, base_url)
    if url is not None:
        return Ready(Asset(url, handle.kind, file_id))
    if _has_failed(file.get("tasks")):
        return Failed(_TASK_FAILED)
    named = file.get("file_id")
    return Unresolved(named) if file.get("id") is None and named is not None and is_id(named) else Pending()


def _data_sighting(items: Iterable[DataRead], handle: Handle, base_url: str) -> Sighting:
    """The first usable URL, else the first file id."""
    items = tuple(items)
    for item in items:
        media_type = _text(item, "type") or ("image" if item.get("type") == "image" else None)
        url = usable_url(_text(item, "url"), media_type, handle.kind, base_url)
        if url is not None:
            return Ready(Asset(url, handle.kind, _text(item, "file_id")))
    file_id = _file_id_in(items)
    return Pending() if file_id is None else Unresolved(file_id)


def _data_of(created: CreatedRead) -> Sequence[DataRead]:
    """What it has made so far, where that can be read."""
    try:
        return DATA.validate_python(created.get("data") or [])
    except ValidationError:
        return ()


def _ids_in(created: CreatedRead, data: Sequence[DataRead]) -> tuple[str | None, ...]:
    """Where the file's id may stand, the likeliest first."""
    first = next(iter(data), DataRead())
    return created.get("id"), _text(first, "file_id"), first.get("id"), created.get("fileId")


def _file_id_in(items: Iterable[DataRead]) -> str | None:
    named = (_text(item, "file_id") for item in items)
    return next((file_id for file_id in named if file_id is not None and is_id(file_id)), None)


def _text(item: DataRead, key: str) -> str | None:
    """What the value of an item says under `key`, if that is text."""
    found = (item.get("value") or {}).get(key)
    return found if isinstance(found, str) else None


def _has_failed(tasks: list[TaskRead] | None) -> bool:
    """The last word counts: a task that failed and was done again has not."""
    return tasks[-1].get("status") == "error" if tasks else False


def _json(body: bytes, stage: Stage, status: int) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(stage, f"not JSON: {shorten(str(error))}", status) from None


def _check(reply: TypeAdapter[_Reply], value: Any, stage: Stage, status: int) -> _Reply:
    try:
        return reply.validate_python(value)
    except ValidationError as error:
        raise malformed(stage, explain(error), status) from None
