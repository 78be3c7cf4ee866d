from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from libs.common.events import Candle
from libs.common.minute_volumes import MinuteVolumes
from libs.common.time_units import DAY_NS, MINUTE_NS

BOOK = ("binance", "BTC-USDT")


def a_candle(day: int, minute: int, volume: float) -> Candle:
    return Candle(
        venue="binance",
        symbol="BTC-USDT",
        interval="1m",
        open_ts=day * DAY_NS + minute * MINUTE_NS,
        open=1.0,
        high=1.0,
        low=1.0,
        close=1.0,
        volume=volume,
        trades=1,
        closed=True,
    )


def told(*candles: Candle, days: int = 3) -> MinuteVolumes:
    volumes = MinuteVolumes(days)
    for candle in candles:
        volumes.put(candle)
    return volumes


def known(volumes: MinuteVolumes, day: int) -> dict[tuple[int, int], float]:
    rows = volumes.since(*BOOK, now=day * DAY_NS + 5)
    assert rows.shape == (len(rows), 1440)
    first = day + 1 - len(rows)
    return {(first + int(d), int(m)): float(rows[d, m]) for d, m in np.argwhere(np.isfinite(rows))}


def test_a_minute_told_again_counts_once_as_it_was_told_last() -> None:
    volumes = told(a_candle(7, 3, 1.0), a_candle(7, 4, 2.0), a_candle(7, 3, 5.0))
    assert known(volumes, 7) == {(7, 3): 5.0, (7, 4): 2.0}


def test_days_between_that_nobody_told_are_unknown_and_others_are_as_told_in_any_order() -> None:
    volumes = told(a_candle(9, 0, 1.0), a_candle(7, 1439, 2.0))
    assert known(volumes, 9) == {(9, 0): 1.0, (7, 1439): 2.0}
    assert len(volumes.since(*BOOK, now=9 * DAY_NS)) == 3


def test_only_the_newest_days_are_kept() -> None:
    volumes = told(*(a_candle(day, 0, float(day)) for day in (5, 9, 6, 8, 4, 7)))
    assert known(volumes, 9) == {(day, 0): float(day) for day in (7, 8, 9)}


def test_a_day_to_come_or_long_ago_is_not_of_the_days_before_now() -> None:
    volumes = told(a_candle(7, 0, 1.0), a_candle(99, 0, 2.0))
    assert known(volumes, 7) == {(7, 0): 1.0}
    assert len(volumes.since(*BOOK, now=20 * DAY_NS)) == 0


def test_open_minutes_days_and_other_books_do_not_count() -> None:
    minute = a_candle(7, 0, 1.0)
    others = (replace(minute, closed=False), replace(minute, interval="1d"), replace(minute, venue="okx"))
    assert known(told(*others), 7) == {}
    assert known(told(minute, days=0), 7) == {}


@pytest.mark.parametrize("minute", [0, 1439])
def test_a_day_begins_and_ends_with_utc(minute: int) -> None:
    assert known(told(a_candle(7, minute, 1.0)), 7) == {(7, minute): 1.0}


@pytest.mark.parametrize("volume", [3.5e38, math.inf, math.nan, -1.0])
def test_a_volume_that_cannot_be_is_not_told(volume: float) -> None:
    assert known(told(a_candle(7, 3, volume), a_candle(7, 4, 2.0)), 7) == {(7, 4): 2.0}
