"""What the OpenAPI document says is what is answered."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest_asyncio
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from monitor.simulator.config import SimulatorConfig
from monitor.web import api, canaries, operations, pages, pass_through, reports, summary
from monitor.web.openapi import build_openapi
from tests.serving import Running, running

GENERATIONS = "/v1/generations"
ONE = "/v1/generations/{id}"
FOLLOW = "/v1/generations/{id}/events"
NOWHERE = {"Host": "localhost:99999"}
ELSEWHERE = {"Origin": "https://evil.example"}
REPORT = {"id": "r", "started_at": "2026-01-31T12:00:00Z", "delivered": True, "channel": "sse", "latency_seconds": 1.0}


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.05)) as service:
        yield service


def test_it_is_valid() -> None:
    validate(build_openapi())


def test_it_has_the_routes_that_there_are() -> None:
    rooms = (api, canaries, reports, summary, operations, pass_through, pages)
    served = {(route.method.lower(), route.path) for room in rooms for route in room.routes}
    methods = ("get", "post", "put", "delete", "options")
    told = {(name, path) for path, item in build_openapi()["paths"].items() for name in item if name in methods}
    assert served == told


async def _ask(service: Running, method: str, path: str, of: str, status: int, **options: Any) -> None:
    """Ask, and hold the answer against what the document says of `path`, whose name is `of`."""
    document = await service.get("/openapi.json")
    async with service.http.request(method, service.url + path.replace("{id}", of), **options) as response:
        asked = (method, path, of, options)
        assert response.status == status, asked
        responses = document["paths"][path.partition("?")[0]][method.lower()]["responses"]
        said = responses.get(str(status), responses.get("default"))
        assert said is not None, asked
        if "content" not in said:
            assert await response.read() == b"", asked
            return
        assert response.content_type in said["content"], asked
        if "json" in response.content_type:
            schema = {**said["content"][response.content_type]["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(await response.json(content_type=None))


async def test_what_generations_answer_is_what_it_says(service: Running) -> None:
    prompts = ("a fox", "a fox [fault:create_400]", "a fox [fault:task_error]", "a fox [fault:file_id_only]")
    ids = [(await service.generate(prompt))["id"] for prompt in prompts]
    for of in ids:
        await _ask(service, "GET", ONE, of, 200)
        await _ask(service, "GET", FOLLOW, of, 200)
        await _ask(service, "GET", FOLLOW, of, HTTPStatus.NO_CONTENT, headers={"Last-Event-ID": "end"})
        await _ask(service, "DELETE", ONE, of, 200)
        await _ask(service, "GET", "/generations/{id}", of, 200)
    await _ask(service, "POST", GENERATIONS, "", 202, json={"prompt": "a fox [render:0]"})
    await _ask(service, "GET", GENERATIONS, "", 200)
    await _ask(service, "GET", GENERATIONS + "?limit=0", "", 422)
    await _ask(service, "POST", GENERATIONS, "", 422, json={"prompt": 7, "sise": 1})
    await _ask(service, "POST", GENERATIONS, "", 400, data=b"{", headers={"Content-Type": "application/json"})
    await _ask(service, "POST", GENERATIONS, "", 415, data=b"{")
    await _ask(service, "POST", GENERATIONS, "", 403, json={"prompt": "x"}, headers=ELSEWHERE)
    await _ask(service, "GET", GENERATIONS, "", 400, headers=NOWHERE)
    for method, path in (("GET", ONE), ("DELETE", ONE), ("GET", FOLLOW), ("GET", "/generations/{id}")):
        await _ask(service, method, path, "nobody", 404)


async def test_what_all_else_answers_is_what_it_says(service: Running) -> None:
    made = await service.generate("a fox")
    await _ask(service, "GET", "/api/file/{id}", made["asset"]["file_id"], 200)
    for path in ("/api/file/{id}", "/api/project/{id}"):
        await _ask(service, "GET", path, "nobody", 404)
    for path in ("/", "/v1/canaries", "/-/healthy", "/-/ready", "/metrics", "/static/report.js", "/static/status.css"):
        await _ask(service, "GET", path, "", 200)
    await _ask(service, "GET", "/metrics", "", 200, headers={"Accept": "application/openmetrics-text"})
    await _ask(service, "GET", "/v1/summary?distributions=true", "", 200)
    await _ask(service, "GET", "/v1/summary?window=x", "", 422)
    await _ask(service, "POST", "/v1/reports", "", 422, json=REPORT)
    await _ask(service, "OPTIONS", "/v1/reports", "", 403)
    await _ask(service, "POST", "/-/reload", "", 200)
    await _ask(service, "POST", "/-/reload", "", 403, headers=ELSEWHERE)
    await _ask(service, "GET", "/metrics", "", 400, headers=NOWHERE)
