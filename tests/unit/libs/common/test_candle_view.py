from __future__ import annotations

from msgspec.structs import replace

from libs.common.candle_view import Candles
from libs.common.codec import decode, encode
from libs.common.events import Candle
from libs.common.kafka import partition_of
from libs.common.time_units import MINUTE_NS
from libs.common.topics import L2_CANDLES, L2_CANDLES_OPEN, book_key, candle_key


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


def folded(*candles: Candle, keep: int = 10) -> Candles:
    """Return what the topics tell: closed candles one, open ones the other."""
    found = Candles({"1m": keep, "1d": keep})
    for offset, candle in enumerate(candles):
        topic = L2_CANDLES if candle.closed else L2_CANDLES_OPEN
        view = next(view for view in found.views if view.topic is topic)
        view.fold(0, offset, candle_key(candle), candle)
    return found


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


def test_a_closed_candle_does_not_open_again_whichever_topic_is_read_last() -> None:
    view = folded(a_candle(1, 6.0), a_candle(1, 5.0, closed=False))
    assert [candle.close for candle in view.series("binance", "BTC-USDT", "1m")] == [6.0]


def test_its_views_have_positions_and_keep_no_messages_beside_the_series() -> None:
    minutes, _, running = folded(a_candle(1), a_candle(2), a_candle(3, closed=False)).views
    assert (minutes.position(0), running.position(0)) == (2, 3)
    assert not minutes.items


def test_of_one_venue_no_others_candles_are_wanted() -> None:
    (view,) = Candles(topics=(L2_CANDLES,), venue="kraken").views
    ours, theirs = replace(a_candle(1), venue="kraken"), a_candle(1)
    for closed in (True, False):
        assert view.wants(candle_key(replace(ours, closed=closed)))
        assert not view.wants(candle_key(replace(theirs, closed=closed)))
    assert view.wants(book_key("kraken", "BTC-USDT")), "as candles were told once"
    assert all(each.wants(candle_key(theirs)) for each in Candles().views)


def test_of_days_only_one_venues_may_be_wanted_beside_the_minutes_of_all() -> None:
    minutes, days, running = Candles(days_venue="kraken").views
    theirs, ours = replace(a_candle(0), interval="1d"), replace(a_candle(0), interval="1d", venue="kraken")
    assert days.wants(candle_key(ours))
    assert not days.wants(candle_key(theirs))
    assert minutes.wants(candle_key(a_candle(1)))
    assert running.wants(candle_key(replace(theirs, closed=False)))


def test_the_names_of_an_instrument_are_kept_once_for_all_its_candles() -> None:
    sent = [a_candle(1), a_candle(2), a_candle(2, 5.0)]
    view = folded(*(decoded for c in sent if isinstance(decoded := decode(L2_CANDLES, encode(c)), Candle)))
    first, second = view.series("binance", "BTC-USDT", "1m")
    assert (first, second) == (sent[0], sent[2])
    assert first.venue is second.venue
    assert first.symbol is second.symbol


def test_minutes_are_read_from_where_they_are_kept_days_from_their_beginning_open_ones_from_lately() -> None:
    minutes, days, running = Candles({"1m": 60, "1d": 10}).views
    now = 100 * MINUTE_NS
    assert minutes.start(now) == 40 * MINUTE_NS
    assert (days.start(now), running.start(now)) == ("beginning", "recent")


def test_a_closed_candle_has_a_key_of_its_own_an_open_one_that_of_its_series_both_at_their_symbols() -> None:
    first, second, running = a_candle(1), a_candle(2), a_candle(2, closed=False)
    assert candle_key(first) == b"1m:60000:binance:BTC-USDT"
    assert len({*map(candle_key, (first, second, running, a_candle(3, closed=False)))}) == 3
    home = partition_of(book_key("binance", "BTC-USDT"), 8)
    assert {partition_of(candle_key(each), 8) for each in (first, second, running)} == {home}


def test_a_window_is_one_of_time_and_not_of_how_many_candles_there_are() -> None:
    view = folded(a_candle(1), a_candle(500_000), a_candle(500_007), keep=10)
    opens = [candle.open_ts // MINUTE_NS for candle in view.window("binance", "BTC-USDT", "1m")]
    assert opens == [500_000, 500_007]
    assert view.window("kraken", "BTC-USDT", "1m") == []


def test_a_window_is_put_together_again_only_once_a_candle_closes() -> None:
    view = folded(a_candle(1), a_candle(500_000), a_candle(500_007), keep=10)
    found = view.window("binance", "BTC-USDT", "1m")
    for offset, running in enumerate((a_candle(500_008, 1.0, closed=False), a_candle(500_008, closed=False))):
        view.views[2].fold(0, offset, b"", running)
        assert view.window("binance", "BTC-USDT", "1m") is found
    view.views[0].fold(0, 3, b"", a_candle(500_008))
    assert [*view.window("binance", "BTC-USDT", "1m")] == [*found, a_candle(500_008)]
    view.views[0].fold(0, 4, b"", a_candle(500_000, 9.0))
    assert view.window("binance", "BTC-USDT", "1m")[0].close == 9.0, "told again"


def test_a_window_ends_where_an_open_candle_takes_the_oldest_ones_place() -> None:
    view = folded(*(a_candle(n) for n in range(1, 11)), keep=10)
    assert len(view.window("binance", "BTC-USDT", "1m")) == 10
    view.views[2].fold(0, 0, b"", a_candle(11, closed=False))
    assert view.window("binance", "BTC-USDT", "1m")[0] == a_candle(2)
