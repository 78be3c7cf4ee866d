"""What goes wrong is shown on the page at once, and the page goes on by itself when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio

from tests.e2e.page.running import SYMBOL, VENUES
from tests.e2e.system import until
from tests.page_browser import IN_A_BROWSER

if TYPE_CHECKING:
    from broker.native import NativeBroker
    from tests.e2e.system import System
    from tests.page_browser import Opened

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300), IN_A_BROWSER]

VENUE: Final = VENUES[0]
SHOWN_MS: Final = 1_000  # from a fault to the page
RECOVERED_MS: Final = 60_000
MARK: Final = "globalThis.neverReloaded"
CONNECTION: Final = "document.querySelector('#bar .link')"
HEALTHY: Final = (
    f"() => {CONNECTION}.classList.contains('good')"
    " && [...document.querySelectorAll('[data-panel=health] tr[data-state]')].length"
    " && [...document.querySelectorAll('[data-panel=health] tr[data-state]')]"
    ".every((row) => row.dataset.state === 'LIVE' && row.innerText.includes('every decision'))"
)


@pytest_asyncio.fixture(loop_scope="package")
async def market(tab: Opened) -> Opened:
    """Return a tab that shows a market whose every book is right."""
    tab.expected = ("Failed to load resource",)  # the browser's own words on a gateway that is away
    await tab.go(f"?view=market&symbol={SYMBOL}")
    await tab.until(HEALTHY)
    await tab.page.evaluate(f"() => {{ {MARK} = true; }}")
    return tab


async def recovered(tab: Opened) -> None:
    """Wait until all is well again, on the page that was never loaded anew."""
    await tab.until(HEALTHY, RECOVERED_MS)
    assert await tab.page.evaluate(f"() => {MARK} === true")
    seen = await tab.page.evaluate(NEWEST)
    await tab.until(f"(seen) => ({NEWEST})() > seen", argument=seen)


NEWEST: Final = "() => Math.max(...bookrunner.store.all('tops').map(({ data }) => data.receivedTs))"


async def restart_what_ended(system: System) -> None:
    """Start each process again that ended because of Kafka, as the supervisor does."""
    for module, process in tuple(system.processes.items()):
        if process.poll() is not None:
            del system.processes[module]
            system.start(module)


async def test_a_gap_shows_within_a_second_and_clears(system: System, market: Opened) -> None:
    row = "[data-panel=health] tr[data-record^='l2.book-health.v1']:has(th[scope=row])"
    watch = """
    ([rows, venue]) => {
      const row = [...document.querySelectorAll(rows)].find((each) => each.innerText.startsWith(venue));
      const gaps = () => Number(row.querySelector("[data-path=gaps]").value);
      const before = gaps();
      globalThis.gapShown = new Promise((done) => {
        const look = () => (gaps() > before ? done(Date.now()) : requestAnimationFrame(look));
        look();
      });
    }
    """
    await market.page.evaluate(watch, [row, VENUE])
    fault = {"kind": "drop", "venue": VENUE, "symbol": SYMBOL, "once": True}
    await system.control("POST", "faults", fault)

    async def dropped() -> Any:
        told = await system.get("/control/faults", system.simulator)
        return told and told["injected"]

    await until("a message was dropped", dropped)
    begun = await market.page.evaluate("() => Date.now()")
    shown = await market.page.evaluate("() => globalThis.gapShown")
    assert shown - begun <= SHOWN_MS
    troubles = market.page.locator("[data-panel=troubles] tbody tr", has_text=VENUE)
    await troubles.first.wait_for()
    await recovered(market)


async def test_a_kill_of_l2_is_shown_and_recovered_from_without_a_reload(
    system: System, market: Opened
) -> None:
    system.kill("services.l2")
    await market.until(
        "() => [...document.querySelectorAll('[data-panel=health] tr[data-state] td.why')]"
        ".every((each) => !each.innerText.startsWith('every decision'))"
    )
    assert "every book may be used" not in await market.page.locator("[data-panel=best]").inner_text()
    system.start("services.l2")
    await recovered(market)


async def test_a_kill_of_the_gateway_is_shown_and_recovered_from_without_a_reload(
    system: System, market: Opened
) -> None:
    system.kill("services.gateway")
    await market.until(f"() => {CONNECTION}.innerText.startsWith('not connected')")
    assert await market.page.locator("main").get_attribute("aria-busy") == "true"
    system.start("services.gateway")
    await recovered(market)


async def test_a_kill_of_kafka_is_shown_and_recovered_from_without_a_reload(
    system: System, market: Opened, broker: NativeBroker
) -> None:
    broker.kill()
    await market.until(f"() => !{CONNECTION}.classList.contains('good')")
    broker.start()

    async def up() -> Any:
        await restart_what_ended(system)
        return await system.get("/readyz")

    await until("every route does its work again", up, 120.0)
    await recovered(market)
