"""`monitor report` as a process against a running service, and its page in a real Chromium."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, expect

from monitor.settings import hash_token
from monitor.simulator.config import SimulatorConfig
from tests.browsing import visit_page
from tests.peers import serve
from tests.serving import QUICK, Running, running, serve_app, service_settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SHORT: Final = {**QUICK, "grace": 0.4, "interval": 0.4, "max_attempts": 4, "window": 2.0}
HOSTILE: Final = (
    "</title></h3>\"'><b id=planted>planted</b><script>document.title='planted'</script><img src=//elsewhere.example/x>"
)
LONG: Final = "W" * 200
TOKENS: Final = {"reader": "read", "reporter": "report"}


async def _report(*arguments: str, **variables: str) -> tuple[int, bytes, str]:
    """The command to its end: its exit code, and what it said to stdout and stderr."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MONITOR_")} | variables
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "monitor", "report", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    assert b"Traceback" not in complained
    assert process.returncode is not None
    return process.returncode, said, complained.decode()


@pytest_asyncio.fixture
async def used(tmp_path: Path) -> AsyncIterator[Running]:
    """A service whose models have hostile names, and that has delivered over both channels, expired and failed."""
    provider = {"models": [HOSTILE, LONG], "measured_ratio": 1.0}
    simulator = SimulatorConfig(fixed_render_s=0.2)
    async with running(tmp_path, simulator, policies={"quick": SHORT}, provider=provider) as service:
        prompts = [
            *[("a fox [fault:never_closes]", HOSTILE, "delivered")] * 3,
            *[("a fox [fault:silent]", LONG, "delivered")] * 2,
            ("a fox [fault:never]", HOSTILE, "expired"),
            ("a fox [fault:task_error]", HOSTILE, "provider_failed"),
        ]
        ended = await asyncio.gather(*(service.generate(prompt, model=model) for prompt, model, _ in prompts))
        assert [generation["outcome"] for generation in ended] == [outcome for *_, outcome in prompts]
        await _all_measured(service)
        yield service


async def _all_measured(service: Running) -> None:
    """Young measurements are not counted yet; until all are, two looks at the summary may differ."""
    async with asyncio.timeout(30):
        while (await service.get("/v1/summary?window=1h"))["channels"]["sse"]["success"]["n"] != 6:
            await asyncio.sleep(0.1)


async def test_it_tells_people_programs_and_keepers_the_same(used: Running, tmp_path: Path) -> None:
    code, said, _ = await _report("--url", used.url)
    assert code == 0
    assert "83.33% delivered, 5 of 6" in said.decode()
    assert "the last 24 hours" in said.decode()
    code, said, _ = await _report("--url", used.url, "--json", "--window", "1h")
    summary = await used.get("/v1/summary?window=1h")
    assert (code, json.loads(said)) == (0, summary)
    assert "distributions" not in summary
    file = tmp_path / "report.html"
    code, said, complained = await _report("--url", used.url, "--html", str(file))
    assert (code, said, complained) == (0, b"", f"written to {file}\n")
    code, said, _ = await _report("--html", "-", MONITOR_URL=used.url, LC_ALL="C", PYTHONUTF8="0")
    assert code == 0
    assert "·" in said.decode("utf-8")
    assert said.count(b"\n") == file.read_bytes().count(b"\n")


async def test_the_page_shows_every_part_and_interprets_nothing(
    used: Running, browser: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    assert (await _report("--url", used.url, "--html", str(file)))[0] == 0
    for width in (390, 1440):
        visit = await visit_page(browser, file.as_uri(), width=width)
        page = visit.page
        wide, fits = await visit.width()
        assert wide <= fits
        await expect(page).to_have_title(f"Delivery report, last 24 hours to {_stamp(file)}")
        await expect(page.locator(".card", has_text="objective 99%").locator(".figure")).to_have_text("83.33%")
        await expect(page.locator("section h2")).to_have_text(
            ["Success", "Latency", "Attempts", "Outcomes", "Render times"]
        )
        await expect(page.locator(".whisker")).to_have_count(await page.locator(".dot").count())
        await expect(page.locator("table.bars rect:visible").first).to_be_visible()
        for row, told in (("expired", "14.2% 1"), ("delivered", "71.4% 5"), ("cancelled", "0")):
            await expect(page.get_by_role("row", name=row).last.locator(".cell")).to_have_text(told)
        await expect(page.locator("h3")).to_have_text([HOSTILE, LONG])
        await expect(page.locator("#planted, img, script, iframe, object, [onerror]")).to_have_count(0)
        for path in await page.locator("path").all():
            assert (await path.get_attribute("d") or "").startswith("M")
        visit.assert_clean()


def _stamp(file: Path) -> str:
    return file.read_text("utf-8").partition("hours to ")[2].partition("<")[0]


async def test_where_nothing_ended_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    async with running(tmp_path, SimulatorConfig()) as service:
        assert (await _report("--url", service.url, "--window", "15m", "--html", str(file)))[0] == 0
    for width in (390, 1440):
        visit = await visit_page(browser, file.as_uri(), width=width)
        await expect(visit.page.locator("main")).to_contain_text("Nothing ended in the last 15 minutes.")
        await expect(visit.page.locator(".card .figure")).to_have_text(["–", "–", "–"])
        await expect(visit.page.locator("table")).to_have_count(0)
        wide, fits = await visit.width()
        assert wide <= fits
        visit.assert_clean()


async def test_what_is_wrong_is_told_in_words(tmp_path: Path) -> None:
    cases = [
        (("--url", "http://127.0.0.1:9"), 1, "no service answers at http://127.0.0.1:9"),
        (("--url", "here"), 2, "is not where a service can be"),
        (("--window", "yesterday"), 2, "is not a window; write 90s, 15m, 1h or"),
        (("--window", "367d"), 2, "up to 366d"),
        (("--json", "--html", "-"), 2, "only one of them can go to stdout"),
        (("--html", str(tmp_path)), 2, "is a directory"),
    ]
    ended = await asyncio.gather(*(_report(*arguments) for arguments, _, _ in cases))
    for (arguments, expected, words), (code, said, complained) in zip(cases, ended, strict=True):
        assert (code, said) == (expected, b""), (arguments, complained)
        assert words in " ".join(complained.replace("│", " ").split()), arguments


async def test_who_may_not_read_is_told_which_scope_it_takes(tmp_path: Path) -> None:
    tokens = [{"name": scope, "sha256": hash_token(name * 4), "scopes": [scope]} for name, scope in TOKENS.items()]
    async with serve_app(service_settings(tmp_path, "http://127.0.0.1:9", tokens=tokens)) as url:
        for token, expected, words in (
            ({}, 1, "401: send a token"),
            ({"MONITOR_TOKEN": "reporter" * 4}, 1, "403: token 'report' has the scopes report; this needs read"),
            ({"MONITOR_TOKEN": "reader" * 4}, 0, ""),
        ):
            code, _, complained = await _report("--url", url, **token)
            assert code == expected, complained
            assert words in complained


@pytest.mark.parametrize("answer", ["<html>", "[]", "{}", '{"delivery": {}, "channels": {}, "render_times": []}'])
async def test_what_is_no_monitor_or_an_old_one_is_told_from_one(answer: str) -> None:
    async def say(_: web.Request) -> web.StreamResponse:
        return web.Response(text=answer)

    async with serve(say) as peer:
        code, said, complained = await _report("--url", peer.url, "--html", "-")
    assert (code, said) == (1, b"")
    assert ("older than this command" if "delivery" in answer else "no generation monitor") in complained


async def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, SimulatorConfig()) as service:
        code, _, complained = await _report("--url", service.url, "--html", str(tmp_path / "no" / "such.html"))
    assert code == 1
    assert "No such file or directory" in complained
