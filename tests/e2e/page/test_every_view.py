"""Every view of the page in a browser, on a running system: it opens, fits, and can be read by everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.page_browser import IN_A_BROWSER, NARROW, WIDE, opened

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.e2e.system import System
    from tests.page_browser import Opened

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300), IN_A_BROWSER]

VIEWS: Final = (
    *("Market", "Venues", "Beliefs", "Why (not)"),
    *("Executions", "Portfolio", "System", "Simulation"),
)
GRAVE: Final = {"serious", "critical"}
FITS: Final = "() => document.documentElement.scrollWidth <= innerWidth"
DRAWN: Final = "() => document.querySelector('main h2') && !document.querySelector('main > .wait')"


async def shown(tab: Opened, view: str) -> None:
    """Go to a view, and wait until it is drawn."""
    await tab.view(view)
    await tab.until(f"() => document.title.startsWith({view!r})")
    await tab.until(DRAWN)
    assert "defect of the page" not in await tab.page.locator("main").inner_text()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
@pytest.mark.usefixtures("execution")
async def test_every_view_opens_fits_and_complains_about_nothing(
    system: System, browser: Browser, size: tuple[int, int]
) -> None:
    async with opened(browser, system.gateway, size) as tab:
        await tab.go()
        await tab.until(
            "(count) => document.querySelectorAll('#bar nav a').length >= count", argument=len(VIEWS)
        )
        assert tuple(await tab.views()) == VIEWS
        for view in VIEWS:
            await shown(tab, view)
            assert await tab.page.evaluate(FITS), f"{view} is wider than {size[0]} px"


async def axe(tab: Opened) -> list[str]:
    """Return what axe finds serious or critical, each with where it is."""
    found = (await Axe().run(tab.page)).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for each in found
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(
    system: System, browser: Browser, execution: Any, scheme: Literal["light", "dark"]
) -> None:
    async with opened(browser, system.gateway, WIDE, scheme) as tab:
        await tab.go()
        for view in VIEWS:
            await shown(tab, view)
            assert await axe(tab) == [], view
        await tab.go(f"?view=executions&execution={execution['executionId']}")
        await tab.until("() => document.querySelector('dialog .audit[data-verified]')")
        assert await axe(tab) == [], "the lineage"
