"""The page's beliefs and portfolio in a real browser: numbers are the records', curves are the laws."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec.structs import replace
from scipy import stats

from libs.common.events import (
    EquityMarked,
    Event,
    PortfolioOptimized,
    Position,
    RiskBudget,
    RouterSnapshot,
    SymbolRisk,
)
from services.gateway.http.view import encode
from services.gateway.stream.sse import json_ready
from tests.full_valued import bare
from tests.page_browser import IN_A_BROWSER, NARROW, WIDE, chromium, opened
from tests.router_world import NOW, World, choose, reward
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.world import World as Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.page_browser import Opened

pytestmark = IN_A_BROWSER

SCOPE: Final = "s"
LATER: Final = 1000  # offset of the first of our records, after those that the gateway holds itself
STRANGE: Final = "x.1_<b>&amp;"  # not what the router's door lets in, which the page need not know
NAMES: Final = ("p_sma", "p_breakout", "x_my.policy.v2")


def told(topic: str, offset: int, event: Event) -> dict[str, Any]:
    """Return an event as ``/api/stream`` and ``/api/at`` tell it."""
    return {
        "topic": topic,
        "id": f"{topic}:0:{LATER + offset}",
        "data": json.loads(encode(json_ready(event))),
    }


def a_router() -> tuple[RouterSnapshot, list[dict[str, Any]]]:
    """Return the last snapshot of a scope, and everything that its topics say of it."""
    world = World(policies=NAMES)
    found = []
    for n in range(40):
        chosen = replace(world.choose(choose(n, scope=SCOPE)), ts=NOW + n * 10**9)
        lesson = world.reward(reward(f"r{n}", chosen.policy_id, 0.001 * (n % 5 - 2), decision=n, scope=SCOPE))
        lesson = replace(lesson, ts=chosen.ts + 1, drift_alarm=n == 20)
        found += [told("router.choices.v1", 2 * n, chosen), told("router.choices.v1", 2 * n + 1, lesson)]
    assert world.snapshot is not None
    return world.snapshot, [*found, told("router.snapshots.v1", 7, world.snapshot)]


def a_portfolio() -> list[dict[str, Any]]:
    part = bare(SymbolRisk)
    risks = {
        "BTC-USDT": replace(part, cvar=0.08, vol=0.03, weight=0.25, used=0.02, effective_days=170.0),
        "ETH-USDT": replace(part, cvar=0.1, vol=0.05, weight=-0.1, used=0.01, effective_days=90.0),
    }
    risk = replace(bare(RiskBudget), book="default", cvar_budget=0.05, cvar_used=0.03, cvar_left=0.02)
    best = replace(
        bare(PortfolioOptimized),
        book="default",
        weights={"BTC-USDT": 0.4},
        mean={"BTC-USDT": 0.001},
        binding=("vol_target",),
        shadow_prices={"cvar_budget": 0.0, "vol_target": 0.026},
        gap=1e-18,
    )
    marks = [
        replace(
            bare(EquityMarked), book="default", capital=Decimal(100), equity=Decimal(each), ts=NOW + n * 10**9
        )
        for n, each in enumerate(("100", "110.5", "104.975", "108"))
    ]
    position = replace(bare(Position), symbol="BTC-USDT", quantity=Decimal("0.5"), mark=50.0, mark_ts=NOW)
    return [
        told("portfolio.risk.v1", 3, replace(risk, by_symbol=risks, confidence=0.95)),
        told("portfolio.allocations.v1", 4, best),
        told("portfolio.positions.v1", 5, position),
        *(told("portfolio.equity.v1", n, mark) for n, mark in enumerate(marks)),
    ]


@asynccontextmanager
async def the_page(records: list[dict[str, Any]], size: tuple[int, int] = WIDE) -> AsyncIterator[Opened]:
    """Open the page of a gateway whose Kafka is silent, and hand these records to its store."""
    async with (
        Serving(Gateway()).listening() as (host, port),
        chromium() as browser,
        opened(browser, f"http://{host}:{port}", size) as tab,
    ):
        tab.expected = ("Failed to load resource",)
        await tab.page.goto(tab.address)
        await tab.until("() => globalThis.bookrunner?.told")
        await tab.page.evaluate(
            """records => {
                for (const { topic, id, data } of records) bookrunner.store.apply(topic, id, data);
                bookrunner.redraw();
            }""",
            records,
        )
        yield tab


async def numbers(tab: Opened) -> list[tuple[str, str, str]]:
    """Return record, path and value of every number in the view that says where it is from."""
    found: list[list[str]] = await tab.page.evaluate(
        """() => [...document.querySelectorAll("main data[data-path]")].map((each) =>
            [each.closest("[data-record]")?.dataset.record ?? "", each.dataset.path, each.value])"""
    )
    return [(record, path, value) for record, path, value in found]


def at(value: Any, path: str) -> Any:
    """Return what a path names; names of the world may have dots."""
    if isinstance(value, list):
        first, _, rest = path.partition(".")
        return at(value[int(first)], rest) if rest else value[int(first)]
    if path in value:
        return value[path]
    cut = next(n for n, letter in enumerate(path) if letter == "." and path[:n] in value)
    return at(value[path[:cut]], path[cut + 1 :])


async def compared(tab: Opened, records: list[dict[str, Any]]) -> list[str]:
    """Return the paths of the numbers in the view, all of which are those of their records."""
    own = await tab.page.evaluate("fetch('api/at').then((answer) => answer.json())")
    by_id = {each["id"]: each["data"] for each in (*own["records"], *records)}
    found = await numbers(tab)
    for record, path, value in found:
        expected = at(by_id[record], path)
        assert float(value) == float(expected), (record, path)
    return [path for _, path, _ in found]


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_every_number_of_the_beliefs_is_the_records(size: tuple[int, int]) -> None:
    snapshot, records = a_router()
    async with the_page(records, size) as tab:
        await tab.view("Beliefs")
        await tab.until("() => document.querySelectorAll('density-plot .curve').length === 3")
        paths = await compared(tab, records)
        for n in range(len(NAMES)):
            assert {f"policies.{n}.belief.best", f"policies.{n}.low"} <= set(paths)
        assert {f"scores.{name}" for name in NAMES} <= set(paths)
        assert sum(path.startswith("features.") for path in paths) == len(snapshot.features)
        words = await tab.page.locator("density-plot").get_attribute("aria-label")
        assert words is not None
        assert all(name in words for name in NAMES)
        wide = await tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        plot = await tab.page.locator("line-plot").get_attribute("aria-label")
        assert plot is not None
        assert "drift alarm at" in plot


async def test_a_curve_is_the_density_of_its_law() -> None:
    """In ratio to its value at the mean: each curve has a height of its own."""
    snapshot, records = a_router()
    places = [-0.01, -0.003, -0.0004, 0.0, 0.0001, 0.0007, 0.002, 0.02]
    async with the_page(records) as tab:
        for policy in snapshot.policies:
            belief = policy.belief
            assert belief is not None
            law = json.loads(encode(json_ready(belief))) | {"weights": snapshot.weights}
            found = await tab.page.evaluate(
                """([law, places]) => import("/page/widgets/density_plot.js").then(({ shape }) =>
                    places.map((each) => shape(law, each) / shape(law, 0)))""",
                [law, places],
            )
            parts = list(zip(snapshot.weights, belief.means, belief.scales, strict=True))
            exact = [
                sum(w * stats.t.pdf(each, belief.degrees, m, s) for w, m, s in parts)
                for each in (*places, 0.0)
            ]
            assert found == pytest.approx([each / exact[-1] for each in exact[:-1]], rel=1e-9)


async def test_hostile_names_and_reasons_stay_text() -> None:
    snapshot, records = a_router()
    first = replace(snapshot.policies[0], policy_id=STRANGE, version="<img src=x onerror=alert(1)>")
    strange = replace(snapshot, policies=(first,), best_why="<script>alert(1)</script>", last_choice=STRANGE)
    async with the_page([*records, told("router.snapshots.v1", 8, strange)]) as tab:
        await tab.view("Beliefs")
        await tab.until("() => document.querySelectorAll('density-plot .curve').length === 1")
        text = await tab.page.locator("main").inner_text()
        assert STRANGE in text
        assert "<script>alert(1)</script>" in text
        assert await tab.page.locator("main img, main script, main b").count() == 0


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_every_number_of_the_portfolio_is_the_records(size: tuple[int, int]) -> None:
    records = a_portfolio()
    async with the_page(records, size) as tab:
        await tab.view("Portfolio")
        await tab.until("() => document.querySelectorAll('line-plot').length === 2")
        paths = await compared(tab, records)
        wanted = {
            "equity",
            "cvarLeft",
            "bySymbol.ETH-USDT.used",
            "weights.BTC-USDT",
            "shadowPrices.vol_target",
        }
        assert wanted | {"quantity"} <= set(paths)
        made: list[float] = await tab.page.evaluate(
            "Array.from(document.querySelectorAll('main data[data-derived]'), ({ value }) => Number(value))"
        )
        for value in (0.08, 25.0, 108 / 110.5 - 1, 104.975 / 110.5 - 1, 0.25 - 0.4, 0.02 / 0.05):
            assert any(each == pytest.approx(value) for each in made), value
        assert await tab.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
