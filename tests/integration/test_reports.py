"""Reports as applications and their pages send them: what is taken, what is told, and that each counts once."""

import asyncio
import base64
import gzip
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from monitor.settings import hash_token
from monitor.simulator.config import SimulatorConfig
from tests.serving import Running, running, serve_app, service_settings

APP, OTHER = "https://app.example", "https://other.example"
PLAIN = {"Content-Type": "text/plain;charset=UTF-8"}
WHO = {"provider": "superduperai", "model": "comfyui/flux", "origin": "report"}
MAX_MODULE_BYTES = 2_048
TOKENS = [
    {"name": "page", "scopes": ["report"], "sha256": hash_token("token-page")},
    {"name": "server", "scopes": ["report"], "sha256": hash_token("token-server")},
    {"name": "all", "scopes": ["report", "read"], "sha256": hash_token("token-all")},
    {"name": "reader", "scopes": ["read"], "sha256": hash_token("token-reader")},
    {"name": "boss", "scopes": ["admin"], "sha256": hash_token("token-boss")},
]


def written(instant: datetime) -> str:
    """RFC 3339, as `Date.prototype.toISOString` has it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(**span: float) -> str:
    """An instant of the past."""
    return written(datetime.now(UTC) - timedelta(**span))


def report(report_id: str, **changes: Any) -> dict[str, Any]:
    """A delivery over SSE after 3 s, a minute ago. What is changed to `...` is left out."""
    base = {"id": report_id, "started_at": ago(minutes=1), "delivered": True, "channel": "sse", "latency_seconds": 3.0}
    return {key: value for key, value in (base | changes).items() if value is not ...}


def expired(report_id: str, **changes: Any) -> dict[str, Any]:
    """Nothing came."""
    nothing = {"delivered": False, "channel": None, "attempts": 6, "latency_seconds": 75.0}
    return report(report_id, **{**nothing, "started_at": ago(minutes=2), **changes})


async def send(service: Running, body: Any, **options: Any) -> tuple[int, Any]:
    """Post it as JSON, unless it is bytes."""
    sent = {"data": body, "headers": PLAIN} if isinstance(body, bytes) else {"json": body}
    async with service.http.post(f"{service.url}/v1/reports", **(sent | options)) as response:
        return response.status, await response.json(content_type=None)


def samples(registry: CollectorRegistry, name: str) -> list[Sample]:
    """Those of the reports that are not zero."""
    found = (sample for family in registry.collect() for sample in family.samples if sample.name == name)
    return [sample for sample in found if sample.value and sample.labels.get("origin") == "report"]


def outcomes(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    """How many by outcome, channel and reason."""
    counted = samples(registry, "generation_outcomes_total")
    return {(s.labels["outcome"], s.labels["channel"], s.labels["reason"]): s.value for s in counted}


def count(registry: CollectorRegistry) -> float:
    """Reports that were counted."""
    return sum(sample.value for sample in samples(registry, "generation_requests_total"))


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, SimulatorConfig()) as service:
        yield service


async def test_it_moves_no_figure_of_what_was_seen_here_and_is_told_beside_them(tmp_path: Path) -> None:
    async with running(tmp_path, SimulatorConfig(time_scale=0.01, fixed_render_s=5)) as service:
        await service.generate("a fox")
        before = await service.get("/v1/summary?distributions=true")
        await send(service, [report("a"), *(expired(f"false-{number}") for number in range(20))])
        after = await service.get("/v1/summary?distributions=true")
        reported = after["delivery_by_origin"].pop("report")
        assert before["delivery_by_origin"].pop("report")["total"] == 0
        assert after == before
        assert (after["origins"], after["delivery_by_origin"]["api"]) == (["api", "canary"], after["delivery"])
        assert (reported["good"], reported["total"]) == (1, 21)
        alone = await service.get("/v1/summary?origin=report")
        assert (alone["origins"], alone["delivery"], alone["outcomes"]["expired"]) == (["report"], reported, 20)
        assert alone["channels"]["sse"]["won"] == 1
        async with service.http.get(service.url) as response:
            page = await response.text()
        assert "1 of 1 · objective" in page
        assert "applications reported 4.76% of 21" in page


class TestWhatIsTaken:
    async def test_a_report_counts_in_the_same_metrics_under_its_own_origin(self, service: Running) -> None:
        status, answer = await send(
            service,
            [
                report("a"),
                report("b", channel="polling", attempts=2, latency_seconds=10),
                expired("c"),
                expired("d", attempts=0),
                expired("e", reason="rate_limited"),
                expired("f", reason="task_error", channel="sse"),
                expired("g", reason="caller", latency_seconds=None),
            ],
        )
        assert status == 200
        assert {key: answer[key] for key in ("accepted", "duplicate", "conflict", "refused")} == {
            "accepted": 7,
            "duplicate": 0,
            "conflict": 0,
            "refused": 0,
        }
        assert count(service.registry) == 7
        assert outcomes(service.registry) == {
            ("delivered", "sse", ""): 1,
            ("delivered", "polling", ""): 1,
            ("expired", "none", "pending"): 1,
            ("expired", "none", "not_polled"): 1,
            ("expired", "none", "rate_limited"): 1,
            ("provider_failed", "sse", "task_error"): 1,
            ("cancelled", "none", "caller"): 1,
        }
        value = service.registry.get_sample_value
        duration, attempts = "generation_delivery_duration_seconds", "generation_poll_attempts"
        assert value(f"{duration}_sum", {**WHO, "channel": "sse"}) == 3.0
        assert value(f"{duration}_bucket", {**WHO, "channel": "polling", "le": "5.0"}) == 0
        assert value(f"{duration}_bucket", {**WHO, "channel": "polling", "le": "10.0"}) == 1
        assert value(f"{attempts}_sum", {**WHO, "channel": "polling"}) == 2
        assert value(f"{attempts}_count", {**WHO, "channel": "none"}) == 4
        for phase in ("submitting", "streaming", "polling"):
            assert value("generation_in_flight", {"provider": "superduperai", "phase": phase}) == 0

    async def test_it_becomes_a_generation_that_has_ended(self, service: Running) -> None:
        body = report("a", started_at="2026-01-31T12:00:00.5+01:00", channel="polling", attempts=1, model="elsewhere/x")
        started_at = ago(days=2)
        status, answer = await send(service, {**body, "started_at": started_at})
        assert status == 200
        (told,) = answer["reports"]
        assert (told["index"], told["id"], told["result"]) == (0, "a", "accepted")
        generation = await service.get(f"/v1/generations/{told['generation']}")
        expected = {
            "origin": "report", "model": "elsewhere/x", "kind": "image", "policy": "reported", "state": "ended",
            "outcome": "delivered", "channel": "polling", "attempts": 1, "asset": None, "duration_seconds": 3.0,
            "created_at": started_at, "submitted_at": started_at, "measured": None, "asset_check": None,
        }  # fmt: skip
        assert {key: generation[key] for key in expected} == expected
        assert [entry["event"] for entry in generation["timeline"]] == ["ended", "reported"]
        assert generation["timeline"][0]["at_ms"] == 3000
        assert generation["timeline"][1]["at_ms"] >= 2 * 86_400_000
        listed = await service.get("/v1/generations?origin=report")
        assert [item["id"] for item in listed["items"]] == [generation["id"]]
        (counted,) = samples(service.registry, "generation_requests_total")
        assert counted.labels["model"] == "other"

    async def test_the_summary_knows_no_other_origin(self, service: Running) -> None:
        async with service.http.get(f"{service.url}/v1/summary?origin=bot") as response:
            assert response.status == 422
            problem = await response.json()
        assert problem["detail"] == "origin: 'bot' is none of api, canary, report"

    @pytest.mark.parametrize("path", ["/", "/generations/{id}"])
    async def test_the_pages_show_it(self, service: Running, path: str) -> None:
        _, answer = await send(service, expired("a"))
        url = service.url + path.format(id=answer["reports"][0]["generation"])
        async with service.http.get(url) as response:
            assert response.status == 200
            assert "expired" in await response.text()

    async def test_a_clock_that_is_wrong_is_corrected_by_when_it_says_that_it_sends(self, service: Running) -> None:
        before = datetime.now(UTC)
        ahead = before + timedelta(days=400)
        body = report("a", started_at=written(ahead - timedelta(seconds=30)))
        assert (await send(service, [body]))[0] == 422
        status, answer = await send(service, {"sent_at": written(ahead), "reports": [body]})
        assert status == 200
        generation = await service.get(f"/v1/generations/{answer['reports'][0]['generation']}")
        assert abs(datetime.fromisoformat(generation["created_at"]) - before) < timedelta(minutes=5)

    async def test_a_clock_that_is_a_little_ahead_makes_nothing_end_in_the_future(self, service: Running) -> None:
        now = datetime.now(UTC)
        status, answer = await send(service, report("a", started_at=written(now + timedelta(minutes=2))))
        assert status == 200
        generation = await service.get(f"/v1/generations/{answer['reports'][0]['generation']}")
        assert datetime.fromisoformat(generation["ended_at"]) <= datetime.now(UTC)

    async def test_the_model_is_only_guessed_where_there_is_no_choice(self, tmp_path: Path) -> None:
        async with running(tmp_path, SimulatorConfig(), provider={"models": ["a/one", "a/two"]}) as service:
            await send(service, [report("a"), report("b", model="a/two")])
            counted = samples(service.registry, "generation_requests_total")
        assert sorted(sample.labels["model"] for sample in counted) == ["a/two", "other"]

    async def test_with_several_providers_it_must_say_which(self, tmp_path: Path) -> None:
        providers = [{"name": name, "base_url": "http://127.0.0.1:9", "models": ["m"]} for name in ("one", "two")]
        async with running(tmp_path, SimulatorConfig(), providers=providers) as service:
            _, answer = await send(service, [report("a"), report("b", provider="two")])
        assert answer["reports"][0]["errors"][0]["field"] == "provider"
        assert answer["reports"][1]["result"] == "accepted"


class TestOnce:
    async def test_only_the_first_counts(self, service: Running) -> None:
        body = report("a")
        _, first = await send(service, [body, body, report("b")])
        assert [item["result"] for item in first["reports"]] == ["accepted", "duplicate", "accepted"]
        status, again = await send(service, [body, report("a", latency_seconds=4.0)])
        assert status == 200
        assert [item["result"] for item in again["reports"]] == ["duplicate", "conflict"]
        generations = [item["generation"] for item in first["reports"] + again["reports"]]
        assert len(set(generations)) == 2
        assert generations[0] == generations[1] == generations[3] == generations[4]
        assert count(service.registry) == 2
        assert (await send(service, report("a", latency_seconds=5.0)))[0] == 422
        assert len((await service.get("/v1/generations"))["items"]) == 2

    async def test_also_when_many_send_it_at_once(self, service: Running) -> None:
        body = report("a")
        answers = await asyncio.gather(*(send(service, body) for _ in range(20)))
        assert sum(answer["accepted"] for _, answer in answers) == 1
        assert sum(answer["duplicate"] for _, answer in answers) == 19
        assert count(service.registry) == 1

    async def test_also_after_a_restart(self, tmp_path: Path) -> None:
        settings = service_settings(tmp_path, "http://127.0.0.1:9")
        body, results, counts = report("a"), [], []
        for _ in range(2):
            registry = CollectorRegistry()
            async with serve_app(settings, registry) as url, aiohttp.ClientSession() as http:
                service = Running(url, "", http, registry)
                _, answer = await send(service, body)
                results.append(answer["reports"][0])
                counts.append(count(registry))
        assert [result["result"] for result in results] == ["accepted", "duplicate"]
        assert results[0]["generation"] == results[1]["generation"]
        assert counts == [1, 0]

    async def test_callers_have_ids_of_their_own_and_never_meet_the_keys_of_generations(self, tmp_path: Path) -> None:
        tokens = [*TOKENS, {"name": "both", "scopes": ["report", "generate"], "sha256": hash_token("token-both")}]
        async with running(tmp_path, SimulatorConfig(fixed_render_s=0.1), tokens=tokens) as service:
            for token in ("token-page", "token-server", "token-both"):
                _, answer = await send(service, report("a"), headers={"Authorization": f"Bearer {token}"})
                assert answer["accepted"] == 1
            headers = {"Authorization": "Bearer token-both", "Idempotency-Key": "a"}
            async with service.http.post(
                f"{service.url}/v1/generations", json={"prompt": "x"}, headers=headers
            ) as response:
                assert response.status == 202


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": ...}, "id"),
    ({"id": ""}, "id"),
    ({"id": "a b"}, "id"),
    ({"id": "a\n"}, "id"),
    ({"id": "ä"}, "id"),
    ({"id": "x" * 129}, "id"),
    ({"id": 7}, "id"),
    ({"provider": "nobody"}, "provider"),
    ({"model": ""}, "model"),
    ({"model": "x" * 201}, "model"),
    ({"kind": "audio"}, "kind"),
    ({"started_at": ...}, "started_at"),
    ({"started_at": 1_700_000_000}, "started_at"),
    ({"started_at": "1700000000"}, "started_at"),
    ({"started_at": "2026-01-31T12:00:00"}, "started_at"),
    ({"started_at": "2026-02-31T12:00:00Z"}, "started_at"),
    ({"started_at": "0001-01-01T00:00:00+23:59"}, "started_at"),
    ({"started_at": "9999-12-31T23:59:59-23:59"}, "started_at"),
    ({"started_at": ago(days=31)}, "started_at"),
    ({"started_at": ago(hours=-1)}, "started_at"),
    ({"delivered": ...}, "delivered"),
    ({"delivered": 1}, "delivered"),
    ({"delivered": "true"}, "delivered"),
    ({"channel": None}, "channel"),
    ({"channel": "none"}, "channel"),
    ({"channel": "smoke"}, "channel"),
    ({"attempts": -1}, "attempts"),
    ({"attempts": 1_001}, "attempts"),
    ({"attempts": True}, "attempts"),
    ({"attempts": 1.5}, "attempts"),
    ({"channel": "polling", "attempts": 0}, "attempts"),
    ({"latency_seconds": None}, "latency_seconds"),
    ({"latency_seconds": -0.1}, "latency_seconds"),
    ({"latency_seconds": 86_401}, "latency_seconds"),
    ({"latency_seconds": "3"}, "latency_seconds"),
    ({"latency_seconds": 3_600}, "latency_seconds"),
    ({"reason": "pending"}, "reason"),
    ({"delivered": False, "channel": None, "reason": "tired"}, "reason"),
    ({"delivered": False, "channel": None, "reason": "monitor_down"}, "reason"),
    ({"delivered": False, "channel": "sse", "reason": "pending"}, "channel"),
    ({"delivered": False, "channel": None, "reason": "task_error"}, "channel"),
    ({"url": "https://cdn.example/a.webp"}, "url"),
    ({"token": "t"}, "token"),
    ({f"k{number}": number for number in range(50)}, "body"),
]


class TestWhatIsWrong:
    @pytest.mark.parametrize(("changes", "field"), WRONG, ids=[f"{n} {field}" for n, (_, field) in enumerate(WRONG)])
    async def test_the_field_is_named_and_nothing_counts(
        self, service: Running, changes: dict[str, Any], field: str
    ) -> None:
        status, problem = await send(service, report("a", **changes))
        assert status == 422
        assert [error["field"] for error in problem["errors"]] == [field]
        assert field in problem["detail"]
        assert count(service.registry) == 0

    async def test_what_is_wrong_does_not_hold_up_the_others(self, service: Running) -> None:
        wrong = report("b", latency_seconds=-1, channel="smoke")
        status, answer = await send(service, [report("a"), wrong, 7, None, report("c")])
        assert status == 200
        assert [(item["index"], item["id"], item["result"]) for item in answer["reports"]] == [
            (0, "a", "accepted"),
            (1, "b", "refused"),
            (2, None, "refused"),
            (3, None, "refused"),
            (4, "c", "accepted"),
        ]
        assert {error["field"] for error in answer["reports"][1]["errors"]} == {"latency_seconds", "channel"}
        assert (answer["accepted"], answer["refused"]) == (2, 3)
        assert count(service.registry) == 2

    async def test_a_batch_has_a_limit_that_is_within_the_limit_of_the_body(self, service: Running) -> None:
        long = [
            report(f"{number:0128}", model="comfyui/flux", attempts=6, provider="superduperai") for number in range(500)
        ]
        assert len(orjson.dumps(long)) > 65_536
        status, answer = await send(service, long)
        assert (status, answer["accepted"]) == (200, 500)
        status, problem = await send(service, [*long, report("one more")])
        assert status == 422
        assert "501 reports; 1 to 500" in problem["detail"]
        assert count(service.registry) == 500
        assert (await send(service, []))[0] == 422
        assert (await send(service, {"reports": []}))[0] == 422

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"{not json", 400),
            (b"[" * 200_000, 400),
            (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, 400),
            (b'[{"id": "\\ud800"}]', 400),
            (b"\xff\xfe{\x00}\x00", 400),
            (b"[" + b"0," * 499 + b"0]", 422),
            (b"[" + b"0," * 100_000 + b"0]", 422),
            (b"7", 422),
            (b"null", 422),
            (b'"report"', 422),
            (b'{"reports": {}}', 422),
            (b'{"reports": [], "more": 1}', 422),
            (b'{"reports": [{}], "token": 7}', 422),
            (b'{"reports": [{}], "sent_at": "now"}', 422),
            (b'{"reports": [[[[]]]]}', 422),
            (b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(15_000)) + b"}", 422),
            (b'{"id": "' + b"x" * 300_000 + b'"}', 413),
        ],
        ids=lambda value: repr(value)[:40],
    )
    async def test_a_hostile_body_is_answered_with_a_problem_of_bounded_size(
        self, service: Running, body: bytes, status: int
    ) -> None:
        async with service.http.post(f"{service.url}/v1/reports", data=body, headers=PLAIN) as response:
            text = await response.read()
            assert (response.status, response.content_type) == (status, "application/problem+json"), text[:300]
            assert len(text) < 200_000
        assert (await send(service, report("a")))[0] == 200

    async def test_what_unpacks_to_more_than_the_limit_is_refused(self, service: Running) -> None:
        bomb = gzip.compress(b" " * 5_000_000)
        status, problem = await send(service, bomb, headers={**PLAIN, "Content-Encoding": "gzip"})
        assert status == 413
        assert "262144 bytes" in problem["detail"]

    async def test_a_form_is_no_report(self, service: Running) -> None:
        assert (await send(service, b"id=a", headers={"Content-Type": "application/x-www-form-urlencoded"}))[0] == 415

    async def test_a_thousand_models_make_one_series(self, service: Running) -> None:
        many = [report(f"{number}", model=f'm-{number}-\u0000\U0001f600"\\') for number in range(500)]
        assert (await send(service, many))[1]["accepted"] == 500
        (counted,) = samples(service.registry, "generation_requests_total")
        assert (counted.labels["model"], counted.value) == ("other", 500)

    async def test_over_the_rate_is_told_when_to_come_again(self, tmp_path: Path) -> None:
        async with running(tmp_path, SimulatorConfig(), reports={"max_per_minute": 2}) as service:
            assert (await send(service, [report("a"), report("b"), report("c")]))[1]["accepted"] == 3
            async with service.http.post(f"{service.url}/v1/reports", json=report("d")) as response:
                assert response.status == 429
                assert int(response.headers["Retry-After"]) > 0
                assert "2 reports of 'local'" in (await response.json(content_type=None))["detail"]
            assert count(service.registry) == 3


class TestWhoMay:
    @pytest_asyncio.fixture
    async def guarded(self, tmp_path: Path) -> AsyncIterator[Running]:
        async with running(tmp_path, SimulatorConfig(), tokens=TOKENS) as service:
            yield service

    @pytest.mark.parametrize(
        ("token", "status"),
        [("page", 200), ("all", 200), ("boss", 200), ("reader", 403), ("wrong", 401), (None, 401)],
    )
    async def test_a_header_opens_with_the_scope(self, guarded: Running, token: str | None, status: int) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer token-{token}"}
        assert (await send(guarded, report("a"), headers=headers))[0] == status

    @pytest.mark.parametrize(
        ("token", "status"), [("page", 200), ("all", 403), ("boss", 403), ("reader", 403), ("wrong", 401), (None, 401)]
    )
    async def test_a_body_opens_only_with_a_token_that_can_do_nothing_else(
        self, guarded: Running, token: str | None, status: int
    ) -> None:
        body = {"token": None if token is None else f"token-{token}", "reports": [report("a")]}
        assert (await send(guarded, orjson.dumps(body)))[0] == status

    async def test_the_password_that_a_browser_sends_along_is_no_obstacle_and_no_key(self, guarded: Running) -> None:
        basic = {"Authorization": "Basic " + base64.b64encode(b"me:token-boss").decode(), **PLAIN}
        body = {"token": "token-page", "reports": [report("a")]}
        assert (await send(guarded, orjson.dumps(body), headers=basic))[0] == 200
        async with guarded.http.post(f"{guarded.url}/v1/reports", json=report("b"), headers=basic) as response:
            assert response.status == 401
            assert "Basic" not in response.headers.get("WWW-Authenticate", "")

    async def test_a_token_is_nowhere_but_in_the_body(self, guarded: Running) -> None:
        assert (await send(guarded, report("a"), params={"token": "token-page"}))[0] == 401

    async def test_without_tokens_only_loopback_is_served(self, service: Running) -> None:
        assert (await send(service, report("a"), headers={"Host": "rebound.example"}))[0] == 403


class TestPagesOfOtherOrigins:
    @pytest_asyncio.fixture
    async def open_to_app(self, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
        folder = tmp_path_factory.mktemp("app")
        async with running(folder, SimulatorConfig(), reports={"allowed_origins": [APP]}) as service:
            yield service

    async def _preflight(self, service: Running, origin: str, path: str = "/v1/reports") -> aiohttp.ClientResponse:
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        async with service.http.options(service.url + path, headers=asks) as response:
            return response

    async def test_they_are_refused_unless_they_are_listed(self, service: Running, open_to_app: Running) -> None:
        for refusing, origin in ((service, APP), (open_to_app, OTHER), (open_to_app, "null")):
            response = await self._preflight(refusing, origin)
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
            status, problem = await send(refusing, report("a"), headers={"Origin": origin})
            assert status == 403
            assert "allowed_origins" in problem["detail"]
            assert count(refusing.registry) == 0

    async def test_a_listed_one_may_ask_and_read_the_answer(self, open_to_app: Running) -> None:
        response = await self._preflight(open_to_app, APP)
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "POST"
        assert "Content-Type" in response.headers["Access-Control-Allow-Headers"]
        for body, status in ((report("a"), 200), ({}, 422)):
            async with open_to_app.http.post(
                f"{open_to_app.url}/v1/reports", json=body, headers={"Origin": APP}
            ) as response:
                assert response.status == status
                assert response.headers["Access-Control-Allow-Origin"] == APP
                assert response.headers["Vary"] == "Origin"

    async def test_everything_else_stays_closed_to_it(self, open_to_app: Running) -> None:
        for path in ("/v1/generations", "/v1/summary", "/metrics"):
            assert (await self._preflight(open_to_app, APP, path)).status == 405
        async with open_to_app.http.get(f"{open_to_app.url}/v1/generations", headers={"Origin": APP}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        async with open_to_app.http.post(
            f"{open_to_app.url}/v1/generations", json={"prompt": "x"}, headers={"Origin": APP}
        ) as response:
            assert response.status == 403

    async def test_a_listed_origin_is_no_token(self, tmp_path: Path) -> None:
        async with running(tmp_path, SimulatorConfig(), tokens=TOKENS, reports={"allowed_origins": [APP]}) as service:
            headers = {"Origin": APP, **PLAIN}
            assert (await send(service, orjson.dumps(report("a")), headers=headers))[0] == 401
            body = orjson.dumps({"token": "token-page", "reports": [report("a")]})
            assert (await send(service, body, headers=headers))[0] == 200
            assert (await send(service, body, headers={**headers, "Origin": OTHER}))[0] == 403

    async def test_everybody_is_let_in_only_where_that_is_said(self, tmp_path: Path) -> None:
        async with running(tmp_path, SimulatorConfig(), reports={"allowed_origins": ["*"]}) as service:
            response = await self._preflight(service, OTHER)
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (204, "*")
            assert "Access-Control-Allow-Credentials" not in response.headers
            assert (await send(service, report("a"), headers={"Origin": OTHER}))[0] == 200

    async def test_a_page_of_the_service_itself_needs_no_leave(self, service: Running) -> None:
        assert (await send(service, report("a"), headers={"Origin": service.url}))[0] == 200


async def test_the_module_is_small_and_its_types_name_what_it_has(service: Running) -> None:
    async with service.http.get(f"{service.url}/static/report.js") as response:
        served = await response.read()
        assert response.content_type == "text/javascript"
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert len(served) < MAX_MODULE_BYTES
    async with service.http.get(f"{service.url}/static/report.d.ts") as response:
        types = await response.text()
    exported = re.findall(rb"^export const (\w+)", served, re.MULTILINE)
    assert exported == [b"send", b"deliver"]
    for name in exported:
        assert f"export function {name.decode()}" in types
    source = (files("monitor.web") / "static" / "report.js").read_bytes()
    assert source.count(b"=>") == served.count(b"=>")
