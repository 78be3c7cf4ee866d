"""A hostile venue: any bytes end as messages with sane numbers or as `BadFrameError`, and nothing else."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from services.l2.feeds import FEEDS
from services.l2.feeds.feed import (
    BadFrameError,
    BestQuote,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from services.l2.feeds.feed import Feed, VenueMessage

SYMBOL = "BTC-USDT"
INT64 = 2**63

# Real frames, cut to few levels; kraken-v1's pair spelled for the symbol above.
FRAMES: dict[str, tuple[str, ...]] = {
    "binance": (
        (
            '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,'
            '"b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"],["61839.85000000","0.00000000"]]}}'
        ),
        (
            '{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
            '"a":"61837.64000000","A":"1.54698000"}}'
        ),
        (
            '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000",'
            '"q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
        ),
        '{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.60520000"]]}',
        '[[1499040000000,"0.0163","0.8","0.0157","0.0157","148976.1",1499644799999,"2434.1",308,"1756.8","28.4","0"]]',
        '{"error":{"code":2,"msg":"Invalid request"},"id":1}',
    ),
    "kraken": (
        (
            '{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","bids":[{"price":78858.8,"qty":0.00000000}],"asks":['
            '{"price":78871.6,"qty":4.21103066}],"checksum":2416540570,"timestamp":"2026-08-24T22:21:58.343688Z"}]}'
        ),
        (
            '{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USDT","bids":[{"price":78871.5,"qty":0.01266503}],"asks":[],'
            '"checksum":1406471562,"timestamp":"2026-08-24T22:21:57.110183Z"}]}'
        ),
        (
            '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USDT","side":"sell","price":78871.5,"qty":0.4,'
            '"ord_type":"market","trade_id":4665906,"timestamp":"2026-08-24T22:21:58.708706Z"}]}'
        ),
        '{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USDT"},"success":true}',
        '{"error":[],"result":{"BTC/USDT":[[1688671200,"30306.1","30306.2","30305.7","30305.7","30306.1","3.39",23]],"last":1}}',
    ),
    "kraken-v1": (
        (
            '[464,{"a":[["56218.30000","0.00012000","1618678132.123456"]]},{"b":[["56210.1","0.0","1618678131.0","r"]],'
            '"c":"2628179034"},"book-1000","XBT/USDT"]'
        ),
        '[464,{"as":[["56218.30000","0.00012000","1618678132.123456"]],"bs":[]},"book-1000","XBT/USDT"]',
        '[0,[["5541.20000","0.15850568","1534614057.321597","s","l",""]],"trade","XBT/USDT"]',
        '{"channelID":464,"event":"subscriptionStatus","pair":"XBT/USDT","status":"subscribed"}',
    ),
}

NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "0",
    "-0.0",
    "1e308",
    "1e309",
    "1e-320",
    "1e12",
    str(INT64),
    "9" * 60,
]
WORDS = [
    "null",
    "true",
    '""',
    '"NaN"',
    '"-1"',
    '"1e400"',
    '"\\ud800"',
    '"\\u0000"',
    "[]",
    "{}",
    "[" * 50_000,
    '{"a":' * 50_000,
]


def tokens(text: str) -> list[tuple[int, int]]:
    """Return the span of each value-like run between punctuation, with its quotes."""
    spans, start = [], None
    for at, char in enumerate(text):
        if char in "{}[],:":
            if start is not None:
                spans.append((start, at))
            start = None
        elif start is None:
            start = at
    return spans


@st.composite
def hostile_frames(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return a venue and a real frame, cut, spliced, or with values replaced."""
    venue = draw(st.sampled_from(sorted(FRAMES)))
    text = draw(st.sampled_from(FRAMES[venue]))
    for _ in range(draw(st.integers(1, 3))):
        spans = tokens(text)
        if not spans:
            break
        start, end = draw(st.sampled_from(spans))
        values = st.one_of(
            st.sampled_from(NUMBERS),
            st.sampled_from(NUMBERS).map(json.dumps),
            st.sampled_from(WORDS),
            st.floats().map(repr),
            st.integers().map(str),
            st.text(max_size=5).map(json.dumps),
        )
        text = text[:start] + draw(values) + text[end:]
    raw = bytearray(text.encode())
    for _ in range(draw(st.integers(0, 2))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.none() | st.integers(0, len(raw)))
    return venue, bytes(raw[:cut])


def sane(price: float, size: float) -> bool:
    return 0 < price <= 1e12 and 0 <= size <= 1e15 and math.isfinite(price + size)


def storable(ts: int | None) -> bool:
    return ts is None or 0 <= ts < INT64


def check(messages: Iterable[VenueMessage]) -> None:
    for message in messages:
        match message:
            case VenueDelta() | VenueSnapshot():
                assert all(sane(*level) for level in message.bids + message.asks)
                assert storable(message.venue_ts)
                assert len(message.bid_digits) in {0, len(message.bids)}
            case VenueTrade():
                assert sane(message.price, message.size)
                assert message.size > 0
                assert storable(message.venue_ts)
            case BestQuote():
                assert sane(*message.bid)
                assert sane(*message.ask)
            case _:
                pass
        if isinstance(message, VenueDelta):
            assert message.last is None or 0 <= message.last < INT64


def read_all(feed: Feed, raw: bytes) -> None:
    """Read bytes in every way that the feed reads bytes."""
    readers: list[Callable[[], Any]] = [
        lambda: check(feed.parse(raw, SYMBOL)),
        lambda: feed.parse_candles(raw, SYMBOL, "1m"),
    ]
    if feed.snapshot_by_rest:
        readers.append(lambda: check([feed.parse_snapshot(raw)]))
    for read in readers:
        with suppress(BadFrameError):  # what else is raised fails the test
            read()


@settings(max_examples=600, deadline=None)
@given(hostile_frames())
def test_mutated_real_frames_are_sane_messages_or_bad_frames(frame: tuple[str, bytes]) -> None:
    venue, raw = frame
    read_all(FEEDS[venue], raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_bad_frames_at_worst(raw: bytes) -> None:
    for feed in FEEDS.values():
        read_all(feed, raw)


@pytest.mark.parametrize("venue", sorted(FRAMES))
def test_the_frames_that_are_mutated_are_read_as_they_are(venue: str) -> None:
    (delta,) = FEEDS[venue].parse(FRAMES[venue][0].encode(), SYMBOL)
    assert isinstance(delta, VenueDelta)
