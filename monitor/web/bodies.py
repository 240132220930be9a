"""What callers send and get, as JSON: one shape for a generation everywhere, and errors that name the field."""

import asyncio
import hashlib
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from monitor.delivery.model import Asset, Channel, Flow, GenerationRequest, Kind, Origin, Outcome
from monitor.settings import Settings
from monitor.store.port import Findings, Record
from monitor.web.problems import Problem

BODY_S: Final = 30.0
"""How long a body may take to arrive."""
UNREADABLE: Final = (web.RequestPayloadError, PayloadEncodingError)
"""What aiohttp raises where a body is not what its headers say."""
_MAX_PARAMS: Final = 32
_CURSOR: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _check_cursor(cursor: str) -> str:
    """Anything else would order somewhere among the ids, and show a page of nobody knows where."""
    if not _CURSOR.fullmatch(cursor):
        raise ValueError("must be `next` of the page before, as it was given")
    return cursor


class GenerationBody(BaseModel):
    """What `POST /v1/generations` takes. What is left out comes from the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    prompt: Annotated[str, Field(min_length=1, description="what to make")]
    provider: str | None = Field(None, description="name of a provider of the settings; default: the first")
    model: str | None = Field(None, description="one of the provider's models; default: its first")
    kind: Kind = Field(Kind.IMAGE, description="what to make of it")
    flow: Flow = Field(Flow.FILE, description="which of the provider's create calls to use")
    params: dict[str, Any] = Field({}, max_length=_MAX_PARAMS, description="the provider's own parameters")


class ListQuery(BaseModel):
    """The query of `GET /v1/generations`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Outcome | None = None
    channel: Channel | None = None
    provider: str | None = None
    origin: Origin | None = None
    limit: int = Field(50, ge=1, le=200, description="generations on a page")
    cursor: Annotated[str, AfterValidator(_check_cursor)] | None = Field(None, description="`next` of the page before")


async def read_generation_body(request: web.Request, settings: Settings) -> tuple[str, GenerationRequest, str]:
    """The provider's name, what to ask of it, and a hash of that. Raises Problem 400, 413, 415 or 422."""
    if request.content_type != "application/json":
        detail = f"the body must be application/json; the Content-Type says {request.content_type}"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    raw = await read_body(request)
    try:
        body = GenerationBody.model_validate(parse_json(raw))
    except ValidationError as error:
        raise invalid(error, GenerationBody) from None
    limit = settings.server.max_prompt_chars
    if len(body.prompt) > limit:
        raise invalid_field("prompt", f"has {len(body.prompt)} characters; at most {limit} are allowed")
    provider, model = _choose(body, settings)
    asked = GenerationRequest(body.prompt, model, body.kind, body.flow, body.params)
    try:
        canonical = orjson.dumps([provider, asked], option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise invalid_field("params", f"cannot be passed on: {error}") from None
    return provider, asked, hashlib.sha256(canonical).hexdigest()


async def read_body(request: web.Request) -> bytes:
    """The body, unpacked. Raises Problem 400 where it is not what its Content-Encoding says, 408 where it is late."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        detail = f"the body did not arrive within {BODY_S:g} s"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail, headers={"Connection": "close"}) from None
    except UNREADABLE:
        detail = "the body is not what its Content-Encoding or Transfer-Encoding says"
        raise Problem(HTTPStatus.BAD_REQUEST, detail) from None


def parse_json(raw: bytes) -> Any:
    """The value of a body. Raises Problem 400."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None


def read_list_query(request: web.Request) -> ListQuery:
    """The filters and the place of a list. Raises Problem 422."""
    try:
        return ListQuery.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid(error, ListQuery) from None


def invalid(error: ValidationError, model: type[BaseModel]) -> Problem:
    """Every field of `model` that is wrong: what was found there, and what is allowed."""
    errors = []
    for item in error.errors(include_url=False, include_context=False):
        found = item["input"] if isinstance(item["input"], str | int | float | bool | None) else None
        field = ".".join(map(str, item["loc"])) or "body"
        errors.append(
            {"field": field[:100], "message": _message(item["type"], item["msg"], model), "found": _shorten(found)}
        )
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors[:5])
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors[:20])


def _message(kind: str, words: str, model: type[BaseModel]) -> str:
    match kind:
        case "model_type" | "dict_type":
            return "must be a JSON object"
        case "extra_forbidden":
            return f"there is no such field; there are: {', '.join(model.model_fields)}"
        case _:
            return words.removeprefix("Value error, ")


def render_generation(record: Record) -> dict[str, Any]:
    """A generation as every answer shows it."""
    return {
        "id": record.id,
        "origin": record.origin,
        "canary": record.canary,
        "provider": record.provider,
        "model": record.model,
        "kind": record.kind,
        "flow": record.flow,
        "policy": record.policy,
        "state": record.state,
        "outcome": record.outcome,
        "reason": record.reason,
        "detail": record.detail,
        "channel": record.channel,
        "attempts": record.attempts,
        "asset": _render_asset(record.asset),
        "created_at": render_instant(record.created_at),
        "submitted_at": render_instant(record.submitted_at),
        "ended_at": render_instant(record.ended_at),
        "duration_seconds": _rounded(record.duration_s),
        "trace_id": record.trace.trace_id,
        **_render_findings(record.findings),
        "timeline": list(record.timeline),
    }


def _render_findings(findings: Findings) -> dict[str, Any]:
    """What was found out after the outcome; null until it is, or where nobody looked."""
    measured, late_s = findings.measurement, findings.late_s
    return {
        "measured": None
        if measured is None
        else {"sse": measured.sse, "polling": measured.polling, "lag_seconds": _rounded(measured.lag_s)},
        "asset_check": findings.asset_check,
        "late": None if late_s is None else {"seconds": _rounded(late_s), "asset": _render_asset(findings.late_asset)},
    }


def _render_asset(asset: Asset | None) -> dict[str, Any] | None:
    return None if asset is None else {"url": asset.url, "kind": asset.kind, "file_id": asset.file_id}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def render_instant(instant: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_response(
    value: Any, *, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> web.Response:
    """An answer in JSON that nobody caches."""
    return web.Response(
        status=status.value,
        body=orjson.dumps(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"} | (headers or {}),
    )


def _choose(body: GenerationBody, settings: Settings) -> tuple[str, str]:
    """The provider and the model, with what was left out filled in."""
    names = [provider.name for provider in settings.providers]
    provider = settings.provider(names[0] if body.provider is None else body.provider)
    if provider is None:
        raise invalid_field("provider", f"{_shorten(body.provider)!r} is not known; there are: {', '.join(names)}")
    model = provider.models[0] if body.model is None else body.model
    if model not in provider.models:
        allowed = ", ".join(provider.models)
        raise invalid_field("model", f"{_shorten(model)!r} is not one of {provider.name}'s models: {allowed}")
    return provider.name, model


def invalid_field(field: str, message: str) -> Problem:
    """The problem of one field of a body."""
    errors = [{"field": field, "message": message}]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {message}", errors=errors)


def _shorten(found: Any) -> Any:
    return found[:100] + "…" if isinstance(found, str) and len(found) > 100 else found
