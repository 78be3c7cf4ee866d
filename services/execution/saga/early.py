"""What the views show to be due before its time: orders that a book has come to, and what waits for a book.

A look costs what stands at the best price of each book and changes nothing; only what would change something
is named, and is then handled as its tick; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libs.common.events import BookTop
from services.execution.broker import paper_orders
from services.execution.broker.paper_broker import exact, offered_to_resting, within
from services.execution.saga import rewarding, working
from services.execution.saga.standing import impact_of, standing_of
from services.execution.saga.state import OwnOrder, Saga

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import TakerSide
    from libs.common.handling import State
    from services.execution.market_data import MarketData
    from services.execution.saga.standing import Place

SIDES: Final[tuple[TakerSide, ...]] = ("buy", "sell")


def early(state: State[Any], now: int, market: MarketData) -> Iterator[bytes]:
    """Yield the names of ticks whose handling would change something at `now`, though they are not due."""
    standing = standing_of(state)
    for (venue, symbol), sides in standing.resting.items():
        top = market.book(venue, symbol, now)
        if isinstance(top, BookTop):
            impact_of(state, top)  # follows what the book shows of what was taken, whoever is reached
            for side in SIDES:
                yield from _reached(state, sides[side], side, top, market, now)
    for horizon_ts, key in standing.closing:
        if horizon_ts > now:
            break
        deciding = state[key]
        assert isinstance(deciding, Saga)  # noqa: S101 -- what the index holds
        if rewarding.is_due(deciding, market, now):
            yield rewarding.horizon_name(deciding).encode()
    for saga in standing.waiting.values():
        if working.goes_on(saga, market, now):
            yield working.slice_name(saga).encode()


def _reached(
    state: State[Any], queue: list[Place], side: TakerSide, top: BookTop, market: MarketData, now: int
) -> Iterator[bytes]:
    """Yield the orders of one side that would be filled, best price first, then who came first."""
    shown = top.asks if side == "buy" else top.bids
    if not queue or not within(side, abs(queue[0][0]), exact(shown[0][0])):
        return
    levels = tuple(offered_to_resting(top, side, impact_of(state, top), now))
    for price, _, _, key in queue:
        if not levels or not within(side, abs(price), levels[0][0]):
            return
        kept = state[key]
        assert isinstance(kept, OwnOrder)  # noqa: S101 -- what the index holds
        best = next((shown for shown, size in levels if size >= kept.made_to.lot), None)
        if best is None or not within(side, abs(price), best):
            continue
        worked = paper_orders.work(state, kept, top, market, now, arriving=False)
        if worked is not None and worked.order != kept.order:
            yield paper_orders.check_name(kept.order).encode()
