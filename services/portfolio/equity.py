"""What a book is worth, exactly: the initial capital and the profit of every position; pure.

With C the capital and, over all symbols, R the realised profit, U the unrealised at the marks and F the fees:
``equity = C + Σ(R + U - F)``, the same sum that the risk is measured against. A mark of equity values all
that is held at the mids of its own moment: a position's own mark may be a period old, and another of each.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Literal

from libs.common.events import BOOK, EquityMarked
from libs.common.time_units import MINUTE_NS
from services.portfolio.positions import PRECISION, ZERO, exact, marked, profit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.events import PortfolioBook, Position
    from services.portfolio.marks import Books, Mark


def equity_of(positions: Mapping[str, Position], capital: Decimal) -> Decimal:
    """Return the equity of positions by symbol, each valued at its last mark; quote units."""
    with localcontext(Context(prec=PRECISION)):
        return capital + sum((profit(p) for p in positions.values()), start=ZERO)


def equity_marked(
    positions: Mapping[str, Position],
    books: Books,
    capital: Decimal,
    cause: Literal["minute", "fill"],
    now: int,
) -> EquityMarked:
    """Return what the book of these positions is worth at `now` (ns UTC), with what it is made of."""
    marks = {symbol: mark for symbol in books.symbols() if (mark := books.mark(symbol, now)) is not None}
    positions = {symbol: _renewed(p, marks.get(symbol), now) for symbol, p in positions.items()}
    held = sorted((symbol, p) for symbol, p in positions.items() if p.quantity)
    with localcontext(Context(prec=PRECISION)):
        return EquityMarked(
            book=BOOK,
            equity=equity_of(positions, capital),
            capital=capital,
            realized_pnl=sum((p.realized_pnl for p in positions.values()), start=ZERO),
            unrealized_pnl=sum((p.unrealized_pnl for p in positions.values()), start=ZERO),
            fees=sum((p.fees for p in positions.values()), start=ZERO),
            values={symbol: p.quantity * exact(p.mark) for symbol, p in held if p.mark is not None},
            quantities={symbol: p.quantity for symbol, p in held},
            marks={symbol: mark.price for symbol, mark in marks.items()},
            fills=sum(p.fills for p in positions.values()),
            cause=cause,
            ts=now,
        )


def _renewed(position: Position, mark: Mark | None, now: int) -> Position:
    """Return a position at a mark; at its last one where nobody knows a newer."""
    if mark is None or not position.quantity or (position.mark_ts or 0) > mark.ts:
        return position
    return marked(position, mark.price, mark.ts, now)


def next_minute(now: int) -> int:
    """Return the begin of the next UTC minute, ns."""
    return (now // MINUTE_NS + 1) * MINUTE_NS


def begun_minute(book: PortfolioBook, now: int) -> int | None:
    """Return the minute that is to be marked at `now`, its begin in ns UTC; None if it is marked already."""
    minute = now // MINUTE_NS * MINUTE_NS
    return minute if book.minute_ts is None or minute > book.minute_ts else None


def stepped_minute(minute_ts: int | None, by_ns: int) -> int | None:
    """Return the last minute marked, by a clock that was set by so many ns.

    Set back, the clock comes to minutes once more, which are marked again; but one that it had only just
    entered counts as marked. Set ahead, no minute that comes was marked.
    """
    if minute_ts is None or by_ns >= 0:
        return minute_ts
    return -(-(minute_ts + by_ns) // MINUTE_NS) * MINUTE_NS
