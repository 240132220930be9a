"""How the simulated provider answers creates and status calls, and what its results serve, fault by fault."""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from monitor.simulator.app import build_simulator
from monitor.simulator.config import SimulatorConfig

Client = TestClient[web.Request, web.Application]
MakeClient = Callable[..., Awaitable[Client]]

TOKEN = {"Authorization": "Bearer simulator-token"}
API = "/api/v1"
AT_ONCE = SimulatorConfig(fixed_render_s=0.0, time_scale=0.002)


@pytest.fixture
async def client(no_stray_tasks: None, aiohttp_client: MakeClient) -> Client:
    return await aiohttp_client(build_simulator(AT_ONCE), headers=TOKEN)


def body(prompt: str, **config: Any) -> dict[str, Any]:
    return {
        "template_name": None,
        "config": {"prompt": prompt, "generation_config_name": "comfyui/flux", **config},
    }


async def post(client: Client, prompt: str, path: str = "/file/generate-image", **config: Any) -> tuple[int, Any, Any]:
    """A create call: status, JSON, headers."""
    async with client.post(API + path, json=body(prompt, **config)) as response:
        return response.status, await response.json(), response.headers


async def begin(client: Client, fault: str, flow: str = "file", *, more: str = "") -> str:
    """The path of status calls of a job with `fault` that is done."""
    path = "/file/generate-image" if flow == "file" else "/project/image"
    status, said, _ = await post(client, f"a fox [fault:{fault}]{more}", path)
    assert status == 200, said
    id_ = said[0]["id"] if flow == "file" else said["id"]
    while (await tell(client, f"/-/jobs/{id_}"))["completed_at_ms"] is None:
        await asyncio.sleep(0.002)
    return f"{API}/{flow}/{id_}"


async def tell(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        return await response.json()


async def ask(client: Client, path: str) -> tuple[int, bytes]:
    async with client.get(path) as response:
        return response.status, await response.read()


async def answers(client: Client, path: str) -> list[str]:
    """What the truth says of the status calls so far."""
    return [poll["answer"] for poll in (await tell(client, f"/-/jobs/{path.rpartition('/')[2]}"))["polls"]]


BOTH_FLOWS = pytest.mark.parametrize("flow", ["file", "project"])


@BOTH_FLOWS
@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("silent", [200, 200]),
        ("poll_5xx_burst", [502, 502, 502, 502, 200, 200]),
        ("poll_500_always", [500] * 8),
        ("poll_404_first", [404, 404, 404, 200]),
        ("poll_429", [429, 429, 200]),
        ("poll_429_date", [429, 429, 200]),
        ("poll_401_mid", [200, 401, 401]),
    ],
)
async def test_status_calls_fail_in_their_order(client: Client, fault: str, flow: str, statuses: list[int]) -> None:
    path = await begin(client, fault, flow)
    assert [(await ask(client, path))[0] for _ in statuses] == statuses
    assert await answers(client, path) == ["ready" if status == 200 else str(status) for status in statuses]


async def test_how_long_to_wait_is_told_in_seconds(client: Client) -> None:
    async with client.get(await begin(client, "poll_429")) as response:
        assert response.headers["Retry-After"] == "2"


async def test_how_long_to_wait_is_told_as_a_date(client: Client) -> None:
    async with client.get(await begin(client, "poll_429_date")) as response:
        wait = parsedate_to_datetime(response.headers["Retry-After"]) - parsedate_to_datetime(response.headers["Date"])
    assert 2 <= wait.total_seconds() <= 3


@BOTH_FLOWS
async def test_only_the_first_status_call_hangs(client: Client, flow: str) -> None:
    path = await begin(client, "poll_hangs", flow)
    hanging = asyncio.create_task(ask(client, path))
    while await answers(client, path) != ["hangs"]:
        await asyncio.sleep(0)
    assert b'"url":"http' in (await ask(client, path))[1]
    assert not hanging.done()
    hanging.cancel()
    await asyncio.wait({hanging})


async def test_the_first_body_drips(client: Client) -> None:
    path = await begin(client, "poll_slow_body")
    async with client.get(path) as response:
        parts = [data async for data, _ in response.content.iter_chunks()]
    assert len(parts) > 20
    assert orjson.loads(b"".join(parts)) == orjson.loads((await ask(client, path))[1])
    assert await answers(client, path) == ["drips", "ready"]


async def test_garbage_comes_in_four_kinds_and_then_the_answer(client: Client) -> None:
    path = await begin(client, "poll_garbage")
    spoilt = [await ask(client, path) for _ in range(4)]
    assert {status for status, _ in spoilt} == {200}
    assert [text[:1] for _, text in spoilt] == [b"<", b"{", b"[", b"{"]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(spoilt[1][1])
    assert not isinstance(orjson.loads(spoilt[3][1])["url"], str)
    assert orjson.loads((await ask(client, path))[1])["url"]
    assert await answers(client, path) == ["garbage"] * 4 + ["ready"]


async def test_the_first_body_is_huge(client: Client) -> None:
    path, size = await begin(client, "poll_huge"), 0
    async with client.get(path) as response:
        async for part in response.content.iter_any():
            size += len(part)
    assert size > 50 * 1024 * 1024
    assert len((await ask(client, path))[1]) < 2_000


@BOTH_FLOWS
async def test_a_caller_who_leaves_in_the_middle_makes_no_noise(
    client: Client, flow: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = await begin(client, "poll_huge", flow)
    async with client.get(path) as response:
        await response.content.readany()
    assert b'"url":"http' in (await ask(client, path))[1]
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_stale_status_calls_never_show_the_result(client: Client) -> None:
    """A job that was told later, and hides as long, is shown by then."""
    stale, later = await heard(client, "poll_stale"), await heard(client, "duplicate")
    while not (await tell(client, later))["url"]:
        await asyncio.sleep(0.01)
    assert (await tell(client, stale))["url"] is None


async def heard(client: Client, fault: str) -> str:
    """The path of status calls of a job whose result was told on its stream."""
    _, said, _ = await post(client, f"a fox [fault:{fault}]")
    async with client.get(f"{API}/events/file.{said[0]['id']}") as stream:
        while b'"url":"' not in await stream.content.readany():
            pass
    return f"{API}/file/{said[0]['id']}"


async def test_a_completed_task_has_no_url_for_a_while(aiohttp_client: MakeClient) -> None:
    client = await aiohttp_client(build_simulator(SimulatorConfig(fixed_render_s=0.0, time_scale=0.1)), headers=TOKEN)
    path = await begin(client, "poll_completed_no_url")
    file = await tell(client, path)
    assert (file["url"], file["tasks"][0]["status"]) == (None, "completed")
    while not (await tell(client, path))["url"]:
        await asyncio.sleep(0.02)


async def test_an_error_can_only_be_seen_by_asking(client: Client) -> None:
    for flow in ("file", "project"):
        path = await begin(client, "task_error_silent", flow)
        assert (await tell(client, path))["tasks"][0]["status"] == "error"
        assert await answers(client, path) == ["failed"]
        assert not (await tell(client, f"/-/jobs/{path.rpartition('/')[2]}"))["events"]


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("resolve_pending", [(200, False), (200, False), (200, True)]),
        ("resolve_404", [(404, False), (404, False), (200, True)]),
        ("resolve_500", [(500, False), (500, False), (200, True)]),
    ],
)
async def test_a_project_has_a_file_that_cannot_be_resolved_at_first(
    client: Client, fault: str, seen: list[tuple[int, bool]]
) -> None:
    path = await begin(client, fault, "project")
    (item,) = (await tell(client, path))["data"]
    assert set(item["value"]) == {"file_id"}
    asked = [await ask(client, f"{API}/file/{item['value']['file_id']}") for _ in seen]
    assert [(status, b'"url":"http' in text) for status, text in asked] == seen


async def test_a_project_says_nothing_of_its_file_before_it_can_be_resolved(client: Client) -> None:
    _, project, _ = await post(client, "[fault:resolve_404][render:9999]", "/project/image")
    assert project["data"] == []
    assert (await tell(client, f"{API}/project/{project['id']}"))["data"] == []


async def test_a_project_names_a_file_of_another_type(client: Client) -> None:
    (item,) = (await tell(client, await begin(client, "resolve_wrong_type", "project")))["data"]
    assert (await tell(client, f"{API}/file/{item['value']['file_id']}"))["type"] == "text"


async def test_a_project_names_a_file_that_has_only_a_thumbnail(client: Client) -> None:
    (item,) = (await tell(client, await begin(client, "resolve_thumbnail", "project")))["data"]
    file = await tell(client, f"{API}/file/{item['value']['file_id']}")
    assert (file["url"], "thumbnail" in file["thumbnail_url"]) == (None, True)


async def test_event_and_status_call_come_in_the_same_instant(aiohttp_client: MakeClient) -> None:
    client = await aiohttp_client(build_simulator(SimulatorConfig()), headers=TOKEN)
    for path, flow in (("/file/generate-image", "file"), ("/project/image", "project")):
        _, said, _ = await post(client, "[fault:both_at_once][render:0.1]", path)
        id_ = said[0]["id"] if flow == "file" else said["id"]
        answer = await tell(client, f"{API}/{flow}/{id_}")
        truth = await tell(client, f"/-/jobs/{id_}")
        assert answer["id"] == id_
        assert [poll["answer"] for poll in truth["polls"]] == ["ready"]
        assert truth["polls"][0]["at_ms"] >= truth["completed_at_ms"]


async def test_never_is_never_ready(client: Client) -> None:
    _, said, _ = await post(client, "[fault:never]")
    await begin(client, "silent")
    assert (await tell(client, f"{API}/file/{said[0]['id']}"))["url"] is None


@pytest.mark.parametrize(("fault", "render_s"), [("late", 90.0), ("last_moment", 29.5), ("both_at_once", 2.3)])
async def test_some_faults_have_render_times_of_their_own(
    aiohttp_client: MakeClient, fault: str, render_s: float
) -> None:
    client = await aiohttp_client(build_simulator(SimulatorConfig(fixed_render_s=1.5)), headers=TOKEN)
    _, said, _ = await post(client, f"[fault:{fault}]")
    assert (await tell(client, f"/-/jobs/{said[0]['id']}"))["render_s"] == render_s


@pytest.mark.parametrize("status", [400, 401, 402, 403, 422])
async def test_a_create_call_is_refused_and_makes_no_job(client: Client, status: int) -> None:
    answered, said, _ = await post(client, f"[fault:create_{status}]")
    assert answered == status
    detail = said["detail"]
    assert isinstance(detail, list if status == 422 else str)
    if status == 422:
        assert {"type", "loc", "msg", "input"} == set(detail[0])
    assert (await tell(client, "/-/counts"))["jobs"] == 0


async def test_an_integrity_error_stays_with_its_seed(client: Client) -> None:
    statuses = [(await post(client, "[fault:create_409]", seed=seed))[0] for seed in (1, 1, 2, 1)]
    assert statuses == [409, 409, 200, 409]
    counts = await tell(client, "/-/counts")
    assert (counts["creates"], counts["jobs"]) == (4, 1)
    assert (await post(client, "[fault:create_409] other", seed=2))[1] == {"detail": "Integrity error, create"}


async def test_too_many_requests_once(client: Client) -> None:
    status, _, headers = await post(client, "[fault:create_429]")
    assert (status, headers["Retry-After"]) == (429, "2")
    assert (await post(client, "[fault:create_429]"))[0] == 200


async def test_a_job_is_made_though_the_answer_is_an_error(client: Client) -> None:
    assert (await post(client, "[fault:create_500_after_effect]"))[0] == 500
    (job,) = (await tell(client, "/-/jobs"))["jobs"]
    assert (await tell(client, f"/-/jobs/{job['id']}"))["fault"] == "create_500_after_effect"


async def test_a_job_is_made_though_there_is_no_answer(client: Client) -> None:
    hanging = asyncio.create_task(post(client, "[fault:create_hangs]"))
    while not (jobs := (await tell(client, "/-/jobs"))["jobs"]):
        await asyncio.sleep(0)
    assert jobs[0]["fault"] == "create_hangs"
    assert (await tell(client, "/-/counts"))["jobs"] == 1
    assert not hanging.done()
    hanging.cancel()
    await asyncio.wait({hanging})


async def test_create_calls_are_answered_in_several_shapes(client: Client) -> None:
    assert isinstance((await post(client, "[fault:create_object]"))[1], dict)
    assert len((await post(client, "[fault:create_list]"))[1]) == 1
    three = (await post(client, "[fault:create_list_of_three]"))[1]
    assert len({file["id"] for file in three}) == 3
    for file in three:
        assert (await tell(client, f"{API}/file/{file['id']}"))["id"] == file["id"]
    counts = await tell(client, "/-/counts")
    assert (counts["creates"], counts["jobs"]) == (3, 3)


async def test_a_project_has_no_data_until_it_is_ready(client: Client) -> None:
    _, project, _ = await post(client, "[fault:create_project][render:9999]", "/project/image")
    assert project["data"] == []
    assert (await tell(client, f"{API}/project/{project['id']}"))["data"] == []
    done = await tell(client, await begin(client, "create_project", "project"))
    assert done["data"][0]["value"]["url"].startswith("http://")


@pytest.mark.parametrize("fault", ["healthy", "signed_url", "no_extension", "uppercase", "relative_url"])
async def test_urls_of_every_shape_serve_the_picture(client: Client, fault: str) -> None:
    file = await tell(client, await begin(client, fault))
    async with client.get(URL(file["url"]).relative() if "://" in file["url"] else file["url"]) as response:
        assert (response.status, response.content_type) == (200, "image/png")


async def test_a_data_url_is_shown_as_it_is(client: Client) -> None:
    assert (await tell(client, await begin(client, "data_url")))["url"].startswith("data:image/png")


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "is_empty"),
    [
        ("asset_404", 404, "application/json", False),
        ("asset_html", 200, "text/html", False),
        ("asset_empty", 200, "image/png", True),
        ("asset_redirect_private", 302, "application/octet-stream", True),
    ],
)
async def test_a_url_serves_something_else(
    client: Client, fault: str, status: int, content_type: str, is_empty: bool
) -> None:
    file = await tell(client, await begin(client, fault))
    async with client.get(URL(file["url"]).path, allow_redirects=False) as response:
        assert (response.status, response.content_type) == (status, content_type)
        assert (await response.read() == b"") == is_empty
        assert response.headers.get("Location", "http://169.254.").startswith("http://169.254.")
