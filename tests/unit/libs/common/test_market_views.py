"""The market of a moment, and that nobody who re-makes it later sees more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.live_books import PATIENCE
from libs.common.market_views import MarketViews, Newness
from libs.common.time_units import MINUTE_NS, NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES, L2_CANDLES_DAILY, book_key
from tests.execution_market import EPOCH, NOW, a_book_health, a_book_top, a_candle

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.topics import Topic

SYMBOL = "BTC-USDT"
PARTITION = 3


class Log:
    """Records of one partition of each topic, folded into views up to chosen offsets."""

    def __init__(self) -> None:
        self.records: dict[Topic, list[tuple[bytes, Event]]] = {}

    def add(self, topic: Topic, event: Any) -> None:
        self.records.setdefault(topic, []).append((book_key(event.venue, event.symbol), event))

    def book(self, venue: str, seq: int, ts: int, **changes: Any) -> None:
        self.add(L2_BOOK_TOPS, a_book_top(venue=venue, seq=seq, received_ts=ts))
        self.add(L2_BOOK_HEALTH, a_book_health(venue=venue, seq=seq, ts=ts, **changes))

    def folded(self, upto: dict[str, int] | None = None) -> MarketViews:
        found = MarketViews("binance", minutes=3, days=2)
        views = {view.topic: view for view in found.views}
        for topic, records in self.records.items():
            end = len(records) if upto is None else upto[topic.name]
            for offset, (key, event) in enumerate(records[:end]):
                if views[topic].wants(key):
                    views[topic].fold(PARTITION, offset, key, event)
        return found


def a_log() -> Log:
    log = Log()
    for minute in range(5):
        log.add(L2_CANDLES, a_candle("1m", NOW + (minute - 5) * MINUTE_NS, 100.0 + minute))
        log.add(L2_CANDLES, a_candle("1m", NOW + (minute - 5) * MINUTE_NS, 1.0, venue="kraken"))
        log.add(L2_CANDLES_DAILY, a_candle("1d", NOW + (minute - 9) * 1440 * MINUTE_NS, 50.0 + minute))
    for venue in ("binance", "coinbase", "kraken"):
        log.book(venue, 7, NOW)
    return log


def test_a_market_has_the_newest_candles_of_the_reference_venue_and_all_usable_books() -> None:
    market = a_log().folded().market(SYMBOL, NOW)
    assert (market.symbol, market.ts) == (SYMBOL, NOW)
    assert [candle.close for candle in market.minutes] == [102.0, 103.0, 104.0]
    assert [candle.close for candle in market.days] == [53.0, 54.0]
    assert list(market.books) == ["binance", "coinbase", "kraken"]
    assert market.features == market.books["binance"].features
    assert (market.books["kraken"].epoch, market.books["kraken"].seq) == (EPOCH, 7)
    assert market.parameters == {}


def test_books_that_are_not_usable_are_not_seen_and_features_are_of_another_venue() -> None:
    log = a_log()
    log.book("binance", 8, NOW, state="STALE")
    log.book("coinbase", 8, NOW - PATIENCE["features"].silence_ns - 1)
    market = log.folded().market(SYMBOL, NOW)
    assert list(market.books) == ["kraken"]
    assert market.features == market.books["kraken"].features
    later = log.folded().market(SYMBOL, NOW + 60 * NS_PER_S)
    assert later.books == {}
    assert later.features is None


def test_a_market_of_another_symbol_is_empty() -> None:
    market = a_log().folded().market("ETH-USDT", NOW)
    assert (market.minutes, market.days, market.features, market.books) == ((), (), None, {})


def test_whoever_folds_a_log_up_to_what_was_seen_finds_the_same_market_whatever_came_after() -> None:
    log = a_log()
    views = log.folded()
    seen, market = views.seen(PARTITION), views.market(SYMBOL, NOW)
    assert seen[L2_CANDLES.name] == 9, "the last record is another venue's, and passed by"
    log.add(L2_CANDLES, a_candle("1m", NOW, 999.0))
    log.add(L2_CANDLES_DAILY, a_candle("1d", NOW, 999.0))
    log.book("binance", 9, NOW + NS_PER_S)
    assert log.folded(seen).market(SYMBOL, NOW) == market
    assert log.folded().market(SYMBOL, NOW) != market


def test_what_is_new_is_told_by_symbol() -> None:
    log = a_log()
    views = log.folded()
    before = Newness(NOW - MINUTE_NS, ((EPOCH, 7),) * 3)
    assert views.news() == {SYMBOL: before}
    assert views.newness("ETH-USDT") == Newness(0, ())
    log.book("kraken", 8, NOW)
    assert log.folded().newness(SYMBOL) == Newness(NOW - MINUTE_NS, ((EPOCH, 7), (EPOCH, 7), (EPOCH, 8)))
