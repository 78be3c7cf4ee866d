"""What the days of a symbol say is computed again once a candle comes, and not at every assessment."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

from services.portfolio import risk
from services.portfolio.measures import cautious_cvar
from services.portfolio.returns import History
from services.portfolio.risk import _unit_risk, assess
from tests.unit.services.portfolio.world import NOW, TODAY, World

if TYPE_CHECKING:
    import pytest

    from services.portfolio.measures import Matrix, Vector

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")


def a_world() -> World:
    world = World()
    for n, symbol in enumerate(SYMBOLS):
        world.history(symbol, 90, seed=n + 1)
    return world


def test_an_assessment_computes_no_risk_again_whose_days_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, computed = a_world(), list[object]()

    def counted(R: Matrix, p: Vector, confidence: float) -> Vector:
        computed.append(R)
        return cautious_cvar(R, p, confidence)

    monkeypatch.setattr(risk, "cautious_cvar", counted)
    first = assess({}, world.desk.history, world.rules, NOW)
    assert len(computed) == len(SYMBOLS)
    assert assess({}, world.desk.history, world.rules, NOW) == first
    assert len(computed) == len(SYMBOLS)
    world.candle("ETH-USDT", TODAY, 3.0)
    after = assess({}, world.desk.history, world.rules, NOW)
    assert len(computed) == len(SYMBOLS) + 1, "of the symbol with another day"
    others = [symbol for symbol in SYMBOLS if after.by_symbol[symbol] == first.by_symbol[symbol]]
    assert others == ["BTC-USDT", "SOL-USDT"]
    assert after.by_symbol["ETH-USDT"].observations == first.by_symbol["ETH-USDT"].observations + 1


def test_of_days_that_others_replaced_nothing_is_kept() -> None:
    world = a_world()
    history = world.desk.history
    assess({}, history, world.rules, NOW)
    before = weakref.ref(history.returns("ETH-USDT"))
    world.candle("ETH-USDT", TODAY, 3.0)
    assess({}, history, world.rules, NOW)
    assert before() is None


def test_a_short_position_has_the_risk_of_prices_that_rise_and_not_that_of_a_long_one() -> None:
    world, price = World(), 100.0
    for n in range(90):
        price *= 0.9 if n % 8 == 0 else 1.01
        world.candle("BTC-USDT", TODAY - 90 + n, price)
    found = world.desk.history.returns("BTC-USDT")
    long, short = (_unit_risk(found, 60.0, 0.95, short=short) for short in (False, True))
    assert long.cvar > short.cvar
    assert long.vol == short.vol


def test_the_returns_of_a_symbol_are_the_same_until_a_candle_of_it_comes() -> None:
    world = a_world()
    history = world.desk.history
    found = history.returns("BTC-USDT")
    world.candle("ETH-USDT", TODAY, 3.0)
    assert history.returns("BTC-USDT") is found
    world.candle("BTC-USDT", TODAY, 200.0)
    assert len(history.returns("BTC-USDT").days) == len(found.days) + 1
    world.candle("BTC-USDT", TODAY, 400.0)
    assert history.returns("BTC-USDT").values[-1] != found.values[-1], "a day may be told again"


def test_a_symbol_that_comes_while_a_thread_looks_is_looked_for_again() -> None:
    class Watched(History):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "symbols":
                looked.append(self.ended("BTC-USDT", NOW) if hasattr(self, "symbols") else None)
            super().__setattr__(name, value)

    looked: list[int | None] = []
    world = World()
    history = Watched(world.rules.venue)
    world.desk = replace(world.desk, history=history)
    world.candle("BTC-USDT", TODAY - 10, 3.0)
    assert len(looked) == 2, "amid the fold"
    assert history.ended("BTC-USDT", NOW) == TODAY - 10


def test_a_series_ends_when_others_go_on_though_no_candle_of_it_comes() -> None:
    world = a_world()
    assert world.desk.history.ended("BTC-USDT", NOW) is None
    for day in range(TODAY, TODAY + 4):
        world.candle("ETH-USDT", day, 3.0)
    assert world.desk.history.ended("BTC-USDT", NOW) == TODAY - 1
