from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from libs.common.events import Candle
from libs.common.time_units import DAY_NS, MINUTE_NS
from services.l2.candles import GRACE_NS, MAX_OPEN_MINUTES, CandleBuilder, VenueClock
from services.l2.feeds.venue_messages import VenueTrade

if TYPE_CHECKING:
    from libs.common.events import Interval

DAY = 20_000 * DAY_NS
NOON = DAY + 720 * MINUTE_NS
SECOND = 1_000_000_000


def a_trade(ts: int, price: float = 100.0, size: float = 1.0) -> VenueTrade:
    return VenueTrade(trade_id=str(ts), price=price, size=size, side="buy", venue_ts=ts)


def a_candle(
    open_ts: int, price: float = 100.0, trades: int = 1, *, interval: Interval = "1m", closed: bool = True
) -> Candle:
    return Candle(
        venue="binance",
        symbol="BTC-USDT",
        interval=interval,
        open_ts=open_ts,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=float(trades),
        trades=trades,
        closed=closed,
    )


def a_builder(begun_at: int = NOON - SECOND) -> CandleBuilder:
    """Return a builder whose first whole minute starts at noon."""
    builder = CandleBuilder("binance", "BTC-USDT")
    builder.begin(begun_at)
    return builder


def test_a_minute_of_trades_is_one_candle_when_it_closes() -> None:
    builder = a_builder()
    for second, price in ((1, 101.0), (20, 105.0), (30, 99.0), (59, 102.0)):
        builder.add(a_trade(NOON + second * SECOND, price, size=0.5))
    assert builder.close_until(NOON + MINUTE_NS + GRACE_NS - 1) == ()
    (candle,) = builder.close_until(NOON + MINUTE_NS + GRACE_NS)
    assert (candle.open_ts, candle.interval, candle.closed) == (NOON, "1m", True)
    assert (candle.open, candle.high, candle.low, candle.close) == (101.0, 105.0, 99.0, 102.0)
    assert (candle.volume, candle.trades) == (2.0, 4)
    assert builder.close_until(NOON + MINUTE_NS + GRACE_NS) == ()


def test_trades_out_of_order_keep_open_and_close_by_their_own_time() -> None:
    builder = a_builder()
    for second, price in ((30, 2.0), (10, 1.0), (50, 3.0), (20, 9.0)):
        builder.add(a_trade(NOON + second * SECOND, price))
    (candle,) = builder.close_until(NOON + 2 * MINUTE_NS)
    assert (candle.open, candle.close) == (1.0, 3.0)


def test_a_trade_within_the_grace_still_counts_and_a_later_one_does_not() -> None:
    builder = a_builder()
    builder.add(a_trade(NOON))
    builder.add(a_trade(NOON + MINUTE_NS + SECOND, price=7.0))
    builder.add(a_trade(NOON + MINUTE_NS - 1))
    (candle,) = builder.close_until(NOON + MINUTE_NS + GRACE_NS)
    assert candle.trades == 2
    builder.add(a_trade(NOON + 1))
    (following,) = builder.close_until(NOON + 2 * MINUTE_NS + GRACE_NS)
    assert (following.trades, following.open) == (1, 7.0)


def test_a_minute_without_trades_is_flat_at_the_price_before_it() -> None:
    builder = a_builder()
    builder.add(a_trade(NOON, price=50.0))
    builder.add(a_trade(NOON + 2 * MINUTE_NS, price=60.0))
    _, flat, traded = builder.close_until(NOON + 3 * MINUTE_NS + GRACE_NS)
    assert (flat.open, flat.high, flat.low, flat.close, flat.volume, flat.trades) == (
        50.0,
        50.0,
        50.0,
        50.0,
        0.0,
        0,
    )
    assert traded.open == 60.0


def test_without_any_price_there_is_no_candle() -> None:
    assert a_builder().close_until(NOON + 5 * MINUTE_NS) == ()


def test_the_minute_in_which_the_stream_began_comes_whole_from_the_venue() -> None:
    builder = a_builder()
    joined = NOON - MINUTE_NS
    builder.add(a_trade(NOON - 1, price=80.0))
    assert builder.missing_since == joined
    older = a_candle(joined - 60 * MINUTE_NS)
    assert builder.backfill([older, a_candle(joined, closed=False)]) == (older,)
    assert builder.missing_since == joined
    history = [a_candle(joined, price=79.0, trades=12), a_candle(NOON, closed=False)]
    assert builder.backfill(history) == (history[0],)
    assert builder.missing_since is None
    assert builder.backfill(history) == (), "each minute is told once"


def test_minutes_that_the_stream_builds_are_not_taken_from_history() -> None:
    builder = a_builder()
    builder.add(a_trade(NOON))
    history = [a_candle(NOON - MINUTE_NS), a_candle(NOON, trades=99), a_candle(NOON + MINUTE_NS, trades=99)]
    assert builder.backfill(history) == (history[0],)
    assert [candle.trades for candle in builder.close_until(NOON + MINUTE_NS + GRACE_NS)] == [1]
    assert builder.backfill(history) == ()


def test_an_interruption_leaves_its_minutes_to_the_venue() -> None:
    builder = a_builder()
    builder.backfill([a_candle(NOON - MINUTE_NS)])
    builder.add(a_trade(NOON))
    builder.interrupt()
    assert not builder.begun
    builder.add(a_trade(NOON + 1))
    assert builder.close_until(NOON + 10 * MINUTE_NS) == ()
    builder.begin(NOON + 2 * MINUTE_NS + 1)
    assert builder.running() == (), "what was counted before is forgotten"
    assert builder.missing_since == NOON
    history = [a_candle(NOON + n * MINUTE_NS) for n in range(3)]
    assert builder.backfill(history) == tuple(history)
    assert builder.missing_since is None
    builder.add(a_trade(NOON + 3 * MINUTE_NS))
    (candle,) = builder.close_until(NOON + 4 * MINUTE_NS + GRACE_NS)
    assert candle.open_ts == NOON + 3 * MINUTE_NS


def test_a_leap_of_the_clock_interrupts_instead_of_inventing_minutes() -> None:
    builder = a_builder()
    builder.add(a_trade(NOON))
    assert builder.close_until(NOON + (MAX_OPEN_MINUTES + 1) * MINUTE_NS) == ()
    assert not builder.begun
    assert builder.missing_since == NOON - MINUTE_NS


def test_trades_of_ever_new_minutes_cannot_fill_the_memory() -> None:
    builder = a_builder()
    for minute in range(MAX_OPEN_MINUTES + 1):
        assert builder.begun
        builder.add(a_trade(NOON + minute * MINUTE_NS))
    assert not builder.begun


def test_a_day_closes_with_its_last_minute_and_is_the_sum_of_all() -> None:
    builder = CandleBuilder("binance", "BTC-USDT")
    builder.begin(DAY + 1000 * MINUTE_NS)
    history = [a_candle(DAY + n * MINUTE_NS, price=100.0 + n, trades=2) for n in range(1001)]
    assert builder.backfill(history) == tuple(history)
    said: list[Candle] = []
    for minute in range(1001, 1440):
        builder.add(a_trade(DAY + minute * MINUTE_NS, price=10.0))
        said += builder.close_until(DAY + (minute + 1) * MINUTE_NS + GRACE_NS)
    (day,) = [candle for candle in said if candle.interval == "1d"]
    assert said[-1] is day
    assert (day.open_ts, day.open, day.high, day.low, day.close) == (DAY, 100.0, 1100.0, 10.0, 10.0)
    assert (day.trades, day.volume, day.closed) == (2 * 1001 + 439, 2.0 * 1001 + 439, True)


def test_minutes_of_a_venue_that_tells_no_number_of_trades_count_in_their_day() -> None:
    builder = a_builder(begun_at=DAY + 1439 * MINUTE_NS)
    history = [a_candle(DAY + n * MINUTE_NS, price=100.0 + n) for n in range(1440)]
    *_, day = builder.backfill([replace(candle, trades=0) for candle in history])
    assert (day.interval, day.open, day.high, day.close) == ("1d", 100.0, 1539.0, 1539.0)
    assert (day.volume, day.trades) == (1440.0, 0)


def test_a_day_waits_for_a_minute_that_only_the_venue_has() -> None:
    builder = a_builder(begun_at=DAY + 1439 * MINUTE_NS)
    builder.backfill([a_candle(DAY + n * MINUTE_NS) for n in range(1439)])
    assert [c.interval for c in builder.close_until(DAY + DAY_NS + MINUTE_NS + GRACE_NS)] == ["1m"]
    minute, day = builder.backfill([a_candle(DAY + 1439 * MINUTE_NS, price=5.0)])
    assert (minute.interval, day.interval) == ("1m", "1d")
    assert (day.close, day.low, day.trades) == (5.0, 5.0, 1440)


def test_a_minute_absent_from_history_had_no_trade_and_flat_ones_set_no_extreme() -> None:
    builder = CandleBuilder("kraken", "BTC-USDT")
    builder.begin(DAY + 1439 * MINUTE_NS)
    first, last = a_candle(DAY, price=3.0, trades=0), a_candle(DAY + 1439 * MINUTE_NS, price=50.0)
    *_, day = builder.backfill([first, a_candle(DAY + 700 * MINUTE_NS, price=40.0), last])
    assert (day.interval, day.open, day.low, day.high, day.close) == ("1d", 40.0, 40.0, 50.0, 50.0)
    assert day.trades == 2


def test_closed_days_of_history_pass_and_an_open_one_waits() -> None:
    days = [a_candle(DAY - DAY_NS, interval="1d"), a_candle(DAY, interval="1d", closed=False)]
    assert a_builder().backfill(days) == (days[0],)


def test_running_candles_show_the_open_minute_and_the_day_once_all_of_it_is_known() -> None:
    builder = a_builder()
    assert builder.running() == ()
    builder.add(a_trade(NOON, price=5.0, size=2.0))
    (minute,) = builder.running()
    assert (minute.interval, minute.closed, minute.open_ts, minute.volume) == ("1m", False, NOON, 2.0)
    builder.backfill([a_candle(DAY + n * MINUTE_NS) for n in range(720)])
    for _ in range(2):  # looking changes nothing
        minute, day = builder.running()
        assert (day.interval, day.closed, day.open_ts) == ("1d", False, DAY)
        assert (day.trades, day.volume, day.low, day.close) == (721, 722.0, 5.0, 5.0)


def test_the_venue_s_clock_goes_on_between_messages() -> None:
    clock = VenueClock()
    assert clock.at(5) is None
    clock.observe(venue_ts=1000, received_ts=10)
    assert clock.at(15) == 1005
    clock.observe(venue_ts=2000, received_ts=20)
    assert clock.at(20) == 2000


@pytest.mark.parametrize("minutes", [1, 5])
def test_a_tick_that_comes_late_closes_every_minute_in_order(minutes: int) -> None:
    builder = a_builder()
    for minute in range(minutes):
        builder.add(a_trade(NOON + minute * MINUTE_NS))
    closed = builder.close_until(NOON + minutes * MINUTE_NS + GRACE_NS)
    assert [candle.open_ts for candle in closed] == [NOON + n * MINUTE_NS for n in range(minutes)]
