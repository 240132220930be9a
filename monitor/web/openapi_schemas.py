"""The schemas of the OpenAPI document: of what callers send by the models that check it, of answers by hand."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import TypeAdapter

from monitor.delivery.model import AssetResult, Channel, ChannelResult, Flow, Kind, Origin, Outcome, Reason, State
from monitor.reports import Receipt
from monitor.web.bodies import GenerationBody
from monitor.web.canary_bodies import PauseBody
from monitor.web.report_bodies import MAX_REPORTS, ReportBody

_INSTANT: Final = {"type": ["string", "null"], "format": "date-time"}


def build_schemas() -> dict[str, Any]:
    """All that have a name, by name."""
    return {
        "GenerationBody": schema_of(GenerationBody),
        "Generation": _generation(),
        "Canary": _canary(),
        "PauseBody": schema_of(PauseBody),
        "ReportBody": schema_of(ReportBody),
        "ReportsBody": _reports_body(),
        "Receipts": _receipts(),
        "Problem": _problem(),
    }


def ref(schema: str) -> dict[str, str]:
    """What stands for one of them elsewhere in the document."""
    return {"$ref": f"#/components/schemas/{schema}"}


def one_of(values: Iterable[str], *others: None) -> dict[str, Any]:
    """One of a closed set of words, or null where that is among the others."""
    return {"enum": [*map(str, values), *others]}


def schema_of(model: Any) -> dict[str, Any]:
    """The JSON schema of a model, with what it refers to written out in place."""
    schema = TypeAdapter(model).json_schema()
    inlined: dict[str, Any] = _inline(schema, schema.pop("$defs", {}))
    return inlined


def _inline(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_inline(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        named = definitions[value["$ref"].rpartition("/")[2]]
        return _inline(named | {key: item for key, item in value.items() if key != "$ref"}, definitions)
    return {key: _inline(item, definitions) for key, item in value.items()}


def _generation() -> dict[str, Any]:
    text, optional = {"type": "string"}, {"type": ["string", "null"]}
    asset = {"url": text, "kind": one_of(Kind), "file_id": optional}
    seconds = {"type": ["number", "null"]}
    measured = {"sse": one_of(ChannelResult), "polling": one_of(ChannelResult), "lag_seconds": seconds}
    late = {"seconds": {"type": "number"}, "asset": {"type": ["object", "null"], "properties": asset}}
    properties = {
        "id": text, "origin": one_of(Origin), "canary": optional, "provider": text, "model": text,
        "kind": one_of(Kind), "flow": one_of(Flow), "policy": text, "state": one_of(State),
        "outcome": one_of(Outcome, None), "reason": one_of(Reason, None), "detail": optional,
        "channel": one_of(Channel, None),
        "attempts": {"type": "integer"},
        "asset": {"type": ["object", "null"], "properties": asset, "required": list(asset)},
        "created_at": {"type": "string", "format": "date-time"}, "submitted_at": _INSTANT, "ended_at": _INSTANT,
        "duration_seconds": {"type": ["number", "null"]}, "trace_id": text,
        "measured": {"type": ["object", "null"], "properties": measured, "required": list(measured)},
        "asset_check": one_of(AssetResult, None),
        "late": {"type": ["object", "null"], "properties": late, "required": list(late)},
        "timeline": {"type": "array", "items": {"type": "object"}},
    }  # fmt: skip
    return {"type": "object", "properties": properties, "required": list(properties)}


def _canary() -> dict[str, Any]:
    text, optional, money = {"type": "string"}, {"type": ["string", "null"]}, {"type": ["number", "null"]}
    instant = {"type": "string", "format": "date-time"}
    spent = {"type": "object", "properties": {"spent_usd": {"type": "number"}, "limit_usd": money}}
    run = {
        "generation": text, "created_at": instant, "outcome": one_of(Outcome, None), "reason": one_of(Reason, None),
        "channel": one_of(Channel, None), "duration_seconds": {"type": ["number", "null"]},
    }  # fmt: skip
    pause = {"reason": text, "since": instant, "until": instant}
    properties = {
        "name": text, "provider": text, "model": text, "kind": one_of(Kind), "flow": one_of(Flow), "prompt": text,
        "timetable": text, "enabled": {"type": "boolean"}, "price_usd": money, "next_at": _INSTANT,
        "pause": {"type": ["object", "null"], "properties": pause},
        "spending": {"type": "object", "properties": {"day": spent, "month": spent}},
        "runs": {"type": "array", "items": {"type": "object", "properties": run}},
        "last_skip": {"type": ["object", "null"], "properties": {"at": instant, "reason": text, "detail": optional}},
    }  # fmt: skip
    return {"type": "object", "properties": properties, "required": list(properties)}


def _reports_body() -> dict[str, Any]:
    report = ref("ReportBody")
    several = {"type": "array", "items": report, "minItems": 1, "maxItems": MAX_REPORTS}
    token = {"type": "string", "description": "for pages, instead of a header; scope `report` and no other"}
    sent_at = {"type": "string", "format": "date-time", "description": "the application's clock when it sends"}
    properties = {"token": token, "sent_at": sent_at, "reports": several}
    envelope = {"type": "object", "properties": properties, "required": ["reports"], "additionalProperties": False}
    return {"oneOf": [report, several, envelope]}


def _receipts() -> dict[str, Any]:
    results = (*map(str, Receipt), "refused")
    errors = {"type": "array", "items": {"type": "object"}, "description": "of one that was refused"}
    receipt = {
        "index": {"type": "integer"}, "id": {"type": ["string", "null"]}, "result": {"enum": list(results)},
        "generation": {"type": "string", "description": "the id under which it can be read"}, "errors": errors,
    }  # fmt: skip
    item = {"type": "object", "properties": receipt, "required": ["index", "id", "result"]}
    counts = {result: {"type": "integer"} for result in results}
    properties = {**counts, "reports": {"type": "array", "items": item}}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    properties = {"type": text, "title": text, "status": {"type": "integer"}, "detail": text}
    error = {"type": "object", "properties": {"field": text, "message": text, "found": {}}}
    errors = {
        "type": "array",
        "items": error,
        "description": "each field that is wrong: what was found, what is allowed",
    }
    return {"type": "object", "properties": properties | {"errors": errors}, "required": list(properties)}
