"""What SuperDuperAI sends, as far as we look. Unknown fields are tolerated; what we look at must be of its type.

Sources of the rules: the provider's generated API client and captured replies.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


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
    tasks: tuple[TaskRead, ...] = ()


class DataRead(_Reply):
    """An item of a project: its value holds a direct URL, or a file id to resolve."""

    value: dict[str, Any] | None = None


class ProjectRead(_Reply):
    """A project with what it has made so far."""

    id: str
    data: tuple[DataRead, ...] = ()
    tasks: tuple[TaskRead, ...] = ()


class CreatedFile(_Reply):
    """The answer to a create call of the file flow: the file, whichever field names it."""

    id: str | None = None
    file_id: str | None = Field(None, alias="fileId")
    data: tuple[DataRead, ...] = ()


class Event(_Reply):
    """One message on a channel."""

    type: str
    object: dict[str, Any] | str | None = None


class RenderProgress(_Reply):
    """How far a render is, from 0 to 100."""

    progress: float = Field(allow_inf_nan=False)


class Params(BaseModel):
    """The provider's own parameters of a create call that callers may set. Others it would silently ignore."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    negative_prompt: str | None = None
    width: int | None = Field(None, ge=1, le=16_384)
    height: int | None = Field(None, ge=1, le=16_384)
    steps: int | None = Field(None, ge=1, le=1_000)
    shot_size: str | None = None
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    style_name: str | None = None
    duration: float | None = Field(None, gt=0, le=3_600)
    aspect_ratio: str | None = None
    entity_ids: list[str] | None = None
    references: list[dict[str, Any]] | None = None


def explain(error: ValidationError) -> str:
    """What was wrong, field by field, without the values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in problems[:5])
