from __future__ import annotations

from libs.common.candle_view import CandleView
from libs.common.events import Candle
from libs.common.topics import book_key
from libs.common.views import View
from services.l2.candles import MINUTE_NS

KEY = book_key("binance", "BTC-USDT")


def a_candle(minute: int, close: float = 1.0, *, closed: bool = True) -> Candle:
    return Candle(
        venue="binance",
        symbol="BTC-USDT",
        interval="1m",
        open_ts=minute * MINUTE_NS,
        open=1.0,
        high=2.0,
        low=0.5,
        close=close,
        volume=3.0,
        trades=4,
        closed=closed,
    )


def folded(*candles: Candle, keep: int = 10) -> CandleView:
    view = CandleView({"1m": keep, "1d": keep})
    for offset, candle in enumerate(candles):
        view.fold(0, offset, KEY, candle)
    return view


def test_candles_come_in_order_whatever_the_order_of_arrival() -> None:
    view = folded(a_candle(3), a_candle(1), a_candle(2))
    opens = [candle.open_ts // MINUTE_NS for candle in view.series("binance", "BTC-USDT", "1m")]
    assert opens == [1, 2, 3]


def test_the_newest_word_on_a_candle_counts() -> None:
    view = folded(a_candle(1, 5.0, closed=False), a_candle(1, 6.0))
    assert [candle.close for candle in view.series("binance", "BTC-USDT", "1m")] == [6.0]


def test_an_open_candle_is_told_only_when_asked_for() -> None:
    view = folded(a_candle(1), a_candle(2, closed=False))
    assert len(view.series("binance", "BTC-USDT", "1m")) == 1
    assert len(view.series("binance", "BTC-USDT", "1m", closed=False)) == 2


def test_only_the_newest_are_kept() -> None:
    view = folded(*(a_candle(n) for n in (5, 1, 2, 3, 4)), keep=3)
    assert [candle.open_ts // MINUTE_NS for candle in view.series("binance", "BTC-USDT", "1m")] == [3, 4, 5]


def test_since_is_inclusive_and_other_instruments_have_none() -> None:
    view = folded(a_candle(1), a_candle(2))
    assert len(view.series("binance", "BTC-USDT", "1m", since_ts=2 * MINUTE_NS)) == 1
    assert view.series("kraken", "BTC-USDT", "1m") == []
    assert view.series("binance", "BTC-USDT", "1d") == []


def test_it_is_a_view_with_a_position() -> None:
    view = folded(a_candle(1), a_candle(2))
    assert isinstance(view, View)
    assert view.position(0) == 2
