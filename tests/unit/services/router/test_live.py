from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from libs.common.events import BookHealth, BookState, BookTop, Candle, Features
from libs.common.time_units import MINUTE_NS
from libs.common.topics import L2_CANDLES, book_key
from services.router.har import forecast
from services.router.providers import PROVIDERS
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
    assert {"spreadBps", "sigmaHAR", "sentiment"} <= set(chosen.filled)
    assert "obi" not in chosen.filled
    assert {"regime", "rr25", "fundingRate", "tradeImbalance"} <= set(chosen.missing)


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
    assert set(live.fill(context, NOW).names) == {provider.name for provider in PROVIDERS}


def test_candles_that_ended_long_ago_forecast_nothing() -> None:
    live = World().live
    _candles(live, end=NOW - 10 * MINUTE_NS)
    assert "sigmaHAR" not in live.fill({"symbol": "BTC-USDT"}, NOW).names


def test_without_a_symbol_nothing_is_filled() -> None:
    live = World().live
    _book(live, "binance")
    assert live.fill({"regime": "bull"}, NOW) == ((), ())


def test_stubs_say_so_and_say_the_same_for_an_hour() -> None:
    for provider in PROVIDERS:
        assert provider.stub
        first = provider.value("BTC-USDT", NOW)
        assert first is not None
        assert -1 <= first <= 1
        assert first == provider.value("BTC-USDT", NOW + 1)
        assert first != provider.value("ETH-USDT", NOW)


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
