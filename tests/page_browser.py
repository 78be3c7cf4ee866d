"""The page in the machine's own Chromium, driven by Playwright; it reaches this machine only."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from playwright.async_api import async_playwright

from tests.browser import find_browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from playwright.async_api import Browser, ConsoleMessage, Page

IN_A_BROWSER: Final = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium: install one, or name it in CHROMIUM"
)
WIDE: Final = (1280, 900)
NARROW: Final = (390, 844)
PATIENCE_MS: Final = 20_000


@asynccontextmanager
async def chromium(rebound: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Start the machine's Chromium, and end it.

    Parameters
    ----------
    rebound
        Names that resolve to this machine; no other does.
    """
    rules = [*(f"MAP {name} 127.0.0.1" for name in rebound), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"]
    arguments = ["--disable-dev-shm-usage", f"--host-resolver-rules={', '.join(rules)}"]
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=find_browser(), chromium_sandbox=False, args=arguments
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass(eq=False)
class Opened:
    """A tab with the page, and what it complained about."""

    page: Page
    address: str  # of the gateway
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()  # parts of complaints that a test brings about

    async def go(self, query: str = "") -> None:
        """Load the page at a place, and wait until it knows the state of the system."""
        await self.page.goto(f"{self.address}/{query}")
        await self.known()

    async def known(self) -> None:
        """Wait until it is connected and has read the state, of the past where that is shown."""
        await self.page.wait_for_function(
            "() => globalThis.bookrunner?.told && bookrunner.store.symbols.length"
            " && document.querySelector('main').getAttribute('aria-busy') === 'false'"
        )

    async def view(self, name: str) -> None:
        """Go to a view by a click on the bar."""
        await self.page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()

    async def views(self) -> list[str]:
        """Return the titles of the views that are there."""
        links = self.page.get_by_role("navigation", name="Views").get_by_role("link")
        return await links.all_inner_texts()

    async def until(self, expression: str, patience_ms: float = PATIENCE_MS, argument: Any = None) -> None:
        """Wait until an expression holds in the page, looked at with every frame."""
        await self.page.wait_for_function(expression, arg=argument, timeout=patience_ms, polling="raf")

    def unexpected(self) -> list[str]:
        """Return the complaints that no test brought about."""
        return [each for each in self.complaints if not any(part in each for part in self.expected)]


@asynccontextmanager
async def opened(
    browser: Browser,
    address: str,
    size: tuple[int, int] = WIDE,
    scheme: Literal["light", "dark"] = "light",
) -> AsyncIterator[Opened]:
    """Open a tab in a profile of its own; at its end the page has complained about nothing unexpected."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    tab = Opened(page, address)

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            tab.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    page.on("console", note)
    page.on("pageerror", lambda error: tab.complaints.append(f"exception: {error}"))
    try:
        yield tab
        assert not tab.unexpected(), tab.unexpected()
    finally:
        await context.close()
