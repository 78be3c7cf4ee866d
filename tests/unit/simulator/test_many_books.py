"""What a simulator of many books does for each of them: counted, not timed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from libs.common.instruments import UnknownInstrumentError
from libs.common.venues import venue_of
from simulator.connections import Connection
from simulator.profiles import instrument_at, symbol_profile
from simulator.settings import SimulatorSettings
from simulator.simulation import Simulation
from simulator.venues.bybit import Bybit
from simulator.venues.okx import Okx

MS = 1_000_000
START = 1_790_000_000_000 * MS
MARKETS = ("BTC-USDT", *(f"S{number:03d}-USDT" for number in range(12)))


@pytest.fixture
def simulation() -> Simulation:
    settings = SimulatorSettings(rate=400.0, outages=0.0, history_days=1, levels=40, symbols=MARKETS)
    return Simulation(settings, START)


def all_subscribed(simulation: Simulation, now_ns: int) -> dict[tuple[str, str], Connection]:
    """Return a client of Bybit and one of OKX for each market, as l2 has them."""
    clients = {}
    for symbol in MARKETS:
        for venue, path, args in (
            ("bybit", "/v5/public/spot", lambda name: f"orderbook.200.{name}"),
            ("okx", "/ws/v5/public", lambda name: {"channel": "books", "instId": name}),
        ):
            client = simulation.connect(venue, path, {}, now_ns)
            ask = {"op": "subscribe", "args": [args(venue_of(venue).spell(symbol))]}
            assert simulation.receive(client, json.dumps(ask), now_ns) is None
            clients[venue, symbol] = client
    return clients


def test_a_made_up_market_has_a_profile_of_its_own_and_sol_s_digits() -> None:
    first, second = symbol_profile("S000-USDT"), symbol_profile("S001-USDT")
    assert first.anchor != second.anchor
    assert first.activity == second.activity == 1.0
    for venue in ("binance", "bybit", "coinbase", "kraken", "okx"):
        made_up, sol = instrument_at(venue, "S001-USDT"), instrument_at(venue, "SOL-USDT")
        assert (made_up.symbol, made_up.tick, made_up.lot) == ("S001-USDT", sol.tick, sol.lot)


@pytest.mark.parametrize(
    "symbol",
    ["S1000-USDT", "S00-USDT", "S\N{ARABIC-INDIC DIGIT ZERO}00-USDT", "S000-USD", "XS000-USDT", "S000-USDT2"],
)
def test_no_other_name_is_a_made_up_market(symbol: str) -> None:
    with pytest.raises(ValueError, match="S000-USDT to S999-USDT"):
        symbol_profile(symbol)
    with pytest.raises(UnknownInstrumentError):
        instrument_at("okx", symbol)
    with pytest.raises(ValidationError, match="place 2 is no market"):
        SimulatorSettings(symbols=("BTC-USDT", symbol))


def test_every_message_of_many_books_arrives_when_it_is_due(simulation: Simulation) -> None:
    """The turns of a server that asks only those lines that say that they have something."""
    clients, now_ns, got = all_subscribed(simulation, START), START, dict[Connection, int]()
    for _ in range(5_000):
        now_ns += 2 * MS
        simulation.tick(now_ns)
        for client in simulation.arrivals.take(now_ns):
            got[client] = got.get(client, 0) + len(client.line.arrived(now_ns))
            simulation.expect(client)
        waiting = [client.line.due_ns for client in clients.values() if client.line.due_ns is not None]
        assert all(due_ns > now_ns for due_ns in waiting)
    assert got.keys() == set(clients.values())


def test_no_change_is_held_back_beyond_its_time_whoever_asks_for_the_truth_meanwhile(
    simulation: Simulation,
) -> None:
    """Asking for a book sends what is held back before its time, and so moves the next message's."""
    all_subscribed(simulation, START)
    bybit, okx = simulation.venues["bybit"], simulation.venues["okx"]
    assert isinstance(bybit, Bybit)
    assert isinstance(okx, Okx)
    windows: list[Any] = [
        *(bybit._by_topic[f"orderbook.200.{name}"] for name in bybit.symbol_of),  # noqa: SLF001 -- due inside
        *okx._windows.values(),  # noqa: SLF001 -- as above
    ]
    now_ns, waited = START, 0
    for turn in range(3_000):
        now_ns += 2 * MS
        simulation.tick(now_ns)
        if turn % 97 == 0:
            simulation.truth("okx", "S003-USDT", now_ns)
            simulation.truth("bybit", "S003-USDT", now_ns)
        due = [window.due_ns for window in windows if window.due_ns is not None]
        assert all(each > now_ns for each in due)
        waited += len(due)
    assert waited > len(windows)


def test_a_turn_looks_only_at_lines_on_which_something_arrives(simulation: Simulation) -> None:
    clients = all_subscribed(simulation, START)
    now_ns = START
    looked = told = 0
    for _ in range(2_000):
        now_ns += 2 * MS
        simulation.tick(now_ns)
        for client in simulation.arrivals.take(now_ns):
            looked += 1
            told += bool(client.line.arrived(now_ns))
            simulation.expect(client)
    assert told > len(clients)
    assert looked == told


def test_a_client_that_is_cut_is_looked_at_in_the_same_turn(simulation: Simulation) -> None:
    clients = all_subscribed(simulation, START)
    simulation.arrivals.take(START + 1_000 * MS)
    simulation._end_line(clients["okx", "S003-USDT"])  # noqa: SLF001 -- what every fault that cuts comes down to
    assert simulation.arrivals.take(START) == [clients["okx", "S003-USDT"]]


def test_a_day_s_opening_holds_no_other_day(simulation: Simulation) -> None:
    """Of every day since the genesis one is kept: its size is what matters."""
    latent = simulation.market.flow("okx", "BTC-USDT")._latent  # noqa: SLF001 -- what it keeps shows nowhere else
    openings = latent._openings  # noqa: SLF001 -- as above
    assert len(openings) > 1_000
    assert all(opening.deviation.base is None for opening in openings)
