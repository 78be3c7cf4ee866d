"""The venues' routes on folded metrics; the score meets its service in tests/e2e."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.common.events import BookState, ServiceState, VenueScored
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, VENUES_METRICS, book_key
from libs.common.venue_fees import fees_of
from services.gateway.http.views import SCORE
from services.venues.lags import read_lags
from services.venues.registry import Measurement, metrics_of
from tests.heartbeats import a_status
from tests.unit.services.gateway.world import World
from tests.venue_market import a_health, a_top

if TYPE_CHECKING:
    from libs.common.events import VenueMetrics


def some_metrics(world: World, venue: str, symbol: str, cost: float | None) -> VenueMetrics:
    measured = Measurement(state=BookState.LIVE, rate_remaining=0.75)
    lags, fees = read_lags(Counter({4: 3})), fees_of(venue, {})
    found = metrics_of(venue, symbol, measured, lags, a_top(venue, symbol), world.now, fees)
    return msgspec.structs.replace(found, reference_cost_bps=cost, reference_notional=10_000.0)


def tell(
    world: World, venue: str, symbol: str, cost: float | None, state: BookState = BookState.LIVE
) -> None:
    key = book_key(venue, symbol)
    world.fold(L2_BOOK_TOPS, key, a_top(venue, symbol, now=world.now))
    world.fold(L2_BOOK_HEALTH, key, a_health(venue, symbol, now=world.now, state=state))
    world.fold(VENUES_METRICS, key, some_metrics(world, venue, symbol, cost))


async def test_the_registry_is_sorted_by_the_reference_cost_and_what_has_none_is_last() -> None:
    world = World()
    for venue, cost in (("okx", 11.0), ("kraken", None), ("binance", 10.5), ("bybit", 10.5)):
        tell(world, venue, "BTC-USDT", cost)
    registry = (await world.ask("/api/venues/registry")).json()
    assert [each["venue"] for each in registry] == ["binance", "bybit", "okx", "kraken"]
    assert [each["score"] for each in registry] == [-10.5, -10.5, -11.0, None]
    first = registry[0]
    assert first | {"symbols": []} == {
        "venue": "binance",
        "symbol": "BTC-USDT",
        "score": -10.5,
        "latency": 0.0,
        "latencyP99": 0.0,
        "spread_bps": pytest.approx(1 / 6),
        "topDepth": 2.5,
        "feeBps": 10.0,
        "fees": {"takerBps": 10.0, "makerBps": 10.0},
        "reliability": pytest.approx(20 / 21),
        "rateRemaining": 0.75,
        "state": "LIVE",
        "symbols": [],
    }
    assert first["symbols"][0]["depthAsk"] == [15.0, 25.0, 25.0]
    assert first["symbols"][0]["clockOffsetMs"] == 2.0


async def test_a_book_that_is_not_live_now_has_no_score_whatever_its_metrics_said() -> None:
    world = World()
    tell(world, "binance", "BTC-USDT", 10.5, BookState.GAP)
    tell(world, "kraken", "BTC-USDT", 40.5)
    registry = (await world.ask("/api/venues/registry")).json()
    assert [(each["venue"], each["state"]) for each in registry] == [("kraken", "LIVE"), ("binance", "GAP")]
    world.now += 60_000_000_000
    registry = (await world.ask("/api/venues/registry")).json()
    assert {each["state"] for each in registry} == {"STALE"}


async def test_scalars_are_those_of_the_symbol_most_venues_have_or_of_the_one_asked_for() -> None:
    world = World()
    tell(world, "binance", "BTC-USDT", 10.5)
    tell(world, "binance", "ETH-USDT", 10.1)
    tell(world, "kraken", "ETH-USDT", 40.1)
    registry = (await world.ask("/api/venues/registry")).json()
    assert [(each["venue"], each["symbol"]) for each in registry] == [
        ("binance", "ETH-USDT"),
        ("kraken", "ETH-USDT"),
    ]
    assert [each["symbol"] for each in registry[0]["symbols"]] == ["BTC-USDT", "ETH-USDT"]
    asked = (await world.ask("/api/venues/registry?symbol=btcusdt")).json()
    assert [(each["venue"], each["symbol"]) for each in asked] == [("binance", "BTC-USDT")]


async def test_the_registry_is_503_before_anything_is_measured_and_then_an_unknown_symbol_is_404() -> None:
    world = World()
    unmeasured = await world.ask("/api/venues/registry")
    assert (unmeasured.status, unmeasured.headers["retry-after"]) == (503, "1")
    assert unmeasured.json()["detail"] == "Nothing is measured yet: no book has been LIVE yet."
    world.hear(a_status("venues", 0, state=ServiceState.STARTING, detail="joining its group"))
    assert "venues is starting" in (await world.ask("/api/venues/registry")).json()["detail"]
    tell(world, "binance", "ETH-USDT", 10.5)
    for symbol in ("BTC-USDT", "nope", "%00"):
        answer = await world.ask(f"/api/venues/registry?symbol={symbol}")
        assert answer.status == 404
        assert answer.json()["type"] == "/docs#unknown-symbol"


@pytest.mark.parametrize(
    "body",
    [
        {"symbol": "BTCUSDT", "size": 0},
        {"symbol": "BTCUSDT", "size": 2e12},
        {"symbol": "BTCUSDT", "size": "1"},
        {"symbol": "BTCUSDT", "size": 1, "side": "hold"},
        {"symbol": "BTCUSDT", "size": 1, "more": 1},
        {"size": 1},
    ],
)
async def test_a_score_of_a_wrong_body_is_invalid(body: object) -> None:
    headers = {"content-type": "application/json"}
    answer = await World().ask("/api/venues/score", "POST", json.dumps(body).encode(), headers)
    assert answer.status == 422


def test_a_score_has_the_names_of_the_contract() -> None:
    scored = VenueScored(
        command_id="id",
        symbol="BTC-USDT",
        side="buy",
        size=1.0,
        venue="okx",
        score=-10.0,
        reasons=("cheap",),
        candidates=(),
        allocation=(),
        saving_bps=0.5,
        ts=1_000_000,
    )
    told = json.loads(msgspec.json.encode(SCORE(scored)))
    assert (told["savingBps"], told["commandId"], told["ts"]) == (0.5, "id", 1)
