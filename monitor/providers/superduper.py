"""SuperDuperAI as a provider: which calls to make, and what to send."""

import random
from typing import Any, Final

import orjson
from pydantic import ValidationError

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Flow, GenerationRequest, Handle, Kind, Stage
from monitor.delivery.ports import Created, Cursor, Notify, Reply
from monitor.delivery.trace_context import TraceHeaders
from monitor.providers.connection import listen
from monitor.providers.error_table import shorten
from monitor.providers.http import ProviderHttp
from monitor.providers.superduper_models import ImageParams, VideoParams, explain
from monitor.providers.superduper_wire import is_id, parse_created, parse_event, parse_file, parse_project

MAX_SEED: Final = 10**12
_CREATE_PATHS: Final = {
    (Flow.FILE, Kind.IMAGE): "file/generate-image",
    (Flow.FILE, Kind.VIDEO): "file/generate-video",
    (Flow.PROJECT, Kind.IMAGE): "project/image",
}
"""There is none for a project's video: the provider's films are scripts, scenes and storyboards, not one asset."""
_PARAMS: Final[dict[Kind, type[ImageParams | VideoParams]]] = {Kind.IMAGE: ImageParams, Kind.VIDEO: VideoParams}


class SuperDuperProvider:
    """The `Provider` port over SuperDuperAI's HTTP API and event channels."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    def check(self, request: GenerationRequest) -> None:
        """Whether it can be asked for at all, before anything is sent. Raises ChannelError, which says what cannot."""
        _create_path(request)
        _checked_params(request)

    async def create(self, request: GenerationRequest, *, tries: int, trace_headers: TraceHeaders) -> Created:
        """See `Provider`. A first try keeps the caller's seed; a later one draws its own."""
        payload = orjson.dumps(build_payload(request, tries))
        answer = await self._http.post(_create_path(request), payload, trace_headers=trace_headers)
        return Created(parse_created(answer.body, request.kind, request.flow, answer.status), answer.status)

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, trace_headers: TraceHeaders) -> None:
        """See `Provider`."""
        base_url = self._http.base_url
        await listen(
            self._http,
            f"events/{handle.flow}.{handle.id}",
            cursor,
            notify,
            lambda event: parse_event(event.data, handle, base_url),
            trace_headers=trace_headers,
        )

    async def poll(self, handle: Handle, *, trace_headers: TraceHeaders) -> Reply:
        """See `Provider`."""
        if handle.flow is Flow.FILE:
            return await self._read_file(Stage.POLL, handle, handle.id, trace_headers)
        answer = await self._http.get(Stage.POLL, f"project/{handle.id}", trace_headers=trace_headers)
        return Reply(parse_project(answer.body, handle, self._http.base_url, answer.status), answer.status)

    async def resolve(self, handle: Handle, file_id: str, *, trace_headers: TraceHeaders) -> Reply:
        """See `Provider`."""
        return await self._read_file(Stage.RESOLVE, handle, file_id, trace_headers)

    async def fetch_raw(self, what: str, subject_id: str) -> bytes:
        """The provider's own JSON about a `file` or a `project`. Raises ChannelError."""
        if not is_id(subject_id):
            detail = f"an id has 1 to 64 letters, digits, '-' and '_'; found {subject_id[:64]!r}"
            raise ChannelError(ErrorKind.NOT_FOUND, Stage.POLL, detail, retryable=False)
        answer = await self._http.get(Stage.POLL, f"{what}/{subject_id}")
        try:
            orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            detail = "the provider's answer is not JSON"
            raise ChannelError(ErrorKind.MALFORMED, Stage.POLL, detail, status=answer.status) from None
        return answer.body

    async def _read_file(self, stage: Stage, handle: Handle, file_id: str, trace_headers: TraceHeaders) -> Reply:
        answer = await self._http.get(stage, f"file/{file_id}", trace_headers=trace_headers)
        sighting = parse_file(answer.body, handle, file_id, self._http.base_url, stage, answer.status)
        return Reply(sighting, answer.status)


def url_template(stage: Stage, flow: Flow, kind: Kind) -> str | None:
    """The path of a call, with names in place of ids; None where this provider has no such call."""
    paths = {
        Stage.CREATE: _CREATE_PATHS.get((flow, kind)),
        Stage.SUBSCRIBE: f"events/{flow}.{{{flow}_id}}",
        Stage.POLL: f"{flow}/{{{flow}_id}}",
        Stage.RESOLVE: "file/{file_id}",
    }
    path = paths.get(stage)
    return None if path is None else f"/api/v1/{path}"


def build_payload(request: GenerationRequest, tries: int) -> dict[str, Any]:
    """The body of a create call. Only fields of the provider's schema: it silently ignores all others.

    Raises ChannelError when a parameter is not one of them, before anything is sent.
    """
    params = _checked_params(request)
    if tries > 1 or "seed" not in params:
        params["seed"] = random.randrange(MAX_SEED)
    config = {"prompt": request.prompt, "generation_config_name": request.model, **params}
    if request.flow is Flow.FILE:
        return {"config": config}
    return {"type": "media", "template_name": None, "style_name": None, "config": config}


def _create_path(request: GenerationRequest) -> str:
    path = _CREATE_PATHS.get((request.flow, request.kind))
    if path is None:
        raise _refusal(f"flow: a {request.kind} is made in the file flow; the project flow makes images")
    return path


def _checked_params(request: GenerationRequest) -> dict[str, Any]:
    model = _PARAMS[request.kind]
    try:
        return model.model_validate(request.params).model_dump(exclude_none=True)
    except ValidationError as error:
        raise _refusal(f"params: {shorten(explain(error))}; allowed are {', '.join(model.model_fields)}") from None


def _refusal(detail: str) -> ChannelError:
    """What this provider cannot make; it was not even asked."""
    return ChannelError(ErrorKind.REJECTED, Stage.CREATE, detail, retryable=False)
