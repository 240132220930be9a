"""The service as a process: killed, terminated, misconfigured."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from tests.service_process import serving, variables_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

IN_FLIGHT = 200


async def _ask(http: aiohttp.ClientSession, url: str, prompt: str) -> str:
    async with http.post(f"{url}/v1/generations", json={"prompt": prompt}) as response:
        assert response.status == 202, await response.text()
        return str((await response.json())["id"])


async def _all(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    """Every generation of the store, page by page."""
    items: list[dict[str, Any]] = []
    path = "/v1/generations?limit=200"
    while path:
        async with http.get(url + path) as response:
            page = await response.json()
        items += page["items"]
        path = f"/v1/generations?limit=200&cursor={page['next']}" if page["next"] else ""
    return items


async def _until_ended(http: aiohttp.ClientSession, url: str, number: int) -> list[dict[str, Any]]:
    generations: list[dict[str, Any]] = []
    for _ in range(600):
        generations = await _all(http, url)
        if len(generations) == number and all(item["state"] == "ended" for item in generations):
            return generations
        await asyncio.sleep(0.1)
    raise AssertionError([item for item in generations if item["state"] != "ended"][:3])


@asynccontextmanager
async def _provider(render_s: float) -> AsyncIterator[str]:
    async with serve_simulator(SimulatorConfig(fixed_render_s=render_s, heartbeat_s=1), "127.0.0.1", 0) as url:
        yield url


async def _counts(http: aiohttp.ClientSession, provider_url: str) -> dict[str, int]:
    async with http.get(f"{provider_url}/-/counts") as response:
        counts: dict[str, int] = await response.json()
        return counts


async def test_killed_with_200_in_flight_each_ends_once_and_nothing_is_created_twice(tmp_path: Path) -> None:
    async with _provider(6.0) as provider_url, aiohttp.ClientSession() as http:
        variables = variables_of(tmp_path, provider_url)
        async with serving(variables) as (process, url):
            ids = await asyncio.gather(*(_ask(http, url, f"fox {number}") for number in range(IN_FLIGHT)))
            while (await _counts(http, provider_url))["creates"] < IN_FLIGHT:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        async with serving(variables) as (_, url):
            generations = await _until_ended(http, url, IN_FLIGHT)
            async with http.get(f"{url}/metrics") as response:
                metrics = await response.text()
        counts = await _counts(http, provider_url)
    assert {item["id"] for item in generations} == set(ids)
    assert counts["creates"] == IN_FLIGHT
    assert {item["outcome"] for item in generations} == {"delivered"}
    counted = re.findall(r"^generation_outcomes_total\{.*\} (\d+)", metrics, re.MULTILINE)
    assert sum(map(int, counted)) == IN_FLIGHT


async def test_killed_while_they_end_what_had_ended_stays_as_it_was_and_the_rest_ends(tmp_path: Path) -> None:
    async with _provider(1.0) as provider_url, aiohttp.ClientSession() as http:
        variables = variables_of(tmp_path, provider_url)
        async with serving(variables) as (process, url):
            prompts = (f"fox [render:{1 + 6 * number / IN_FLIGHT:.3f}]" for number in range(IN_FLIGHT))
            ids = await asyncio.gather(*(_ask(http, url, prompt) for prompt in prompts))
            while len(told := [item for item in await _all(http, url) if item["state"] == "ended"]) < IN_FLIGHT / 4:
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        async with serving(variables) as (_, url):
            generations = {item["id"]: item for item in await _until_ended(http, url, IN_FLIGHT)}
        counts = await _counts(http, provider_url)
    assert set(generations) == set(ids)
    assert counts["creates"] == IN_FLIGHT
    assert {item["outcome"] for item in generations.values()} == {"delivered"}
    for item in told:
        kept = generations[item["id"]]
        assert (kept["ended_at"], kept["channel"], kept["asset"]) == (item["ended_at"], item["channel"], item["asset"])


async def test_killed_in_the_middle_of_the_create_calls_they_are_marked_and_not_repeated(tmp_path: Path) -> None:
    async with _provider(1.0) as provider_url, aiohttp.ClientSession() as http:
        variables = variables_of(tmp_path, provider_url)
        async with serving(variables) as (process, url):
            await asyncio.gather(*(_ask(http, url, f"fox {number} [fault:create_hangs]") for number in range(5)))
            while (await _counts(http, provider_url))["creates"] < 5:
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        async with serving(variables) as (_, url):
            generations = await _until_ended(http, url, 5)
        counts = await _counts(http, provider_url)
    assert counts["creates"] == 5
    assert {(item["outcome"], item["reason"]) for item in generations} == {("rejected", "create_unknown")}


async def test_terminated_it_tells_the_callers_leaves_the_rest_resumable_and_exits_in_time(tmp_path: Path) -> None:
    async with _provider(6.0) as provider_url, aiohttp.ClientSession() as http:
        variables = variables_of(tmp_path, provider_url, MONITOR_SERVER__SHUTDOWN_GRACE="9")
        async with serving(variables) as (process, url):
            ids = await asyncio.gather(*(_ask(http, url, f"fox {number}") for number in range(IN_FLIGHT)))
            waiting = asyncio.create_task(_wait_for_result(http, url))
            following = asyncio.create_task(_follow(http, url, ids[0]))
            await asyncio.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):  # a bound for the test, well over the grace
                assert await process.wait() == 0
            status, body = await waiting
            assert (status, body["state"]) in ((202, "submitted"), (202, "accepted"))
            assert "sse_opened" in await following
        async with serving(variables) as (_, url):
            generations = await _until_ended(http, url, IN_FLIGHT + 1)
        counts = await _counts(http, provider_url)
    assert counts["creates"] == IN_FLIGHT + 1
    assert {item["outcome"] for item in generations} == {"delivered"}


async def _wait_for_result(http: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, Any]]:
    headers = {"Prefer": "wait=60"}
    async with http.post(f"{url}/v1/generations", json={"prompt": "the last"}, headers=headers) as response:
        return response.status, await response.json()


async def _follow(http: aiohttp.ClientSession, url: str, generation_id: str) -> str:
    async with http.get(f"{url}/v1/generations/{generation_id}/events") as response:
        return await response.text()


async def _run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """A command to its end: its exit code and what it said."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MONITOR_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        *arguments,
        env=inherited | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_it_refuses_to_listen_for_others_without_tokens_and_says_how_to_make_one(tmp_path: Path) -> None:
    variables = variables_of(tmp_path, "http://127.0.0.1:9", MONITOR_SERVER__HOST="0.0.0.0")
    code, _, err = await _run("serve", **variables)
    assert code == 2
    assert "monitor token" in err
    assert "Traceback" not in err


async def test_a_port_in_use_is_told_in_words(tmp_path: Path) -> None:
    async with _provider(1.0) as provider_url:
        port = provider_url.rpartition(":")[2]
        variables = variables_of(tmp_path, provider_url, MONITOR_SERVER__PORT=port)
        code, _, err = await _run("serve", **variables)
    assert code == 1
    assert port in err
    assert "Traceback" not in err


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """Something else under the name of the database."""
    file = tmp_path / "monitor.db"
    file.write_text("Dear store, " * 100)
    return file


async def test_a_store_that_cannot_be_opened_is_told_in_words(letter: Path) -> None:
    code, _, err = await _run("serve", **variables_of(letter.parent, "http://127.0.0.1:9"))
    assert code == 1
    assert "the store at sqlite:///" in err
    assert "file is not a database" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["serve", "check"])
async def test_settings_that_cannot_be_are_told_by_whatever_reads_them(tmp_path: Path, command: str) -> None:
    code, _, err = await _run(command, **variables_of(tmp_path / "missing", "http://127.0.0.1:9"))
    assert code == 2
    assert "store.url: there is no folder" in err


async def test_generate_tells_the_url_and_its_exit_code_the_outcome(tmp_path: Path) -> None:
    async with _provider(0.3) as provider_url, serving(variables_of(tmp_path, provider_url)) as (_, url):
        code, out, err = await _run("generate", "a red fox", "--url", url)
        assert (code, out.startswith("http://")) == (0, True)
        assert "delivered by SSE" in err
        code, out, _ = await _run("generate", "a red fox [fault:task_error]", "--url", url, "--json")
        assert (code, json.loads(out)["outcome"]) == (4, "provider_failed")
        code, _, err = await _run("generate", "a red fox [fault:create_402]", "--url", url)
        assert code == 5
        assert "Not enough credits" in err


async def test_generate_says_so_when_no_service_answers() -> None:
    code, _, err = await _run("generate", "a red fox", "--url", "http://127.0.0.1:9")
    assert code == 1
    assert "no service answers" in err


async def test_ctrl_c_cancels_the_generation(tmp_path: Path) -> None:
    async with _provider(30.0) as provider_url, serving(variables_of(tmp_path, provider_url)) as (_, url):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "generate", "a fox", "--url", url, stderr=asyncio.subprocess.PIPE
        )
        async with aiohttp.ClientSession() as http:
            while not (generations := await _all(http, url)):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
            assert process.returncode == 130, err
            assert b"Traceback" not in err
            generations = await _until_ended(http, url, 1)
    assert generations[0]["outcome"] == "cancelled"
