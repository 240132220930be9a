"""The OpenAPI 3.1 document, built from the same models that check what callers send."""

from functools import cache
from typing import Any, Final

import monitor
from monitor.delivery.model import Origin
from monitor.web.bodies import ListQuery
from monitor.web.openapi_schemas import build_schemas, one_of, ref, schema_of

_ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


@cache
def build_openapi() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Generation monitor",
            "version": monitor.__version__,
            "description": "Runs generations over SSE first and polling second, and shows which channel delivered.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": _generation_paths() | _canary_paths() | _report_paths() | _reading_paths() | _operations_paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": build_schemas(),
        },
    }


def _generation_paths() -> dict[str, Any]:
    headers = [
        _header("Idempotency-Key", "repeating a request with the same key repeats the answer, not the generation"),
        _header("Prefer", "wait=N: answer with the result if it comes within N seconds"),
        _header("traceparent", "W3C trace context to continue"),
        _header("tracestate", "what goes with it to providers and into traces; one that is malformed is left out"),
    ]
    generation = _json("a generation", "Generation")
    return {
        "/v1/generations": {
            "post": {
                "summary": "Accept a generation",
                "description": "Scope `generate`.",
                "operationId": "createGeneration",
                "parameters": headers,
                "requestBody": {"required": True, "content": _content("GenerationBody")},
                "responses": {"200": _made("it has ended"), "202": _made("accepted")}
                | _problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
            },
            "get": {
                "summary": "Generations, newest first",
                "description": "Scope `read`.",
                "operationId": "listGenerations",
                "parameters": _query(ListQuery),
                "responses": {"200": _page()} | _problems(401, 403, 422, 503),
            },
        },
        "/v1/generations/{id}": {
            "parameters": [_ID],
            "get": _operation("readGeneration", "One generation with its timeline", generation, 401, 403, 404, 503),
            "delete": _cancel(generation),
        },
        "/v1/generations/{id}/events": {
            "parameters": [_ID, _header("Last-Event-ID", "id of the last event seen, as it was told")],
            "get": _follow(),
        },
    }


def _made(description: str) -> dict[str, Any]:
    location = {"Location": {"description": "where it can be read", "schema": {"type": "string"}}}
    return _json(description, "Generation") | {"headers": location}


def _follow() -> dict[str, Any]:
    events, summary = _text("text/event-stream"), "Its timeline as Server-Sent Events"
    asked = _operation("followGeneration", summary, events, 401, 403, 404, 429, 503)
    asked["responses"]["204"] = {"description": "it has ended, and the caller has seen `end`: do not come back"}
    return asked


def _cancel(generation: dict[str, Any]) -> dict[str, Any]:
    asked = _operation("cancelGeneration", "Cancel it", generation, 401, 403, 404, 503)
    asked["responses"]["202"] = _json("another service has it, and has not heard of it yet", "Generation")
    return asked


def _canary_paths() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    listed = {"type": "object", "properties": {"items": {"type": "array", "items": ref("Canary")}}}
    page = {"description": "all of the plan", "content": {"application/json": {"schema": listed}}}
    paused = _object("its name, and its pause or null")
    pause = _operation("pauseCanary", "No run by itself until the pause ends; scope `admin`", paused, 400, 401, 403)
    resume = _operation("resumeCanary", "End its pause; scope `admin`", paused, 401, 403, 404, 503)
    run = {
        "operationId": "runCanary",
        "summary": "One run now; scope `admin`",
        "description": "It counts in the spending limits. 409: it runs already, or a limit is reached.",
        "responses": {"202": _json("its generation", "Generation")} | _problems(401, 403, 404, 409, 429, 503),
    }
    return {
        "/v1/canaries": {"get": _operation("listCanaries", "All canaries, with their last runs", page, 401, 403, 503)},
        "/v1/canaries/{name}/run": {"parameters": [name], "post": run},
        "/v1/canaries/{name}/pause": {
            "parameters": [name],
            "post": {
                **pause,
                "requestBody": {"required": True, "content": _content("PauseBody")},
                "responses": pause["responses"] | _problems(404, 413, 422, 503),
            },
        },
        "/v1/canaries/{name}/resume": {"parameters": [name], "post": resume},
    }


def _report_paths() -> dict[str, Any]:
    body = _content("ReportsBody")["application/json"]
    post = {
        "summary": "Report deliveries that the application saw itself",
        "description": "Scope `report`. Each counts once, by its id; one that is wrong does not hold up the others.",
        "operationId": "takeReports",
        "requestBody": {"required": True, "content": {"application/json": body, "text/plain": body}},
        "responses": {"200": _json("what became of each; at least one stands", "Receipts")}
        | _problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    }
    preflight = {"operationId": "preflightReports", "summary": "Whether a page of this origin may report (CORS)"}
    return {
        "/v1/reports": {
            "post": post,
            "options": {**preflight, "responses": {"204": {"description": "it may"}} | _problems(403)},
        },
        "/static/report.js": {"get": _operation("readModule", "The browser module", _text("text/javascript"))},
        "/static/report.d.ts": {"get": _operation("readTypes", "Its types", _text("text/plain"))},
    }


def _reading_paths() -> dict[str, Any]:
    window = {"name": "window", "in": "query", "schema": {"type": "string", "default": "1h", "examples": ["15m", "7d"]}}
    distributions = {
        "name": "distributions", "in": "query", "schema": {"type": "boolean", "default": False},
        "description": "with histograms of latency and attempts, and curves of render times",
    }  # fmt: skip
    origin = {
        "name": "origin", "in": "query", "schema": one_of(Origin),
        "description": "of this origin only; default: what the service saw itself, `api` and `canary`. "
        "`delivery_by_origin` tells all apart in any case",
    }  # fmt: skip
    provider = {"name": "provider", "in": "query", "schema": {"type": "string"}}
    summary = _operation("readSummary", "SSE against polling over a window", _object("figures"), 401, 403, 422, 503)
    project = _operation("readProject", "The provider's project", _object("its JSON"), 401, 403, 404, 502)
    file = _operation("readFile", "The provider's file", _object("its JSON"), 401, 403, 404, 502)
    return {
        "/v1/summary": {"get": summary | {"parameters": [window, origin, distributions]}},
        "/api/project/{id}": {"parameters": [_ID, provider], "get": project},
        "/api/file/{id}": {"parameters": [_ID, provider], "get": file},
    }


def _operations_paths() -> dict[str, Any]:
    metrics = _text("text/plain", "application/openmetrics-text")
    changes = _object("changes")
    return {
        "/metrics": {"get": _operation("scrape", "Prometheus or OpenMetrics text", metrics, 401, 403)},
        "/-/healthy": {"get": _operation("isHealthy", "Liveness", _text("text/plain"))},
        "/-/ready": {"get": _operation("isReady", "Readiness", _text("text/plain"), 503)},
        "/-/reload": {"post": _operation("reload", "Take a changed plan; scope `admin`", changes, 401, 403, 422)},
        "/openapi.json": {"get": _operation("readOpenapi", "This document", _object("OpenAPI 3.1"))},
        "/": {"get": _operation("showStatus", "The status page", _text("text/html"), 401, 403, 503)},
        "/generations/{id}": {
            "parameters": [_ID],
            "get": _operation("showGeneration", "One generation, for people", _text("text/html"), 401, 403, 404, 503),
        },
        "/static/renew.js": {"get": _operation("readScript", "What renews the pages", _text("text/javascript"))},
        "/static/status.css": {"get": _operation("readStyle", "The pages' style", _text("text/css"))},
    }


def _operation(operation_id: str, summary: str, answer: dict[str, Any], *problems: int) -> dict[str, Any]:
    return {"operationId": operation_id, "summary": summary, "responses": {"200": answer} | _problems(*problems)}


def _problems(*statuses: int) -> dict[str, Any]:
    """Those that this call is known for; `default` is any other, as 400 for a request that is none."""
    problem = ref("Problem")
    answer = {"description": "what went wrong", "content": {"application/problem+json": {"schema": problem}}}
    seconds = {"description": "seconds after which to try again", "schema": {"type": "integer"}}
    later = {429: {"headers": {"Retry-After": seconds}}, 503: {"headers": {"Retry-After": seconds}}}
    return {str(status): answer | later.get(status, {}) for status in statuses} | {"default": answer}


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": ref(schema)}}


def _json(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": _content(schema)}


def _object(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}


def _text(*content_types: str) -> dict[str, Any]:
    content = {content_type: {"schema": {"type": "string"}} for content_type in content_types}
    return {"description": " or ".join(content_types), "content": content}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _query(model: Any) -> list[dict[str, Any]]:
    properties = schema_of(model)["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _page() -> dict[str, Any]:
    items = {"type": "array", "items": ref("Generation")}
    schema = {"type": "object", "properties": {"items": items, "next": {"type": ["string", "null"]}}}
    return {"description": "a page", "content": {"application/json": {"schema": schema}}}
