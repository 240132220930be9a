"""The HTTP API as its callers meet it: over real sockets, with the simulated provider behind."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from monitor.providers.eventstream import EventStreamDecoder, ServerSentEvent
from monitor.settings import hash_token
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry.catalog import DELIVERY_S
from monitor.web import bodies
from monitor.web.openapi import build_openapi
from tests.serving import UNSAMPLED, Running, running

QUICKLY = SimulatorConfig(fixed_render_s=0.15, heartbeat_s=0.2)
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    server = {"max_in_flight": 3, "max_body_bytes": 2048}
    async with running(tmp_path, QUICKLY, server=server, provider=UNSAMPLED) as service:
        yield service


async def _send(service: Running, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
    async with service.http.request(method, service.url + path, **options) as response:
        is_json = "json" in response.content_type
        return response.status, await (response.json(content_type=None) if is_json else response.text()), response


async def test_accepted_with_a_location_that_can_be_read(service: Running) -> None:
    status, body, response = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox"})
    assert status == 202
    assert body["state"] in ("accepted", "submitted")
    assert response.headers["Location"] == f"/v1/generations/{body['id']}"
    status, again, _ = await _send(service, "GET", response.headers["Location"])
    assert (status, again["id"]) == (200, body["id"])


async def test_prefer_wait_answers_with_the_result(service: Running) -> None:
    status, body, response = await _send(
        service, "POST", "/v1/generations", json={"prompt": "a fox"}, headers={"Prefer": "respond-async, wait=30"}
    )
    assert (status, body["outcome"], body["channel"]) == (200, "delivered", "sse")
    assert response.headers["Preference-Applied"] == "wait=30"
    async with service.http.get(body["asset"]["url"]) as asset:
        assert (await asset.read()).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=1", "wait=1"),
        ("respond-async; foo, Wait = 2", "wait=2"),
        ('wait="3"', "wait=3"),
        (f"wait={'9' * 400}", "wait=300"),
        ("wait=abc", None),
        ("wait=-1", None),
        ("wait=2.5", None),
        ("await=1", None),
        ("wait=\u0661".encode().decode("latin1"), None),
    ],
)
async def test_what_is_no_wait_is_ignored_as_preferences_are(
    service: Running, prefer: str, applied: str | None
) -> None:
    _, _, response = await _send(
        service, "POST", "/v1/generations", json={"prompt": "a fox [render:0]"}, headers={"Prefer": prefer}
    )
    assert response.headers.get("Preference-Applied") == applied


async def test_preferences_may_stand_in_several_headers(service: Running) -> None:
    headers = [("Prefer", "respond-async"), ("Prefer", "wait=2")]
    _, _, response = await _send(
        service, "POST", "/v1/generations", json={"prompt": "a fox [render:0]"}, headers=headers
    )
    assert response.headers.get("Preference-Applied") == "wait=2"


async def test_prefer_wait_that_is_too_short_answers_as_it_stands(service: Running) -> None:
    prompt = {"prompt": "a fox [render:5]"}
    status, body, _ = await _send(service, "POST", "/v1/generations", json=prompt, headers={"Prefer": "wait=0"})
    assert (status, body["outcome"]) == (202, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x", "sise": 1}, "sise"),
        ({"prompt": "x", "kind": "audio"}, "kind"),
        ({"prompt": "x", "provider": "nobody"}, "provider"),
        ({"prompt": "x", "provider": ""}, "provider"),
        ({"prompt": "x", "model": "dall-e"}, "model"),
        ({"prompt": "x", "model": ""}, "model"),
        ({"prompt": "x", "params": [1]}, "params"),
        ({"prompt": "x", "params": {str(number): number for number in range(33)}}, "params"),
        ([1], "body"),
    ],
)
async def test_a_wrong_field_is_named(service: Running, body: Any, field: str) -> None:
    status, problem, response = await _send(service, "POST", "/v1/generations", json=body)
    assert status == 422
    assert response.content_type == "application/problem+json"
    assert field in [item["field"] for item in problem["errors"]]
    assert field in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "options", "allowed"),
    [
        (
            "POST",
            "/v1/generations",
            {"json": {"prompt": "x", "sise": 1}},
            "prompt, provider, model, kind, flow, params",
        ),
        ("GET", "/v1/generations?colour=red", {}, "outcome, channel, provider, origin, limit, cursor"),
        ("POST", "/v1/reports", {"json": {"reports": [{}], "sent": 1}}, "token, sent_at, reports"),
    ],
)
async def test_a_field_that_there_is_not_is_told_which_there_are(
    service: Running, method: str, path: str, options: Any, allowed: str
) -> None:
    status, problem, _ = await _send(service, method, path, **options)
    assert status == 422
    assert problem["detail"].endswith(f"there is no such field; there are: {allowed}")


async def test_a_prompt_over_the_limit_is_told_the_limit(tmp_path: Path) -> None:
    async with running(tmp_path, QUICKLY, server={"max_prompt_chars": 10}) as service:
        status, problem, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "x" * 11})
        assert (await _send(service, "POST", "/v1/generations", json={"prompt": "x" * 10}))[0] == 202
    assert status == 422
    assert "11 characters; at most 10" in problem["detail"]


async def test_rubbish_is_answered_with_problems(service: Running) -> None:
    cases: list[tuple[int, str, str, dict[str, Any]]] = [
        (400, "POST", "/v1/generations", {"data": b"{not json", "headers": JSON}),
        (400, "POST", "/v1/generations", {"data": b"[" * 2000, "headers": JSON}),
        (413, "POST", "/v1/generations", {"data": b'{"prompt": "%s"}' % (b"x" * 4096), "headers": JSON}),
        (415, "POST", "/v1/generations", {"data": b"prompt=x", "headers": {"Content-Type": "text/plain"}}),
        (400, "POST", "/v1/generations", {"json": {"prompt": "x"}, "headers": {"Idempotency-Key": "a b"}}),
        (400, "POST", "/v1/generations", {"json": {"prompt": "x"}, "headers": {"Idempotency-Key": "a" * 201}}),
        (405, "PUT", "/v1/generations", {}),
        (404, "GET", "/v1/nothing", {}),
        (404, "GET", "/v1/generations/nobody", {}),
        (404, "DELETE", "/v1/generations/nobody", {}),
        (404, "GET", "/v1/generations/nobody/events", {}),
        (404, "GET", "/generations/nobody", {}),
        (422, "GET", "/v1/generations?outcome=great", {}),
        (422, "GET", "/v1/generations?limit=0", {}),
        (422, "GET", "/v1/generations?limit=201", {}),
        (422, "GET", "/v1/generations?colour=red", {}),
        (422, "GET", "/v1/generations?cursor=", {}),
        (422, "GET", "/v1/generations?cursor=rubbish", {}),
        (422, "GET", "/v1/generations?cursor=%00", {}),
        (422, "GET", "/v1/generations?cursor=0199CDEF-0000-7000-8000-000000000000", {}),
        (422, "GET", "/v1/summary?window=yesterday", {}),
        (422, "GET", "/v1/summary?window=0s", {}),
        (422, "GET", "/v1/summary?window=%D9%A1h", {}),
        (422, "GET", "/v1/summary?windw=1h", {}),
        (422, "GET", "/v1/summary?distributions=perhaps", {}),
    ]
    for expected, method, path, options in cases:
        status, problem, response = await _send(service, method, path, **options)
        assert status == expected, (method, path, problem)
        assert response.content_type == "application/problem+json"
        assert problem["detail"], (method, path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"params": {"width": 512, "colour": "red"}}, ("colour", "allowed are negative_prompt, width")),
        ({"params": {"width": "wide"}}, ("width", "integer")),
        ({"kind": "video", "flow": "project"}, ("video", "the project flow makes images")),
    ],
)
async def test_what_the_provider_cannot_be_asked_for_is_the_callers_mistake(
    service: Running, asked: dict[str, object], said: tuple[str, str]
) -> None:
    status, problem, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox", **asked})
    assert status == 422
    assert all(word in problem["detail"] for word in said)
    assert problem["errors"][0]["field"] in asked
    assert (await service.provider("/-/counts"))["creates"] == 0
    _, listed, _ = await _send(service, "GET", "/v1/generations")
    assert listed["items"] == []


async def test_the_same_key_repeats_the_answer_and_not_the_generation(service: Running) -> None:
    headers = {"Idempotency-Key": "order-1", "Prefer": "wait=30"}
    asked = [_send(service, "POST", "/v1/generations", json={"prompt": "a fox"}, headers=headers) for _ in range(3)]
    answers = await asyncio.gather(*asked)
    assert len({body["id"] for _, body, _ in answers}) == 1
    assert sorted(response.headers.get("Idempotent-Replayed", "") for _, _, response in answers) == ["", "true", "true"]
    status, problem, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "another"}, headers=headers)
    assert status == 422
    assert "order-1" in problem["detail"]
    assert (await service.provider("/-/counts"))["creates"] == 1


async def test_with_a_key_the_same_request_may_be_written_in_another_order(service: Running) -> None:
    headers = {"Idempotency-Key": "order-1"}
    bodies = [
        b'{"prompt": "x", "params": {"seed": 1, "steps": 2}}',
        b'{"params": {"steps": 2, "seed": 1}, "prompt": "x"}',
    ]
    asked = [await _send(service, "POST", "/v1/generations", data=body, headers=headers | JSON) for body in bodies]
    assert asked[1][2].headers["Idempotent-Replayed"] == "true"
    assert asked[0][1]["id"] == asked[1][1]["id"]


async def test_over_the_limit_is_refused_early(service: Running) -> None:
    asked = [_send(service, "POST", "/v1/generations", json={"prompt": "a fox [render:3]"}) for _ in range(4)]
    answers = await asyncio.gather(*asked)
    assert sorted(status for status, _, _ in answers) == [202, 202, 202, 429]
    refused = next(response for status, _, response in answers if status == 429)
    assert int(refused.headers["Retry-After"]) > 0
    assert service.registry.get_sample_value("generation_monitor_refusals_total") == 1
    assert service.registry.get_sample_value("generation_monitor_in_flight_limit") == 3


async def test_a_cancelled_generation_ends_and_closes_its_stream(service: Running) -> None:
    _, body, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox [render:20]"})
    status, cancelled, _ = await _send(service, "DELETE", f"/v1/generations/{body['id']}")
    assert (status, cancelled["outcome"], cancelled["reason"]) == (200, "cancelled", "caller")
    for _ in range(100):
        if not (await service.provider("/-/counts"))["streams_open"]:
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the stream stayed open")
    status, again, _ = await _send(service, "DELETE", f"/v1/generations/{body['id']}")
    assert (status, again["outcome"]) == (200, "cancelled")


async def test_a_caller_who_goes_does_not_take_the_generation_along(service: Running) -> None:
    with pytest.raises(TimeoutError):
        await service.http.post(
            f"{service.url}/v1/generations",
            json={"prompt": "a fox [render:0.5]"},
            headers={"Prefer": "wait=30"},
            timeout=aiohttp.ClientTimeout(total=0.2),
        )
    items: list[dict[str, Any]] = []
    for _ in range(200):
        items = (await service.get("/v1/generations"))["items"]
        if items and items[0]["state"] == "ended":
            break
        await asyncio.sleep(0.02)
    assert items[0]["outcome"] == "delivered"


async def _events(service: Running, generation_id: str, after: str = "") -> tuple[int, list[ServerSentEvent]]:
    headers = {"Last-Event-ID": after} if after else {}
    async with service.http.get(f"{service.url}/v1/generations/{generation_id}/events", headers=headers) as response:
        return response.status, EventStreamDecoder().feed(await response.read())


async def test_events_tell_the_timeline_and_the_end_and_can_be_resumed(service: Running) -> None:
    _, body, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox [render:0.6]"})
    status, live = await _events(service, body["id"])
    assert status == 200
    assert len({event.id for event in live}) == len(live)
    assert live[-1].id == "end"
    assert live[-1].event == "generation"
    assert live[-2].event == "ended"
    assert "sse_opened" in [event.event for event in live]
    _, later = await _events(service, body["id"])
    assert [event.event for event in later] == [event.event for event in live]
    _, resumed = await _events(service, body["id"], after=live[2].id)
    assert [event.id for event in resumed] == [event.id for event in live[3:]]
    assert await _events(service, body["id"], after=live[-1].id) == (204, [])
    _, last = await _events(service, body["id"], after=live[-2].id)
    assert [event.event for event in last] == ["generation"]


async def test_who_has_seen_an_end_that_was_lost_with_a_crash_is_told_all_until_it_ends_again(service: Running) -> None:
    _, body, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox [render:0.2]"})
    status, events = await _events(service, body["id"], after="end")
    assert (status, events[0].event, events[-1].id) == (200, "create", "end")


@pytest.mark.parametrize("after", ["99", "1", "-1", "rubbish"])
async def test_an_id_that_was_never_told_tells_everything_and_never_that_all_was_seen(
    service: Running, after: str
) -> None:
    made = await service.generate("a fox [render:0]")
    status, events = await _events(service, made["id"], after=after)
    assert status == 200
    assert [event.event for event in events] == [*(entry["event"] for entry in made["timeline"]), "generation"]


async def test_a_cursor_that_is_none_is_told_what_one_is(service: Running) -> None:
    _, problem, _ = await _send(service, "GET", "/v1/generations?cursor=rubbish")
    assert problem["detail"] == "cursor: must be `next` of the page before, as it was given"
    assert problem["errors"][0]["found"] == "rubbish"


async def test_too_many_streams_of_events_are_refused_and_one_whose_caller_went_makes_room(service: Running) -> None:
    _, body, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox [render:20]"})
    path = f"/v1/generations/{body['id']}/events"
    held = [await service.http.get(service.url + path) for _ in range(6)]
    status, problem, response = await _send(service, "GET", path)
    assert (status, problem["title"]) == (429, "Too Many Requests")
    assert int(response.headers["Retry-After"]) > 0
    await _send(service, "DELETE", f"/v1/generations/{body['id']}")
    for stream in held:
        assert b"event: generation" in await stream.read()
    assert (await _events(service, body["id"]))[0] == 200


async def test_a_body_that_does_not_come_is_not_waited_for(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    writer.write(b"POST /v1/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 100\r\n\r\n{")
    answer = await reader.readuntil(b"}")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 0.05 s" in answer


async def test_pages_go_on_where_the_last_ended_and_filters_hold(service: Running) -> None:
    for prompt in ("a", "b", "c [fault:task_error]"):
        await service.generate(prompt)
    first = await service.get("/v1/generations?limit=2")
    second = await service.get(f"/v1/generations?limit=2&cursor={first['next']}")
    assert len(first["items"]) == 2
    assert len(second["items"]) == 1
    assert second["next"] is None
    delivered = await service.get("/v1/generations?outcome=delivered&channel=sse&provider=superduperai&origin=api")
    assert len(delivered["items"]) == 2
    assert (await service.get("/v1/generations?outcome=expired"))["items"] == []


async def test_a_list_shows_what_is_in_flight_as_it_stands(service: Running) -> None:
    _, body, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox [render:20]"})
    while not (shown := await service.get(f"/v1/generations/{body['id']}"))["timeline"]:
        await asyncio.sleep(0.02)
    (listed,) = (await service.get("/v1/generations"))["items"]
    assert listed["timeline"][: len(shown["timeline"])] == shown["timeline"]


async def test_the_summary_counts_what_was_delivered_by_which_channel(service: Running) -> None:
    empty = await service.get("/v1/summary")
    assert empty["delivery"] == {"good": 0, "total": 0, "ratio": None, "interval": None}
    await service.generate("a fox")
    await service.generate("a fox [fault:early]")
    await service.generate("a fox [fault:task_error]")
    summary = await service.get("/v1/summary?window=15m")
    assert summary["window_seconds"] == 900
    assert summary["delivery"]["good"] == summary["delivery"]["total"] == 2
    assert summary["delivery"]["interval"][0] < 1
    assert summary["outcomes"]["provider_failed"] == 1
    assert [summary["channels"][name]["won"] for name in ("sse", "polling")] == [1, 1]
    assert [summary["channels"][name]["share"] for name in ("sse", "polling")] == [0.5, 0.5]
    assert summary["channels"]["sse"]["latency_seconds"]["p50"] is not None


async def test_the_summary_tells_distributions_when_it_is_asked_to(service: Running) -> None:
    await service.generate("a fox")
    await service.generate("a fox [fault:early]")
    assert "distributions" not in await service.get("/v1/summary?distributions=false")
    told = (await service.get("/v1/summary?distributions=true"))["distributions"]
    assert told["latency_seconds"]["bounds"] == list(DELIVERY_S)
    for histogram in (told["latency_seconds"], told["attempts"]):
        assert [sum(histogram["counts"][channel]) for channel in ("sse", "polling")] == [1, 1]
        assert {len(counts) for counts in histogram["counts"].values()} == {len(histogram["bounds"]) + 1}
    (renders,) = told["render_times"]
    assert (renders["model"], renders["n"], len(renders["certain"])) == ("comfyui/flux", 2, 2)
    assert renders["likeliest"]


async def test_the_pass_through_tells_the_providers_errors_apart(service: Running) -> None:
    answer = await service.generate("a fox")
    file_id = answer["asset"]["file_id"]
    status, file, _ = await _send(service, "GET", f"/api/file/{file_id}")
    assert (status, file["id"]) == (200, file_id)
    assert (await _send(service, "GET", "/api/file/00000000-0000-4000-8000-000000000000"))[0] == 404
    assert (await _send(service, "GET", "/api/project/..%2Fuser%2Fme"))[0] == 404
    assert (await _send(service, "GET", f"/api/file/{file_id}?provider=nobody"))[0] == 404
    await _send(service, "POST", "/v1/generations", json={"prompt": "a fox [fault:poll_500_always]"})
    while not (jobs := (await service.provider("/-/jobs?limit=1"))["jobs"]) or jobs[0]["id"] == file_id:
        await asyncio.sleep(0.02)
    status, problem, _ = await _send(service, "GET", f"/api/file/{jobs[0]['id']}")
    assert (status, problem["provider_status"]) == (502, 500)


async def test_a_provider_that_refuses_the_token_shows_as_401(tmp_path: Path) -> None:
    async with running(tmp_path, QUICKLY, provider={"token": "wrong"}) as service:
        status, problem, _ = await _send(service, "GET", "/api/file/abc")
        assert (status, problem["kind"]) == (401, "unauthorized")
        answer = await service.generate("a fox")
    assert (answer["outcome"], answer["reason"]) == ("rejected", "unauthorized")


async def test_the_pages_show_what_happened_and_escape_it(service: Running) -> None:
    answer = await service.generate("a fox")
    for path in ("/", f"/generations/{answer['id']}"):
        status, page, response = await _send(service, "GET", path)
        assert status == 200
        assert "delivered" in page
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    status, style, _ = await _send(service, "GET", "/static/status.css")
    assert (status, "--sse" in style) == (200, True)


async def test_healthy_and_ready(service: Running) -> None:
    assert (await _send(service, "GET", "/-/healthy"))[0] == 200
    assert (await _send(service, "GET", "/-/ready"))[0] == 200


@pytest_asyncio.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Running]:
    tokens = [
        {"name": "reader", "scopes": ["read"], "sha256": hash_token("token-r")},
        {"name": "maker", "scopes": ["generate", "read"], "sha256": hash_token("token-g")},
        {"name": "boss", "scopes": ["admin"], "sha256": hash_token("token-a")},
    ]
    async with running(tmp_path, QUICKLY, tokens=tokens) as service:
        yield service


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_tokens_open_what_their_scopes_say_and_nothing_else(guarded: Running) -> None:
    body = {"json": {"prompt": "a fox"}}
    cases: list[tuple[int, str, str, str | None, dict[str, Any]]] = [
        (401, "GET", "/v1/generations", None, {}),
        (401, "GET", "/v1/generations", "wrong", {}),
        (200, "GET", "/v1/generations", "token-r", {}),
        (403, "POST", "/v1/generations", "token-r", body),
        (202, "POST", "/v1/generations", "token-g", body),
        (202, "POST", "/v1/generations", "token-a", body),
        (403, "DELETE", "/v1/generations/x", "token-r", {}),
        (404, "DELETE", "/v1/generations/x", "token-g", {}),
        (200, "GET", "/metrics", "token-r", {}),
    ]
    for expected, method, path, token, options in cases:
        headers = _bearer(token) if token else {}
        status, _, response = await _send(guarded, method, path, headers=headers, **options)
        assert status == expected, (method, path, token)
        if status == 401:
            assert "WWW-Authenticate" in response.headers
        if status == 403:
            assert 'error="insufficient_scope", scope="generate"' in response.headers["WWW-Authenticate"]


OPEN = {
    *(("get", f"/static/{file}") for file in ("status.css", "renew.js", "report.js", "report.d.ts")),
    *(("get", path) for path in ("/-/healthy", "/-/ready", "/openapi.json")),
    ("options", "/v1/reports"),
}
"""What needs no token: it tells nothing of generations."""


async def test_without_a_token_nothing_is_open_but_what_tells_nothing(guarded: Running) -> None:
    methods = ("get", "post", "delete", "options")
    routes = [(name, path) for path, item in build_openapi()["paths"].items() for name in item if name in methods]
    assert set(routes) >= OPEN
    for method, path in routes:
        status, _, _ = await _send(guarded, method, path.format(id="x", name="x"), json=None if method == "get" else {})
        assert (status != 401) == ((method, path) in OPEN), (method, path, status)


async def test_a_key_is_its_callers_own(guarded: Running) -> None:
    asked = [
        await _send(
            guarded, "POST", "/v1/generations", json={"prompt": "x"}, headers=_bearer(token) | {"Idempotency-Key": "a"}
        )
        for token in ("token-g", "token-a", "token-g")
    ]
    first, other, again = (body["id"] for _, body, _ in asked)
    assert first == again != other


async def test_a_browser_may_give_the_token_as_its_password_but_only_to_read(guarded: Running) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(b"anybody:token-a").decode()}
    assert (await _send(guarded, "GET", "/", headers=basic))[0] == 200
    assert (await _send(guarded, "POST", "/v1/generations", headers=basic, json={"prompt": "x"}))[0] == 401
    for rubbish in ("Basic !", "Basic /w==", "Bearer", "Digest x"):
        assert (await _send(guarded, "GET", "/", headers={"Authorization": rubbish}))[0] == 401, rubbish
    assert (await _send(guarded, "GET", "/", headers={"Authorization": "bearer token-r"}))[0] == 200


async def test_without_tokens_other_names_and_other_sites_are_refused(service: Running) -> None:
    for host, expected in (
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("a.localhost", 200),
        ("[::1]", 200),
    ):
        assert (await _send(service, "GET", "/", headers={"Host": host}))[0] == expected, host
    for origin, expected in (("https://evil.example", 403), ("null", 403), (service.url, 202)):
        headers = {"Origin": origin}
        asked = await _send(service, "POST", "/v1/generations", headers=headers, json={"prompt": "x"})
        assert asked[0] == expected, origin


async def test_the_callers_trace_goes_on_to_the_provider(service: Running) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "Prefer": "wait=30"}
    _, body, _ = await _send(service, "POST", "/v1/generations", json={"prompt": "a fox"}, headers=headers)
    assert body["trace_id"] == trace_id
    truth = await service.provider(f"/-/jobs/{body['asset']['file_id']}")
    assert truth["traceparent"].split("-")[1] == trace_id


@pytest.mark.parametrize(("kind", "flow"), [("image", "project"), ("video", "file")])
async def test_every_kind_and_flow_is_delivered(service: Running, kind: str, flow: str) -> None:
    answer = await service.generate("a fox", kind=kind, flow=flow)
    assert (answer["outcome"], answer["channel"]) == ("delivered", "sse")
    assert answer["asset"]["kind"] == kind


DEEP = b'{"prompt": "x", "params": {"a": ' + b"[" * 400 + b"]" * 400 + b"}}"
HOSTILE = {
    "deep": (b"Host: localhost\r\n", DEEP, 422, b"params: cannot be passed on"),
    "not gzip": (b"Host: localhost\r\nContent-Encoding: gzip\r\n", b"no gzip", 400, b"Content-Encoding"),
    "no port": (b"Host: localhost:99999\r\n", b"{}", 400, b"the Host header is no host"),
    "no name": (b"Host: \xff\r\n", b"{}", 400, b"the Host header is no host"),
}


NO_REQUESTS = {
    "a method that nobody knows": (b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, b"Invalid method encountered"),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, b"HTTPS"),
    "a long header": (b"GET / HTTP/1.1\r\nX: %s\r\n\r\n" % (b"a" * 9_000), 431, b"8190 bytes are allowed"),
    "a long path": (b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 9_000), 431, b"8190 bytes are allowed"),
    "a URL whose host is none": (b"GET http://[]@/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, b"no proper request"),
    "no length": (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400, b"Content-Length"),
    "not gzip": (
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip",
        404,
        b"there is no /nothing",
    ),
    "an expectation": (
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: a miracle\r\n\r\n",
        417,
        b"Expect: 'a miracle' cannot be met; 100-continue is all that can",
    ),
}


@pytest.mark.parametrize("name", NO_REQUESTS)
async def test_what_is_no_request_is_answered_with_a_problem_and_does_not_fill_the_log(
    service: Running, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent, status, says = NO_REQUESTS[name]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    assert answer.split(b" ")[1] == str(status).encode()
    assert b"application/problem+json" in answer
    assert says in answer
    assert caplog.text == ""


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_cannot_be_read_is_the_callers_mistake(service: Running, name: str) -> None:
    headers, body, status, says = HOSTILE[name]
    port = int(service.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(b"POST /v1/generations HTTP/1.1\r\n" + headers + length + body)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in answer
    assert says in answer


async def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_crash(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(service.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    with capture_logs() as lines:
        writer.transport.abort()
        assert (await service.generate("a fox"))["outcome"] == "delivered"  # long enough to notice
    assert "a request crashed" not in [line["event"] for line in lines]
    assert caplog.text == ""
