"""The simulated provider by its wire contract: calls, shapes, the token, and what its own endpoints tell."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from monitor.simulator.admin import STAGE
from monitor.simulator.app import build_simulator, serve_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS

Client = TestClient[web.Request, web.Application]
MakeClient = Callable[..., Awaitable[Client]]

TOKEN = {"Authorization": "Bearer simulator-token"}
API = "/api/v1"


@pytest.fixture
async def client(no_stray_tasks: None, aiohttp_client: MakeClient) -> Client:
    return await aiohttp_client(build_simulator(SimulatorConfig(fixed_render_s=0.0)), headers=TOKEN)


def image(prompt: str = "a fox", **config: Any) -> dict[str, Any]:
    return {"config": {"prompt": prompt, "generation_config_name": "comfyui/flux", **config}}


async def read(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def create(client: Client, path: str, body: Any) -> Any:
    async with client.post(API + path, json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_an_image_is_answered_by_a_list_and_found_under_its_id(client: Client) -> None:
    (file,) = await create(client, "/file/generate-image", image("[render:60]", seed=12))
    assert (file["url"], file["thumbnail_url"], file["type"], file["tasks"]) == (None, None, "image", [])
    assert file["image_generation"]["seed"] == 12
    assert await read(client, f"{API}/file/{file['id']}") == file


async def test_a_finished_image_has_an_absolute_url_that_serves_a_png_without_a_token(client: Client) -> None:
    (file,) = await create(client, "/file/generate-image", image("[fault:early]"))
    done = await read(client, f"{API}/file/{file['id']}")
    for url in (done["url"], done["thumbnail_url"]):
        assert URL(url).origin() == client.make_url("/").origin()
        async with aiohttp.ClientSession() as anybody, anybody.get(url) as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert (await response.read()).startswith(b"\x89PNG\r\n\x1a\n")


async def test_a_video_is_answered_by_an_object_with_a_task(client: Client) -> None:
    file = await create(client, "/file/generate-video", image("[fault:early]"))
    assert [task["status"] for task in file["tasks"]] == ["in_progress"]
    done = await read(client, f"{API}/file/{file['id']}")
    assert done["tasks"][0]["status"] == "completed"
    async with client.get(URL(done["url"]).path) as response:
        assert response.content_type == "video/mp4"
        assert (await response.read())[4:8] == b"ftyp"


PROJECT = {"type": "media", "template_name": None}


async def test_a_project_names_its_file_and_later_its_url(client: Client) -> None:
    project = await create(client, "/project/image", image("[render:60]") | PROJECT)
    file_id = project["data"][0]["value"]["file_id"]
    assert (await read(client, f"{API}/file/{file_id}"))["url"] is None
    assert (await read(client, f"{API}/project/{project['id']}"))["data"][0]["value"] == {"file_id": file_id}
    async with client.get(f"{API}/project/{file_id}") as response:
        assert response.status == 404


async def test_a_project_that_is_ready_at_once_answers_with_the_url(client: Client) -> None:
    project = await create(client, "/project/image", image("[fault:early]") | PROJECT)
    assert project["data"][0]["value"]["url"].startswith("http://")


async def test_an_asset_is_not_there_before_it_is_rendered(client: Client) -> None:
    (file,) = await create(client, "/file/generate-image", image("[render:60]"))
    for path in (f"/assets/generated/image/{file['id']}.png", "/assets/generated/image/nobody.png"):
        async with client.get(path) as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/file/generate-image"),
        ("POST", "/file/generate-video"),
        ("POST", "/project/image"),
        ("GET", "/file/x"),
        ("GET", "/file/x?moved=elsewhere"),
        ("GET", "/project/x"),
        ("GET", "/events/file.x"),
        ("GET", "/ping"),
        ("GET", "/generation-config"),
        ("GET", "/no/such/path"),
    ],
)
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "simulator-token"}])
async def test_who_has_no_token_is_refused(
    aiohttp_client: MakeClient, method: str, path: str, given: dict[str, str]
) -> None:
    stranger = await aiohttp_client(build_simulator(SimulatorConfig()), headers=given)
    async with stranger.request(method, API + path) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert await response.json() == {"detail": "Not authenticated"}


async def test_without_a_token_everybody_may_ask(aiohttp_client: MakeClient) -> None:
    anybody = await aiohttp_client(build_simulator(SimulatorConfig(token=None)))
    assert await read(anybody, f"{API}/ping") == "pong"


async def test_an_unknown_id_is_not_found(client: Client) -> None:
    for path in ("/file/x", "/project/x"):
        async with client.get(API + path) as response:
            assert (response.status, await response.json()) == (404, {"detail": "Not found"})


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [("GET", "/generation-configs", 404, "Not Found"), ("DELETE", "/file/x", 405, "Method Not Allowed")],
)
async def test_what_there_is_not_is_told_as_fastapi_tells_it(
    client: Client, method: str, path: str, status: int, said: str
) -> None:
    async with client.request(method, API + path) as response:
        assert (response.status, await response.json()) == (status, {"detail": said})
        assert ("Allow" in response.headers) == (status == 405)


async def test_a_body_that_is_none_is_refused_as_fastapi_does(client: Client) -> None:
    async with client.post(f"{API}/file/generate-image", json={"config": {"prompt": "a fox"}}) as response:
        assert response.status == 422
        (said,) = (await response.json())["detail"]
    assert (said["type"], said["loc"]) == ("missing", ["body", "config", "generation_config_name"])
    assert (await read(client, "/-/counts"))["jobs"] == 0


async def test_an_unknown_fault_in_the_prompt_is_refused_with_the_names(client: Client) -> None:
    async with client.post(f"{API}/file/generate-image", json=image("[fault:sielnt]")) as response:
        assert response.status == 422
        (said,) = (await response.json())["detail"]
    assert said["loc"] == ["body", "config", "prompt"]
    assert all(name in said["msg"] for name in FAULTS)


async def test_the_models_are_listed(client: Client) -> None:
    page = await read(client, f"{API}/generation-config")
    assert "comfyui/flux" in [item["name"] for item in page["items"]]


async def test_a_seed_tells_the_same_story_over_the_wire(aiohttp_client: MakeClient) -> None:
    told = []
    for seed in (5, 5, 6):
        config = SimulatorConfig(seed=seed, mix={"late": 1, "never": 1, "last_moment": 1, "healthy": 1})
        client = await aiohttp_client(build_simulator(config), headers=TOKEN)
        ids = [(await create(client, "/file/generate-image", image(f"{n}")))[0]["id"] for n in range(12)]
        truths = [await read(client, f"/-/jobs/{id_}") for id_ in ids]
        told.append([(truth["id"], truth["fault"], truth["render_s"]) for truth in truths])
    assert told[0] == told[1] != told[2]


async def test_the_truth_of_a_job_is_told_by_either_id(client: Client) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = image("[fault:early]") | PROJECT
    async with client.post(f"{API}/project/image", json=body, headers={"traceparent": traceparent}) as response:
        project = await response.json()
    await read(client, f"{API}/project/{project['id']}")
    truth = await read(client, f"/-/jobs/{project['id']}")
    assert truth == await read(client, f"/-/jobs/{truth['id']}")
    assert (truth["fault"], truth["model"], truth["traceparent"]) == ("early", "comfyui/flux", traceparent)
    assert truth["created_at_ms"] == 0
    assert truth["completed_at_ms"] >= 0
    assert [(event["channel"], event["subscribers"]) for event in truth["events"]] == [
        (f"file.{truth['id']}", 0),
        (f"project.{project['id']}", 0),
    ]
    assert [(poll["path"], poll["answer"]) for poll in truth["polls"]] == [(f"{API}/project/{project['id']}", "ready")]


async def test_an_unknown_job_has_no_truth(client: Client) -> None:
    async with client.get("/-/jobs/x") as response:
        assert response.status == 404


async def test_jobs_are_listed_newest_first(client: Client) -> None:
    ids = [(await create(client, "/file/generate-image", image()))[0]["id"] for _ in range(3)]
    assert [job["id"] for job in (await read(client, "/-/jobs"))["jobs"]] == ids[::-1]
    assert [job["id"] for job in (await read(client, "/-/jobs?limit=1"))["jobs"]] == ids[2:]
    assert (await read(client, "/-/jobs?limit=0"))["jobs"] == []


async def test_creates_and_jobs_and_polls_are_counted(client: Client) -> None:
    (file,) = await create(client, "/file/generate-image", image())
    async with client.post(f"{API}/file/generate-image", json=image("[fault:create_400]")) as response:
        assert response.status == 400
    await read(client, f"{API}/file/{file['id']}")
    assert await read(client, "/-/counts") == {"creates": 2, "jobs": 1, "polls": 1, "streams": 0, "streams_open": 0}


async def test_the_mix_is_changed_while_it_runs(client: Client) -> None:
    assert (await read(client, "/-/faults"))["mix"] == {"healthy": 1.0}
    async with client.put("/-/mix", json={"mix": {"silent": 1}}) as response:
        assert (response.status, await response.json()) == (200, {"mix": {"silent": 1.0}})
    (file,) = await create(client, "/file/generate-image", image())
    assert (await read(client, f"/-/jobs/{file['id']}"))["fault"] == "silent"
    told = await read(client, "/-/faults")
    assert told["mix"] == {"silent": 1.0}
    assert [fault["name"] for fault in told["faults"]] == list(FAULTS)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        7,
        {"mix": []},
        {"mix": {}},
        {"mix": {"sielnt": 1}},
        {"mix": {"silent": -1}},
        {"mix": {"silent": "x"}},
        {"mix": {"silent": None}},
        {"mix": None},
    ],
)
async def test_a_mix_that_is_none_changes_nothing(client: Client, body: Any) -> None:
    async with client.put("/-/mix", json=body) as response:
        assert response.status == 422
        assert (await response.json())["detail"]
    assert (await read(client, "/-/faults"))["mix"] == {"healthy": 1.0}


async def test_an_unknown_fault_in_the_mix_is_refused_with_the_names(client: Client) -> None:
    async with client.put("/-/mix", json={"mix": {"sielnt": 1}}) as response:
        said = (await response.json())["detail"]
    assert all(name in said for name in FAULTS)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"nix", "'nix'"),
        (b'{"silent": 1}', '{"silent": 1}'),
        (b'{"mix": {"silent": 1}, "mxi": 2}', "mxi"),
        (b'{"mix": {"silent": "x"}}', "weight of silent is 'x'; it must be a finite number, 0 or more"),
        (b'{"mix": {"silent": true}}', "weight of silent is True"),
        (b'{"mix": {"silent": null}}', "weight of silent is None"),
    ],
)
async def test_a_mix_that_is_none_is_told_what_was_found_and_what_may_be(
    client: Client, raw: bytes, found: str
) -> None:
    async with client.put("/-/mix", data=raw) as response:
        assert response.status == 422
        said = (await response.json())["detail"]
    assert found in said
    assert "must be" in said


@pytest.mark.parametrize("limit", ["abc", "-1", "", "123456789", "1.5"])
async def test_a_limit_that_is_none_is_refused(client: Client, limit: str) -> None:
    async with client.get(f"/-/jobs?limit={limit}") as response:
        assert response.status == 422
        said = (await response.json())["detail"]
    assert said.startswith(f"limit is {limit!r}; it must be")


async def test_a_project_is_the_same_whenever_it_is_read(client: Client) -> None:
    made = await create(client, "/project/image", {**image("[render:9999]"), "template_name": None})
    assert await read(client, f"{API}/project/{made['id']}") == made


@pytest.fixture
async def served() -> AsyncIterator[str]:
    async with serve_simulator(SimulatorConfig(), "127.0.0.1", 0) as url:
        yield url


async def test_it_serves_on_a_free_port_and_says_where(served: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{served}/-/healthy") as response:
        assert response.status == 200


async def test_jobs_that_render_are_remembered_longer_than_those_that_ended(aiohttp_client: MakeClient) -> None:
    client = await aiohttp_client(build_simulator(SimulatorConfig(max_jobs=2)), headers=TOKEN)
    prompts = ("[render:60]", "[fault:early]", "[fault:never]", "[render:60]")
    ids = [(await create(client, "/file/generate-image", image(prompt)))[0]["id"] for prompt in prompts]
    assert [job["id"] for job in (await read(client, "/-/jobs"))["jobs"]] == [ids[3], ids[0]]


async def test_while_it_closes_hanging_calls_are_answered_and_new_streams_end(
    no_stray_tasks: None, aiohttp_client: MakeClient
) -> None:
    app = build_simulator(SimulatorConfig())
    client = await aiohttp_client(app, headers=TOKEN)
    hanging = asyncio.create_task(client.post(f"{API}/file/generate-image", json=image("[fault:create_hangs]")))
    while not (await read(client, "/-/jobs"))["jobs"]:
        await asyncio.sleep(0)
    app[STAGE].begin_closing()
    assert (await hanging).status == 500
    async with client.get(f"{API}/events/test") as stream:
        assert await stream.read() == b""


async def test_it_closes_at_once_though_calls_hang_and_streams_are_open(no_stray_tasks: None) -> None:
    async with aiohttp.ClientSession(headers=TOKEN) as http:
        async with serve_simulator(SimulatorConfig(), "127.0.0.1", 0) as url:
            stream = await http.get(f"{url}{API}/events/test")
            hanging = asyncio.create_task(_post(http, url, image("[fault:create_hangs]")))
            async with http.get(f"{url}/-/counts") as response:
                assert (await response.json())["streams_open"] == 1
            while not await _jobs(http, url):
                await asyncio.sleep(0)
        assert await stream.read() == b""
        assert await hanging in (500, None)


async def _post(http: aiohttp.ClientSession, url: str, body: Any) -> int | None:
    """The status of a create call; None when there was no answer."""
    try:
        async with http.post(f"{url}{API}/file/generate-image", json=body) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return None


async def _jobs(http: aiohttp.ClientSession, url: str) -> list[Any]:
    async with http.get(f"{url}/-/jobs") as response:
        jobs: list[Any] = (await response.json())["jobs"]
        return jobs
