"""The queues of the orders that rest in a book, followed as its feed tells of levels and trades; in memory.

All orders of a book are followed together, before any of them is filled, so that each knows what better and
earlier orders of ours take of a trade: a trade fills no more in all than its size. The state keeps a queue
where its order is written anyway, and once it is `WRITTEN` times shorter; what came since is followed in
memory, and after a restart the queue is the last one written, or what the level shows if that is less.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from libs.common.topics import book_key
from services.execution.broker import queue_position
from services.execution.broker.exact_amounts import exact
from services.execution.broker.own_order import OwnOrder, order_key
from services.execution.broker.paper_broker import Due
from services.execution.broker.queue_position import FrontLaw
from services.execution.kept import kept_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.events import BookTop, TakerSide, Trade
    from libs.common.handling import State
    from services.execution.broker.queue_position import Queue
    from services.execution.market_data import MarketData

WRITTEN: Final = 4  # a queue that is so many times shorter than the state says is written
SIDES: Final[tuple[TakerSide, ...]] = ("buy", "sell")
LAW: Final = FrontLaw()  # of each venue: none of the feeds tells single orders, from which it would be learnt


@dataclass(slots=True)
class Followed:
    """The queue of one order since the state's; changes in place."""

    base: Queue  # the state's
    queue: Queue
    number: int  # of the next trade of its book


def follow(state: State[Any], top: BookTop, market: MarketData) -> None:
    """Follow the queues of all that rests in a usable book."""
    sides = kept_of(state).orders.resting.get((top.venue, top.symbol))
    if sides is None:
        return
    key = book_key(top.venue, top.symbol)
    seen = kept_of(state).orders.seen
    end = market.trades.end(key)
    if seen.get(key) == (top.epoch, top.seq, end):
        return
    for side in SIDES:
        _follow_side(state, [place[3] for place in sides[side]], side, top, market)
    seen[key] = (top.epoch, top.seq, end)


def joined(state: State[Any], kept: OwnOrder, top: BookTop, market: MarketData) -> Queue | None:
    """Follow an order that rests from now on; return its queue, None where its price is not shown."""
    order = kept.order
    assert order.price is not None  # noqa: S101 -- only a limit order rests
    shown = shown_at(top, order.side, float(order.price))
    if shown is None:
        return None
    queue = queue_position.join(
        shown, float(order.leaves_qty), top.epoch, _own_in_front(state, kept), since=_top_ts(top)
    )
    end = market.trades.end(book_key(top.venue, top.symbol))
    kept_of(state).orders.queues[order_key(order.cl_ord_id)] = Followed(queue, queue, end)
    return queue


def due(state: State[Any], kept: OwnOrder) -> Due | None:
    """Return what the queue has let through to an order and was not filled yet; None without one."""
    found = kept_of(state).orders.queues.get(order_key(kept.order.cl_ord_id))
    if found is None:
        return None
    queue = found.queue
    stands = queue_position.ahead(queue, LAW)
    qty = min(kept.order.leaves_qty, max(Decimal(0), exact(round(stands.beyond, 12)) - queue.given))
    through = float(queue.given + qty)
    return Due(
        qty=qty,
        ahead=stands.median,
        low=stands.low,
        high=stands.high,
        probability=queue_position.fill_probability(queue, through, LAW) if qty else 0.0,
    )


def shorter(state: State[Any], key: bytes) -> bool:
    """Tell whether a queue is so much shorter than the state says that it is to be written."""
    found = kept_of(state).orders.queues.get(key)
    if found is None:
        return False
    base, now = sum(found.base.draws), sum(found.queue.draws)
    return base > 0 and now * WRITTEN <= base


def newest(state: State[Any], kept: OwnOrder, given: Decimal, *, crossed: bool) -> Queue | None:
    """Return the queue to be written of an order that its queue has filled with `given` more, base units.

    Where the other side came to its price, nothing stands in front any more.
    """
    found = kept_of(state).orders.queues.get(order_key(kept.order.cl_ord_id))
    if found is None:
        return kept.queue
    queue = queue_position.settled(found.queue, LAW)
    if crossed:
        queue = queue_position.through(queue, 0.0)
    if given:
        queue = replace(queue, given=queue.given + given)
    found.base = found.queue = queue  # the state's, from now on
    return queue


def shown_at(top: BookTop, side: TakerSide, price: float) -> float | None:
    """Return the size at a price on an order's own side, 0 where there is none; None beyond what is shown."""
    levels = top.bids if side == "buy" else top.asks
    worst = levels[-1][0]
    if price < worst if side == "buy" else price > worst:
        return None
    return dict(levels).get(price, 0.0)


def _follow_side(
    state: State[Any], keys: list[bytes], side: TakerSide, top: BookTop, market: MarketData
) -> None:
    queues = kept_of(state).orders.queues
    book = book_key(top.venue, top.symbol)
    levels = dict(top.bids if side == "buy" else top.asks)
    worst = (top.bids if side == "buy" else top.asks)[-1][0]
    end = market.trades.end(book)
    first = min((queues[key].number for key in keys if key in queues), default=end)
    takes: TakerSide = "sell" if side == "buy" else "buy"
    trades = [(number, trade) for number, trade in market.trades.since(book, first) if trade.side == takes]
    better, better_px, same = (
        0.0,
        0.0,
        0.0,
    )  # what of ours a trade meets before: at better prices, at this one
    for key in keys:
        kept = state[key]
        if not isinstance(kept, OwnOrder) or kept.order.price is None:
            continue
        price, leaves = float(kept.order.price), float(kept.order.leaves_qty)
        if price != better_px:
            better, better_px, same = better + same, price, 0.0
        beyond = price < worst if side == "buy" else price > worst
        found = _followed(state, key, kept, top, end)
        if found is not None:
            mine = [trade for number, trade in trades if number >= found.number]
            shown = found.queue.shown if beyond else levels.get(price, 0.0)
            before = found.queue
            _advance(found, mine, price, side, shown, better, top)
            if found.queue is not before:
                kept_of(state).orders.moved.add(key)
            found.number = end
        same += leaves


def _followed(state: State[Any], key: bytes, kept: OwnOrder, top: BookTop, end: int) -> Followed | None:
    """Return the queue of an order as it is followed, or from what the state says of it on."""
    queues: dict[bytes, Followed] = kept_of(state).orders.queues
    found = queues.get(key)
    if found is not None and (kept.queue is None or found.base is kept.queue):
        return found
    assert kept.order.price is not None  # noqa: S101 -- it rests
    shown = shown_at(top, kept.order.side, float(kept.order.price))
    if kept.queue is not None:
        known = kept.queue.shown if shown is None else shown
        base, queue = kept.queue, queue_position.gap(kept.queue, known, top.epoch, since=_top_ts(top))
    elif shown is None:
        return None
    else:  # of an older version, or the book shows its price only now
        base = queue = queue_position.join(
            shown, float(kept.order.leaves_qty), top.epoch, _own_in_front(state, kept), since=_top_ts(top)
        )
    queues[key] = Followed(base, queue, end)
    return queues[key]


def _advance(
    found: Followed,
    trades: list[Trade],
    price: float,
    side: TakerSide,
    shown: float,
    better: float,
    top: BookTop,
) -> None:
    """Let trades and the level move a queue, by the venue's times where it tells them."""
    queue = found.queue
    if not trades and shown == queue.shown and top.epoch == queue.epoch:
        return
    sign = 1 if side == "buy" else -1
    top_ts = _top_ts(top)
    if top_ts < queue.since:  # a clock was set back: of when trades were, nobody knows
        queue = queue_position.gap(queue, shown, top.epoch, since=top_ts)
    new = [each for each in trades if _ts(each, top) > queue.since]  # older ones are in what it joined
    before = [each for each in new if _ts(each, top) <= top_ts]
    for trade in before:
        queue = _traded(queue, trade, price, sign, better, _ts(trade, top))
    queue = queue_position.level(queue, shown, top_ts, top.epoch, LAW)
    for trade in (each for each in new if _ts(each, top) > top_ts):
        queue = _traded(queue, trade, price, sign, better, _ts(trade, top))
    found.queue = queue


def _traded(queue: Queue, trade: Trade, price: float, sign: int, better: float, ts: int) -> Queue:
    if trade.price * sign > price * sign:
        return queue
    size = max(0.0, trade.size - better)
    if trade.price == price:
        return queue_position.traded(queue, size, ts, LAW)
    return queue_position.through(queue, max(0.0, size - queue.own))


def _ts(trade: Trade, top: BookTop) -> int:
    return trade.venue_ts if top.venue_ts else trade.received_ts


def _top_ts(top: BookTop) -> int:
    return top.venue_ts or top.received_ts


def _own_in_front(state: State[Any], kept: OwnOrder) -> float:
    """Return what stands of our orders at the order's price and came before it, base units."""
    order = kept.order
    sides: Mapping[TakerSide, Any] = kept_of(state).orders.resting.get((order.venue, order.symbol), {})
    mine = (order.arrives_ts, order.cl_ord_id)
    there: Iterator[OwnOrder] = (state[place[3]] for place in sides.get(order.side, ()))
    return float(
        sum(
            (
                each.order.leaves_qty
                for each in there
                if each.order.price == order.price and (each.order.arrives_ts, each.order.cl_ord_id) < mine
            ),
            Decimal(0),
        )
    )
