"""What `POST /v1/reports` takes: one report, a list of them, or an envelope; each item is judged on its own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from monitor.delivery.clock import to_millisecond
from monitor.delivery.model import REASONS, Channel, Kind, Outcome, Reason
from monitor.reports import Report
from monitor.settings import Settings
from monitor.telemetry.catalog import OTHER_MODEL
from monitor.web.bodies import invalid
from monitor.web.problems import Problem

MAX_REPORTS: Final = 500
MAX_SECONDS: Final = 86_400
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far the clock of an application may be ahead of ours."""
_SKEW: Final = f"{CLOCK_SKEW.total_seconds():.0f}"
_MAX_FIELDS: Final = 32
"""More than a report has; so that nobody has thousands of unknown fields told one by one."""
_MAX_ERRORS: Final = 5
_EXPIRY: Final = REASONS[Outcome.EXPIRED] - {Reason.MONITOR_DOWN}
_ENDS: Final[Mapping[Reason, Outcome]] = {
    **{reason: Outcome.EXPIRED for reason in Reason if reason in _EXPIRY},
    Reason.TASK_ERROR: Outcome.PROVIDER_FAILED,
    Reason.CALLER: Outcome.CANCELLED,
}
"""What an application may say of why nothing was delivered, and which outcome that is."""
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _check_instant(found: object) -> datetime:
    if not isinstance(found, str) or not _RFC_3339.fullmatch(found):
        raise ValueError("an instant looks like 2026-01-31T12:00:00.000Z")
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", found.upper()))


def _check_reason(reason: Reason) -> Reason:
    if reason not in _ENDS:
        raise ValueError(f"allowed: {', '.join(_ENDS)}")
    return reason


Instant = Annotated[
    datetime, BeforeValidator(_check_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]


class ReportBody(BaseModel):
    """What an application saw of one delivery. t = 0 is when the provider had answered its create call."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(
        strict=True, min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$",
        description="the application's own, never used twice: visible ASCII, at best a random UUID",
    )  # fmt: skip
    provider: str | None = Field(None, max_length=40, description="of the settings; default: the only one")
    model: str | None = Field(
        None, min_length=1, max_length=200, description="default: the provider's only one, else `other`"
    )
    kind: Kind = Field(Kind.IMAGE, description="what was made")
    started_at: Instant = Field(description="t = 0, RFC 3339 with its offset, by the application's clock")
    delivered: bool = Field(strict=True, description="whether a usable asset was there in the end")
    channel: Literal["sse", "polling"] | None = Field(
        None, description="`sse` or `polling`: which one delivered, or told of the failure; null where none did"
    )
    attempts: int = Field(0, strict=True, ge=0, le=1_000, description="polls that were begun")
    latency_seconds: float | None = Field(
        None, strict=True, ge=0, le=MAX_SECONDS, allow_inf_nan=False,
        description="from t = 0 until delivered, or until the application gave up",
    )  # fmt: skip
    reason: Annotated[Reason, AfterValidator(_check_reason)] | None = Field(
        None,
        description="why nothing was delivered. `task_error`: the render failed; `caller`: the person left or "
        "cancelled; all others count as expired. Default: `pending`, without attempts `not_polled`",
        json_schema_extra={"enum": [*map(str, _ENDS), None]},
    )


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str | None = Field(None, strict=True, max_length=200)
    sent_at: Instant | None = None
    reports: list[Any]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A body, taken apart but not yet judged. `sent_at` is the application's clock at the moment of sending."""

    token: str | None
    sent_at: datetime | None
    items: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that cannot be taken; `errors` name the field, what was found, and what is allowed."""

    id: str | None
    errors: Sequence[Mapping[str, Any]]


def unpack(value: Any) -> Parcel:
    """The parts of a body. Raises Problem 422 where it is no parcel at all."""
    if isinstance(value, dict) and "reports" in value:
        try:
            envelope = _Envelope.model_validate(value)
        except ValidationError as error:
            raise invalid(error, _Envelope) from None
        parcel = Parcel(envelope.token, envelope.sent_at, envelope.reports)
    else:
        parcel = Parcel(None, None, value if isinstance(value, list) else [value])
    if not 1 <= len(parcel.items) <= MAX_REPORTS:
        detail = f"{len(parcel.items)} reports; 1 to {MAX_REPORTS} are taken at a time"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return parcel


def judge(item: Any, sent_at: datetime | None, now: datetime, settings: Settings) -> Report | Refused:
    """The report, with what was left out filled in, or what is wrong with it."""
    if not isinstance(item, dict):
        return Refused(None, [{"field": "body", "message": "a report is an object"}])
    said_id = item["id"][:128] if isinstance(item.get("id"), str) else None
    if len(item) > _MAX_FIELDS:
        return Refused(said_id, [{"field": "body", "message": f"{len(item)} fields; a report has fewer"}])
    try:
        body = ReportBody.model_validate(item)
    except ValidationError as error:
        return Refused(said_id, invalid(error, ReportBody).extra["errors"][:_MAX_ERRORS])
    age = (sent_at or now) - body.started_at
    errors = [*_names(body, settings), *_contradictions(body), *_times(body, age, settings)]
    if errors:
        return Refused(body.id, [{"field": field, "message": message} for field, message in errors])
    return _report(body, now - age, now, settings, orjson.dumps(item, option=orjson.OPT_SORT_KEYS))


def _report(body: ReportBody, started_at: datetime, now: datetime, settings: Settings, said: bytes) -> Report:
    provider = settings.provider(body.provider or settings.providers[0].name)
    assert provider is not None  # noqa: S101 - `_names` has looked
    default_model = provider.models[0] if len(provider.models) == 1 else OTHER_MODEL
    reason = body.reason or (Reason.PENDING if body.attempts else Reason.NOT_POLLED)
    waited = timedelta(seconds=body.latency_seconds or 0.0)
    return Report(
        id=body.id,
        provider=provider.name,
        model=body.model or default_model,
        kind=body.kind,
        started_at=to_millisecond(min(started_at, now - waited).astimezone(UTC)),  # nothing ends in the future
        outcome=Outcome.DELIVERED if body.delivered else _ENDS[reason],
        channel=Channel(body.channel or Channel.NONE),
        attempts=body.attempts,
        waited_s=body.latency_seconds,
        reason=None if body.delivered else reason,
        said=said,
    )


_Errors = list[tuple[str, str]]


def _names(body: ReportBody, settings: Settings) -> _Errors:
    names = [provider.name for provider in settings.providers]
    if body.provider is None and len(names) > 1:
        return [("provider", f"must be given, as there are several: {', '.join(names)}")]
    if body.provider is not None and body.provider not in names:
        return [("provider", f"{body.provider!r} is not known; there are: {', '.join(names)}")]
    return []


def _contradictions(body: ReportBody) -> _Errors:
    errors: _Errors = []
    has_channel = body.delivered or body.reason is Reason.TASK_ERROR
    if has_channel and body.channel is None:
        errors.append(("channel", "must say which channel delivered, or told of the failure"))
    if not has_channel and body.channel is not None:
        errors.append(("channel", "must be null, as none brought anything"))
    if has_channel and body.channel == "polling" and not body.attempts:
        errors.append(("attempts", "must be 1 at least, as polling brought it"))
    if body.delivered and body.latency_seconds is None:
        errors.append(("latency_seconds", "must say how long it took until it was delivered"))
    if body.delivered and body.reason is not None:
        errors.append(("reason", "must be null, as it was delivered"))
    return errors


def _times(body: ReportBody, age: timedelta, settings: Settings) -> _Errors:
    retention = timedelta(days=settings.store.retention_days)
    if age > retention:
        return [("started_at", f"is {age.days} days old; reports are taken up to {settings.store.retention_days:g}")]
    if age < -CLOCK_SKEW:
        return [("started_at", f"lies {-age.total_seconds():.0f} s in the future; {_SKEW} s are allowed")]
    if age - timedelta(seconds=body.latency_seconds or 0.0) < -CLOCK_SKEW:
        return [("latency_seconds", f"says that it ended in the future; {_SKEW} s are allowed")]
    return []
