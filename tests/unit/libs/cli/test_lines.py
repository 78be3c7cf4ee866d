from __future__ import annotations

import pytest

from libs.cli.lines import clock, line_of, line_of_raw, number
from libs.common.events import Candle, Event, Subscribed, Trade
from tests.unit.libs.cli.builders import NOW, a_delta, a_health, a_keyframe

MS = NOW // 1_000_000
A_TRADE = Trade(
    venue="binance",
    symbol="BTC-USDT",
    trade_id="77",
    price=100.5,
    size=0.25,
    side="sell",
    venue_ts=NOW,
    received_ts=NOW,
)
A_CANDLE = Candle(
    venue="binance",
    symbol="BTC-USDT",
    interval="1m",
    open_ts=NOW - NOW % (60 * 10**9),
    open=1.0,
    high=4.0,
    low=0.5,
    close=2.0,
    volume=9.0,
    trades=3,
    closed=True,
)


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (a_keyframe(), "keyframe epoch=1787999000000 seq=1 3 bids 2 asks  100 (1) / 100.5 (1)"),
        (a_delta(2, bids=((99.5, 0.0),), asks=((101.0, 2.5),)), "seq=2  bid 99.5 gone ask 101=2.5"),
        (a_health(), "LIVE consistent  seq=1 gaps=0 resyncs=0 lag=0.0 ms"),
        (A_TRADE, "sell 0.25 at 100.5  id=77"),
        (A_CANDLE, "1m 2026-08-29 10:40 o 1  h 4  l 0.5  c 2  v 9  trades=3 closed"),
        (Subscribed(venue="binance", symbol="BTC-USDT", requested_ts=NOW), "wanted by request"),
    ],
)
def test_a_message_is_one_line_with_time_place_type_key_and_facts(event: Event, facts: str) -> None:
    line = line_of(MS, "3:41", "binance:BTC-USDT", event).plain
    assert "\n" not in line
    time, rest = line[:23], line[23:].split()
    assert time == "2026-08-29 10:40:00.123"
    assert rest[:3] == ["3:41", type(event).__name__, "binance:BTC-USDT"]
    assert line.endswith(facts)


def test_a_long_delta_names_a_few_levels_and_counts_the_rest() -> None:
    line = line_of(MS, "0:0", "k", a_delta(2, bids=tuple((float(i), 1.0) for i in range(1, 11)))).plain
    assert line.endswith("bid 1=1 bid 2=1 bid 3=1 +7 bids")


def test_a_tombstone_is_shown_as_one() -> None:
    assert "tombstone" in line_of(MS, "0:0", "k", None).plain


def test_an_undecodable_message_shows_its_reason_and_first_bytes() -> None:
    line = line_of_raw(MS, "0:0", "k", b"\xff\n" * 100, "no MessagePack").plain
    assert "UNDECODABLE" in line
    assert "no MessagePack (200 bytes: b'\\xff\\n" in line
    assert "\n" not in line
    assert len(line) < 400


def test_types_are_told_apart_by_colour() -> None:
    styles = {
        str(line_of(MS, "0:0", "k", event).spans[2].style) for event in (a_keyframe(), a_health(), A_TRADE)
    }
    assert len(styles) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (1e-7, "0.0000001"), (61671.55, "61671.55"), (1e16, "10000000000000000")],
)
def test_numbers_have_no_exponent_and_no_idle_zero(value: float, text: str) -> None:
    assert number(value) == text


def test_an_absurd_timestamp_is_shown_and_does_not_fail() -> None:
    assert clock(10**18) == "1000000000000000000 ms"
