"""What SuperDuperAI sends, as far as we look. Unknown fields are tolerated; what we look at must be of its type.

Sources of the rules: the provider's generated API client and captured replies.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

_Item = TypeVar("_Item")
_Items = tuple[_Item, ...] | None
"""A list that may be null."""


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TaskRead(_Reply):
    """A step of a job. `error` is the only way in which a failed render shows."""

    status: str | None = None
    file_id: str | None = None
    project_id: str | None = None


class FileRead(_Reply):
    """A file. Ready when `url` is set; there is no status field."""

    id: str | None = None
    url: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    type: str | None = None
    tasks: _Items[TaskRead] = ()


class DataRead(_Reply):
    """An item of a project: its value holds a direct URL, or a file id to resolve."""

    id: str | None = None
    type: str | None = None
    project_id: str | None = None
    value: dict[str, Any] | None = None

    def text(self, key: str) -> str | None:
        """What the value says under `key`, if that is text."""
        found = (self.value or {}).get(key)
        return found if isinstance(found, str) else None


class ProjectRead(_Reply):
    """A project with what it has made so far."""

    id: str
    data: _Items[DataRead] = ()
    tasks: _Items[TaskRead] = ()


class CreatedFile(_Reply):
    """The answer to a create call of the file flow: the file, whichever field names it."""

    id: str | None = None
    file_id: str | None = Field(None, alias="fileId")
    data: _Items[DataRead] = ()

    def ids(self) -> Iterator[str]:
        """Where the file's id may stand, the likeliest first."""
        first = self.data[0] if self.data else DataRead()
        yield from filter(None, (self.id, first.text("file_id"), first.id, self.file_id))


class RenderProgress(_Reply):
    """How far a render is, from 0 to 100."""

    progress: float = Field(allow_inf_nan=False)
    file_id: str | None = None


class FileMessage(_Reply):
    """On a channel: a file as it is now, or the result of a render."""

    type: Literal["file", "render_result"]
    object: FileRead


class ProgressMessage(_Reply):
    """On a channel: how far a render is."""

    type: Literal["render_progress"]
    object: RenderProgress


class TaskMessage(_Reply):
    """On a channel: a step of a job."""

    type: Literal["task"]
    object: TaskRead


class DataMessage(_Reply):
    """On a channel: an item of a project."""

    type: Literal["data"]
    object: DataRead


MESSAGES: Final[TypeAdapter[FileMessage | ProgressMessage | TaskMessage | DataMessage]] = TypeAdapter(
    Annotated[FileMessage | ProgressMessage | TaskMessage | DataMessage, Field(discriminator="type")]
)
"""The messages that we read, from their text in one pass: what nobody looks at is not even made an object."""


class Event(_Reply):
    """One message on a channel, whatever it is."""

    type: str
    object: dict[str, Any] | str | None = None


class _Params(BaseModel):
    """The provider's own parameters of a create call that callers may set. Others it would silently ignore."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    negative_prompt: str | None = None
    width: int | None = Field(None, ge=1, le=16_384)
    height: int | None = Field(None, ge=1, le=16_384)
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    references: list[dict[str, Any]] | None = None


class ImageParams(_Params):
    """Of an image."""

    steps: int | None = Field(None, ge=1, le=1_000)
    shot_size: str | None = None
    style_name: str | None = None
    entity_ids: list[str] | None = None


class VideoParams(_Params):
    """Of a video."""

    duration: float | None = Field(None, gt=0, le=3_600)
    aspect_ratio: str | None = None


def explain(error: ValidationError) -> str:
    """What was wrong, field by field, without the values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in problems[:5])
