from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backtest.bus import Bus
from backtest.delays import Immediate
from backtest.source import HISTORY_DAYS, Fidelity
from backtest.sources.bars import Bars, DaysOfCandles, NoCandlesError
from backtest.sources.depth import cost_bps
from backtest.sources.depth_table import MEASURED, profile_for
from backtest.sources.ladder import Ladder
from backtest.world import Trading, World
from libs.common.book_features import features_of
from libs.common.events import BookState, Candle
from libs.common.instruments import instrument_of
from libs.common.order_book import OrderBook
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES, L2_CANDLES_DAILY
from libs.history.faults import FaultReport
from libs.history.writer import DayWriter
from simulator.latent import GENESIS_DAY, LatentPrices
from tests.backtest_candles import LatentCandles, a_candle
from tests.backtest_records import Kept
from tests.made_up_history import made_up_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backtest.bus import Record
    from libs.common.events import BookTop

BOOK = ("binance", "BTC-USDT")
BEGIN = (GENESIS_DAY + 900) * DAY_NS


class Listed:
    """Candles that are given; notes how far was looked."""

    def __init__(self, *candles: Candle) -> None:
        self.candles = candles
        self.books: Sequence[tuple[str, str]] = list(dict.fromkeys((c.venue, c.symbol) for c in candles))
        self.read_to = 0

    def between(self, book: tuple[str, str], begin: int, end: int) -> Iterator[Candle]:
        for candle in self.candles:
            over = candle.open_ts + (MINUTE_NS if candle.interval == "1m" else DAY_NS)
            if (candle.venue, candle.symbol) == book and begin <= over < end:
                self.read_to = max(self.read_to, over)
                yield candle


def minutes(first: int, count: int, book: tuple[str, str] = BOOK, seed: int = 1) -> list[Candle]:
    rng = made_up_number(seed)
    prices = np.round(60_000 * np.exp(np.cumsum(rng.standard_normal(count + 1)) * 1e-3), 2).tolist()
    made = []
    for number in range(count):
        opened, closed = prices[number], prices[number + 1]
        shape = (opened, max(opened, closed) + 5, min(opened, closed) - 5, closed)
        made.append(a_candle(book, "1m", first + number * MINUTE_NS, shape))
    return made


def a_bus(source: Bars) -> tuple[Bus, dict[str, list[Any]]]:
    bus = Bus(8, Immediate(), BEGIN)
    heard: dict[str, list[Any]] = {}

    def keep(record: Record) -> None:
        heard.setdefault(record.topic.name, []).append(record.event)

    bus.tap(keep)
    source.start(bus)
    return bus, heard


def test_a_book_stands_around_the_last_close_that_was_over_whenever_somebody_looks() -> None:
    candles = minutes(BEGIN - 5 * MINUTE_NS, 65)
    listed = Listed(*candles)
    bus, heard = a_bus(Bars(listed, BEGIN, BEGIN + 60 * MINUTE_NS))
    closes = {candle.open_ts + MINUTE_NS: candle.close for candle in candles}
    rng = made_up_number(2)
    for ts in sorted(rng.integers(BEGIN, BEGIN + 60 * MINUTE_NS, 300).tolist()):
        bus.run(ts)
        bus.look()
        top: BookTop = heard[L2_BOOK_TOPS.name][-1]
        known = closes[ts // MINUTE_NS * MINUTE_NS]
        assert ts // MINUTE_NS * MINUTE_NS <= top.received_ts <= ts  # told again as soon as it moves
        assert top.features is not None
        assert top.features.mid == pytest.approx(known, abs=0.011)
        assert (
            listed.read_to <= (ts // MINUTE_NS + 1) * MINUTE_NS
        )  # one candle ahead, which waits for its time
    assert heard[L2_CANDLES.name] == candles[: len(heard[L2_CANDLES.name])]


def test_who_looks_a_hop_behind_sees_the_book_of_a_hop_ago() -> None:
    candles = minutes(BEGIN - 5 * MINUTE_NS, 10)
    source = Bars(Listed(*candles), BEGIN, BEGIN + 5 * MINUTE_NS)
    bus, heard = a_bus(source)
    bus.run(BEGIN + MINUTE_NS)
    for ts, candle in ((BEGIN + MINUTE_NS - 1, candles[4]), (BEGIN + MINUTE_NS, candles[5])):
        source.freshen(ts, None, 0)
        assert heard[L2_BOOK_TOPS.name][-1].features.mid == pytest.approx(candle.close, abs=0.011)


def test_of_a_minute_nothing_is_seen_before_it_is_over() -> None:
    candles = minutes(BEGIN - 5 * MINUTE_NS, 65)
    cut = 37  # minutes
    other = [
        *candles[: cut + 5],
        *(a_candle(BOOK, "1m", each.open_ts, (1.0, 2.0, 0.5, 1.5)) for each in candles[cut + 5 :]),
    ]
    seen = []
    for given in (candles, other):
        bus, heard = a_bus(Bars(Listed(*given), BEGIN, BEGIN + 60 * MINUTE_NS))
        for second in range(0, (cut + 1) * 60, 7):
            bus.run(BEGIN + second * NS_PER_S)
            bus.look()
        bus.run(BEGIN + (cut + 1) * MINUTE_NS - 1)
        seen.append(heard)
    assert seen[0] == seen[1]


def test_what_is_decided_before_a_cut_does_not_know_what_comes() -> None:
    latent = LatentPrices(3, ("BTC-USDT",), 1.0)
    whole, cut = [
        Bars(LatentCandles(latent, ("binance",), BEGIN), BEGIN, BEGIN + count * MINUTE_NS)
        for count in (12, 8)
    ]
    decided = []
    for source in (whole, cut):
        with World(source, Trading(("BTC-USDT",)), seed=2) as world:
            kept = Kept(world)
            world.run(BEGIN + 8 * MINUTE_NS)
        decided.append(kept.decided)
    assert len(decided[0]) > 50
    assert decided[0] == decided[1]


def test_where_candles_are_missing_the_book_is_stale_and_stands_still() -> None:
    candles = [*minutes(BEGIN - 5 * MINUTE_NS, 10), *minutes(BEGIN + 20 * MINUTE_NS, 10)]
    bus, heard = a_bus(Bars(Listed(*candles), BEGIN, BEGIN + 30 * MINUTE_NS))
    states, tops = {}, []
    for minute in range(1, 25):
        bus.run(BEGIN + minute * MINUTE_NS + NS_PER_S)
        bus.look()
        states[minute] = heard[L2_BOOK_HEALTH.name][-1].state
        tops.append(heard[L2_BOOK_TOPS.name][-1])
    live = {minute for minute, state in states.items() if state is BookState.LIVE}
    assert live == {1, 2, 3, 4, 5, 6, 7, 21, 22, 23, 24}
    assert set(states.values()) == {BookState.LIVE, BookState.STALE}
    assert len({top.seq for top in tops[4:20]}) == 1  # from the last minute that is over to the next one
    assert len({top.seq for top in tops}) == 9


def test_days_are_made_of_minutes_where_none_are_told() -> None:
    first = BEGIN - 2 * DAY_NS
    candles = minutes(first, 3 * 1440 + 1)
    told = a_candle(BOOK, "1d", first, (1.0, 2.0, 0.5, 1.5))
    bus, heard = a_bus(Bars(Listed(told, *candles), BEGIN, BEGIN + DAY_NS + MINUTE_NS))
    bus.run(BEGIN + DAY_NS + MINUTE_NS)
    days = heard[L2_CANDLES_DAILY.name]
    assert [day.open_ts for day in days] == [first, first + DAY_NS, BEGIN]
    assert days[0] == told
    of_day = candles[1440:2880]
    assert days[1].volume == pytest.approx(sum(each.volume for each in of_day))
    assert days[1] == Candle(
        venue="binance",
        symbol="BTC-USDT",
        interval="1d",
        open_ts=first + DAY_NS,
        open=of_day[0].open,
        high=max(each.high for each in of_day),
        low=min(each.low for each in of_day),
        close=of_day[-1].close,
        volume=days[1].volume,
        trades=sum(each.trades for each in of_day),
        closed=True,
    )


def test_it_is_said_what_is_made_up_and_how_wrong_it_is() -> None:
    latent = LatentPrices(3, ("BTC-USDT", "SOL-USDT"), 1.0)
    provenance = Bars(LatentCandles(latent, ("binance",), BEGIN), BEGIN, BEGIN + DAY_NS).provenance
    assert (provenance.fidelity, provenance.synthetic) == (Fidelity.BARS, True)
    rule, measured, borrowed = provenance.notes
    assert "The books are made up" in rule
    assert "error 0.0014" in measured
    # Both trade the same value a minute, so the depth is that of the other one.
    assert "borrowed, depth times 1 " in borrowed
    assert "unknown error" in borrowed


def test_without_candles_there_is_no_market(tmp_path: Path) -> None:
    with DayWriter(tmp_path, FaultReport(), source="x") as writer:
        for candle in minutes(BEGIN, 3):
            writer.write(candle)
    assert DaysOfCandles(tmp_path).books == [BOOK]
    with pytest.raises(NoCandlesError, match="no candles of ETH-USDT"):
        DaysOfCandles(tmp_path, ("ETH-USDT",))
    sol = Listed(*minutes(BEGIN, 3, ("binance", "SOL-USDT")))
    with pytest.raises(NoCandlesError, match="candles of both are needed"):
        Bars(sol, BEGIN, BEGIN + DAY_NS)


def test_candles_of_a_folder_are_a_market(tmp_path: Path) -> None:
    candles = minutes(BEGIN - 100 * MINUTE_NS, 110)
    with DayWriter(tmp_path, FaultReport(), source="x") as writer:
        for candle in candles:
            writer.write(candle)
    bus, heard = a_bus(Bars(DaysOfCandles(tmp_path), BEGIN, BEGIN + 10 * MINUTE_NS))
    bus.run(BEGIN + 10 * MINUTE_NS)
    assert heard[L2_CANDLES.name] == candles
    assert HISTORY_DAYS == 130


TRADED = [entry for entry in MEASURED if entry.venue != "binance-usdm"]  # a venue that is only listened to


def test_a_market_that_is_only_listened_to_is_left_out() -> None:
    futures = minutes(BEGIN, 3, ("binance-usdm", "BTC-USDT"))
    with pytest.raises(NoCandlesError, match="traded here: binance-usdm BTC-USDT"):
        Bars(Listed(*futures), BEGIN, BEGIN + DAY_NS)
    provenance = Bars(Listed(*minutes(BEGIN, 3), *futures), BEGIN, BEGIN + DAY_NS).provenance
    assert provenance.books == (BOOK,)
    assert "Left out, as they are not traded here: binance-usdm BTC-USDT." in provenance.notes


@pytest.mark.parametrize("entry", TRADED, ids=lambda entry: f"{entry.venue} {entry.symbol}")
def test_a_ladder_is_as_wide_and_deep_as_its_profile(entry: Any) -> None:
    venue = {"bybit-200": "bybit", "okx-v5-2022": "okx"}.get(entry.venue, entry.venue)
    price = 61_234.56 if entry.symbol.startswith("BTC") else 3_123.45
    ladder = Ladder(venue, entry.symbol, profile_for(venue, entry.symbol).profile, 1)
    top = ladder.top(price, 5)
    assert top.features is not None
    for levels, sign in ((top.bids, 1), (top.asks, -1)):
        prices = [sign * at for at, _ in levels]
        assert prices == sorted(prices, reverse=True)
        value = sum(at * size for at, size in levels)
        assert value == pytest.approx(entry.notional[-1], rel=0.01)
    tick = float(instrument_of(venue, entry.symbol).tick)
    width = (top.asks[0][0] - top.bids[0][0]) / tick
    assert width == pytest.approx(max(1.0, entry.spread_bps * 1e-4 * price / tick), abs=1.01)
    for order in (entry.notional[0] / 2, entry.notional[-1] * 0.6):
        model = cost_bps((entry.spread_bps, entry.distances_bps, entry.notional), order)
        assert walk(top, order) == pytest.approx(model, rel=0.15, abs=1e4 * tick / price)


def walk(top: BookTop, order: float) -> float:
    assert top.features is not None
    left, paid = order, 0.0
    for price, size in top.asks:
        taken = min(left, price * size)
        paid += taken * (price / top.features.mid - 1) * 1e4
        left -= taken
    assert left < 1e-6
    return paid / order


def test_the_features_of_a_ladder_are_those_that_l2_computes() -> None:
    for venue, symbol, price in (("binance", "BTC-USDT", 60_000.0), ("kraken", "ETH-USD", 3_000.17)):
        top = Ladder(venue, symbol, profile_for(venue, symbol).profile, 1).top(price, 5)
        book = OrderBook()
        book.load(top.bids, top.asks)
        right = features_of(book)
        assert right is not None
        assert top.features is not None
        for name in ("mid", "microprice", "spread_bps", "obi", "depth_bid", "depth_ask"):
            assert getattr(top.features, name) == pytest.approx(getattr(right, name), rel=1e-9, abs=1e-9)
