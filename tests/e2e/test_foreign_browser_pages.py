"""Pages of other origins, in a browser, against the gateway and the simulator: they read and change nothing.

The gateway is a world without Kafka, so that what it would write is seen; the sockets are real.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS
from simulator.app import create_app
from simulator.settings import SimulatorSettings
from tests.browser import a_page, find_browser
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.world import KEY, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.browser import Page

BROWSER: Final = find_browser()
NAME: Final = "evil.example"
WISH: Final = {"venue": "binance", "symbol": "ETH-USDT"}
FAULT: Final = {"kind": "drop", "venue": "binance", "symbol": "BTCUSDT", "once": True}

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium: install one, or name it in CHROMIUM"),
]

# In every way that a page has; whether it was let read the answer, and how many the browser sent at all.
ATTACK: Final = """
(async ([reads, changes]) => {
  const told = [];
  for (const address of reads)
    for (const mode of ['cors', 'no-cors'])
      try { const text = await (await fetch(address, {mode})).text(); if (text) told.push(text); } catch {}
  for (const [address, method, body] of changes) {
    for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded'])
      for (const mode of ['cors', 'no-cors'])
        try {
          const headers = body === null ? {} : {'content-type': type};
          const sent = {method, mode, headers, body: body ?? undefined};
          told.push(await (await fetch(address, sent)).text());
        } catch {}
    if (method === 'POST') {
      navigator.sendBeacon(address, new Blob([body ?? ''], {type: 'text/plain'}));
      const frame = Object.assign(document.createElement('iframe'), {name: 'frame' + Math.random()});
      const form = document.createElement('form');
      Object.assign(form, {action: address, method: 'POST', enctype: 'text/plain', target: frame.name});
      const field = document.createElement('input');
      [field.name, field.value] = body ? [body.slice(0, -1) + ', "x": "', '"}'] : ['a', 'b'];
      form.append(field);
      (document.body ?? document.documentElement).append(frame, form);
      await new Promise(done => { frame.onload = done; form.submit(); setTimeout(done, 2000); });
    }
  }
  return told.filter(text => text !== '');
})(%s)
"""
EMBED: Final = """
Promise.all(%s.map(address => new Promise(done => {
  const script = document.createElement('script');
  script.onload = () => done(true); script.onerror = () => done(false);
  script.src = address; (document.head ?? document.documentElement).append(script);
})))
"""


class Systems(NamedTuple):
    """What is attacked, and where pages of somebody else are."""

    world: World
    gateway: str
    simulator: str
    elsewhere: str

    def attack(self, gateway: str, simulator: str) -> str:
        """Return the script that tries everything at these addresses."""
        reads = [
            *(
                f"{gateway}{path}"
                for path in ("/api/l2", "/api/l2/binance/BTCUSDT", "/openapi.json", "/metrics")
            ),
            *(f"{simulator}{path}" for path in ("/control/books", "/control/faults", "/binance/api/v3/time")),
        ]
        changes = [
            (f"{simulator}/control/pause", "POST", None),
            (f"{simulator}/control/faults", "POST", json.dumps(FAULT)),
            (f"{gateway}/api/l2/subscriptions", "POST", json.dumps(WISH)),
            (f"{gateway}/api/l2/subscriptions/binance/BTCUSDT", "DELETE", None),
        ]
        return ATTACK % json.dumps([reads, changes])

    async def assert_untouched(self) -> None:
        """Check that the market runs, no fault is armed and the gateway wrote nothing."""
        async with (
            aiohttp.ClientSession(self.simulator) as http,
            http.get("/control/books") as books,
            http.get("/control/faults") as faults,
        ):
            paused, armed = (await books.json())["paused"], (await faults.json())["faults"]
        assert (paused, armed, self.world.writer.sent) == (False, [], [])


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def systems() -> AsyncIterator[Systems]:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>elsewhere</title><body>", content_type="text/html")

    elsewhere = web.Application()
    elsewhere.router.add_get("/", page)
    world = World()
    world.live()
    settings = SimulatorSettings(outages=0.0, history_days=3, feed="simulator")
    async with (
        Serving(world).listening() as (host, port),
        served(create_app(settings)) as simulator,
        served(elsewhere) as page_address,
    ):
        yield Systems(world, f"http://{host}:{port}", simulator, page_address)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    assert BROWSER is not None
    async with a_page(BROWSER, tmp_path, rebound=[NAME]) as opened:
        yield opened


def named(address: str) -> str:
    """Return the address under the name that resolves to this machine."""
    return address.replace("127.0.0.1", NAME)


@pytest.mark.parametrize("by_name", [False, True], ids=["another port", "another site"])
async def test_a_page_of_another_origin_reads_and_changes_nothing(
    systems: Systems,
    page: Page,
    by_name: bool,  # noqa: FBT001 -- both kinds of pages
) -> None:
    await page.open(named(systems.elsewhere) if by_name else systems.elsewhere)
    await page.wait_for("document.title === 'elsewhere'")
    assert await page.evaluate(systems.attack(systems.gateway, systems.simulator)) == []
    asked = {address for address in page.addresses if address.startswith(systems.simulator)}
    assert len(asked) >= 4  # the browser let it ask
    await systems.assert_untouched()
    embedded = [f"{systems.gateway}/docs/swagger-ui-bundle.js", f"{systems.simulator}/control/books"]
    assert await page.evaluate(EMBED % json.dumps(embedded)) == [False, False]


async def test_a_page_whose_name_was_rebound_reads_and_changes_nothing(systems: Systems, page: Page) -> None:
    for ours in (systems.gateway, systems.simulator):
        await page.open(f"{named(ours)}/nope")
        await page.wait_for(f"location.origin === '{named(ours)}'")  # of one origin with what it attacks
        told = await page.evaluate(systems.attack(named(systems.gateway), named(systems.simulator)))
        assert told != []
        assert all("SERVED_AS" in each for each in told), told
        await systems.assert_untouched()


async def test_the_gateways_own_page_still_changes_things(systems: Systems, page: Page) -> None:
    for topic in (L2_SUBSCRIPTIONS, L2_BOOK_TOPS, L2_BOOK_HEALTH):  # what the page's example asks for anew
        systems.world.fold(topic, KEY, None)
    await page.open(f"{systems.gateway}/docs")
    await page.wait_for("document.querySelectorAll('.opblock').length")
    block = "document.getElementById('operations-books-subscribe')"
    await page.click(f"{block}?.querySelector('.opblock-summary-control')")
    await page.click(f"{block}.querySelector('.try-out__btn')")
    await page.click(f"{block}.querySelector('.execute')")
    status = f"{block}.querySelector('.live-responses-table tbody .response-col_status')"
    await page.wait_for(status)
    assert int(await page.evaluate(f"{status}.innerText")) in {200, 201}
    assert len(systems.world.writer.sent) == 1
