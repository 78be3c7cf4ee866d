"""A hosted policy's signals are made again from the log cut where each says that it saw everything."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from libs.common.events import BookState, PolicySignal
from libs.common.kafka import Record, partition_of
from libs.common.market_views import MarketViews
from libs.common.policy import Policy
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    book_key,
    candle_key,
)
from tests.cut_log import differences, market_again
from tests.execution_market import NOW, a_book_health, a_book_top, a_candle, a_policy_signalled
from tests.execution_world import DAY, MINUTE, S

if TYPE_CHECKING:
    from libs.common.events import Event, PolicySignalled
    from libs.common.policy import Market
    from libs.common.topics import Topic

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
VENUES: Final = ("binance", "bybit")
PARTITIONS: Final = 3
SEEDS: Final = range(4)
TURNS: Final = 600


def average(market: Market) -> PolicySignal:
    """Lean on the last minutes and the books."""
    closes = market.closes(10)
    lean = sum(book.features.mid for book in market.books.values())
    value = float(market.parameters["k"]) * (float(closes.sum()) + lean if len(closes) else lean)
    return PolicySignal(value % 1.0, f"{len(closes)} minutes, {len(market.books)} books")


POLICY: Final = Policy(average, "leans", {"k": 0.37})


def views() -> MarketViews:
    return MarketViews("binance", 180, 30)


class Host:
    """Reads topics in some order, and asks a policy now and then; writes what it read to a tape."""

    def __init__(self, seed: int, peeks: int = 0) -> None:
        self.random = Random(seed)
        self.views = views()
        self.now = NOW
        self.tape: list[Record] = []
        self.signals: list[PolicySignalled] = []
        self._waiting: list[Record] = []  # on the log, and not read yet
        self._ends: dict[tuple[str, int], int] = {}
        self._peeks = peeks  # records that it reads beyond what it says

    def write(self, topic: Topic, key: bytes, event: Event, symbol: str) -> None:
        partition = partition_of(symbol.encode(), PARTITIONS)
        offset = self._ends.get((topic.name, partition), 0)
        self._ends[topic.name, partition] = offset + self.random.choice((1, 1, 3))  # markers leave holes
        record = Record(
            topic=topic,
            partition=partition,
            offset=offset,
            timestamp_ms=0,
            key=key,
            event=event,
            value=b"",
        )
        self.tape.append(record)
        self._waiting.append(record)

    def read(self, most: int) -> None:
        """Read some of what waits, each partition of a topic in its order."""
        for _ in range(min(most, len(self._waiting))):
            partitions = sorted({(each.topic.name, each.partition) for each in self._waiting})
            place = self.random.choice(partitions)
            at = next(n for n, r in enumerate(self._waiting) if (r.topic.name, r.partition) == place)
            record = self._waiting.pop(at)
            view = next(each for each in self.views.views if each.topic is record.topic)
            if view.wants(record.key):
                view.fold(record.partition, record.offset, record.key, record.event)
            else:
                view.advance(record.partition, record.offset + 1)

    def turn(self) -> None:
        self.now += self.random.choice((10**8, S, 20 * S))
        symbol, venue = self.random.choice(SYMBOLS), self.random.choice(VENUES)
        book: dict[str, Any] = {"venue": venue, "symbol": symbol, "seq": len(self.tape)}
        key = book_key(venue, symbol)
        price = 100.0 + self.random.randrange(50)
        sides = {"bids": ((price, 1.0),), "asks": ((price + 0.5, 1.0),)}
        self.write(L2_BOOK_TOPS, key, a_book_top(**book, **sides, received_ts=self.now), symbol)
        state = BookState.GAP if self.random.random() < 0.1 else BookState.LIVE
        self.write(L2_BOOK_HEALTH, key, a_book_health(**book, state=state, ts=self.now), symbol)
        late = self.random.randrange(6) * MINUTE
        candle = a_candle("1m", (self.now - late) // MINUTE * MINUTE, price, venue=venue, symbol=symbol)
        self.write(L2_CANDLES, candle_key(candle), candle, symbol)
        if self.random.random() < 0.1:
            day = a_candle("1d", self.now // DAY * DAY - DAY, price, venue=venue, symbol=symbol)
            self.write(L2_CANDLES_DAILY, candle_key(day), day, symbol)
        self.read(self.random.randrange(9))
        if self.random.random() < 0.2:
            self.ask(symbol)

    def ask(self, symbol: str) -> None:
        seen = self.views.seen(partition_of(symbol.encode(), PARTITIONS))
        self.read(self._peeks)
        market = msgspec.structs.replace(
            self.views.market(symbol, self.now), parameters=dict(POLICY.parameters)
        )
        said = POLICY.signal(market)
        self.signals.append(
            a_policy_signalled(
                "mine", said.value, symbol=symbol, reason=said.reason, inputs_ts=self.now, seen=seen
            )
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_each_signal_is_made_again_from_what_it_says_it_saw(seed: int) -> None:
    host = Host(seed)
    for _ in range(TURNS):
        host.turn()
    assert len(host.signals) > TURNS / 10
    assert len({signal.value for signal in host.signals}) > TURNS / 20
    assert differences(host.tape, host.signals, POLICY, views, PARTITIONS) == []


def test_a_host_that_looks_at_one_record_more_than_it_says_is_found_out() -> None:
    host = Host(5, peeks=1)
    for _ in range(TURNS):
        host.turn()
    assert differences(host.tape, host.signals, POLICY, views, PARTITIONS)


def test_the_whole_market_is_the_same_and_not_what_the_policy_looks_at_alone() -> None:
    host = Host(6)
    for _ in range(200):
        host.turn()
    host.ask("BTC-USDT")
    wanted = host.views.market("BTC-USDT", host.now)
    for _ in range(200):
        host.turn()
    place = partition_of(b"BTC-USDT", PARTITIONS)
    mine = [record for record in host.tape if record.partition == place]
    signal = next(each for each in host.signals if each.inputs_ts == wanted.ts and each.symbol == "BTC-USDT")
    assert market_again(mine, signal, views()) == wanted
    whole = dict.fromkeys(signal.seen, 10**9)
    assert market_again(mine, msgspec.structs.replace(signal, seen=whole), views()) != wanted
