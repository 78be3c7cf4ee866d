"""Which orders on their own are open and rest, found without a search; pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.events import OrdStatus

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import PaperOrder, TakerSide
    from services.execution.broker.own_order import OwnOrder
    from services.execution.broker.queue_follow import Followed

RESTS: Final = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)

Place: TypeAlias = "tuple[Decimal, int, str, bytes]"
"""An order in the queue of its side: price, best first; when it arrived; its id; its key in the state."""


class OrderIndex:
    """The index; changes in place as the state does."""

    def __init__(self) -> None:
        self.resting: dict[tuple[str, str], dict[TakerSide, list[Place]]] = {}  # by venue and symbol
        self.open: defaultdict[str, dict[bytes, OwnOrder]] = defaultdict(dict)  # by symbol
        self.queues: dict[bytes, Followed] = {}  # of those that rest, by their keys
        self.seen: dict[
            bytes, tuple[int, int, int]
        ] = {}  # what of a book its queues have followed: epoch, seq, trades
        self.moved: set[bytes] = set()  # whose queues have moved since they were looked at
        self.kept = 0  # orders, ended ones too

    @property
    def orders(self) -> int:
        """How many are open."""
        return sum(map(len, self.open.values()))

    def add(self, key: bytes, kept: OwnOrder) -> None:
        """Note that the state holds this."""
        self.kept += 1
        order = kept.order
        if order.ord_status.open:
            self.open[order.symbol][key] = kept
        if order.ord_status in RESTS:
            sides = self.resting.setdefault((order.venue, order.symbol), {"buy": [], "sell": []})
            insort(sides[order.side], _place(key, order))
        else:
            self.queues.pop(key, None)
            self.moved.discard(key)

    def drop(self, key: bytes, kept: OwnOrder) -> None:
        """Note that the state holds this no more."""
        self.kept -= 1
        order = kept.order
        self.open[order.symbol].pop(key, None)
        if not self.open[order.symbol]:
            del self.open[order.symbol]
        if order.ord_status in RESTS:
            book = (order.venue, order.symbol)
            queue, place = self.resting[book][order.side], _place(key, order)
            del queue[bisect_left(queue, place)]
            if not any(self.resting[book].values()):
                del self.resting[book]


def _place(key: bytes, order: PaperOrder) -> Place:
    assert order.price is not None  # noqa: S101 -- only a limit order rests
    price = -order.price if order.side == "buy" else order.price
    return price, order.arrives_ts, order.cl_ord_id, key
