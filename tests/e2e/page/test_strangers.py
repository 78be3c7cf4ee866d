"""What strangers write stays text in every view; the last of the tests of the page, for it stays there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.kafka import Publisher
from libs.common.settings import ServiceSettings
from libs.common.topics import TOPICS
from tests.e2e.page.test_every_view import FITS, VIEWS, shown
from tests.hostile_events import hostile
from tests.page_browser import IN_A_BROWSER, NARROW, opened

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.e2e.system import System

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300), IN_A_BROWSER]

MARKUP: Final = """<img src=x onerror="globalThis.pwned=1">'"></b><script>globalThis.pwned=1</script>"""
HOSTILE: Final = (MARKUP, "\u202egnp.exe\u202c \u2066isolated", "long" * 200)
FOLLOWED: Final = (
    *("l2.subscriptions.v1", "l2.book-health.v1", "l2.trades.v1", "venues.metrics.v1", "router.choices.v1"),
    *("router.snapshots.v1", "policies.registry.v1", "policies.signals.v1", "execution.records.v1"),
    *("execution.sizings.v1", "execution.controls.v1", "portfolio.positions.v1", "portfolio.risk.v1"),
    *("portfolio.equity.v1", "portfolio.allocations.v1", "services.status.v1", "l2.book-tops.v1"),
)


async def test_what_is_written_by_strangers_stays_text(system: System, browser: Browser) -> None:
    known = ServiceSettings(kafka_bootstrap_servers=system.kafka)
    async with opened(browser, system.gateway, NARROW) as tab:
        tab.expected = ("status of 422",)  # the gateway refuses names that no book can have
        await tab.go()
        async with Publisher(known, compress=False) as enemy:
            for name in FOLLOWED:
                topic = TOPICS[name]
                for n, text in enumerate(HOSTILE):
                    for kind in topic.events:
                        key = f"{text}:{text}:{n}".encode()
                        await enemy.send_and_wait(topic, key, hostile(kind, text), time.time_ns())
        await tab.until("(text) => bookrunner.store.get('policies', text)", argument=MARKUP)
        for round_ in ("live", "read anew"):
            for view in VIEWS:
                await shown(tab, view)
                strange = await tab.page.evaluate(
                    "() => [...document.querySelectorAll('img, iframe, object, embed, base, body script')]"
                    ".map((each) => each.outerHTML)"
                )
                assert strange == [], (round_, view)
                assert await tab.page.evaluate(FITS), f"{view} is wider than {NARROW[0]} px"
            await tab.go()
        assert await tab.page.evaluate("() => globalThis.pwned") is None
        await shown(tab, "Beliefs")
        assert MARKUP in await tab.page.locator("main").inner_text()
