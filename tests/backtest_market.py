"""A source for tests of backtests: the simulator's latent price, told as feeds tell it or when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backtest.bus import SOURCE
from backtest.source import Fidelity, Provenance
from libs.common.events import BookHealth, BookState
from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_S
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    book_key,
    candle_key,
)
from simulator.latent import LatentPrices
from simulator.profiles import VENUES
from tests.loop_market import EPOCH, Market

if TYPE_CHECKING:
    from collections.abc import Callable

    from backtest.bus import Bus
    from libs.common.events import BookTop, Candle

BEGIN = 19_990 * DAY_NS


class MarketSource:
    """The market of some minutes.

    Parameters
    ----------
    every_s
        Between two tellings of all books; None: they are told when somebody looks, as bars are.
    cut
        Nothing is told of what happens from here on, ns UTC.
    """

    ahead_ns = 0  # by which candles are told before they have closed

    def __init__(  # noqa: PLR0913 -- what a test may vary
        self,
        *,
        minutes: int = 30,
        seed: int = 7,
        edge: float = 1.0,
        every_s: float | None = None,
        symbols: tuple[str, ...] = ("BTC-USDT", "ETH-USDT"),
        venues: tuple[str, ...] = ("binance", "okx"),
        cut: int | None = None,
        history_days: int = 130,
        also: Callable[[Bus], None] = lambda _bus: None,
    ) -> None:
        self.market = Market(LatentPrices(seed, symbols, edge), venues)
        self.symbols, self._every_s, self._also = symbols, every_s, also
        self._days = history_days
        self._told: dict[bytes, int] = {}  # when a book's last health was
        self.end = BEGIN + minutes * MINUTE_NS
        self.cut = self.end + 1 if cut is None else cut

    @property
    def provenance(self) -> Provenance:
        books = tuple(self.market.ladders)
        return Provenance(Fidelity.BARS, True, books, BEGIN, self.end, ("made up for a test",))  # noqa: FBT003 -- a fact

    def start(self, bus: Bus) -> None:
        self._bus = bus
        day, minute = BEGIN // DAY_NS, BEGIN // MINUTE_NS
        for symbol in self.symbols:
            for at in range(day - self._days, day):
                candle = self.market.candle(self.market.venues[0], symbol, "1d", at * DAY_NS, DAY_NS)
                bus.show(L2_CANDLES_DAILY, candle_key(candle), candle)
            for venue in self.market.venues:
                for at in range(minute - 300, minute):
                    candle = self.market.candle(venue, symbol, "1m", at * MINUTE_NS, MINUTE_NS)
                    bus.show(L2_CANDLES, candle_key(candle), candle)
        self._also(bus)
        if self._every_s is None:
            bus.before_looking(self.freshen)
        self._step(None)
        bus.at(BEGIN + MINUTE_NS, self._minute, rank=SOURCE)

    def freshen(self, ts: int, partition: int | None, old_ns: int = NS_PER_S) -> None:
        ts = max(min(ts, self.cut - 1), BEGIN)
        for top in self.tops(ts):
            key = book_key(top.venue, top.symbol)
            if partition is None or partition == self._bus.place(key):
                self._bus.show(L2_BOOK_TOPS, key, top)
                if ts - self._told.get(key, 0) >= old_ns:
                    self._told[key] = ts
                    self._bus.show(L2_BOOK_HEALTH, key, self._health(top, ts))

    def tops(self, ts: int) -> list[BookTop]:
        """Return every book at a time before the cut."""
        return self.market.tops(ts)

    def _step(self, given: Any) -> None:
        """Tell all books as a feed does, or once a minute where they are told when asked."""
        del given
        bus = self._bus
        if bus.now >= self.cut:
            return
        if self._every_s is None:
            self.freshen(bus.now, None)
        else:
            for top in self.tops(bus.now):
                key = book_key(top.venue, top.symbol)
                bus.publish(L2_BOOK_TOPS, key, top)
                if bus.now % NS_PER_S == 0:
                    bus.publish(L2_BOOK_HEALTH, key, self._health(top, bus.now))
        bus.at(bus.now + round((self._every_s or 60.0) * NS_PER_S), self._step, rank=SOURCE)

    def _minute(self, given: Any) -> None:
        del given
        bus = self._bus
        if bus.now >= self.cut:
            return
        opened = bus.now - MINUTE_NS + self.ahead_ns
        for venue, symbol in self.market.ladders if opened + MINUTE_NS <= self.cut else ():
            candle: Candle = self.market.candle(venue, symbol, "1m", opened, MINUTE_NS)
            bus.publish(L2_CANDLES, candle_key(candle), candle)
        bus.at(bus.now + MINUTE_NS, self._minute, rank=SOURCE)

    def _health(self, top: BookTop, ts: int) -> BookHealth:
        return BookHealth(
            venue=top.venue,
            symbol=top.symbol,
            state=BookState.LIVE,
            epoch=EPOCH,
            seq=top.seq,
            reason="it follows its venue",
            owner="test",
            since_ts=BEGIN,
            ts=ts,
            rate_remaining=1.0,
            requests=1,
            request_ns=round(2 * VENUES[top.venue].latency_ms * 1e6),
        )
