"""One partition of the execution service on a moving book, every record that it writes counted."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from libs.common.codec import decode
from libs.common.events import BOOK, BookState, SubmitPaperOrder, Trade
from libs.common.topics import EXECUTION_COMMANDS, book_key
from services.execution.app import wiring as execution_wiring
from services.execution.settings import ExecutionSettings
from tests.execution_market import EPOCH, a_book_health, a_book_top, a_risk_budget
from tests.services_alone import Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import Event, Level, TakerSide
    from libs.common.partition import Effects

S = 1_000_000_000
TOPS_PER_S = 10  # of a book, at most
LOOK_NS = S // TOPS_PER_S


def an_id(number: int) -> str:
    return str(UUID(int=number + 1, version=4))


class Standing(Service):
    """Books move by `book`, time by `pass_time`; `written` counts records, `told` keeps the events."""

    def __init__(self, wiring: Any = None, **settings: Any) -> None:
        super().__init__("execution", wiring=wiring or execution_wiring(ExecutionSettings(**settings)))
        self.written: Counter[str] = Counter()
        self.told: list[Event] = []
        self.log: dict[bytes, bytes] = {}
        self.transactions = 0
        self.seq = 7
        self.trades = 0
        self._views = {view.topic.name: view for view in self.wiring.views}
        self.fold("portfolio.risk.v1", BOOK.encode(), a_risk_budget(equity=Decimal(10_000_000)))

    def fold(self, topic: str, key: bytes, event: Event | None) -> None:
        view = self._views[topic]
        view.fold(0, view.position(0), key, event)

    def book(
        self,
        bid: float = 60_000.0,
        venue: str = "binance",
        symbol: str = "BTC-USDT",
        state: BookState = BookState.LIVE,
        **changes: Any,
    ) -> None:
        """Let a book be LIVE, its best bid there and its best ask half a unit above."""
        self.seq += 1
        known: dict[str, Any] = {
            "venue": venue,
            "symbol": symbol,
            "epoch": EPOCH,
            "seq": self.seq,
            "bids": ladder(bid, -1),
            "asks": ladder(bid + 0.5, 1),
            "received_ts": self.now,
        }
        fields = known | changes
        key = book_key(venue, symbol)
        self.fold("l2.book-tops.v1", key, a_book_top(**fields))
        told = {name: fields[name] for name in ("venue", "symbol", "seq", "epoch")}
        told |= {"ts": self.now, "state": state}
        self.fold("l2.book-health.v1", key, a_book_health(**told))

    def trade(
        self,
        price: float,
        size: float,
        side: TakerSide = "sell",
        venue: str = "binance",
        symbol: str = "BTC-USDT",
        **changes: Any,
    ) -> None:
        """Let others trade, as the feed tells it."""
        self.trades += 1
        known: dict[str, Any] = {
            "venue": venue,
            "symbol": symbol,
            "trade_id": str(self.trades),
            "price": price,
            "size": size,
            "side": side,
            "venue_ts": self.now,
            "received_ts": self.now,
        }
        self.fold("l2.trades.v1", book_key(venue, symbol), Trade(**known | changes))

    def submit(self, number: int, **fields: Any) -> list[Event]:
        known: dict[str, Any] = {
            "symbol": "BTC-USDT",
            "side": "buy",
            "order_qty": Decimal("0.01"),
            "venue": "binance",
            "ord_type": "limit",
            "price": Decimal(50_000),
            "time_in_force": "gtc",
        }
        return self.tell(EXECUTION_COMMANDS, SubmitPaperOrder(command_id=an_id(number), **known | fields))

    def hand(self, *record: Any) -> Effects:
        effects = super().hand(*record)
        self._note(effects)
        return effects

    def look(self) -> list[Event]:
        """Do all that is due now, as the owner of the partition would."""
        told = len(self.told)
        while True:
            effects = self.partition.wake(self.now, limit=500)
            assert effects.failure is None, effects.failure
            self._note(effects)
            if not effects.handled:
                return self.told[told:]

    def pass_time(self, seconds: float) -> None:
        """Let time pass up to what is due, one after the other."""
        until = self.now + round(seconds * S)
        while (due := self.partition.next_wake) is not None and due <= until:
            self.now = max(self.now, due)
            self.look()
        self.now = until
        self.look()

    def restarted(self) -> Standing:
        """Return the partition as another process restores it from its log, with the views of this one."""
        successor = Standing(self.wiring)
        successor.now, successor.seq, successor._offset = self.now, self.seq, self._offset
        for key, value in self.log.items():
            successor.partition.restore(key, value)
        successor.log = dict(self.log)
        return successor

    def kept(self, kind: type[Any]) -> list[Any]:
        """Return what the state holds of a kind, read from its log."""
        found = (decode(self.wiring.state, value) for key, value in self.log.items() if key[0])
        return [value for value in found if isinstance(value, kind)]

    def _note(self, effects: Effects) -> None:
        self.transactions += bool(effects.outgoing)
        for record in effects.outgoing:
            self.written[record.topic.name] += 1
            if record.topic.name != self.wiring.state.name:
                continue
            if record.value is None:
                self.log.pop(record.key, None)
            else:
                self.log[record.key] = record.value
        self.told += [event for step in effects.steps for event in step.events]


def ladder(best: float, sign: int, size: float = 2.0) -> Iterable[Level]:
    return tuple((best + sign * 0.5 * n, size) for n in range(50))
