"""SuperDuperAI as a provider: which calls to make, and what to send."""

import random
from typing import Any, Final

import orjson
from pydantic import ValidationError

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Flow, GenerationRequest, Handle, Kind, Stage
from monitor.delivery.ports import Created, Cursor, Notify, Reply
from monitor.providers.connection import listen
from monitor.providers.http import ProviderHttp
from monitor.providers.superduper_models import Params, explain
from monitor.providers.superduper_wire import is_id, parse_created, parse_event, parse_file, parse_project

MAX_SEED: Final = 10**12
_CREATE_PATHS: Final = {
    (Flow.FILE, Kind.IMAGE): "file/generate-image",
    (Flow.FILE, Kind.VIDEO): "file/generate-video",
    (Flow.PROJECT, Kind.IMAGE): "project/image",
    (Flow.PROJECT, Kind.VIDEO): "project/video",
}


class SuperDuperProvider:
    """The `Provider` port over SuperDuperAI's HTTP API and event channels."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    async def create(self, request: GenerationRequest, *, tries: int, traceparent: str) -> Created:
        """See `Provider`. A first try keeps the caller's seed; a later one draws its own."""
        payload = orjson.dumps(build_payload(request, tries))
        answer = await self._http.post(_CREATE_PATHS[request.flow, request.kind], payload, traceparent=traceparent)
        return Created(parse_created(answer.body, request.kind, request.flow, answer.status), answer.status)

    async def subscribe(self, handle: Handle, cursor: Cursor, notify: Notify, *, traceparent: str) -> None:
        """See `Provider`."""
        base_url = self._http.base_url
        await listen(
            self._http,
            f"events/{handle.flow}.{handle.id}",
            cursor,
            notify,
            lambda event: parse_event(event.data, handle, base_url),
            traceparent=traceparent,
        )

    async def poll(self, handle: Handle, *, traceparent: str) -> Reply:
        """See `Provider`."""
        answer = await self._http.get(Stage.POLL, f"{handle.flow}/{handle.id}", traceparent=traceparent)
        base_url = self._http.base_url
        if handle.flow is Flow.PROJECT:
            return Reply(parse_project(answer.body, handle, base_url, answer.status), answer.status)
        sighting = parse_file(answer.body, handle, handle.id, base_url, Stage.POLL, answer.status)
        return Reply(sighting, answer.status)

    async def resolve(self, handle: Handle, file_id: str, *, traceparent: str) -> Reply:
        """See `Provider`."""
        answer = await self._http.get(Stage.RESOLVE, f"file/{file_id}", traceparent=traceparent)
        base_url = self._http.base_url
        return Reply(parse_file(answer.body, handle, file_id, base_url, Stage.RESOLVE, answer.status), answer.status)

    async def fetch_raw(self, what: str, subject_id: str) -> bytes:
        """The provider's own JSON about a `file` or a `project`. Raises ChannelError."""
        if not is_id(subject_id):
            raise ChannelError(ErrorKind.NOT_FOUND, Stage.POLL, "no id looks like that", status=404, retryable=False)
        answer = await self._http.get(Stage.POLL, f"{what}/{subject_id}")
        try:
            orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            detail = "the provider's answer is not JSON"
            raise ChannelError(ErrorKind.MALFORMED, Stage.POLL, detail, status=answer.status) from None
        return answer.body


def build_payload(request: GenerationRequest, tries: int) -> dict[str, Any]:
    """The body of a create call. Only fields of the provider's schema: it silently ignores all others.

    Raises ChannelError when a parameter is not one of them, before anything is sent.
    """
    try:
        params = Params.model_validate(request.params).model_dump(exclude_none=True)
    except ValidationError as error:
        allowed = ", ".join(Params.model_fields)
        detail = f"params: {explain(error)}; allowed are {allowed}"
        raise ChannelError(ErrorKind.REJECTED, Stage.CREATE, detail, retryable=False) from None
    if tries > 1 or "seed" not in params:
        params["seed"] = random.randrange(MAX_SEED)
    config = {"prompt": request.prompt, "generation_config_name": request.model, **params}
    if request.flow is Flow.FILE:
        return {"config": config}
    return {"type": "media", "template_name": None, "style_name": None, "config": config}
