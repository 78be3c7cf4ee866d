"""60 books of a venue that cuts connections after a day: they are renewed one by one, and none notices."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from libs.common.events import BookHealth, BookState
from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    CloseSocket,
    Fetch,
    FrameReceived,
    L2Message,
    OpenSocket,
    PongReceived,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
    Tick,
)
from services.l2.rate_limits import RESERVE
from services.l2.renewal import renewal_age_ns
from tests.l2_world import POLICY, START
from tests.model_exchange import BinanceModel

BOOKS = 60
DAY_S = 86_400
MINUTE = 60 * NS_PER_S
STARTED_S = 600  # by then all of them are LIVE: 12 snapshots a minute
SHUTDOWN = b'{"e":"serverShutdown","E":1770123456789}'


@dataclass
class Market:
    """Binance with quiet books; each connection is cut at an age of 24 h."""

    now: int = START
    opened: dict[tuple[str, int], int] = field(default_factory=dict)  # when, by book and connection
    cuts: int = 0
    connections: Counter[int] = field(default_factory=Counter)  # by minute
    snapshots: Counter[int] = field(default_factory=Counter)
    health: dict[str, BookHealth] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)  # books that were LIVE and then not
    lowest: float = 1.0  # share of either budget

    def __post_init__(self) -> None:
        self.state = State(FEEDS, lambda venue: (f"ws://test/{venue}", f"http://test/{venue}"), POLICY)
        self.body = BinanceModel(3).snapshot()
        for number in range(BOOKS):
            self.tell(BookWanted("binance", f"B{number:02}-USDT", 0))

    def tell(self, message: L2Message) -> None:
        answers: list[L2Message] = []
        for output in handle(self.state, message, self.now):
            match output:
                case OpenSocket(key=key, connection=connection):
                    self.connections[self.now // MINUTE] += 1
                    self.opened[key, connection] = self.now
                    answers.append(SocketOpened(key, connection))
                case CloseSocket(key=key, connection=connection):
                    self.opened.pop((key, connection), None)
                case Fetch(key=key, request=request, purpose=purpose):
                    self.snapshots[self.now // MINUTE] += 1
                    answers.append(ReplyReceived(key, request, purpose, 200, self.body))
                case BookHealth(symbol=symbol):
                    before = self.health.get(symbol)
                    if before is not None and before.state is BookState.LIVE is not output.state:
                        self.lost.add(symbol)
                    self.health[symbol] = output
        for answer in answers:
            self.tell(answer)

    def run(self, until_s: float) -> None:
        """Step by a minute, and by a second while a book is on its way."""
        while self.now < START + until_s * NS_PER_S:
            sessions = self.state.sessions.values()
            busy = any(each.life.renewal.next is not None or not each.maintainer.live for each in sessions)
            self.now += NS_PER_S if busy else MINUTE
            for (key, connection), since in tuple(self.opened.items()):
                if self.now - since >= DAY_S * NS_PER_S:
                    self.cuts += 1
                    del self.opened[key, connection]
                    self.tell(SocketClosed(key, connection, "24 h are over"))
                else:
                    self.tell(PongReceived(key, connection))
            self.tell(Tick())
            if self.now > START + STARTED_S * NS_PER_S:
                budget = self.state.budgets["binance"]
                self.lowest = min(self.lowest, budget.rest.left(self.now), budget.sockets.left(self.now))

    def most(self, counted: Counter[int]) -> int:
        """Return the largest number in a minute since all books were LIVE."""
        first = (START + STARTED_S * NS_PER_S) // MINUTE
        return max((many for minute, many in counted.items() if minute > first), default=0)

    def reconnects(self) -> int:
        return sum(health.reconnects for health in self.health.values())


def test_sixty_books_are_renewed_one_by_one_before_the_daily_cut() -> None:
    market = Market()
    market.run(STARTED_S)
    assert {health.state for health in market.health.values()} == {BookState.LIVE}
    market.run(2 * DAY_S)
    assert market.lost == set()
    assert market.cuts == 0
    assert market.reconnects() >= 2 * BOOKS
    assert 1 <= market.most(market.connections) <= 3
    assert 1 <= market.most(market.snapshots) <= 3
    assert market.lowest > 0.7
    assert len(market.opened) == BOOKS
    assert {health.disconnects + health.resyncs for health in market.health.values()} == {0}


def test_sixty_books_whose_server_shuts_down_are_renewed_within_the_spare_budget_and_then_spread() -> None:
    market = Market()
    market.run(STARTED_S)
    for session in tuple(market.state.sessions.values()):
        market.tell(FrameReceived(session.key, session.connection, SHUTDOWN))
    market.run(STARTED_S + 400)
    assert market.reconnects() == BOOKS
    assert market.lost == set()
    assert market.lowest >= RESERVE - 0.01
    limits = venue_of("binance").limits
    assert market.most(market.snapshots) <= (1 + RESERVE) * limits.rest_capacity / limits.snapshot_cost + 1
    market.connections.clear()
    market.run(STARTED_S + 400 + DAY_S)
    assert market.reconnects() >= 2 * BOOKS
    assert market.most(market.connections) <= 3
    assert market.lost == set()


@pytest.mark.parametrize("life_s", [3_600, DAY_S])
def test_a_connection_is_renewed_in_the_third_of_its_life_before_the_last_hour_of_a_day(life_s: int) -> None:
    ages = [
        renewal_age_ns(f"binance:B{n}-USDT", c, life_s) / NS_PER_S / life_s
        for n in range(100)
        for c in (1, 2)
    ]
    assert 0.62 < min(ages) < 0.65
    assert 0.93 < max(ages) < 0.96
    assert renewal_age_ns("a", 1, life_s) != renewal_age_ns("a", 2, life_s)
