"""The page's modules in a real browser, served by the gateway: what they hold to be true of records."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec.structs import replace

from libs.common.events import BookState, ExecutionProgress, ExecutionRecord
from libs.common.live_books import PATIENCE, usable
from services.gateway.http.view import encode
from services.gateway.stream.sse import json_ready
from tests.browser import a_page, find_browser
from tests.execution_market import EPOCH, NOW, a_book_health, a_book_top
from tests.unit.services.execution.test_record_history import a_worked_execution
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.world import World
from tests.whole_records import whole_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.events import BookHealth, BookTop
    from tests.browser import Page

BROWSER: Final = find_browser()
S: Final = 1_000_000_000
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed, and CHROMIUM names none")


@asynccontextmanager
async def the_page(folder: Path) -> AsyncIterator[Page]:
    """Open the page of a gateway whose Kafka is silent."""
    assert BROWSER is not None
    async with Serving(World()).listening() as (host, port), a_page(BROWSER, folder) as tab:
        await tab.open(f"http://{host}:{port}/")
        await tab.wait_for("document.querySelector('nav a')")
        yield tab


def books() -> list[tuple[BookTop | None, BookHealth | None]]:
    """Return books in every state and of every fault, each alone and some together."""
    top, level = a_book_top(), ((60_000.0, 2.0),)
    tops: list[BookTop | None] = [None, top, replace(top, features=None), replace(top, bids=())]
    tops += [replace(top, received_ts=NOW - age) for age in (-2 * S, S, 2 * S, 9 * S, 11 * S, 31 * S)]
    tops += [replace(top, asks=level), replace(top, asks=()), replace(top, bids=((60_000.0, 0.0),))]
    tops += [replace(top, epoch=EPOCH + 1), replace(top, bids=((2e12, 1.0),))]
    healths: list[BookHealth | None] = [None, *(a_book_health(state=state) for state in BookState)]
    healths += [a_book_health(ts=NOW - age) for age in (-2 * S, 2 * S, 5 * S, 6 * S)]
    healths += [a_book_health(epoch=EPOCH + 1), a_book_health(told_seq=9), a_book_health(in_doubt=True)]
    return list(product(tops, healths))


async def test_the_page_judges_every_book_as_the_services_do(tmp_path: Path) -> None:
    told, wanted = [], []
    for top, health in books():
        cases = [usable(top, health, NOW, patience) for patience in PATIENCE.values()]
        wanted.append([case is None for case in cases])
        told.append([None if each is None else json_ready(each) for each in (top, health)])
    uses = f"[{', '.join(repr(str(use)) for use in PATIENCE)}]"
    ask = f"""import("/page/book_rule.js").then(({{ fault }}) => {encode(told).decode()}
        .map(([top, health]) => {uses}.map((use) => fault(top, health, {NOW // 1_000_000}, use) === null)))"""
    async with the_page(tmp_path) as tab:
        assert await tab.evaluate(ask) == wanted
        said = await tab.evaluate('import("/page/book_rule.js").then((rule) => Object.keys(rule.STATES))')
    assert any(map(any, wanted))
    assert set(said) == {str(state) for state in BookState}


def told(seq: int, offset: int, venue: str = "okx") -> dict[str, Any]:
    """Return a health as ``/api/at`` tells it."""
    data = json.loads(encode(json_ready(a_book_health(venue=venue, seq=seq))))
    topic = "l2.book-health.v1"
    return {"topic": topic, "id": f"{topic}:0:{offset}", "key": f"{venue}:BTC-USDT", "data": data}


async def test_what_came_meanwhile_stays_and_what_is_gone_goes_when_missed_messages_are_read_anew(
    tmp_path: Path,
) -> None:
    ask = f"""import("/page/store.js").then(({{ Store }}) => {{
        const store = new Store();
        const seqs = () => store.all("healths").map(({{ data }}) => [data.venue, data.seq]);
        const take = ({{ topic, id, data }}) => store.apply(topic, id, data);
        take({json.dumps(told(1, 10))});
        take({json.dumps(told(1, 11, "gone"))});
        store.doubt();
        const while_in_doubt = seqs();
        take({json.dumps(told(5, 15))});
        store.fill([{json.dumps(told(4, 14))}, {json.dumps(told(2, 12, "new"))}]);
        const healed = seqs();
        store.doubt();
        store.fill([{json.dumps(told(0, 0))}]);
        return [while_in_doubt, healed, seqs()];
    }})"""
    async with the_page(tmp_path) as tab:
        doubted, healed, of_another_kafka = await tab.evaluate(ask)
    assert doubted == [["gone", 1], ["okx", 1]]
    assert healed == [["new", 2], ["okx", 5]]
    assert of_another_kafka == [["okx", 0]]


@pytest.mark.parametrize("levels", [1, 5])
async def test_the_page_makes_of_progress_the_records_that_the_gateway_makes(
    tmp_path: Path, levels: int
) -> None:
    world, _ = a_worked_execution(levels)
    written = [each for each in world.sent if isinstance(each, ExecutionRecord | ExecutionProgress)]
    whole = [json.loads(encode(json_ready(record))) for record in whole_records(written)]
    ask = f"""import("/page/progress.js").then(({{ withProgress }}) => {{
        const step = (all, message) =>
          [...all, message.type === "ExecutionProgress" ? withProgress(all.at(-1), message) : message];
        return {encode([json_ready(each) for each in written]).decode()}.reduce(step, []);
    }})"""
    async with the_page(tmp_path) as tab:
        made = await tab.evaluate(ask)
    assert made == whole
    assert sum(isinstance(each, ExecutionProgress) for each in written) > 50


async def test_nothing_that_the_page_keeps_grows_without_bound(tmp_path: Path) -> None:
    ask = """Promise.all([import("/page/store.js"), import("/page/topics.js")]).then((modules) => {
        const [{ Store }, { MOST }] = modules;
        const store = new Store();
        const apply = (topic, n, data) => store.apply(topic, `${topic}:0:${n}`, data);
        for (let n = 0; n < 9000; n += 1) {
          const status = n < 5 ? "working" : "completed";
          const record = { executionId: `e${n}`, status, ts: n, orders: [], fills: [] };
          apply("execution.records.v1", n, { type: "ExecutionRecord", ...record });
          apply("venues.scores.v1", n, { type: "VenueScored", commandId: `c${n}` });
          apply("l2.trades.v1", n, { type: "Trade", venue: "okx", symbol: "A-B", receivedTs: n, price: 1 });
        }
        const running = store.all("records").filter(({ data }) => data.status === "working").length;
        const sizes = [store.table("records").size, store.table("scores").size];
        return [sizes.join() === [MOST.records, MOST.scores].join(), running,
          store.history.of("trades", "okx:A-B").length <= 4000];
    })"""
    async with the_page(tmp_path) as tab:
        assert await tab.evaluate(ask) == [True, 5, True]


async def test_the_moment_is_chosen_and_left_by_keys_alone_and_stands_in_the_address(tmp_path: Path) -> None:
    slider = "document.querySelector('#time input[type=range]')"

    async def press(key: str, code: int = 0) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await tab.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    async with the_page(tmp_path) as tab:
        await tab.wait_for("bookrunner.told")  # by whose clock the slider goes
        await tab.evaluate("bookrunner.told.from -= 3_600_000")  # as if an hour were kept
        await tab.wait_for(f"{slider}.max - {slider}.min > 3_000_000")
        await tab.evaluate(f"{slider}.focus()")
        before = await tab.evaluate("Date.now() + bookrunner.skew")
        await press("PageDown")
        await tab.wait_for("/at=\\d{13}/.test(location.search)")
        first = int(await tab.evaluate("new URLSearchParams(location.search).get('at')"))
        after = await tab.evaluate("Date.now() + bookrunner.skew")
        assert before - 62_000 < first < after - 59_000
        await press("ArrowLeft")
        await tab.wait_for(f"location.search.includes('at={first - 1000}')")
        assert await tab.evaluate(f"document.activeElement === {slider}")
        assert await tab.evaluate(f"{slider}.ariaValueText.endsWith('UTC')")
        await press("l")
        await tab.wait_for(f"!location.search.includes('at=') && {slider}.ariaValueText === 'live'")
