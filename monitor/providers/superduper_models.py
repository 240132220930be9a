"""What SuperDuperAI sends, as far as we look. Unknown fields are tolerated; what we look at must be of its type.

Sources of the rules: the provider's generated API client and captured replies. The replies stay dictionaries: a message
is read with cold caches, and to make an object of it would take half as long again.
"""

from typing import Annotated, Any, Final, Literal, Required

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic cannot read typing's before Python 3.12


class TaskRead(TypedDict, total=False):
    """A step of a job. `error` is the only way in which a failed render shows."""

    status: str | None
    file_id: str | None
    project_id: str | None


class FileRead(TypedDict, total=False):
    """A file. Ready when `url` is set; there is no status field."""

    id: str | None
    url: str | None
    file_url: str | None
    file_id: str | None
    type: str | None
    tasks: list[TaskRead] | None


class DataRead(TypedDict, total=False):
    """An item of a project: its value holds a direct URL, or a file id to resolve."""

    id: str | None
    type: str | None
    project_id: str | None
    value: dict[str, Any] | None


class ProjectRead(TypedDict, total=False):
    """A project with what it has made so far."""

    id: Required[str]
    data: list[DataRead] | None
    tasks: list[TaskRead] | None


class CreatedRead(TypedDict, total=False):
    """The answer to a create call: the file or the project, whichever field names it. Its data has an adapter apart."""

    id: str | None
    fileId: str | None
    data: Any


class RenderProgress(TypedDict, total=False):
    """How far a render is, from 0 to 100."""

    progress: Required[Annotated[float, Field(allow_inf_nan=False)]]
    file_id: str | None


class FileMessage(TypedDict):
    """On a channel: a file as it is now, or the result of a render."""

    type: Literal["file", "render_result"]
    object: FileRead


class ProgressMessage(TypedDict):
    """On a channel: how far a render is."""

    type: Literal["render_progress"]
    object: RenderProgress


class TaskMessage(TypedDict):
    """On a channel: a step of a job."""

    type: Literal["task"]
    object: TaskRead


class DataMessage(TypedDict):
    """On a channel: an item of a project."""

    type: Literal["data"]
    object: DataRead


Message = FileMessage | ProgressMessage | TaskMessage | DataMessage
"""The messages that we read."""


class AnyMessage(TypedDict, total=False):
    """One message on a channel, whatever it is."""

    type: Required[str]
    object: dict[str, Any] | str | None


MESSAGE: Final[TypeAdapter[Message]] = TypeAdapter(
    Annotated[Message, Field(discriminator="type")], config=ConfigDict(cache_strings="none")
)
"""From the text in one pass: what nobody looks at is not even made an object, and no string comes a second time."""
ANY_MESSAGE: Final = TypeAdapter(AnyMessage)
FILE: Final = TypeAdapter(FileRead)
PROJECT: Final = TypeAdapter(ProjectRead)
CREATED: Final = TypeAdapter(CreatedRead)
DATA: Final = TypeAdapter(list[DataRead])


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
