"""l2 on the bus ticks only when something is due, and says what it says when it ticks all the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest.bus import SOURCE
from backtest.l2_host import BEAT_NS, L2Host
from backtest.sources import simulator
from backtest.sources.simulator import SimulatedMarket, default_settings
from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S
from services.l2.messages import Tick
from simulator.fault_requests import FaultKind, FaultRequest
from simulator.simulation import Simulation
from simulator.venues import VENUES
from tests.backtest_l2 import Heard

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

BEGIN = 20_000 * DAY_NS + 30 * NS_PER_S
SECONDS = 100
FAULTS = (  # second, fault
    (12, FaultRequest(kind=FaultKind.DROP, venue="binance", once=True)),
    (15, FaultRequest(kind=FaultKind.SHUTDOWN_NOTICE, venue="okx", grace_s=4.0)),
    (18, FaultRequest(kind=FaultKind.MAINTENANCE, venue="kraken", duration_s=6.0)),
    (20, FaultRequest(kind=FaultKind.DISCONNECT, venue="coinbase", once=True, duration_s=3.0)),
    (25, FaultRequest(kind=FaultKind.BLOCKED, venue="binance", status=418, duration_s=9.0)),
    (26, FaultRequest(kind=FaultKind.DISCONNECT, venue="binance", symbol="BTC-USDT", once=True)),
    (30, FaultRequest(kind=FaultKind.FREEZE, venue="bybit", once=True, duration_s=60.0)),
    (35, FaultRequest(kind=FaultKind.ONE_SIDED, venue="kraken", side="asks", duration_s=5.0)),
    (45, FaultRequest(kind=FaultKind.CORRUPT, venue="kraken", once=True)),
    (50, FaultRequest(kind=FaultKind.SLOW_LINE, venue="okx", bytes_per_s=4_000, duration_s=6.0)),
)


class WhenDue(L2Host):
    """Ticks when something is due, at the next beat of the live shell."""

    def _wake_at(self, due: int, key: str) -> None:
        super()._wake_at(-(-max(due, self._bus.now + 1) // BEAT_NS) * BEAT_NS, key)


class EachBeat(L2Host):
    """Ticks as the live shell does."""

    def want(self, books: Iterable[tuple[str, str]]) -> None:
        super().want(books)
        self._beat(None)

    def _wake_at(self, due: int, key: str) -> None:
        pass

    def _beat(self, _: None) -> None:
        self.report(Tick())
        self._bus.at((self._bus.now // BEAT_NS + 1) * BEAT_NS, self._beat, rank=SOURCE)


def heard(monkeypatch: pytest.MonkeyPatch, host: type[L2Host]) -> Heard:
    monkeypatch.setattr(simulator, "L2Host", host)
    monkeypatch.setattr(Simulation, "_wire_delay_ns", lambda *_: 3 * NS_PER_MS)  # else in the order of asking
    # One book a venue: those of one share its budgets, and of one instant either may ask first.
    settings = default_settings(3, ("BTC-USDT",)).model_copy(
        update={"rate": 40.0, "outages": 0.0, "history_days": 3}
    )
    source = SimulatedMarket(settings, BEGIN, BEGIN + SECONDS * NS_PER_S, tuple(VENUES), always=True)
    run = Heard(source)
    for second, fault in FAULTS:
        run.run(BEGIN + second * NS_PER_S + 3)
        source.add_fault(fault, run.bus.now)
    return run.run()


def test_ticks_when_something_is_due_say_all_that_a_tick_every_beat_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    due, each = heard(monkeypatch, WhenDue), heard(monkeypatch, EachBeat)
    assert due.events.keys() == each.events.keys()
    for key, events in each.events.items():
        at_once = list(zip(due.times[key], due.events[key], strict=True))
        assert at_once == list(zip(each.times[key], events, strict=True)), key
    told = {state for key in due.events for state in due.states(key)}
    assert told >= {"SYNCING", "LIVE", "GAP", "DISCONNECTED", "BLOCKED", "CHECKSUM_FAILED", "ONE_SIDED"}
    assert told >= {"HALTED", "STALE"}
    assert all(health.state == "LIVE" for health in due.healths.values()), due.healths
