"""Which resting orders their books have come to; pure.

A look costs what stands at the best price of each book and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.common.events import BookTop
from libs.common.topics import book_key
from services.execution.broker import paper_orders, queue_follow
from services.execution.broker.exact_amounts import exact
from services.execution.broker.own_order import OwnOrder
from services.execution.broker.paper_broker import within
from services.execution.broker.self_impact import offered_to_resting
from services.execution.kept import impact_of, kept_of
from services.execution.timers import OrderChecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import TakerSide
    from libs.common.handling import State
    from services.execution.broker.order_index import Place
    from services.execution.market_data import MarketData

SIDES: Final[tuple[TakerSide, ...]] = ("buy", "sell")


def reached(state: State[Any], now: int, market: MarketData) -> Iterator[OrderChecked]:
    """Yield the looks at resting orders that would change something at `now`."""
    resting = kept_of(state).orders.resting
    market.trades.watch(id(state), frozenset(book_key(*book) for book in resting))
    for (venue, symbol), sides in resting.items():
        top = market.book(venue, symbol, now)
        if isinstance(top, BookTop):
            impact_of(state, top)  # follows what the book shows of what was taken, whoever is reached
            queue_follow.follow(state, top, market)
            for side in SIDES:
                yield from _reached(state, sides[side], side, top, market, now)


def _reached(
    state: State[Any], queue: list[Place], side: TakerSide, top: BookTop, market: MarketData, now: int
) -> Iterator[OrderChecked]:
    """Yield the orders of one side that would be filled, best price first, then who came first."""
    shown = top.asks if side == "buy" else top.bids
    crossed = bool(queue) and within(side, abs(queue[0][0]), exact(shown[0][0]))
    levels = tuple(offered_to_resting(top, side, impact_of(state, top), now)) if crossed else ()
    moved = kept_of(state).orders.moved
    for price, _, _, key in queue:
        comes = bool(levels) and within(side, abs(price), levels[0][0])
        if not comes and key not in moved:
            if not moved:
                return
            continue
        kept = state[key]
        assert isinstance(kept, OwnOrder)  # noqa: S101 -- what the index holds
        if queue_follow.shorter(state, key) or _fills(state, kept, top, market, now):
            yield OrderChecked(kept.order.cl_ord_id)
        else:
            moved.discard(key)


def _fills(state: State[Any], kept: OwnOrder, top: BookTop, market: MarketData, now: int) -> bool:
    worked = paper_orders.work(state, kept, top, market, now)
    return worked is not None and worked.order != kept.order
