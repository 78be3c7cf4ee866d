"""The seeded market on the bus: its books are the exchanges' own, whatever goes wrong on the way."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from backtest.source import Fidelity
from backtest.sources.simulator import SimulatedMarket, default_settings
from libs.common.events import BookHealth, Candle, Trade
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S
from simulator.fault_requests import FaultKind, FaultRequest
from simulator.venues import VENUES
from tests.backtest_l2 import Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = 20_000 * DAY_NS + 45 * NS_PER_S
KEY = "binance:BTC-USDT"


def a_market(
    seconds: int = 60, venues: Sequence[str] = ("binance", "okx"), seed: int = 5, **changed: Any
) -> SimulatedMarket:
    settings = default_settings(seed, ("BTC-USDT", "ETH-USDT"))
    settings = settings.model_copy(update={"rate": 100.0, "outages": 0.0, "history_days": 3, **changed})
    return SimulatedMarket(settings, BEGIN, BEGIN + seconds * NS_PER_S, venues)


def agree(source: SimulatedMarket, run: Heard) -> int:
    """Hold the market, let the wires run empty, and compare each book with the truth; return their levels."""
    simulation, levels = source.simulation, 0
    simulation.pause(run.bus.now)
    run.run(run.bus.now + NS_PER_S)
    for venue, symbol in source.provenance.books:
        truth: dict[str, Any] = simulation.truth(venue, symbol, run.bus.now)
        book = run.books[f"{venue}:{symbol}"]
        for ours, theirs in ((book.bids(), truth["bids"]), (book.asks(), truth["asks"])):
            assert list(ours) == theirs[: len(ours)], f"{venue}:{symbol}"
            assert len(ours) >= min(10, len(theirs))
            levels += len(ours)
    simulation.resume()
    source.wake()
    return levels


def test_the_books_of_all_venues_are_the_exchanges_own_at_any_instant() -> None:
    source = a_market(venues=tuple(VENUES))
    run, random = Heard(source), Random(11)
    for _ in range(12):
        run.run(run.bus.now + random.randrange(NS_PER_S, 4 * NS_PER_S))
        assert agree(source, run) > 2 * 10 * 10
    assert sum(health.messages for health in run.healths.values()) > 2_000
    assert {health.state for health in run.healths.values()} == {"LIVE"}
    assert {health.gaps for health in run.healths.values()} == {0}


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (FaultRequest(kind=FaultKind.DROP, venue="binance", symbol="BTC-USDT", once=True), "GAP"),
        (
            FaultRequest(kind=FaultKind.DISCONNECT, venue="binance", once=True, duration_s=2.0),
            "DISCONNECTED",
        ),
        (FaultRequest(kind=FaultKind.MALFORMED, venue="binance", symbol="BTC-USDT", once=True), "GAP"),
    ],
    ids=["gap", "disconnect", "malformed"],
)
def test_a_fault_makes_the_book_resync_as_live(fault: FaultRequest, state: str) -> None:
    source = a_market()
    run = Heard(source).run(BEGIN + 10 * NS_PER_S)
    epoch = run.books[KEY].epoch
    assert epoch is not None
    source.add_fault(fault, run.bus.now)
    run.run(BEGIN + 30 * NS_PER_S)
    assert run.states(KEY) == ["DISCONNECTED", "SYNCING", "LIVE", state, "SYNCING", "LIVE"]
    agree(source, run)
    after = run.books[KEY].epoch
    assert after is not None
    assert after > epoch
    assert run.states("okx:BTC-USDT") == ["DISCONNECTED", "SYNCING", "LIVE"]


def test_two_runs_are_equal_byte_for_byte_and_another_seed_is_another_market() -> None:
    runs = [Heard(a_market(15, rate=40.0, outages=50.0, seed=seed)).run() for seed in (5, 5, 6)]
    assert runs[0].digest == runs[1].digest != runs[2].digest
    assert runs[0].bus.written > 1_000


def test_the_past_is_told_by_rest_and_the_present_goes_on_from_it() -> None:
    source = a_market(200, rate=12.0, history_days=130)
    run = Heard(source).run()
    candles = [event for event in run.events[KEY] if isinstance(event, Candle) and event.closed]
    days = [candle for candle in candles if candle.interval == "1d"]
    minutes = sorted({candle.open_ts for candle in candles if candle.interval == "1m"})
    assert len(days) >= 129
    assert minutes[-1] == BEGIN // MINUTE_NS * MINUTE_NS + 3 * MINUTE_NS
    assert minutes == list(range(minutes[0], minutes[-1] + 1, MINUTE_NS)), "without a hole"
    assert any(isinstance(event, Trade) for event in run.events[KEY])
    measured = [event for event in run.events[KEY] if isinstance(event, BookHealth) and event.request_ns]
    assert all(2e6 <= health.request_ns <= 50e6 for health in measured if health.request_ns)
    assert measured


def test_what_the_market_is_stands_in_its_provenance() -> None:
    told = a_market(edge=0.5).provenance
    assert (told.fidelity, told.synthetic) == (Fidelity.SIMULATOR, True)
    assert told.books[:2] == (("binance", "BTC-USDT"), ("okx", "BTC-USDT"))
    notes = " ".join(told.notes)
    assert "SIMULATOR_EDGE is 0.5" in notes
    assert "100 messages a second" in notes
