from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.context_fields import features_of
from libs.common.events import BookHealth, BookState, BookTop, Candle, ContextInput, Features
from libs.common.time_units import DAY_NS, MINUTE_NS
from libs.common.topics import L2_CANDLES, book_key, input_key
from services.router.har import forecast
from tests.router_world import NOW, World, choose

if TYPE_CHECKING:
    from services.router.live import LiveInputs

FEATURES = Features(
    mid=100.0, microprice=100.01, spread_bps=1.0, obi=0.3, depth_bid=5.0, depth_ask=6.0, depth_truncated=False
)


def _book(live: LiveInputs, venue: str, mid: float = 100.0, **health: Any) -> None:
    key = book_key(venue, "BTC-USDT")
    top = BookTop(
        venue=venue,
        symbol="BTC-USDT",
        epoch=1,
        seq=1,
        venue_seq=1,
        bids=((99.0, 1.0),),
        asks=((101.0, 1.0),),
        features=replace(FEATURES, mid=mid, microprice=mid * 1.0001),
        venue_ts=None,
        received_ts=NOW - 10**11,
    )
    said = BookHealth(
        venue=venue, symbol="BTC-USDT", state=BookState.LIVE, epoch=1, seq=1, reason="", since_ts=NOW, ts=NOW
    )
    live.tops.fold(0, live.tops.position(0), key, top)
    live.healths.fold(0, live.healths.position(0), key, replace(said, **health))


def _tell(live: LiveInputs, name: str, value: float, key: bytes | None = None, **changes: Any) -> None:
    fields: dict[str, Any] = {"symbol": "BTC-USDT", "name": name, "value": value, "ts": NOW}
    fields |= {"valid_until_ts": NOW + MINUTE_NS} | changes
    key = input_key(fields["symbol"], fields["name"]) if key is None else key
    live.inputs.fold(0, live.inputs.position(0), key, ContextInput(**fields))


def _candles(live: LiveInputs, minutes: int = 30, end: int = NOW) -> None:
    for n in range(minutes):
        open_ts = end - (minutes - n) * MINUTE_NS
        price = 100 + (n * n) % 7 / 10
        candle = Candle(
            venue="binance",
            symbol="BTC-USDT",
            interval="1m",
            open_ts=open_ts,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=1.0,
            trades=1,
            closed=True,
        )
        view = live.candles.views[0]
        view.fold(0, view.position(0), book_key("binance", "BTC-USDT"), candle)


def test_of_the_candles_only_the_reference_venues_minutes_are_read() -> None:
    (minutes,) = (view for view in World().live.views if "candles" in view.topic.name)
    assert minutes.topic is L2_CANDLES
    assert minutes.wants(b"1m:60000:binance:BTC-USDT")
    assert not minutes.wants(b"1m:60000:binance-usdm:BTC-USDT")


def test_a_symbol_fills_what_the_caller_left_out_and_the_event_says_so() -> None:
    world = World()
    _book(world.live, "binance")
    _book(world.live, "binance-usdm", 100.05)
    _candles(world.live)
    chosen = world.choose(choose(1, {"symbol": "btcusdt", "obi": -0.5}))
    assert chosen.inputs["obi"] == -0.5
    assert chosen.inputs["spreadBps"] == 1.0
    assert chosen.inputs["micropriceBps"] == pytest.approx(1.0)
    assert chosen.inputs["basisBps"] == pytest.approx(5.0)
    assert chosen.forecast_vol == chosen.inputs["sigmaHAR"]
    assert {"spreadBps", "sigmaHAR", "basisBps"} <= set(chosen.filled) == set(chosen.sources)
    assert chosen.sources["spreadBps"] == "binance book"
    assert chosen.sources["basisBps"] == "binance-usdm book"
    assert chosen.sources["sigmaHAR"] == "binance candles"
    assert "obi" not in chosen.filled
    assert {"regime", "rr25", "fundingRate", "tradeImbalance", "sentiment"} <= set(chosen.missing)


def test_a_forecast_whose_weights_no_hour_has_fitted_is_named() -> None:
    world = World()
    _candles(world.live)
    assert world.choose(choose(1, {"symbol": "BTC-USDT"})).unfitted == ("sigmaHAR",)
    assert world.choose(choose(2, {"symbol": "BTC-USDT", "sigmaHAR": 0.02})).unfitted == ()
    _candles(world.live, minutes=200)
    assert world.choose(choose(3, {"symbol": "BTC-USDT"})).unfitted == ()


@pytest.mark.parametrize(
    "wrong",
    [{"state": BookState.GAP}, {"epoch": 2}, {"ts": NOW - 60 * 10**9}],
    ids=["gap", "epoch", "silent"],
)
def test_a_book_that_is_not_proven_live_now_fills_nothing(wrong: dict[str, Any]) -> None:
    live = World().live
    _book(live, "binance", **wrong)
    context: dict[str, float | str] = {"symbol": "BTC-USDT"}
    assert live.fill(context, NOW) == ((), (), {})


def test_candles_that_ended_long_ago_forecast_nothing() -> None:
    live = World().live
    _candles(live, end=NOW - 10 * MINUTE_NS)
    assert "sigmaHAR" not in live.fill({"symbol": "BTC-USDT"}, NOW).names


def test_without_a_symbol_nothing_is_filled() -> None:
    live = World().live
    _book(live, "binance")
    _tell(live, "rr25", 0.1)
    assert live.fill({"regime": "bull"}, NOW) == ((), (), {})


def test_an_input_fills_what_no_book_says_and_the_event_names_its_source() -> None:
    world = World()
    _book(world.live, "binance")
    _tell(world.live, "rr25", 0.05, source="deribit")
    _tell(world.live, "obi", -0.9, source="somebody")
    _tell(world.live, "fundingRate", 0.5)
    _tell(world.live, "tradeImbalance", 0.25, source="s" * 100)
    chosen = world.choose(choose(1, {"symbol": "BTC-USDT", "fundingRate": 1e-4}))
    assert (chosen.inputs["rr25"], chosen.sources["rr25"]) == (0.05, "deribit")
    assert (chosen.inputs["obi"], chosen.sources["obi"]) == (0.3, "binance book")
    assert chosen.inputs["fundingRate"] == 1e-4
    assert "fundingRate" not in chosen.sources
    assert chosen.sources["tradeImbalance"] == "s" * 64
    assert chosen.filled == tuple(chosen.sources)
    assert chosen.features["rr25"] != 0
    assert chosen.features["rr25.missing"] == 0
    assert world.snapshot is not None
    assert (world.snapshot.sources, world.snapshot.stubs) == (chosen.sources, ())


def test_of_a_symbol_and_of_all_symbols_the_symbol_s_own_counts_while_it_may_be_used() -> None:
    live = World().live
    _tell(live, "sentiment", 0.1, symbol="*", source="all")
    assert live.fill({"symbol": "BTC-USDT"}, NOW).sources == {"sentiment": "all"}
    _tell(live, "sentiment", 0.2, source="own")
    context: dict[str, float | str] = {"symbol": "BTC-USDT"}
    assert live.fill(context, NOW).sources == {"sentiment": "own"}
    assert context["sentiment"] == 0.2
    assert live.fill({"symbol": "ETH-USDT"}, NOW).sources == {"sentiment": "all"}
    _tell(live, "sentiment", 0.2, source="own", valid_until_ts=NOW - 1)
    assert live.fill({"symbol": "BTC-USDT"}, NOW).sources == {"sentiment": "all"}
    _tell(live, "sentiment", 0.2, source="")
    assert live.fill({"symbol": "BTC-USDT"}, NOW).sources == {"sentiment": "unsaid"}


def test_a_number_that_means_something_goes_before_a_stub_s_of_whichever_symbol() -> None:
    live = World().live
    _tell(live, "sentiment", 0.2, source="stub")
    assert live.fill({"symbol": "BTC-USDT"}, NOW).sources == {"sentiment": "stub"}
    _tell(live, "sentiment", 0.1, symbol="*", source="fear-greed")
    context: dict[str, float | str] = {"symbol": "BTC-USDT"}
    assert live.fill(context, NOW).sources == {"sentiment": "fear-greed"}
    assert context["sentiment"] == 0.1
    _tell(live, "sentiment", 0.1, symbol="*", source="stub")
    _tell(live, "sentiment", 0.3, source="")
    assert live.fill({"symbol": "BTC-USDT"}, NOW).sources == {"sentiment": "unsaid"}
    _tell(live, "sentiment", 0.2, source="stub")
    context = {"symbol": "BTC-USDT"}
    assert live.fill(context, NOW).sources == {"sentiment": "stub"}
    assert context["sentiment"] == 0.2, "of two stubs the symbol's own"


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 1.5},
        {"value": math.nan},
        {"valid_until_ts": NOW - 1},
        {"ts": NOW + 60 * 10**9},
        {"valid_until_ts": NOW + 8 * DAY_NS},
        {"name": "onchain"},
        {"symbol": "ETH-USDT"},
    ],
    ids=["range", "nan", "expired", "future", "too long", "another's name", "another's symbol"],
)
def test_an_input_that_may_not_be_used_leaves_its_number_missing(wrong: dict[str, Any]) -> None:
    live = World().live
    fields: dict[str, Any] = {"name": "sentiment", "value": 0.2, "key": b"BTC-USDT:sentiment"}
    _tell(live, **fields | wrong)
    assert live.fill({"symbol": "BTC-USDT"}, NOW) == ((), (), {})


def test_an_input_that_ended_on_the_topic_is_missing() -> None:
    live = World().live
    _tell(live, "sentiment", 0.2)
    live.inputs.fold(0, live.inputs.position(0), b"BTC-USDT:sentiment", None)
    assert live.fill({"symbol": "BTC-USDT"}, NOW).names == ()


def test_an_input_of_a_stub_is_used_and_listed_as_one() -> None:
    world = World()
    _tell(world.live, "sentiment", 0.2, source="stub")
    _tell(world.live, "rr25", 0.02, source="deribit")
    world.choose(choose(1, {"symbol": "BTC-USDT"}))
    assert world.snapshot is not None
    assert list(world.snapshot.stubs) == ["sentiment"]
    world.choose(choose(2, {"symbol": "BTC-USDT", "sentiment": 0.5}))
    assert list(world.snapshot.stubs) == []


def test_a_feature_of_the_scope_s_own_is_filled_from_its_inputs_there_alone() -> None:
    world, plain = World(features=features_of("vix:5..150:18~6")), World()
    for one in (world, plain):
        _tell(one.live, "vix", 24.0, symbol="*", source="cboe")
    chosen = world.choose(choose(1, {"symbol": "BTC-USDT"}))
    assert (chosen.inputs["vix"], chosen.sources["vix"]) == (24.0, "cboe")
    assert chosen.features["vix"] == pytest.approx(1.0)
    assert "vix" not in plain.choose(choose(1, {"symbol": "BTC-USDT"})).inputs


def test_a_symbol_s_volatility_is_forecast_once_for_the_minutes_that_are_there() -> None:
    live = World().live
    _candles(live)
    said = live.forecast_of("BTC-USDT", NOW)
    assert said is not None
    assert live.forecast_of("BTC-USDT", NOW + 1) is said
    _candles(live, minutes=1, end=NOW + MINUTE_NS)
    bars = live.candles.window("binance", "BTC-USDT", "1m")
    again, anew = (
        live.forecast_of("BTC-USDT", NOW + MINUTE_NS),
        forecast([bar.open_ts for bar in bars], [bar.close for bar in bars]),
    )
    assert again is not None
    assert anew is not None
    assert again.sigma == anew.sigma != said.sigma
