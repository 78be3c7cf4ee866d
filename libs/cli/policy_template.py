"""What `bookrunner policy new` writes: a policy that trades something, and a test that tests it; pure."""

from __future__ import annotations

import keyword
import re
import sys
from typing import Final

from libs.policies.described import id_fault

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}[a-z0-9]", re.ASCII)
_NOT_HOSTED: Final = "test_"

_POLICY: Final = '''"""NAME: follow the moves of the last minutes that are large beside their volatility."""

import numpy as np

from bookrunner import Market, Policy, Signal

MINUTES = 30  # that are looked back on
SATURATION = 2.0  # standard deviations of a move that fill three quarters of the position


def signal(market: Market) -> Signal:
    """Return +1 for fully long to -1 for fully short, and why."""
    closes = market.closes(MINUTES + 1)
    if len(closes) <= MINUTES:
        return Signal(value=0.0, reason=f"{len(closes)} of {MINUTES + 1} closed minutes are there")
    returns = np.diff(np.log(closes))
    noise = float(np.std(returns)) * MINUTES**0.5  # of the whole move, were its minutes independent
    if noise < 1e-9:
        return Signal(value=0.0, reason="the price stands still")
    moved = float(np.sum(returns)) / noise
    return Signal(
        value=float(np.tanh(moved / SATURATION)),
        reason=f"{moved:+.2f} standard deviations in {MINUTES} minutes",
    )


POLICY = Policy(
    signal=signal,
    summary=f"momentum of {MINUTES} minutes, scaled by their volatility",
    parameters={"minutes": MINUTES, "saturation": SATURATION},
)
'''

_TEST: Final = '''"""What NAME does, on markets made by hand: python -m pytest test_NAME.py"""

import runpy
from pathlib import Path

import numpy as np
import pytest

from bookrunner import Market, events

FOUND = runpy.run_path(str(Path(__file__).with_name("NAME.py")))  # as its host reads it
signal, minutes = FOUND["signal"], FOUND["MINUTES"]
MINUTE_NS = 60_000_000_000


def a_market(closes: np.ndarray) -> Market:
    candles = [
        events.Candle(
            venue="binance",
            symbol="BTC-USDT",
            interval="1m",
            open_ts=place * MINUTE_NS,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=1.0,
            trades=1,
            closed=True,
        )
        for place, close in enumerate(closes.tolist())
    ]
    ts = len(candles) * MINUTE_NS
    return Market(symbol="BTC-USDT", ts=ts, minutes=tuple(candles), days=(), features=None)


def prices(drift: float, price: float = 50_000.0, swing: float = 0.001) -> np.ndarray:
    """Return a price that swings by so much, and drifts by so much a minute, as logarithms."""
    places = np.arange(minutes + 1)
    return price * np.exp(drift * places + swing * np.sin(2.0 * places))


def test_it_follows_the_move_and_a_larger_one_further() -> None:
    values = [signal(a_market(prices(drift))).value for drift in (-0.001, -0.0002, 0.0002, 0.001)]
    assert -1 <= values[0] < values[1] < 0 < values[2] < values[3] <= 1


def test_the_mirrored_market_gives_the_mirrored_signal() -> None:
    rising = prices(0.0005)
    assert signal(a_market(1e9 / rising)).value == pytest.approx(-signal(a_market(rising)).value)


def test_the_same_move_in_a_wilder_market_is_worth_less() -> None:
    calm, wild = (signal(a_market(prices(0.0005, swing=swing))).value for swing in (0.001, 0.005))
    assert 0 < wild < calm / 2


def test_the_unit_of_the_price_does_not_matter() -> None:
    cheap, dear = (signal(a_market(prices(0.0005, price))).value for price in (1e-6, 1e6))
    assert cheap == pytest.approx(dear)


def test_without_enough_minutes_or_any_move_it_stays_flat_and_says_so() -> None:
    short, still = a_market(prices(0.001)[1:]), a_market(np.full(minutes + 1, 7.0))
    assert signal(short).reason == f"{minutes} of {minutes + 1} closed minutes are there"
    assert signal(still).reason == "the price stands still"
    assert signal(a_market(np.array([]))).value == 0
'''


def name_fault(name: str) -> str:
    """Return why a new policy may not have this name; "" where it may."""
    if fault := id_fault(name):
        return fault
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        return "take 2-64 of a-z, 0-9 and _ that begin with a letter, like my_momentum, and no word of Python"
    if name.startswith(_NOT_HOSTED):
        return f"files that begin with {_NOT_HOSTED} are tests: take another name"
    if name in sys.stdlib_module_names or name in {"bookrunner", "libs", "numpy", "services"}:
        return "Python has a module of that name: take another name"
    return ""


def policy_source(name: str) -> str:
    """Return the file of a new policy."""
    return _POLICY.replace("NAME", name)


def source_of_test(name: str) -> str:
    """Return the file of its test."""
    return _TEST.replace("NAME", name)
