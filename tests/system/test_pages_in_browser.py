"""The pages for people, in a real Chromium: what they show, that they renew themselves, and what they never do."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, expect

from monitor.simulator.config import SimulatorConfig
from tests.browsing import visit_page
from tests.peers import Peer, a_file, serve
from tests.serving import QUICK, Running, running, serve_app, service_settings

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SHORT = {**QUICK, "grace": 0.5, "interval": 0.5, "window": 6.0}
HOSTILE = "</code></p>\"'><b id=planted>planted</b><img src=//elsewhere.example/x onerror=document.title='planted'>"
LONG = "W" * 3_000
HOSTILE_URL = f"https://cdn.example/a'\"><b%20id=planted>.webp?sig={'A' * 1_500}"
STRANGE_SCRIPT = "script:not([src='/static/renew.js'])"
RENEWAL_MS = 20_000
"""How long a page has to renew itself: several times what it promises, as the machine may be busy."""


async def _ask(service: Running, prompt: str) -> str:
    """Ask for a generation and do not wait; its id."""
    async with service.http.post(f"{service.url}/v1/generations", json={"prompt": prompt}) as response:
        assert response.status == 202, await response.text()
        return str((await response.json())["id"])


async def test_the_status_page_says_what_the_summary_says(browser: Browser, tmp_path: Path) -> None:
    unmeasured = {"policies": {"quick": SHORT}, "provider": {"measured_ratio": 0.0}}
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.2), **unmeasured) as service:
        for prompt in ("one [fault:never_closes]", "two [fault:never_closes]", "three [fault:silent]"):
            assert (await service.generate(prompt))["outcome"] == "delivered"
        assert (await service.generate("four [fault:never]"))["outcome"] == "expired"
        summary = await service.get("/v1/summary?window=1h")
        visit = await visit_page(browser, service.url)
        page = visit.page
        headline = page.locator(".card", has_text="Delivered, last hour")
        await expect(headline.locator(".figure")).to_have_text("75.00%")
        await expect(headline).to_contain_text("3 of 4")
        await expect(headline).to_contain_text("objective 99.0%")
        for key, name in (("sse", "SSE"), ("polling", "Polling")):
            figures = summary["channels"][key]
            card = page.locator(".card", has_text=f"{name} on its own")
            await expect(card).to_contain_text(f"{figures['won']} deliver{'y' if figures['won'] == 1 else 'ies'}")
            await expect(card).to_contain_text(f"first in {_floored(figures['share'])}")
            await expect(card.locator(".figure")).to_have_text("–")
        await expect(page.locator(".card", has_text="In flight").locator(".figure")).to_have_text("0")
        await expect(page.locator("#latest tbody tr")).to_have_count(4)
        await expect(page.locator("#latest tbody tr").first).to_contain_text("expired")
        await expect(page.locator("tbody tr svg.lane")).to_have_count(8)
        visit.assert_clean()


def _floored(share: float) -> str:
    """A percentage that is never rounded up."""
    return f"{int(share * 1000 + 1e-9) / 10:.1f}%"


async def test_with_nothing_to_show_the_status_page_says_how_to_begin(browser: Browser, tmp_path: Path) -> None:
    async with running(tmp_path, SimulatorConfig()) as service:
        visit = await visit_page(browser, service.url)
        await expect(visit.page.locator("main")).to_contain_text("None yet")
        await expect(visit.page.locator(".card .figure").first).to_have_text("–")
        visit.assert_clean()


async def test_the_icon_that_a_browser_asks_for_is_there(browser: Browser, tmp_path: Path) -> None:
    async with running(tmp_path, SimulatorConfig()) as service:
        page = (await visit_page(browser, service.url)).page
        icon = page.locator("link[rel~=icon]")
        named = await icon.first.get_attribute("href") if await icon.count() else None
        where = urljoin(page.url, named or "/favicon.ico")
        assert where.startswith("data:") or (await page.request.get(where)).ok


async def test_the_status_page_renews_itself(browser: Browser, tmp_path: Path) -> None:
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.2), policies={"quick": SHORT}) as service:
        visit = await visit_page(browser, service.url)
        await expect(visit.page.locator("#latest tbody tr")).to_have_count(0)
        assert (await service.generate("a red fox [fault:never_closes]"))["outcome"] == "delivered"
        await expect(visit.page.locator("#latest tbody tr")).to_have_count(1, timeout=RENEWAL_MS)
        await expect(visit.page.locator(".card .figure").first).to_have_text("100.00%")
        visit.assert_clean()


async def test_a_renewal_disturbs_nobody_who_scrolls_selects_or_has_the_focus(browser: Browser, tmp_path: Path) -> None:
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.2), policies={"quick": SHORT}) as service:
        first = (await service.generate("a red fox [fault:never_closes]"))["id"]
        visit = await visit_page(browser, service.url, width=320)  # render times scroll
        page = visit.page
        await page.locator(f"#g-{first} a").focus()
        await page.evaluate("document.querySelector('.scroll').scrollLeft = 50")
        await page.evaluate(f"getSelection().selectAllChildren(document.querySelector('#g-{first} td:nth-child(3)'))")
        await service.generate("a second fox [fault:never_closes]")
        await expect(page.locator("#latest tbody tr")).to_have_count(2, timeout=RENEWAL_MS)
        assert await page.evaluate("document.querySelector('.scroll').scrollLeft") == 50
        assert await page.evaluate("document.activeElement.closest('tr').id") == f"g-{first}"
        assert "delivered" in await page.evaluate("getSelection().toString()")
        visit.assert_clean()


async def test_when_it_cannot_be_renewed_the_page_says_so_and_goes_on_when_it_can(
    browser: Browser, tmp_path: Path
) -> None:
    async with running(tmp_path, SimulatorConfig(fixed_render_s=0.2), policies={"quick": SHORT}) as service:
        page = (await visit_page(browser, service.url)).page
        await expect(page.locator("#trouble")).to_be_hidden()
        await page.route("**/*", lambda route: route.fulfill(status=503))
        await expect(page.locator("#trouble")).to_contain_text("the service answers 503", timeout=RENEWAL_MS)
        await expect(page.locator(".card .figure").first).to_have_text("–")
        await page.unroute("**/*")
        await expect(page.locator("#trouble")).to_be_hidden(timeout=RENEWAL_MS)


async def test_a_generation_is_followed_to_its_end_and_is_then_left_alone(browser: Browser, tmp_path: Path) -> None:
    policy = {**SHORT, "window": 30.0}
    async with running(tmp_path, SimulatorConfig(), policies={"quick": policy}) as service:
        generation_id = await _ask(service, "a red fox [fault:never_closes] [render:4]")
        status = await visit_page(browser, service.url)
        await status.page.locator("#latest tbody a").first.click()
        await status.page.wait_for_url(f"**/generations/{generation_id}")
        page = status.page
        await expect(page.locator(".tag")).to_have_text("submitted")
        await expect(page.locator(".tag")).to_have_text("delivered", timeout=RENEWAL_MS)
        await expect(page.locator("dd .channel")).to_have_text("SSE")
        generation = await service.get(f"/v1/generations/{generation_id}")
        assert generation["timeline"]
        await expect(page.locator("tbody tr")).to_have_count(len(generation["timeline"]))
        await expect(page.locator("svg.lane.sse circle.result")).to_have_count(1)
        await expect(page.get_by_role("link", name=generation["asset"]["url"])).to_be_visible()
        await expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
        status.assert_clean()


async def _hostile(request: web.Request) -> web.StreamResponse:
    """A provider that says and names whatever might break a page."""
    if request.path.startswith("/api/v1/events/"):
        return web.json_response({"detail": HOSTILE + LONG}, status=404)
    if request.method == "GET":
        return web.json_response(a_file(url=HOSTILE_URL))
    prompt = (await request.json())["config"]["prompt"]
    if prompt == "refuse":
        return web.json_response({"detail": HOSTILE + LONG}, status=400)
    return web.json_response([a_file()])


@dataclass(frozen=True, slots=True)
class Attacked:
    """A service that has met a hostile provider, under a hostile model name, and the pages that show it."""

    url: str
    peer: Peer
    refused: dict[str, Any]
    delivered: dict[str, Any]

    @property
    def pages(self) -> list[str]:
        """Where a person would look."""
        return [self.url, *(f"{self.url}/generations/{item['id']}" for item in (self.refused, self.delivered))]


@pytest_asyncio.fixture
async def attacked(tmp_path: Path) -> AsyncIterator[Attacked]:
    async with serve(_hostile) as peer:
        settings = service_settings(tmp_path, peer.url, provider={"models": [HOSTILE]})
        async with serve_app(settings) as url, aiohttp.ClientSession() as http:
            answers = []
            for prompt in ("refuse", f"{HOSTILE} deliver"):
                headers = {"Prefer": "wait=30"}
                async with http.post(f"{url}/v1/generations", json={"prompt": prompt}, headers=headers) as response:
                    answers.append(await response.json())
            assert [answer["outcome"] for answer in answers] == ["rejected", "delivered"], answers
            yield Attacked(url, peer, *answers)


async def test_hostile_text_is_shown_and_not_interpreted(browser: Browser, attacked: Attacked) -> None:
    for url in attacked.pages:
        visit = await visit_page(browser, url)
        page = visit.page
        await expect(page.get_by_text(HOSTILE).first).to_be_visible()
        await expect(page.locator(f"#planted, img, {STRANGE_SCRIPT}, iframe, object, [onerror]")).to_have_count(0)
        assert re.search("Generation monitor$", await page.title())
        visit.assert_clean()


async def test_the_link_to_an_asset_leads_there_and_nowhere_else(browser: Browser, attacked: Attacked) -> None:
    visit = await visit_page(browser, attacked.pages[2])
    link = visit.page.locator("dd a")
    assert await link.get_attribute("href") == attacked.delivered["asset"]["url"]
    assert attacked.delivered["asset"]["url"].startswith("https://cdn.example/")
    assert {"noreferrer", "noopener"} <= set((await link.get_attribute("rel") or "").split())


@pytest.mark.parametrize("width", [390, 1440])
async def test_no_page_is_wider_than_the_screen(browser: Browser, attacked: Attacked, width: int) -> None:
    for url in attacked.pages:
        visit = await visit_page(browser, url, width=width)
        wide, fits = await visit.width()
        assert wide <= fits, url
        visit.assert_clean()
