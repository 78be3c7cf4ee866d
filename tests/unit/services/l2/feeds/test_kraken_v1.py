from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from libs.common.instruments import kraken_v1_symbol
from libs.common.order_book import OrderBook
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.kraken_v1 import KrakenV1Feed
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueStatus,
    VenueTrade,
)
from simulator.recordings import open_recording
from tests.recordings import KRAKEN_V1, needs_recordings
from tests.spared import is_ignored, is_spared

if TYPE_CHECKING:
    from services.l2.feeds.digits import DigitBook

FEED = KrakenV1Feed()
BTC = "BTC-CHF"
ASK = '["56218.30000","0.00012000","1618678132.123456"]'
BID = '["56210.10000","0.00000000","1618678131.000001","r"]'
ONE_SIDE = f'[464,{{"a":[{ASK}],"c":"2628179034"}},"book-1000","XBT/CHF"]'
BOTH_SIDES = f'[464,{{"a":[{ASK}]}},{{"b":[{BID}],"c":"2628179034"}},"book-1000","XBT/CHF"]'
SNAPSHOT = f'[464,{{"as":[{ASK}],"bs":[]}},"book-1000","XBT/CHF"]'
TRADES = (
    '[5,[["5541.20000","0.15850568","1534614057.321597","s","l",""],'
    '["5541.3","1","1534614057.321597","b","m",""]],"trade","XBT/CHF"]'
)


def test_both_halves_of_a_two_sided_update_are_one_delta() -> None:
    (delta,) = FEED.parse(BOTH_SIDES.encode(), BTC)
    assert delta == VenueDelta(
        bids=((56210.1, 0.0),),
        asks=((56218.3, 0.00012),),
        checksum=2628179034,
        bid_digits=("5621010000",),
        ask_digits=("562183000012000",),
        venue_ts=1618678132_123_456_000,
    )


def test_a_one_sided_update_has_four_elements() -> None:
    (delta,) = FEED.parse(ONE_SIDE.encode(), BTC)
    assert isinstance(delta, VenueDelta)
    assert (delta.bids, delta.asks, delta.checksum) == ((), ((56218.3, 0.00012),), 2628179034)


def test_a_snapshot_has_digits_and_no_checksum() -> None:
    (snapshot,) = FEED.parse(SNAPSHOT.encode(), BTC)
    assert isinstance(snapshot, VenueSnapshot)
    assert (snapshot.bids, snapshot.asks, snapshot.checksum) == ((), ((56218.3, 0.00012),), None)
    assert snapshot.ask_digits == ("562183000012000",)


def test_trades_of_one_moment_get_ids_of_their_own() -> None:
    sold, bought = FEED.parse(TRADES.encode(), BTC)
    assert sold == VenueTrade(
        trade_id="1534614057321597-0",
        price=5541.2,
        size=0.15850568,
        side="sell",
        venue_ts=1534614057_321_597_000,
    )
    assert isinstance(bought, VenueTrade)
    assert (bought.trade_id, bought.side) == ("1534614057321597-1", "buy")


def test_other_pairs_and_channels_are_left_out() -> None:
    assert FEED.parse(ONE_SIDE.encode(), "ETH-CHF") == ()
    assert FEED.parse(ONE_SIDE.replace("book-1000", "book-10").encode(), BTC) == ()


def test_events_are_told_apart() -> None:
    status = '{"channelID":464,"event":"subscriptionStatus","pair":"XBT/CHF","status":"%s"}'
    assert FEED.parse((status % "subscribed").encode(), BTC) == (Acknowledged(),)
    assert FEED.parse((status % "subscribed").encode(), "ADA-BTC") == ()
    refused = (
        b'{"errorMessage":"not supported","event":"subscriptionStatus","pair":"XBT/CHF","status":"error"}'
    )
    assert FEED.parse(refused, BTC) == (Refused("not supported"),)
    assert FEED.parse(b'{"event":"heartbeat"}', BTC) == (Heartbeat(),)
    online = (
        b'{"connectionID":8628615390848610000,"event":"systemStatus","status":"online","version":"1.9.1"}'
    )
    assert FEED.parse(online, BTC) == (VenueStatus(open=True, reason="online"),)
    for status in ("maintenance", "cancel_only", "post_only", "limit_only"):
        (told,) = FEED.parse(online.replace(b"online", status.encode()), BTC)
        assert isinstance(told, VenueStatus)
        assert not told.open
        assert told.reason.startswith(status)


@pytest.mark.parametrize("raw", [b'{"event":"something"}', b'[1,[],"spread","XBT/CHF"]'])
def test_a_frame_that_the_feed_does_not_know_is_ignored(raw: bytes) -> None:
    assert is_ignored(FEED.parse(raw, BTC))


@pytest.mark.parametrize("raw", [b"{}", b'{"event":7}', TRADES.replace('"s"', '"x"').encode()])
def test_an_unreadable_frame_of_something_else_costs_itself(raw: bytes) -> None:
    assert is_spared(FEED.parse(raw, BTC), raw, trades=raw.startswith(b"["))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "[]",
        "[1,2,3]",
        "[1,2,3,4,5,6]",
        "NaN",
        ONE_SIDE[:-9],
        ONE_SIDE.replace('"c":"2628179034"', '"c":"4294967296"'),
        ONE_SIDE.replace(',"c":"2628179034"', ""),
        ONE_SIDE.replace("0.00012000", "NaN"),
        ONE_SIDE.replace("0.00012000", "-0.1"),
        ONE_SIDE.replace("56218.30000", "0.0"),
        ONE_SIDE.replace("56218.30000", "1e13"),
        ONE_SIDE.replace('"56218.30000"', "56218.3"),
        ONE_SIDE.replace("1618678132.123456", "1e300"),
        SNAPSHOT.replace("0.00012000", "-0.1"),
        "[" * 100_000,
    ],
)
def test_what_is_not_documented_is_a_bad_frame(raw: str) -> None:
    with pytest.raises(BadFrameError, match="kraken-v1"):
        FEED.parse(raw.encode(), BTC)


def test_subscriptions_and_addresses_are_v1_s() -> None:
    book, trades = map(json.loads, FEED.subscribe(BTC))
    assert book == {
        "event": "subscribe",
        "pair": ["XBT/CHF"],
        "subscription": {"name": "book", "depth": 1000},
    }
    assert trades["subscription"] == {"name": "trade"}
    assert FEED.stream_url("wss://ws.kraken.com", BTC) == "wss://ws.kraken.com"


@needs_recordings
def test_the_recording_matches_all_4269_checksums_and_never_crosses() -> None:
    books: dict[str, tuple[OrderBook, DigitBook]] = {}
    seen: Counter[str] = Counter()
    for record in open_recording(KRAKEN_V1).records():
        text = record.text
        if not text.startswith("["):
            continue
        symbol = kraken_v1_symbol(json.loads(text)[-1])
        for message in FEED.parse(text.encode(), symbol):
            if isinstance(message, VenueSnapshot):
                books[symbol] = OrderBook(), FEED.new_digit_book()
                books[symbol][0].load(message.bids, message.asks)
                books[symbol][1].load(message)
                seen["snapshots"] += 1
            elif isinstance(message, VenueDelta):
                book, digits = books[symbol]
                book.apply(message.bids, message.asks)
                book.truncate(FEED.depth or 1)
                digits.apply(message)
                seen["crossed"] += book.crossed
                seen["orphans"] += (len(digits.bids(2000)), len(digits.asks(2000))) != book.counts()
                seen[
                    "equal" if FEED.checksum(digits.bids(), digits.asks()) == message.checksum else "differ"
                ] += 1
            elif isinstance(message, VenueTrade):
                seen["trades"] += 1
    assert (seen["equal"], seen["differ"], seen["crossed"], seen["orphans"]) == (4269, 0, 0, 0)
    assert (seen["snapshots"], len(books)) == (10, 10)
    assert seen["trades"] > 0
