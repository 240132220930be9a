"""Canaries over HTTP: listed, run on demand, paused, reloaded; and on the page."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from monitor.cli import canary_commands
from monitor.cli.client import ServiceFailed
from monitor.delivery.errors import SettingsInvalid
from monitor.settings import Settings, hash_token, load_settings
from monitor.simulator.app import serve_simulator
from monitor.simulator.config import SimulatorConfig
from monitor.telemetry import catalog
from tests.serving import Running, serve_app, service_settings

FOX = {"name": "fox", "prompt": "a fox", "interval": 3600, "enabled": False, "price_usd": 0.04}


@asynccontextmanager
async def _service(
    folder: Path, reread: Callable[[Settings], Settings] | None = None, **changes: Any
) -> AsyncIterator[Running]:
    registry = CollectorRegistry()
    simulator = SimulatorConfig(fixed_render_s=0.2, heartbeat_s=0.2)
    async with serve_simulator(simulator, "127.0.0.1", 0) as provider_url, aiohttp.ClientSession() as http:
        settings = service_settings(folder, provider_url, **{"canary": [FOX], **changes})
        again = None if reread is None else lambda: reread(settings)
        async with serve_app(settings, registry, again) as url:
            yield Running(url, provider_url, http, registry)


async def _post(service: Running, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with service.http.post(service.url + path, json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def _only(service: Running) -> dict[str, Any]:
    (canary,) = (await service.get("/v1/canaries"))["items"]
    assert isinstance(canary, dict)
    return canary


async def _run_to_its_end(service: Running) -> None:
    assert (await _post(service, "/v1/canaries/fox/run"))[0] == 202
    async with asyncio.timeout(20):
        while (await _only(service))["runs"][0]["outcome"] is None:
            await asyncio.sleep(0.05)


async def test_a_run_on_demand_goes_the_way_of_every_generation_and_is_measured_and_paid(tmp_path: Path) -> None:
    brief = {"quick": {"grace": 0.5, "interval": 0.5, "max_attempts": 4, "window": 3.0}}
    provider = {"measured_ratio": 0.0, "check_private_assets": True}
    async with _service(tmp_path, provider=provider, policies=brief) as service:
        status, started = await _post(service, "/v1/canaries/fox/run")
        assert (status, started["origin"], started["canary"]) == (202, "canary", "fox")
        async with asyncio.timeout(20):
            while (ended := await service.get(f"/v1/generations/{started['id']}"))["asset_check"] is None:
                await asyncio.sleep(0.05)
        assert (ended["outcome"], ended["asset_check"]) == ("delivered", "ok")
        assert ended["measured"]["sse"] == "won"
        canary = await _only(service)
        assert canary["spending"] == {
            "day": {"spent_usd": 0.04, "limit_usd": None},
            "month": {"spent_usd": 0.04, "limit_usd": None},
        }
        assert [(run["generation"], run["outcome"]) for run in canary["runs"]] == [(started["id"], "delivered")]
        runs = {"provider": "superduperai", "canary": "fox", "outcome": "delivered"}
        assert service.registry.get_sample_value(catalog.CANARY_RUNS.name, runs) == 1
        page = await _page(service)
        assert "fox" in page
        assert f"/generations/{started['id']}" in page


async def _page(service: Running) -> str:
    async with service.http.get(service.url) as response:
        return await response.text()


async def test_while_it_runs_it_is_not_run_again(tmp_path: Path) -> None:
    async with _service(tmp_path, canary=[{**FOX, "prompt": "a fox [render:3]"}]) as service:
        assert (await _post(service, "/v1/canaries/fox/run"))[0] == 202
        status, problem = await _post(service, "/v1/canaries/fox/run")
        assert (status, problem["reason"]) == (409, "overlap")
        assert "still in flight" in problem["detail"]


async def test_at_the_limit_a_run_on_demand_is_refused_and_says_which(tmp_path: Path) -> None:
    async with _service(tmp_path, canary=[{**FOX, "max_usd_per_day": 0.05}]) as service:
        await _run_to_its_end(service)
        status, problem = await _post(service, "/v1/canaries/fox/run")
        assert (status, problem["reason"]) == (409, "limit")
        assert "$0.01 of $0.05 left" in problem["detail"]


async def test_an_unknown_canary_is_said_to_be_unknown_and_the_known_are_named(tmp_path: Path) -> None:
    async with _service(tmp_path) as service:
        for action in ("run", "resume", "pause"):
            status, problem = await _post(service, f"/v1/canaries/owl/{action}", {"reason": "x", "seconds": 1})
            assert (status, problem["detail"]) == (404, "there is no canary 'owl'; there are: fox")


async def test_a_pause_is_told_until_it_is_ended(tmp_path: Path) -> None:
    async with _service(tmp_path) as service:
        status, paused = await _post(service, "/v1/canaries/fox/pause", {"reason": "moving house", "seconds": 3600})
        assert (status, paused["pause"]["reason"]) == (200, "moving house")
        assert (await _only(service))["pause"] == paused["pause"]
        page = await _page(service)
        assert "moving house" in page
        who = {"provider": "superduperai", "canary": "fox"}
        assert service.registry.get_sample_value(catalog.CANARY_PAUSED.name, who) == 1
        assert (await _post(service, "/v1/canaries/fox/resume"))[0] == 200
        assert (await _only(service))["pause"] is None


async def test_the_command_line_pauses_lists_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with _service(tmp_path, canary=[FOX, {**FOX, "name": "owl"}]) as service:
        await canary_commands._pause(service.url, ["fox", "owl"], "moving house", 3600)
        listed = await canary_commands._canaries(service.url)
        assert [canary["pause"]["reason"] for canary in listed] == ["moving house"] * 2
        await canary_commands._resume(service.url, ["owl"])
        assert [canary["pause"] is None for canary in await canary_commands._canaries(service.url)] == [False, True]
        with pytest.raises(ServiceFailed, match="there is no canary 'elk'; there are: fox, owl"):
            await canary_commands._resume(service.url, ["elk"])
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" until ")[0] for line in said] == ["fox is paused", "owl is paused", "owl runs again"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"seconds": 60}, "reason"),
        ({"reason": "x"}, "give until or seconds"),
        ({"reason": "x", "seconds": 60, "until": "2999-01-01T00:00:00Z"}, "give until or seconds"),
        ({"reason": "x", "until": "2999-01-01T00:00:00Z"}, "90 days"),
        ({"reason": "x", "until": "2020-01-01T00:00:00Z"}, "not ahead"),
        ({"reason": "x", "until": "2020-01-01T00:00:00"}, "timezone"),
        ({"reason": "x", "seconds": 200 * 86_400}, "90 days"),
        ({"reason": "x", "until": "9999-12-31T23:59:59-23:59"}, "90 days"),
        ({"reason": "x", "until": "0001-01-01T00:00:00+23:59"}, "not ahead"),
        ({"reason": " ", "seconds": 1}, "reason"),
        ({"reason": "it is\x1b[31mred", "seconds": 1}, "line ends and control characters"),
        ({"reason": "x", "seconds": -1}, "greater than 0"),
        ({"reason": "x" * 201, "seconds": 1}, "200"),
        ({"reason": "x", "seconds": 1, "who": "me"}, "who"),
    ],
)
async def test_a_pause_that_makes_no_sense_is_refused_in_words(tmp_path: Path, body: Any, says: str) -> None:
    async with _service(tmp_path) as service:
        status, problem = await _post(service, "/v1/canaries/fox/pause", body)
        assert status == 422
        assert says in problem["detail"]
        assert (await _only(service))["pause"] is None


async def test_only_admins_run_pause_and_reload(tmp_path: Path) -> None:
    tokens = {"r" * 16: "read", "g" * 16: "generate", "a" * 16: "admin"}
    given = [{"name": scope, "scopes": [scope], "sha256": hash_token(token)} for token, scope in tokens.items()]
    async with _service(tmp_path, tokens=given) as service:
        for path in ("/v1/canaries/fox/run", "/v1/canaries/fox/pause", "/v1/canaries/fox/resume", "/-/reload"):
            body = {"reason": "x", "seconds": 1}
            answers = [(await _post(service, path, body, token))[0] for token in (None, "r" * 16, "g" * 16)]
            assert answers == [401, 403, 403], path
            assert (await _post(service, path, body, "a" * 16))[0] in (200, 202), path


class TestReload:
    async def test_a_changed_plan_is_in_force_and_what_changed_is_told(self, tmp_path: Path) -> None:
        owl = {**FOX, "name": "owl"}

        def reread(settings: Settings) -> Settings:
            return _with(settings, [{**FOX, "prompt": "another fox"}, owl])

        async with _service(tmp_path, reread, canary=[FOX, {**FOX, "name": "elk"}]) as service:
            status, told = await _post(service, "/-/reload")
            assert status == 200
            assert told == {
                "canaries": ["fox", "owl"],
                "changed": ["fox", "owl"],
                "gone": ["elk"],
                "limits_changed": False,
                "needs_restart": [],
            }
            assert [item["prompt"] for item in (await service.get("/v1/canaries"))["items"]] == ["another fox", "a fox"]

    async def test_a_limit_of_all_that_was_changed_holds_from_then_on(self, tmp_path: Path) -> None:
        def reread(settings: Settings) -> Settings:
            limited = settings.canaries.model_copy(update={"max_usd_per_day": Decimal("0.05")})
            return settings.model_copy(update={"canaries": limited})

        async with _service(tmp_path, reread) as service:
            assert (await _post(service, "/-/reload"))[1]["limits_changed"] is True
            await _run_to_its_end(service)
            assert (await _post(service, "/v1/canaries/fox/run"))[1]["reason"] == "limit"

    async def test_a_limit_of_a_provider_that_was_changed_holds_without_a_restart(self, tmp_path: Path) -> None:
        def reread(settings: Settings) -> Settings:
            (provider,) = settings.providers
            limited = provider.model_copy(update={"max_canary_usd_per_day": Decimal("0.05")})
            return settings.model_copy(update={"providers": (limited,)})

        async with _service(tmp_path, reread) as service:
            told = (await _post(service, "/-/reload"))[1]
            assert (told["limits_changed"], told["needs_restart"]) == (True, [])
            await _run_to_its_end(service)
            status, problem = await _post(service, "/v1/canaries/fox/run")
            assert (status, problem["reason"]) == (409, "limit")
            assert "provider superduperai" in problem["detail"]

    async def test_one_that_is_mended_is_taken_and_says_so(self, tmp_path: Path) -> None:
        wrong = [True]

        def reread(settings: Settings) -> Settings:
            if wrong:
                wrong.clear()
                raise SettingsInvalid(["canary.0.prompt: is missing"])
            return settings

        async with _service(tmp_path, reread) as service:
            assert (await _post(service, "/-/reload"))[0] == 422
            assert service.registry.get_sample_value(catalog.RELOADED.name) == 0
            assert (await _post(service, "/-/reload"))[0] == 200
            assert service.registry.get_sample_value(catalog.RELOADED.name) == 1

    async def test_one_that_is_not_valid_leaves_the_old_one_and_says_why(self, tmp_path: Path) -> None:
        def reread(_: Settings) -> Settings:
            raise SettingsInvalid(["canary.0.interval: give interval, in seconds, or cron, not both; found both"])

        async with _service(tmp_path, reread) as service:
            status, problem = await _post(service, "/-/reload")
            assert status == 422
            assert problem["errors"][0]["field"] == "canary.0.interval"
            assert service.registry.get_sample_value(catalog.RELOADED.name) == 0
            assert (await _only(service))["name"] == "fox"

    async def test_a_canary_of_a_provider_that_does_not_run_is_refused(self, tmp_path: Path) -> None:
        def reread(settings: Settings) -> Settings:
            other = settings.providers[0].model_copy(update={"name": "other"})
            changed = settings.model_copy(update={"providers": (*settings.providers, other)})
            return _with(changed, [{**FOX, "provider": "other"}])

        async with _service(tmp_path, reread) as service:
            status, problem = await _post(service, "/-/reload")
            assert status == 422
            assert "no provider is named 'other'" in problem["detail"]
            assert "restart" in problem["detail"]

    async def test_what_else_was_changed_is_said_to_need_a_restart(self, tmp_path: Path) -> None:
        def reread(settings: Settings) -> Settings:
            return settings.model_copy(update={"server": settings.server.model_copy(update={"port": 1})})

        async with _service(tmp_path, reread) as service:
            assert (await _post(service, "/-/reload"))[1]["needs_restart"] == ["server"]

    async def test_a_generation_in_flight_goes_on(self, tmp_path: Path) -> None:
        async with _service(tmp_path, lambda settings: _with(settings, [])) as service:
            started = (await _post(service, "/v1/canaries/fox/run"))[1]
            assert (await _post(service, "/-/reload"))[1]["gone"] == ["fox"]
            async with asyncio.timeout(20):
                while (ended := await service.get(f"/v1/generations/{started['id']}"))["outcome"] is None:
                    await asyncio.sleep(0.05)
            assert ended["outcome"] == "delivered"
            assert "Canaries</h2>" not in await _page(service)


def _with(settings: Settings, canaries: list[dict[str, Any]]) -> Settings:
    """`settings` with these canaries, which have been read from a file as any others."""
    provider = {"base_url": "http://127.0.0.1:9", "models": ["comfyui/flux"]}
    providers = [{"name": item.name, **provider} for item in settings.providers]
    read = load_settings(overrides={"providers": providers, "canary": canaries})
    return settings.model_copy(update={"canary": read.canary})


async def test_a_scheduled_canary_runs_by_the_real_bell(tmp_path: Path) -> None:
    """APScheduler, on the real loop: the one test of it."""
    every_second = {**FOX, "interval": 1, "jitter": 0, "enabled": True}
    async with _service(tmp_path, canary=[every_second]) as service:
        async with asyncio.timeout(30):
            while len(runs := (await _only(service))["runs"]) < 3:
                await asyncio.sleep(0.1)
        next_at = datetime.fromisoformat((await _only(service))["next_at"])
    assert next_at - datetime.now(UTC) < timedelta(seconds=2)
    assert len({run["created_at"] for run in runs}) == len(runs)
