"""Of a market that is told as asked, who looks sees what a feed that tells all the time has shown by then."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from backtest.bus import OLD_NS, Bus
from backtest.following import follow
from backtest.l2_host import UNASKED_NS
from backtest.sources.simulator import SimulatedMarket, default_settings
from libs.common.events import BookHealth, BookTop
from libs.common.live_books import PATIENCE, usable
from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, book_key
from libs.common.views import View
from simulator.fault_requests import FaultKind, FaultRequest
from simulator.simulation import Simulation

if TYPE_CHECKING:
    from backtest.bus import Record
    from libs.common.topics import Topic

BEGIN: Final = 20_000 * DAY_NS + 30 * NS_PER_S
SECONDS: Final = 150
VENUES: Final = ("binance", "okx", "kraken")
KEYS: Final = tuple(book_key(venue, "BTC-USDT") for venue in VENUES)
FAULTS: Final = (  # second, fault
    (40, FaultRequest(kind=FaultKind.DROP, venue="binance", once=True)),
    (60, FaultRequest(kind=FaultKind.DISCONNECT, venue="okx", once=True, duration_s=3.0)),
    (80, FaultRequest(kind=FaultKind.FREEZE, venue="binance", once=True, duration_s=40.0)),
    (85, FaultRequest(kind=FaultKind.ONE_SIDED, venue="kraken", side="asks", duration_s=5.0)),
)


class Hop:
    """Everything takes two milliseconds."""

    def hop_ns(self, _topic: Topic) -> int:
        return 2 * NS_PER_MS


class Seen(NamedTuple):
    """What a look found of a book."""

    top: BookTop | None
    health: BookHealth | None
    trades: bool  # whether it may be traded on
    scored: bool  # whether it may be compared with others


class Looking:
    """Follows tops and healths as a service does, and looks at moments of its own."""

    def __init__(self, *, always: bool) -> None:
        settings = default_settings(3, ("BTC-USDT",)).model_copy(
            update={"rate": 3.0, "outages": 0.0, "history_days": 3}
        )
        self.source = SimulatedMarket(settings, BEGIN, BEGIN + SECONDS * NS_PER_S, VENUES, always=always)
        self.bus = Bus(1, Hop(), BEGIN)
        self.tops: View[BookTop] = View(L2_BOOK_TOPS)
        self.healths: View[BookHealth] = View(L2_BOOK_HEALTH)
        self.told: list[tuple[bytes, int]] = []  # of healths
        self.turns: dict[bytes, list[tuple[str, int]]] = {key: [] for key in KEYS}  # of states, and when
        follow(self.bus, (self.tops, self.healths), self._hear)
        self.source.start(self.bus)

    def _hear(self, record: Record) -> None:
        event = record.event
        if isinstance(event, BookHealth):
            self.told.append((record.key, self.bus.now))
            if [state for state, _ in self.turns[record.key][-1:]] != [event.state]:
                self.turns[record.key].append((event.state, self.bus.now))

    def look(self, old_ns: int) -> dict[bytes, Seen]:
        """Return each book as somebody sees it now whose word may be so old."""
        bus = self.bus
        bus.look(0, old_ns)
        seen = {}
        for key in KEYS:
            top, health = self.tops.items.get(key), self.healths.items.get(key)
            trades, scored = (
                usable(top, health, bus.now, PATIENCE[use]) is None for use in ("trading", "scoring")
            )
            seen[key] = Seen(top, health, trades, scored)
        return seen


def looked(*, always: bool) -> tuple[Looking, list[dict[bytes, Seen]]]:
    """Look at 150 moments, at some as who compares venues, between faults."""
    world, random = Looking(always=always), Random(7)
    moments = sorted(random.randrange(20 * NS_PER_S, SECONDS * NS_PER_S) for _ in range(150))
    things = [(second * NS_PER_S, fault) for second, fault in FAULTS] + [(ts, None) for ts in moments]
    found = []
    for ts, fault in sorted(things, key=lambda thing: thing[0]):
        world.bus.run(BEGIN + ts)
        if fault is not None:
            world.source.add_fault(fault, world.bus.now)
        else:
            found.append(world.look(OLD_NS if ts % 2 else NS_PER_S))
    world.bus.run(BEGIN + SECONDS * NS_PER_S)
    return world, found


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulation, "_wire_delay_ns", lambda *_: 3 * NS_PER_MS)  # else in the order of asking


@pytest.mark.usefixtures("steady")
def test_who_looks_sees_the_books_that_a_feed_has_shown_by_then_and_may_use_the_same() -> None:
    (asked, seen), (fed, shown) = looked(always=False), looked(always=True)
    scored = set()
    for n, (ours, theirs) in enumerate(zip(seen, shown, strict=True)):
        for key in KEYS:
            mine, feeds = ours[key], theirs[key]
            assert mine.top is not None
            assert feeds.top is not None
            assert mine.health is not None
            assert feeds.health is not None
            levels = (mine.top.epoch, mine.top.seq, mine.top.bids, mine.top.asks)
            assert levels == (feeds.top.epoch, feeds.top.seq, feeds.top.bids, feeds.top.asks), (n, key)
            assert mine.health.state == feeds.health.state, (n, key)
            assert mine.health.in_doubt == feeds.health.in_doubt, (n, key)
            assert mine.trades == feeds.trades, (n, key)
            if mine.health.ts >= feeds.health.ts:  # else asked by one who does not compare
                assert mine.scored == feeds.scored, (n, key)
                scored.add(mine.scored)
    assert scored == {True, False}
    assert asked.turns == fed.turns  # a change of state is told at once
    assert {state for turns in fed.turns.values() for state, _ in turns} >= {
        "GAP",
        "DISCONNECTED",
        "ONE_SIDED",
        "LIVE",
    }
    assert len(asked.told) < len(fed.told) * 0.8  # though somebody looks each second


@pytest.mark.usefixtures("steady")
def test_a_book_is_told_though_nobody_asks() -> None:
    world = Looking(always=False)
    world.bus.run(BEGIN + 60 * NS_PER_S)
    for key in KEYS:
        times = [ts for told, ts in world.told if told == key]
        assert BEGIN + 60 * NS_PER_S - times[-1] <= UNASKED_NS
        assert max(after - before for before, after in pairwise(times)) <= UNASKED_NS
        steps = [after - before for before, after in pairwise(times)]
        assert steps.count(NS_PER_S) >= 5  # of two within a second the venues measure how a basis lasts
        assert len(times) <= 20
