"""A book that no keyframe can hold is refused alone; size 0 in a snapshot is no level."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from libs.common.codec import encode
from libs.common.events import BookDelta, BookHealth, BookState
from libs.common.time_units import NS_PER_MS
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.venue_messages import VenueDelta, VenueSnapshot
from services.l2.maintainer import MOST_LEVELS, BookMaintainer
from services.l2.messages import FrameReceived, Tick
from tests.l2_trading import KEY, Book
from tests.l2_world import World
from tests.model_exchange import BinanceModel

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = "a process of a long name" * 20


def a_maintainer() -> BookMaintainer:
    book = BookMaintainer(FEEDS["binance"], "BTC-USDT", 1, 10, OWNER)
    book.sync(1, "test")
    return book


def levels(count: int, price: float = 1.0) -> tuple[tuple[float, float], ...]:
    return tuple((price + at, 0.123456789) for at in range(count))


def test_the_largest_book_that_is_kept_fits_into_a_message_and_one_more_level_is_refused() -> None:
    book = a_maintainer()
    whole = VenueSnapshot(bids=levels(MOST_LEVELS), asks=(), sequence=2**62, venue_ts=2**62)
    (keyframe,) = book.on_snapshot(whole, 2**62)
    assert len(encode(keyframe)) <= L2_BOOK_DELTAS.max_message_bytes - 1024  # Kafka's own words need room
    one_more = VenueDelta(bids=levels(1, 1e9), asks=(), first=2**62 + 1, last=2**62 + 1)
    assert book.on_delta(one_more, 2**62) == []
    assert book.state is BookState.DISCONNECTED
    assert str(MOST_LEVELS) in book.reason


def test_a_delta_that_no_message_holds_is_refused_even_if_it_only_deletes() -> None:
    book = a_maintainer()
    book.on_snapshot(VenueSnapshot(bids=levels(2), asks=(), sequence=1), 1)
    deletes = tuple((1.0 + at, 0.0) for at in range(MOST_LEVELS + 1))
    assert book.on_delta(VenueDelta(bids=deletes, asks=(), first=2, last=2), 1) == []
    assert book.state is BookState.DISCONNECTED


def test_a_book_that_is_too_large_is_given_up_and_health_says_why() -> None:
    exchange = BinanceModel(3)
    world = World(exchange)
    bids = [[f"{at / 100:.2f}", "1"] for at in range(1, MOST_LEVELS + 2)]
    too_large = json.dumps({"lastUpdateId": exchange.id + 1, "bids": bids, "asks": []}).encode()
    world.snapshot_answers.append((200, too_large, None))
    while world.snapshot_answers:
        world.step()
    assert world.health is not None
    assert world.health.state is BookState.DISCONNECTED
    assert f"a keyframe holds at most {MOST_LEVELS}" in world.health.reason
    assert "given up for 900 s" in world.health.reason
    for _ in range(890):
        world.now += 1_000 * NS_PER_MS
        world.tell(Tick())
    assert world.connection is None, "it is not tried again for long"
    world.now += 20_000 * NS_PER_MS
    world.until_live()


def test_a_message_of_the_longest_words_fits_into_its_topic() -> None:
    book = Book()
    book.tell(
        FrameReceived(KEY, book.connection, b'{"error":{"code":2,"msg":"%s"}}' % (b"\xc3\xa9" * 5_000_000))
    )
    told = [each for each in book.said if isinstance(each, BookHealth)]
    assert told[-1].state is BookState.REFUSED
    assert max(len(encode(each)) for each in told) < L2_BOOK_HEALTH.max_message_bytes // 2


def rest(body: dict[str, object]) -> Callable[[str], VenueSnapshot]:
    def parse(size: str) -> VenueSnapshot:
        raw = json.dumps(body | {"bids": [["2", "1"], ["1", size]], "asks": [["3", size], ["4", "1"]]})
        return FEEDS[str(body["venue"])].parse_snapshot(raw.encode())

    return parse


def frames(venue: str, symbol: str, frame: str) -> Callable[[str], VenueSnapshot]:
    def parse(size: str) -> VenueSnapshot:
        said = FEEDS[venue].parse(frame.replace("SIZE", size).encode(), symbol)
        return next(each for each in said if isinstance(each, VenueSnapshot))

    return parse


LEVELS = '"bids":[["2","1"],["1","SIZE"]],"asks":[["3","SIZE"],["4","1"]]'
OKX = (
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot",'
    '"data":[{%s,"ts":"1700000000000",%s}]}'
)
SNAPSHOTS = {
    "binance": rest({"venue": "binance", "lastUpdateId": 7}),
    "binance-usdm": rest({"venue": "binance-usdm", "lastUpdateId": 7, "T": 1_700_000_000_000}),
    "binance-coinm": rest({"venue": "binance-coinm", "lastUpdateId": 7, "T": 1_700_000_000_000}),
    "bitstamp": rest({"venue": "bitstamp", "microtimestamp": "1700000000000000"}),
    "bybit": frames(
        "bybit",
        "BTC-USDT",
        '{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1700000000000,"data":{"s":"BTCUSDT","u":7,'
        '"b":[["2","1"],["1","SIZE"]],"a":[["3","SIZE"],["4","1"]]}}',
    ),
    "coinbase": frames(
        "coinbase",
        "BTC-USD",
        '{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":7,"events":[{"type":"snapshot",'
        '"product_id":"BTC-USD","updates":['
        '{"side":"bid","price_level":"2","new_quantity":"1"},{"side":"bid","price_level":"1","new_quantity":"SIZE"},'
        '{"side":"offer","price_level":"3","new_quantity":"SIZE"},'
        '{"side":"offer","price_level":"4","new_quantity":"1"}]}]}',
    ),
    "coinbase-exchange": frames(
        "coinbase-exchange", "BTC-USD", '{"type":"snapshot","product_id":"BTC-USD",' + LEVELS + "}"
    ),
    "kraken": frames(
        "kraken",
        "BTC-USD",
        '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","checksum":7,"bids":[{"price":2.0,"qty":1.0},'
        '{"price":1.0,"qty":SIZE}],"asks":[{"price":3.0,"qty":SIZE},{"price":4.0,"qty":1.0}]}]}',
    ),
    "kraken-v1": frames(
        "kraken-v1",
        "BTC-USD",
        '[7,{"bs":[["2.0","1.0","1618678132.1"],["1.0","SIZE","1618678132.1"]],'
        '"as":[["3.0","SIZE","1618678132.1"],["4.0","1.0","1618678132.1"]]},"book-1000","XBT/USD"]',
    ),
    "okx": frames("okx", "BTC-USDT", OKX % (LEVELS, '"seqId":7')),
    "okx-v5-2022": frames("okx-v5-2022", "BTC-USDT", OKX % (LEVELS, '"checksum":7')),
}


def test_every_venue_is_asked_for_its_snapshots() -> None:
    assert SNAPSHOTS.keys() | {"bybit-200"} == FEEDS.keys()


@pytest.mark.parametrize("venue", SNAPSHOTS)
@pytest.mark.parametrize("zero", ["0", "0.0", "0.00000000"])
def test_size_zero_in_a_snapshot_is_no_level(venue: str, zero: str) -> None:
    snapshot = SNAPSHOTS[venue](zero)
    book = BookMaintainer(FEEDS[venue], "BTC-USDT", 1, 10, OWNER)
    book.book.load(snapshot.bids, snapshot.asks)
    assert (book.book.bids(), book.book.asks()) == (((2.0, 1.0),), ((4.0, 1.0),))
    digits = FEEDS[venue].new_digit_book()
    if digits is not None:
        digits.load(snapshot)
        assert (len(digits.bids()), len(digits.asks())) == (1, 1)


@pytest.mark.parametrize("venue", SNAPSHOTS)
@pytest.mark.parametrize("size", ["-1", "-0.1", "NaN", "Infinity", "1e400", ""])
def test_a_size_that_is_none_is_a_bad_frame(venue: str, size: str) -> None:
    with pytest.raises(BadFrameError):
        SNAPSHOTS[venue](size)


MANY = MOST_LEVELS - 2
IN_NO_ORDER = tuple((float(at * 7919 % MANY + 1), 0.5) for at in range(MANY))  # 7919 is prime


@pytest.mark.parametrize("venue", ["kraken", "kraken-v1", "okx-v5-2022"])
def test_the_digits_of_the_largest_snapshot_are_sorted_once(venue: str) -> None:
    book = BookMaintainer(FEEDS[venue], "BTC-USD", 1, 10, OWNER)
    book.sync(1, "test")
    whole = VenueSnapshot(bids=IN_NO_ORDER, asks=(), bid_digits=("1",) * MANY, checksum=1)
    assert book.on_snapshot(whole, 1) == []  # one by one: some 10^11 moves
    assert book.state is BookState.CHECKSUM_FAILED


def test_the_levels_of_the_largest_delta_are_sorted_once() -> None:
    book = a_maintainer()
    book.on_snapshot(VenueSnapshot(bids=levels(1), asks=(), sequence=1), 1)
    (said,) = book.on_delta(VenueDelta(bids=IN_NO_ORDER, asks=(), first=2, last=2), 1)
    assert isinstance(said, BookDelta)
    assert [price for price, _ in book.book.bids(3)] == [MANY, MANY - 1, MANY - 2]


def test_a_snapshot_that_no_message_holds_is_refused_before_any_work() -> None:
    book = a_maintainer()
    too_many = VenueSnapshot(bids=IN_NO_ORDER + levels(3), asks=(), sequence=1)
    assert book.on_snapshot(too_many, 1) == []
    assert book.state is BookState.DISCONNECTED
    assert f"a snapshot of {MANY + 3} levels" in book.reason
    assert book.book.counts() == (0, 0)
