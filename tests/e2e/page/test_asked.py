"""What somebody asks of the page is answered within three clicks, by keys alone, of the past, and truly."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.e2e.page.running import SYMBOL, VENUES, post
from tests.e2e.system import until
from tests.page_browser import IN_A_BROWSER

if TYPE_CHECKING:
    from playwright.async_api import Locator, Route

    from tests.e2e.system import System
    from tests.page_browser import Opened

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(300), IN_A_BROWSER]

MOST_CLICKS: Final = 3
PAST_MS: Final = 4_000
LEAST_COMPARED: Final = 100
LIVE: Final = (
    "() => bookrunner.place.now.at === null && document.querySelector('#time output').innerText === 'live'"
)
COMPARE: Final = """
(records) => {
  const told = new Map(records.map((each) => [each.id, each.data]));
  const at = (data, path) => {
    for (let rest = path; data !== null && data !== undefined; ) {
      if (Object.hasOwn(data, rest)) return data[rest];
      const [name] = rest.split(".", 1);
      data = Object.hasOwn(data, name) ? data[name] : undefined;
      rest = rest.slice(name.length + 1);
    }
  };
  const found = { equal: 0, differ: [] };
  for (const number of document.querySelectorAll("main data[data-path]")) {
    const id = number.closest("[data-record]")?.dataset.record;
    if (!told.has(id)) continue;
    if (String(at(told.get(id), number.dataset.path)) === number.value) found.equal += 1;
    else found.differ.push(`${id} ${number.dataset.path}: ${number.value}`);
  }
  return found;
}
"""


class Clicks:
    """Clicks, counted."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, element: Locator) -> None:
        self.count += 1
        await element.click()


def row_of(tab: Opened, execution: Any) -> Locator:
    return tab.page.locator(f"tr[data-execution='{execution['executionId']}']")


async def test_is_my_book_right_is_answered_within_three_clicks(tab: Opened) -> None:
    await tab.go(f"?symbol={SYMBOL}")
    for venue in VENUES:
        row = tab.page.locator("[data-panel=health] tr", has=tab.page.get_by_text(venue))
        text = await row.inner_text()
        assert "LIVE" in text
        assert "equal" in text or "join" in text  # what proves it
        assert "every decision" in text


async def test_why_did_it_buy_and_what_did_it_cost_are_answered_within_three_clicks(
    tab: Opened, execution: Any
) -> None:
    await tab.go()
    clicks = Clicks()
    await clicks(tab.page.get_by_role("link", name="Executions"))
    await clicks(row_of(tab, execution).get_by_role("link"))
    dialog = tab.page.get_by_role("dialog")
    await tab.until("() => document.querySelectorAll('dialog [data-stage]').length > 5")
    stages = await dialog.locator("[data-stage]").evaluate_all("all => all.map((each) => each.dataset.stage)")
    expected = ("book", "features", "choice", "sizing", "venues", "plan", "child", "fill", "shortfall")
    assert [each for each in dict.fromkeys(stages) if each in expected] == list(expected)
    assert stages.count("fill") == execution["fillsTotal"]
    text = await dialog.inner_text()
    assert execution["signal"]["reason"] in text
    total = dialog.locator("[data-path='shortfall.totalBps']").first
    assert float(await total.get_attribute("value") or "nan") == execution["shortfall"]["totalBps"]
    assert await dialog.locator("table.terms rect").count() == 4
    assert clicks.count <= MOST_CLICKS


async def test_why_did_it_not_buy_is_answered_within_three_clicks(system: System, tab: Opened) -> None:
    reason = "nobody buys today"
    await post(system, "/api/exec/halt", {"scope": f"symbol:{SYMBOL}", "reason": reason})
    try:
        await tab.go(f"?symbol={SYMBOL}")
        clicks = Clicks()
        await clicks(tab.page.get_by_role("link", name="Why (not)"))
        chain = tab.page.locator(f"[data-panel='why {SYMBOL}']")
        await chain.locator(".gate.first", has_text=reason).wait_for()
        assert "is closed" in await chain.locator(".verdict").inner_text()
        assert await chain.locator(".gate").count() == 11
        why = await system.get(f"/api/why?symbol={SYMBOL}")
        gates = why["symbols"][0]["gates"]
        words = await chain.locator(".gate .word").all_inner_texts()
        assert words == ["open" if each["open"] else "closed" for each in gates]
        assert clicks.count <= MOST_CLICKS
    finally:
        await post(system, "/api/exec/resume", {"scope": f"symbol:{SYMBOL}"})
    await tab.until(
        "(panel) => !document.querySelector(panel).innerText.includes('nobody buys')",
        argument=f"[data-panel='why {SYMBOL}'] .gate",
    )


async def test_stop_takes_three_clicks(system: System, tab: Opened) -> None:
    await tab.go()
    clicks = Clicks()
    await clicks(tab.page.get_by_role("button", name="Stop"))
    await clicks(tab.page.get_by_role("dialog").get_by_role("button", name="Halt"))
    assert clicks.count <= MOST_CLICKS

    async def halted() -> Any:
        why = await system.get(f"/api/why?symbol={SYMBOL}")
        return why and why["symbols"][0]["first"] == "halt"

    try:
        await until("trading is halted", halted)
        await tab.until("() => document.querySelector('#bar .halted')?.innerText === 'HALTED'")
    finally:
        await post(system, "/api/exec/resume", {"scope": "all"})
    await tab.until("() => !document.querySelector('#bar .halted')")


async def test_a_decision_asked_for_on_the_page_is_made_after_a_confirmation(
    system: System, tab: Opened
) -> None:
    await tab.go(f"?view=why&symbol={SYMBOL}")
    await tab.page.get_by_role("button", name="Decide now").first.click()
    await tab.page.get_by_role("dialog").get_by_role("button", name="Change nothing").click()
    before = await system.get("/api/exec/records?limit=1")
    await tab.page.get_by_role("button", name="Decide now").first.click()
    await tab.page.get_by_role("dialog").get_by_role("button", name=f"Decide on {SYMBOL}").click()
    await tab.until("() => bookrunner.place.now.view === 'executions'")
    asked = await tab.page.evaluate("() => bookrunner.place.now.execution")
    after = await system.get("/api/exec/records?limit=1")
    assert before[0]["executionId"] != asked == after[0]["executionId"]


async def test_a_keyboard_alone_leads_through_the_page(tab: Opened, execution: Any) -> None:
    await tab.go()
    page, keys = tab.page, tab.page.keyboard
    await keys.press("Tab")
    assert await page.evaluate("() => document.activeElement.className") == "skip"
    await keys.press("Enter")
    assert await page.evaluate("() => document.activeElement.id") == "view"
    shortcuts = await page.locator("nav a").evaluate_all(
        "all => all.map((a) => [a.ariaKeyShortcuts, a.innerText])"
    )
    for key, title in shortcuts:
        await keys.press(key)
        await tab.until("(title) => document.title.startsWith(title)", argument=title)
    await keys.press("e")
    await row_of(tab, execution).get_by_role("link").focus()
    await keys.press("Enter")
    await tab.until("() => document.querySelector('dialog')?.contains(document.activeElement)")
    await keys.press("Escape")
    await tab.until("() => !document.querySelector('dialog') && bookrunner.place.now.execution === null")
    await page.get_by_label("The moment that is shown").focus()
    await keys.press("Shift+ArrowLeft")
    await tab.until("() => bookrunner.place.now.at !== null && bookrunner.moments.here")
    await keys.press("l")
    await tab.until(LIVE)


@pytest.mark.usefixtures("execution")
async def test_all_views_show_the_numbers_of_a_moment_and_come_back(system: System, tab: Opened) -> None:
    at = int(time.time() * 1000) - PAST_MS
    await tab.go(f"?at={at}&symbol={SYMBOL}")
    await tab.until("() => bookrunner.moments.here")
    told = await system.get(f"/api/at?ts={at}&symbol={SYMBOL}")
    compared = {}
    for view in await tab.views():
        await tab.view(view)
        await tab.until("(title) => document.title.startsWith(title)", argument=view)
        found = await tab.page.evaluate(COMPARE, told["records"])
        assert found["differ"] == [], view
        compared[view] = found["equal"]
    assert sum(compared.values()) >= LEAST_COMPARED, compared
    await tab.page.keyboard.press("l")
    await tab.until(LIVE)
    await tab.view("Market")
    await tab.until(
        "(at) => [...document.querySelectorAll('[data-panel=best] [data-record]')].length"
        " && bookrunner.store.all('tops').some(({ data }) => data.receivedTs > at)",
        argument=at + PAST_MS,
    )


async def test_an_audit_is_verified_in_the_browser_and_an_altered_byte_is_found(
    system: System, tab: Opened, execution: Any
) -> None:
    path = f"/api/audit/{execution['executionId']}"
    whole = await system.get(path)
    place = f"?view=executions&execution={execution['executionId']}"
    await tab.go(place)
    await tab.until("() => document.querySelector('.audit[data-verified=true]')")
    said = await tab.page.locator(".audit").inner_text()
    assert f"{len(whole['entries'])}" in said
    assert "Verified in this browser" in said
    assert "The gateway says: verified" in said

    async def altered(route: Route) -> None:
        """Change one byte of the answer, as somebody on the way would: nothing else here is not real."""
        text = json.dumps(whole).replace(f'"{SYMBOL}"', f'"{SYMBOL[:-1]}U"', 1)
        assert sum(a != b for a, b in zip(text, json.dumps(whole), strict=True)) == 1
        await route.fulfill(body=text, content_type="application/json")

    await tab.page.route(f"**{path}", altered)
    await tab.go(place)
    await tab.until("() => document.querySelector('.audit[data-verified=false]')")
    said = await tab.page.locator(".audit").inner_text()
    assert "Altered" in said
    assert "entry 0 (requested): it is not what its hash was made of" in said
