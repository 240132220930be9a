"""The simulated provider's streams, byte by byte: the healthy one, and every fault that breaks one.

Everything is scaled to a fiftieth, so a render of 1.5 s takes 30 ms; no test measures how long anything took.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from monitor.simulator.app import build_simulator
from monitor.simulator.config import SimulatorConfig

Client = TestClient[web.Request, web.Application]
MakeClient = Callable[..., Awaitable[Client]]

TOKEN = {"Authorization": "Bearer simulator-token"}
API = "/api/v1"
CONFIG = SimulatorConfig(fixed_render_s=1.5, time_scale=0.02, heartbeat_s=0.05)


@pytest.fixture
async def client(no_stray_tasks: None, aiohttp_client: MakeClient) -> Client:
    return await aiohttp_client(build_simulator(CONFIG), headers=TOKEN)


async def begin(client: Client, fault: str, flow: str = "file", *, more: str = "") -> dict[str, Any]:
    """Create a job with `fault`; its truth."""
    body = {"config": {"prompt": f"a fox [fault:{fault}]{more}", "generation_config_name": "comfyui/flux"}}
    path = "/file/generate-image" if flow == "file" else "/project/image"
    async with client.post(API + path, json=body | {"template_name": None}) as response:
        assert response.status == 200, await response.text()
        said = await response.json()
    return await truth(client, said[0]["id"] if flow == "file" else said["id"])


async def truth(client: Client, id_: str) -> dict[str, Any]:
    async with client.get(f"/-/jobs/{id_}") as response:
        told: dict[str, Any] = await response.json()
        return told


async def status(client: Client, job: dict[str, Any]) -> Any:
    async with client.get(f"{API}/file/{job['id']}") as response:
        return await response.json()


def subscribe(client: Client, job: dict[str, Any], flow: str = "file", **headers: str) -> Any:
    id_ = job["id"] if flow == "file" else job["project_id"]
    return client.get(f"{API}/events/{flow}.{id_}", headers=headers, allow_redirects=False)


async def hear(stream: aiohttp.ClientResponse, until: bytes | re.Pattern[bytes]) -> bytes:
    """What comes on a stream until `until` was in it, and the end of that event."""
    pattern = re.compile(re.escape(until)) if isinstance(until, bytes) else until
    heard = b""
    while not ((found := pattern.search(heard)) and re.search(rb"(\r\n\r\n|\r\r)", heard[found.start() :])):
        part = await stream.content.readany()
        assert part or not stream.content.at_eof(), f"the stream ended after {heard[-300:]!r}"
        heard += part
    return heard


async def hear_until_broken(stream: aiohttp.ClientResponse) -> bytes:
    """What comes on a stream until its connection breaks, which it has to."""
    heard = b""
    try:
        while not stream.content.at_eof():
            heard += await stream.content.readany()
    except aiohttp.ClientPayloadError:
        return heard
    raise AssertionError("the stream ended in good order")


def messages(heard: bytes) -> list[dict[str, Any]]:
    """The JSON of all whole events."""
    return [orjson.loads(line[6:]) for line in heard.split(b"\r\n") if line.startswith(b"data: {")]


RESULT = re.compile(rb'"url":"')
PING = b": ping - "


async def first_of(client: Client, fault: str) -> tuple[dict[str, Any], list[dict[str, Any]], bytes]:
    """The job, the messages until its result, and the bytes that they came in."""
    job = await begin(client, fault)
    async with subscribe(client, job) as stream:
        heard = await hear(stream, re.compile(rb'"id":"%s","url":"' % job["id"].encode()))
    return job, messages(heard), heard


async def test_a_healthy_stream_has_the_headers_and_frames_of_sse_starlette(client: Client) -> None:
    job = await begin(client, "healthy")
    async with subscribe(client, job) as stream:
        assert stream.status == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers["Cache-Control"] == "no-store"
        assert stream.headers["X-Accel-Buffering"] == "no"
        heard = await hear(stream, RESULT)
        heard += await hear(stream, PING)
    assert b"\n" not in heard.replace(b"\r\n", b"")
    assert {line.split(b":")[0] for line in heard.split(b"\r\n") if line} == {b"data", b""}
    (message,) = messages(heard)
    assert message["type"] == "file"
    assert message["object"] == await status(client, job)


async def test_every_listener_of_a_channel_hears_it_and_the_truth_says_how_many(client: Client) -> None:
    job = await begin(client, "null_url", more="[render:8]")
    async with subscribe(client, job) as one, subscribe(client, job) as other:
        await asyncio.gather(hear(one, RESULT), hear(other, RESULT))
        told = await truth(client, job["id"])
    assert [event["subscribers"] for event in told["events"]] == [2, 2]
    assert [event["at_ms"] for event in told["events"]] == sorted(event["at_ms"] for event in told["events"])
    assert all(connection["authorised"] for connection in told["connections"])


async def test_a_job_of_a_project_is_told_on_both_channels(client: Client) -> None:
    job = await begin(client, "null_url", "project")
    async with subscribe(client, job) as by_file, subscribe(client, job, "project") as by_project:
        on_file, on_project = await asyncio.gather(hear(by_file, RESULT), hear(by_project, RESULT))
    assert messages(on_file)[-1] == messages(on_project)[-1]


async def test_any_channel_is_accepted_and_silent(client: Client) -> None:
    async with client.get(f"{API}/events/whatever.you-like") as stream:
        assert stream.status == 200
        assert not messages(await hear(stream, PING))
        async with client.get("/-/counts") as response:
            assert (await response.json())["streams_open"] == 1


async def test_a_listener_who_leaves_is_forgotten(client: Client) -> None:
    async with subscribe(client, await begin(client, "silent")) as stream:
        await hear(stream, PING)
    open_streams = 1
    while open_streams:
        async with client.get("/-/counts") as response:
            open_streams = (await response.json())["streams_open"]


@pytest.mark.parametrize("fault", ["silent", "poll_500_always", "resolve_404", "sse_slow_headers"])
async def test_a_silent_stream_has_heartbeats_and_never_the_result(client: Client, fault: str) -> None:
    job = await begin(client, fault)
    async with subscribe(client, job) as stream:
        while (await truth(client, job["id"]))["completed_at_ms"] is None:
            await asyncio.sleep(0.005)
        heard = await hear(stream, PING)
    assert not messages(heard)
    assert not (await truth(client, job["id"]))["events"]


async def test_dead_air_has_no_byte(client: Client) -> None:
    dead, alive = await begin(client, "dead_air"), await begin(client, "silent")
    async with subscribe(client, dead) as stream, subscribe(client, alive) as other:
        assert stream.status == 200
        for _ in range(3):
            await hear(other, PING)
        assert stream.content.total_bytes == 0


async def test_early_is_told_to_nobody_and_seen_at_once(client: Client) -> None:
    job = await begin(client, "early")
    assert [event["subscribers"] for event in job["events"]] == [0]
    assert (await status(client, job))["url"]


async def test_a_gap_ends_the_stream_and_the_result_is_told_to_nobody(client: Client) -> None:
    job = await begin(client, "gap")
    async with subscribe(client, job) as stream:
        assert not messages(await stream.read())
    assert [event["subscribers"] for event in (await truth(client, job["id"]))["events"]] == [0]
    assert (await status(client, job))["url"]
    async with subscribe(client, job) as again:
        await hear(again, PING)


async def test_an_event_is_cut_in_the_middle_and_told_again_before_anybody_can_ask_for_it(client: Client) -> None:
    job = await begin(client, "drop_mid_event")
    async with subscribe(client, job) as stream:
        heard = await hear_until_broken(stream)
    assert b"data: " in heard
    assert not re.search(rb"data: .*\r\n", heard)
    assert (await status(client, job))["url"] is None
    async with subscribe(client, job) as again:
        await hear(again, RESULT)
        assert (await status(client, job))["url"] is None
    await until_shown(client, job)


async def until_shown(client: Client, job: dict[str, Any]) -> None:
    """Ask until status calls show the result."""
    while not (await status(client, job))["url"]:
        await asyncio.sleep(0.01)


async def test_flapping_ends_streams_again_and_again(client: Client) -> None:
    job = await begin(client, "flapping", more="[render:90]")
    for _ in range(3):
        async with subscribe(client, job) as stream:
            assert not messages(await stream.read())


async def test_refused_leads_to_a_port_where_nobody_listens(client: Client) -> None:
    async with subscribe(client, await begin(client, "refused")) as response:
        assert response.status == 307
        elsewhere = response.headers["Location"]
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(elsewhere)


async def test_reset_breaks_the_connection_before_any_byte(client: Client) -> None:
    job = await begin(client, "reset")
    reader, writer = await asyncio.open_connection(client.host, client.port)
    request = f"GET {API}/events/file.{job['id']} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer simulator-token\r\n\r\n"
    writer.write(request.encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("code", [401, 403, 404, 410, 204, 429, 503, 500, 524])
async def test_a_stream_is_answered_with_an_error(client: Client, code: int) -> None:
    job = await begin(client, f"sse_{code}")
    for _ in range(2):
        async with subscribe(client, job) as response:
            assert response.status == code
            assert response.headers.get("Retry-After") == ("2" if code in (429, 503) else None)
            assert bool(await response.read()) == (code != 204)


@pytest.mark.parametrize(("fault", "content_type"), [("sse_html", "text/html"), ("sse_json", "application/json")])
async def test_what_answers_is_no_stream(client: Client, fault: str, content_type: str) -> None:
    async with subscribe(client, await begin(client, fault)) as response:
        assert (response.status, response.content_type) == (200, content_type)
        assert await response.read()


async def test_a_redirect_stays_on_the_origin(client: Client) -> None:
    job = await begin(client, "sse_redirect")
    async with subscribe(client, job) as response:
        assert response.status == 307
        there = response.headers["Location"]
    assert there.startswith("/api/v1/events/")
    async with client.get(there) as stream:
        await hear(stream, RESULT)


async def test_a_redirect_elsewhere_is_met_without_a_token(client: Client) -> None:
    job = await begin(client, "sse_redirect_elsewhere", more="[render:50]")
    async with subscribe(client, job) as response:
        there = response.headers["Location"]
    assert client.host == "127.0.0.1"
    assert there.startswith(f"http://localhost:{client.port}/api/v1/events/")
    async with aiohttp.ClientSession() as stranger, stranger.get(there) as stream:
        await hear(stream, RESULT)
    told = await truth(client, job["id"])
    assert [connection["authorised"] for connection in told["connections"]] == [True, False]


async def test_slow_headers_come_late_and_then_the_stream_lives(client: Client) -> None:
    job = await begin(client, "sse_slow_headers")
    async with subscribe(client, job) as stream:
        assert stream.status == 200
        await hear(stream, PING)


async def test_chunked_writes_one_byte_at_a_time(client: Client) -> None:
    job = await begin(client, "chunked")
    parts: list[bytes] = []
    async with subscribe(client, job) as stream:
        async for data, _ in stream.content.iter_chunks():
            parts.append(data)
            if b"".join(parts).endswith(b"\r\n\r\n") and RESULT.search(b"".join(parts)):
                break
    heard = b"".join(parts)
    assert max(map(len, parts)) == 1
    assert "🎨".encode() in heard
    assert messages(heard)[-1]["object"]["id"] == job["id"]


async def test_a_bom_and_bare_cr_and_data_over_several_lines(client: Client) -> None:
    job = await begin(client, "bom_cr")
    async with subscribe(client, job) as stream:
        heard = await hear(stream, RESULT)
    assert heard.startswith(b"\xef\xbb\xbf")
    event = heard[heard.index(b": a comment") :]
    assert b"\n" not in event[: event.index(b"\r\r")]
    lines = event[: event.index(b"\r\r")].split(b"\r")
    data = [line.removeprefix(b"data:").removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    assert len(data) == 2
    assert orjson.loads(b"\n".join(data))["object"]["id"] == job["id"]


async def test_a_huge_event_comes_before_the_result(client: Client) -> None:
    _, heard, raw = await first_of(client, "huge_event")
    assert [message["type"] for message in heard] == ["render_progress", "file"]
    assert len(raw) > 5 * 1024 * 1024


async def test_malformed_events_come_before_the_result(client: Client) -> None:
    async with subscribe(client, await begin(client, "malformed")) as stream:
        raw = await hear(stream, RESULT)
    assert raw.index(b"{not json") < raw.index(b"[1, 2, 3]") < raw.index(b'"a string"') < raw.index(b"\xff\xfe")
    assert RESULT.search(raw[raw.index(b"\xff\xfe") :])


async def test_a_storm_of_progress_and_then_the_result(client: Client) -> None:
    _, heard, _ = await first_of(client, "progress_storm")
    assert len([message for message in heard if message["type"] == "render_progress"]) == 5_000 * 1.5 * 0.02
    assert heard[-1]["type"] == "file"


async def test_progress_to_the_end_and_no_result(client: Client) -> None:
    job = await begin(client, "progress_only", more="[render:5]")
    async with subscribe(client, job) as stream:
        heard = messages(await hear(stream, b'"progress":100'))
        await hear(stream, PING)
    assert {message["type"] for message in heard} == {"render_progress"}
    assert (await status(client, job))["url"]


async def test_a_null_url_comes_before_the_url(client: Client) -> None:
    _, heard, _ = await first_of(client, "null_url")
    assert [message["object"]["url"] is None for message in heard] == [True, False]


async def test_a_bare_file_id_can_be_resolved_at_once(client: Client) -> None:
    job = await begin(client, "file_id_only", more="[render:5]")
    async with subscribe(client, job) as stream:
        (message,) = messages(await hear(stream, b'"file_id"'))
        assert message == {"type": "render_result", "object": {"file_id": job["id"]}}
        assert (await status(client, job))["url"]


async def test_a_thumbnail_comes_before_the_url(client: Client) -> None:
    _, heard, _ = await first_of(client, "thumbnail_first")
    shown = [(bool(message["object"]["thumbnail_url"]), bool(message["object"]["url"])) for message in heard]
    assert shown == [(True, False), (True, True)]


async def test_the_result_three_times(client: Client) -> None:
    job = await begin(client, "duplicate")
    three = re.compile(rb'("id":"%s","url":".*){3}' % job["id"].encode(), re.DOTALL)
    async with subscribe(client, job) as stream:
        heard = messages(await hear(stream, three))
    assert len(heard) == 3
    assert heard[0] == heard[1] == heard[2]


async def test_results_of_other_files_come_before_ours(client: Client) -> None:
    job, heard, _ = await first_of(client, "foreign")
    ids = [message["object"]["id"] for message in heard]
    assert ids[-1] == job["id"]
    assert len(set(ids)) == len(ids) == 4
    assert all(message["object"]["url"] for message in heard)


@pytest.mark.parametrize(("flow", "other"), [("file", "project"), ("project", "file")])
async def test_the_result_comes_on_the_other_kind_of_channel_only(client: Client, flow: str, other: str) -> None:
    job = await begin(client, "wrong_channel", flow)
    wrong = f"{other}.{job['id']}"
    async with client.get(f"{API}/events/{wrong}") as stream:
        await hear(stream, RESULT)
    assert [event["channel"] for event in (await truth(client, job["id"]))["events"]] == [wrong]
    assert (await status(client, job))["url"]


async def test_older_progress_comes_after_the_result(client: Client) -> None:
    job = await begin(client, "out_of_order")
    async with subscribe(client, job) as stream:
        heard = messages(await hear(stream, b'"progress":40'))
    assert [message["type"] for message in heard] == ["file", "render_progress"]


async def test_a_task_error_is_told_and_shown(client: Client) -> None:
    job = await begin(client, "task_error", more="[render:5]")
    async with subscribe(client, job) as stream:
        (message,) = messages(await hear(stream, b'"task"'))
    assert (message["object"]["status"], message["object"]["file_id"]) == ("error", job["id"])
    file = await status(client, job)
    assert (file["url"], file["tasks"][0]["status"]) == (None, "error")


async def test_a_task_error_comes_after_the_result(client: Client) -> None:
    job = await begin(client, "result_then_error")
    async with subscribe(client, job) as stream:
        heard = messages(await hear(stream, b'"type":"task"'))
    assert [message["type"] for message in heard] == ["file", "task"]
    assert heard[1]["object"]["status"] == "error"
    await until_shown(client, job)


async def test_the_result_waits_for_a_reconnect_that_says_where_it_was(client: Client) -> None:
    job = await begin(client, "id_retry")
    async with subscribe(client, job) as stream:
        heard = await stream.read()
    assert b"id: event-1\r\nretry: 100\r\ndata: " in heard  # 5000 ms, scaled to a fiftieth
    async with subscribe(client, job) as forgetful:
        assert not messages(await hear(forgetful, PING) + await hear(forgetful, PING))
    assert (await status(client, job))["url"] is None
    async with subscribe(client, job, **{"Last-Event-ID": "event-1"}) as stream:
        await hear(stream, RESULT)
        assert (await status(client, job))["url"] is None
    assert [connection["last_event_id"] for connection in (await truth(client, job["id"]))["connections"]] == [
        None,
        None,
        "event-1",
    ]


async def test_the_stream_stays_open_and_noisy_after_the_result(client: Client) -> None:
    job = await begin(client, "never_closes")
    async with subscribe(client, job) as stream:
        await hear(stream, RESULT)
        for _ in range(5):
            await hear(stream, PING)


@pytest.mark.parametrize("fault", ["null_url", "duplicate", "malformed", "sse_redirect", "poll_stale"])
async def test_where_sse_has_to_win_nothing_is_told_before_somebody_listens(client: Client, fault: str) -> None:
    """Jobs that end later, by time alone, were begun later: when one of those is done, so would these be."""
    job, later = await begin(client, fault), await begin(client, "silent", more="[render:5]")
    await until_shown(client, later)
    assert not (await truth(client, job["id"]))["events"]
    assert (await status(client, job))["url"] is None


@pytest.mark.parametrize("fault", ["last_moment", "late"])
async def test_what_comes_late_comes_on_both_channels(client: Client, fault: str) -> None:
    job = await begin(client, fault, more="[render:5]")
    async with subscribe(client, job) as stream:
        await hear(stream, RESULT)
    assert (await status(client, job))["url"]
