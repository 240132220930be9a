"""Between records and rows."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from monitor.delivery.model import (
    Asset,
    AssetResult,
    Channel,
    ChannelResult,
    Flow,
    Handle,
    Kind,
    Measurement,
    Origin,
    Outcome,
    Reason,
    State,
    TraceContext,
)
from monitor.delivery.render_interval import RenderInterval
from monitor.store.port import Ending, Findings, Idempotency, Record, RenderObservation, TimelineEntry

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def row_of(record: Record) -> dict[str, Any]:
    """A new record as a row."""
    key = record.idempotency
    return {
        "id": record.id,
        "origin": record.origin,
        "provider": record.provider,
        "model": clean(record.model),
        "kind": record.kind,
        "flow": record.flow,
        "policy": record.policy,
        "instance": record.instance,
        "trace": _json(record.trace),
        "idempotency_scope": key and clean(key.scope),
        "idempotency_key": key and clean(key.key),
        "request_hash": key and key.request_hash,
        "state": record.state,
        "handle": record.handle and _json(record.handle),
        "created_at_ms": to_ms(record.created_at),
        "canary": record.canary,
        "submitted_at_ms": record.submitted_at and to_ms(record.submitted_at),
        "ended_at_ms": record.ended_at and to_ms(record.ended_at),
        "duration_s": record.duration_s,
        "outcome": record.outcome,
        "reason": record.reason,
        "detail": record.detail and clean(record.detail),
        "channel": record.channel,
        "attempts": record.attempts,
        "asset": record.asset and _json(record.asset),
        "timeline": _json(list(record.timeline)),
        **_render_columns(record.render),
    }


def submit_row(generation_id: str, handle: Handle, submitted_at: datetime) -> dict[str, Any]:
    """What is written when the provider has the job."""
    return {
        "row_id": generation_id,
        "state": State.SUBMITTED,
        "handle": _json(handle),
        "submitted_at_ms": to_ms(submitted_at),
    }


def ending_row(generation_id: str, ending: Ending, ending_id: str) -> dict[str, Any]:
    """What is written at the end."""
    return {
        "row_id": generation_id,
        "ending_id": ending_id,
        "state": State.ENDED,
        "ended_at_ms": to_ms(ending.ended_at),
        "duration_s": ending.duration_s,
        "outcome": ending.outcome,
        "reason": ending.reason,
        "detail": ending.detail and clean(ending.detail),
        "channel": ending.channel,
        "attempts": ending.attempts,
        "asset": ending.asset and _json(ending.asset),
        "timeline": _json(list(ending.timeline)),
        **_render_columns(ending.render),
    }


def note_row(findings: Findings, timeline: Sequence[TimelineEntry], render: RenderInterval | None) -> dict[str, Any]:
    """What is written when something was found out; what was not found out is left as it is."""
    measurement, asset, at = findings.measurement, findings.late_asset, findings.reconciled_at
    columns = {
        "sse_result": measurement and measurement.sse,
        "polling_result": measurement and measurement.polling,
        "asset_check": findings.asset_check,
        "late_s": findings.late_s,
        "late_asset": asset and _json(asset),
        "reconciled_at_ms": at and to_ms(at),
    }
    found = {name: value for name, value in columns.items() if value is not None}
    lag = {"lag_s": measurement.lag_s} if measurement else {}
    return found | lag | (_render_columns(render) if render else {}) | {"timeline": _json(list(timeline))}


def observation_of(row: Mapping[str, Any]) -> RenderObservation:
    """The columns of a render time as the observation they keep."""
    return RenderObservation(row["provider"], row["model"], _interval(row))


def record_of(row: Mapping[str, Any]) -> Record:
    """A row as the record it keeps."""
    return Record(
        id=row["id"],
        origin=Origin(row["origin"]),
        provider=row["provider"],
        model=row["model"],
        kind=Kind(row["kind"]),
        flow=Flow(row["flow"]),
        policy=row["policy"],
        trace=TraceContext(**orjson.loads(row["trace"])),
        instance=row["instance"],
        created_at=from_ms(row["created_at_ms"]),
        canary=row["canary"],
        idempotency=_idempotency(row),
        state=State(row["state"]),
        handle=_handle(row["handle"]),
        submitted_at=_optional_instant(row["submitted_at_ms"]),
        ended_at=_optional_instant(row["ended_at_ms"]),
        duration_s=row["duration_s"],
        outcome=row["outcome"] and Outcome(row["outcome"]),
        reason=row["reason"] and Reason(row["reason"]),
        detail=row["detail"],
        channel=row["channel"] and Channel(row["channel"]),
        attempts=row["attempts"],
        asset=_asset(row["asset"]),
        render=None if row["render_after_s"] is None else _interval(row),
        findings=_findings(row),
        timeline=tuple(orjson.loads(row["timeline"])),
    )


def clean(text: str) -> str:
    """`text` as every database can keep it: no NUL (PostgreSQL has none), no lone surrogates (UTF-8 has none)."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return (instant - _EPOCH) // _MILLISECOND


def from_ms(ms: int) -> datetime:
    """The instant `ms` milliseconds after 1970, in UTC."""
    return _EPOCH + ms * _MILLISECOND


def _render_columns(render: RenderInterval | None) -> dict[str, float | None]:
    if render is None:
        return {"render_after_s": None, "render_by_s": None}
    return {"render_after_s": render.after_s, "render_by_s": None if math.isinf(render.by_s) else render.by_s}


def _interval(row: Mapping[str, Any]) -> RenderInterval:
    by_s = row["render_by_s"]
    return RenderInterval(row["render_after_s"], math.inf if by_s is None else by_s)


def _findings(row: Mapping[str, Any]) -> Findings:
    sse, polling, checked = row["sse_result"], row["polling_result"], row["asset_check"]
    return Findings(
        measurement=sse and Measurement(ChannelResult(sse), ChannelResult(polling), row["lag_s"]),
        asset_check=checked and AssetResult(checked),
        late_s=row["late_s"],
        late_asset=_asset(row["late_asset"]),
        reconciled_at=_optional_instant(row["reconciled_at_ms"]),
    )


def _idempotency(row: Mapping[str, Any]) -> Idempotency | None:
    if row["idempotency_key"] is None:
        return None
    return Idempotency(row["idempotency_scope"], row["idempotency_key"], row["request_hash"])


def _optional_instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _json(value: Any) -> str:
    r"""JSON text. NUL is written as `\u0000` in it, which text columns can keep; lone surrogates are replaced."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return orjson.dumps(_cleaned(value)).decode()


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _cleaned(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _handle(text: str | None) -> Handle | None:
    if text is None:
        return None
    kept = orjson.loads(text)
    return Handle(Flow(kept["flow"]), kept["id"], Kind(kept["kind"]), kept["file_id"])


def _asset(text: str | None) -> Asset | None:
    if text is None:
        return None
    kept = orjson.loads(text)
    return Asset(kept["url"], Kind(kept["kind"]), kept["file_id"])
