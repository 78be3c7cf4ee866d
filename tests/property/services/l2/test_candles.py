"""Whatever breaks the stream, each minute is told once and is the sum of the venue's trades in it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis import given, settings

from libs.common.events import Candle
from libs.common.time_units import DAY_NS, MINUTE_NS
from services.l2.candles import GRACE_NS, CandleBuilder
from services.l2.feeds.venue_messages import VenueTrade

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000_000
MINUTES = 8
START = 20_000 * DAY_NS - 3 * MINUTE_NS  # across midnight

moments = st.integers(0, MINUTES * 60 - 1)
trade_lists = st.lists(st.tuples(moments, st.integers(1, 400), st.integers(1, 64)), max_size=40)


def a_trade(number: int, second: int, price: int, lots: int) -> VenueTrade:
    return VenueTrade(
        trade_id=str(number), price=price / 4, size=lots / 8, side="buy", venue_ts=START + second * SECOND
    )


def summed(trades: Sequence[VenueTrade]) -> dict[int, Candle]:
    """Candles by the definition, from the venue's whole list in time order."""
    candles = {}
    for open_ts, group in groupby(trades, key=lambda t: t.venue_ts - t.venue_ts % MINUTE_NS):
        inside = list(group)
        candles[open_ts] = Candle(
            venue="v",
            symbol="A-B",
            interval="1m",
            open_ts=open_ts,
            open=inside[0].price,
            high=max(t.price for t in inside),
            low=min(t.price for t in inside),
            close=inside[-1].price,
            volume=sum(t.size for t in inside),
            trades=len(inside),
            closed=True,
        )
    return candles


@settings(deadline=None)
@given(trade_lists, st.lists(st.tuples(moments, st.booleans()), max_size=6), moments)
def test_every_minute_is_told_once_and_equals_the_sum_of_its_trades(
    said: list[tuple[int, int, int]], cuts: list[tuple[int, bool]], joined: int
) -> None:
    trades = [a_trade(number, *trade) for number, trade in enumerate(sorted(said, key=lambda t: t[0]))]
    truth = summed(trades)
    streaming = dict(cuts)
    streaming[joined] = True
    builder = CandleBuilder("v", "A-B")
    told: list[Candle] = []
    waiting = list(trades)
    for second in range(MINUTES * 60 + 10):
        now = START + second * SECOND
        if second in streaming:
            if streaming[second]:
                builder.begin(now)
            else:
                builder.interrupt()
        while waiting and waiting[0].venue_ts == now:
            builder.add(waiting.pop(0))
        told += builder.close_until(now)
    first = START + joined * SECOND
    end = START + MINUTES * MINUTE_NS
    history = [candle for candle in truth.values() if candle.open_ts < end]
    for _ in range(2):  # the venue is asked twice: nothing is told again
        told += builder.backfill(history)
    minutes = [candle for candle in told if candle.interval == "1m" and candle.trades]
    assert sorted(minutes, key=lambda c: c.open_ts) == list(truth.values())
    flat = [candle for candle in told if not candle.trades]
    assert not {candle.open_ts for candle in flat} & set(truth)
    assert len(flat) == len({candle.open_ts for candle in flat})
    assert all(candle.open_ts + MINUTE_NS > min(first, START + min(streaming) * SECOND) for candle in flat)


@given(trade_lists.filter(bool), st.permutations(range(40)))
def test_the_order_of_arrival_within_the_grace_changes_no_sum(
    said: list[tuple[int, int, int]], order: list[int]
) -> None:
    trades = [a_trade(number, *trade) for number, trade in enumerate(said)]
    builder = CandleBuilder("v", "A-B")
    builder.begin(START - 1)
    for at in order:
        if at < len(trades):
            builder.add(trades[at])
    told = {candle.open_ts: candle for candle in builder.close_until(START + MINUTES * MINUTE_NS + GRACE_NS)}
    for open_ts, candle in summed(sorted(trades, key=lambda t: t.venue_ts)).items():
        assert (told[open_ts].high, told[open_ts].low) == (candle.high, candle.low)
        assert (told[open_ts].volume, told[open_ts].trades) == (candle.volume, candle.trades)
