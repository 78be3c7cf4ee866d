"""A portfolio without Kafka: views fed by hand, state in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from libs.common.answered import Memory
from libs.common.command_rules import refused_at_the_door
from libs.common.events import BookHealth, BookState, BookTop, Candle, Event, Features, Position
from libs.common.handling import State, Tick, WakeAt
from libs.common.time_units import DAY_NS
from libs.common.topics import book_key
from services.portfolio.app import desk_of
from services.portfolio.handlers import handle
from services.portfolio.settings import PortfolioSettings
from tests.portfolio_problems import random_returns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import InstrumentTerms

NOW = 20_000 * DAY_NS
CAPITAL = 100_000
TODAY = 20_000


class World:
    """The handlers, what they look at, and what they returned."""

    def __init__(self, **settings: Any) -> None:
        self.rules = PortfolioSettings(**{"capital": CAPITAL, **settings}).rules()
        self.desk = desk_of(self.rules)
        self.state: State[Event] = Memory()
        self.now = NOW
        self.wishes: list[WakeAt] = []
        self._handle = partial(handle, self.desk)
        self._offset = 0

    def tell(self, message: Any) -> list[Event]:
        """Handle one message; positions that come of it reach the view only by `see`."""
        refused = refused_at_the_door(message, getattr(message, "book", ""), self.now)
        returned = [refused] if refused else self._handle(self.state, message, self.now)
        self.state.keep()
        self.wishes += [wish for wish in returned if isinstance(wish, WakeAt)]
        return [event for event in returned if isinstance(event, Event)]

    def tick(self) -> list[Event]:
        """Let the earliest wish come true."""
        wish = min(self.wishes, key=lambda wanted: wanted.ts)
        self.wishes.remove(wish)
        self.now = max(self.now, wish.ts)
        return self.tell(Tick(due_ts=wish.ts, key=wish.key, causation_id="", correlation_id=""))

    def see(self, events: Iterable[Event]) -> None:
        """Let the view of positions catch up with these."""
        for event in events:
            if isinstance(event, Position):
                self._fold(self.desk.positions, event.symbol.encode(), event)

    def history(self, symbol: str, days: int, seed: int = 1, venue: str = "binance") -> None:
        """Tell daily candles up to yesterday, and today's that is open."""
        price = 100.0
        moves = random_returns(seed, 1, days + 1)[:, 0]
        for n in range(days + 1):
            self.candle(symbol, TODAY - days - 1 + n, price, venue=venue)
            price *= 1.0 + float(moves[n])
        self.candle(symbol, TODAY, price * 9.0, closed=False, venue=venue)

    def candle(
        self, symbol: str, day: int, close: float, *, closed: bool = True, venue: str = "binance"
    ) -> None:
        candle = Candle(
            venue=venue,
            symbol=symbol,
            interval="1d",
            open_ts=day * DAY_NS,
            open=close,
            high=close,
            low=close,
            close=close,
            volume=1.0,
            trades=1,
            closed=closed,
        )
        self._fold(self.desk.history, book_key(venue, symbol), candle)

    def book(
        self,
        symbol: str,
        mid: float,
        state: BookState = BookState.LIVE,
        venue: str = "binance",
        terms: InstrumentTerms | None = None,
    ) -> None:
        features = Features(
            mid=mid, microprice=mid, spread_bps=1, obi=0, depth_bid=1, depth_ask=1, depth_truncated=False
        )
        top = BookTop(
            venue=venue,
            symbol=symbol,
            epoch=1,
            seq=1,
            venue_seq=1,
            bids=((mid - 1, 1.0),),
            asks=((mid + 1, 1.0),),
            features=features,
            venue_ts=self.now,
            received_ts=self.now,
        )
        health = BookHealth(
            venue=venue,
            symbol=symbol,
            state=state,
            epoch=1,
            seq=1,
            reason="",
            since_ts=self.now,
            ts=self.now,
            terms=terms,
        )
        self._fold(self.desk.books.tops, book_key(venue, symbol), top)
        self._fold(self.desk.books.healths, book_key(venue, symbol), health)

    def _fold(self, view: Any, key: bytes, event: Event) -> None:
        view.fold(0, self._offset, key, event)
        self._offset += 1
