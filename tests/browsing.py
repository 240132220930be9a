"""Opens pages in a browser and takes note of what they ask for and complain of."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request


@dataclass
class Visit:
    """A page, and all that it asked for and complained of. Without slots: Playwright keeps notes of its own on it."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Take note from now on."""
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._see)

    async def width(self) -> tuple[int, int]:
        """How wide the document is, and how much of it fits."""
        root = "document.documentElement"
        wide, fits = await self.page.evaluate(f"[{root}.scrollWidth, {root}.clientWidth]")
        return wide, fits

    def assert_clean(self) -> None:
        """No complaint in the console, and no request to anybody but the service."""
        assert self.complaints == []
        assert self.strangers == []

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        if urlsplit(request.url)[:2] != urlsplit(self.origin)[:2]:
            self.strangers.append(request.url)


async def visit_page(browser: Browser, url: str, *, width: int = 1440, height: int = 900) -> Visit:
    """Go there, with a window of that size."""
    page = await browser.new_page(viewport={"width": width, "height": height})
    visit = Visit(page, url)
    visit.watch()
    response = await page.goto(url)
    assert response is not None
    assert response.status == 200
    return visit
