"""The portfolio's reactions: optimise on command, keep positions from fills, assess and mark the book; pure.

Positions live in the partition of their symbol, the book's risk in the partition of the book's name. A fill
changes its position and tells the book; while something is held, its position is marked and the book assessed
once per period. The book's equity is marked each UTC minute and when a fill is told of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, assert_never
from uuid import NAMESPACE_URL, uuid5

from msgspec.structs import replace

from libs.common.command_rules import rejected
from libs.common.events import (
    BOOK,
    AssessRisk,
    CommandRejected,
    Fault,
    OptimizePortfolio,
    OrderFilled,
    PortfolioBook,
    PortfolioHolding,
    Position,
    Refusal,
)
from libs.common.handling import Tick, WakeAt
from libs.common.topics import PORTFOLIO_POSITIONS
from libs.common.views import View
from services.portfolio import allocation
from services.portfolio.equity import begun_minute, equity_marked, next_minute, stepped_minute
from services.portfolio.equity_day import day_of
from services.portfolio.marks import Mark
from services.portfolio.positions import filled, flat, marked
from services.portfolio.remembered import COMMANDS, KEEP_ANSWERS, KEEP_FILLS, recall, remember
from services.portfolio.risk import assess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import EquityMarked, Event
    from libs.common.handling import State
    from services.portfolio.marks import Books
    from services.portfolio.returns import History
    from services.portfolio.rules import Rules

Message: TypeAlias = OptimizePortfolio | AssessRisk | OrderFilled | Tick
Returned: TypeAlias = "list[Event | WakeAt]"

MARK: Final = b"mark/"  # a tick's key, with the symbol
ASSESS: Final = b"assess/"  # a tick's key, with the book
MINUTE: Final = b"minute/"  # likewise
GROWING_NS: Final = 500_000_000  # between two assessments while the first candles come in
BOOK_KEY: Final = b"book/" + BOOK.encode()  # of the state


class Positions(View[Position]):
    """All positions; handlers read it from a thread, so `keys` is replaced, never changed."""

    def __init__(self) -> None:
        super().__init__(PORTFOLIO_POSITIONS)
        self.keys: tuple[bytes, ...] = ()

    def fold(self, partition: int, offset: int, key: bytes, event: Position | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        if key not in self.keys:
            self.keys = (*self.keys, key)


@dataclass(frozen=True)
class Desk:
    """What the handlers look at: settings, and views that others write."""

    rules: Rules
    history: History
    books: Books
    positions: Positions


def handle(desk: Desk, state: State[Event], message: Message, now: int) -> Sequence[Event | WakeAt]:
    """Return what follows from a message; changes `state`."""
    match message:
        case OptimizePortfolio():
            return _optimize(desk, state, message, now)
        case OrderFilled():
            return _fill(desk, state, message, now)
        case AssessRisk():
            return _assess_on_command(desk, state, message, now)
        case Tick(key=key) if key.startswith(MARK):
            return _mark(desk, state, message, now)
        case Tick(key=key) if key.startswith(MINUTE):
            return _mark_equity(desk, state, message, now)
        case Tick():
            return _assess_on_tick(desk, state, message, now)
        case _ as unreachable:
            assert_never(unreachable)


def _optimize(desk: Desk, state: State[Event], command: OptimizePortfolio, now: int) -> Returned:
    before = recall(state, COMMANDS, command.command_id)
    if before is not None and before.answer is not None:
        return [before.answer]
    answer = allocation.answer(command, desk.history, desk.rules, now)
    if isinstance(answer, CommandRejected):
        return [answer]  # nothing was done, so the same command may be tried again
    remember(state, COMMANDS, command.command_id, KEEP_ANSWERS, answer)
    return [answer]


def _fill(desk: Desk, state: State[Event], fill: OrderFilled, now: int) -> Returned:
    fills = f"fills/{fill.symbol}"
    if recall(state, fills, fill.exec_id) is not None:
        return []  # told again: it is in the position already
    remember(state, fills, fill.exec_id, KEEP_FILLS)
    holding = _holding(state, fill.symbol, now)
    position = filled(holding.position, fill, now)
    mark = desk.books.mark(fill.symbol, now)
    if mark is None and (position.mark_ts is None or position.mark_ts < fill.ts):
        mark = Mark(fill.mid, fill.ts)  # of the book it was filled on, LIVE then
    if mark is not None:
        position = marked(position, mark.price, mark.ts, now)
    wishes = _keep(desk, state, position, holding.next_mark_ts, now)
    told = AssessRisk(
        command_id=str(uuid5(NAMESPACE_URL, f"bookrunner:AssessRisk/{fill.exec_id}")),
        book=BOOK,
        position=position,
    )
    return [position, told, *wishes]


def _mark(desk: Desk, state: State[Event], tick: Tick, now: int) -> Returned:
    symbol = tick.key.removeprefix(MARK).decode()
    holding = _holding(state, symbol, now)
    if holding.next_mark_ts != tick.due_ts:
        return []  # another tick has taken its place
    mark = desk.books.mark(symbol, now)
    position = holding.position
    if mark is None or not position.quantity:  # the last mark stays, and its time shows its age
        return list(_keep(desk, state, position, None, now))
    position = marked(position, mark.price, mark.ts, now)
    return [position, *_keep(desk, state, position, None, now)]


def step_clock(state: State[Event], by_ns: int) -> None:
    """Move the next marks and the next assessment by so many ns, as the clock was set; marks stay as old."""
    for key, kept in list(state.items()):
        if isinstance(kept, PortfolioHolding):
            position = replace(kept.position, mark_ts=_moved(kept.position.mark_ts, by_ns))
            state.put(key, PortfolioHolding(position=position, next_mark_ts=_moved(kept.next_mark_ts, by_ns)))
        elif isinstance(kept, PortfolioBook):
            state.put(
                key,
                replace(
                    kept,
                    next_assessment_ts=_moved(kept.next_assessment_ts, by_ns),
                    next_minute_ts=_moved(kept.next_minute_ts, by_ns),
                    minute_ts=stepped_minute(kept.minute_ts, by_ns),
                ),
            )


def _moved(ts: int | None, by_ns: int) -> int | None:
    return None if ts is None else ts + by_ns


def _holding(state: State[Event], symbol: str, now: int) -> PortfolioHolding:
    found = state.get(f"position/{symbol}".encode())
    return found if isinstance(found, PortfolioHolding) else PortfolioHolding(position=flat(symbol, now))


def _keep(
    desk: Desk, state: State[Event], position: Position, pending_ts: int | None, now: int
) -> list[WakeAt]:
    """Keep a position; while something is held, one tick is pending."""
    wishes = []
    if pending_ts is None and position.quantity:
        pending_ts = now + desk.rules.period_ns
        wishes.append(WakeAt(pending_ts, MARK + position.symbol.encode()))
    state.put(
        f"position/{position.symbol}".encode(), PortfolioHolding(position=position, next_mark_ts=pending_ts)
    )
    return wishes


def _assess_on_command(desk: Desk, state: State[Event], command: AssessRisk, now: int) -> Returned:
    position, fault = command.position, None
    if command.book != BOOK:
        fault = Fault(field="book", message=f"is {command.book[:64]!r}; there is: {BOOK}")
    elif position is not None and not _is_listed(desk, position.symbol):
        fault = Fault(field="position", message=f"is of {position.symbol[:64]!r}, which nobody lists")
    if fault is not None:
        return [rejected(command, command.book, Refusal.UNKNOWN, now, fault)]
    book = _book(state)
    ahead = dict(book.ahead)
    if position is not None:
        ahead[position.symbol] = position
    told = _assessed(desk, state, replace(book, ahead=ahead), now)
    if position is not None:
        told.append(_worth(desk, state, "fill", now))
    elif book.minute_ts is None:  # where its curve begins
        told += _mark_minute(desk, state, now)
    return [*told, *_await_minute(state, now)]


def _is_listed(desk: Desk, symbol: str) -> bool:
    """Tell whether a position of it may be: a venue has it, or had when the one that is held was filled."""
    return bool(desk.books.venues_of(symbol)) or symbol.encode() in desk.positions.items


def _assess_on_tick(desk: Desk, state: State[Event], tick: Tick, now: int) -> Returned:
    book = _book(state)
    if book.next_assessment_ts != tick.due_ts:
        return []
    found = _assessed(desk, state, replace(book, next_assessment_ts=None), now)
    if book.symbols == 0 and _book(state).symbols == 0:
        return [each for each in found if isinstance(each, WakeAt)]  # there is no candle yet: no news
    return found


def _mark_equity(desk: Desk, state: State[Event], tick: Tick, now: int) -> Returned:
    """Mark the book's equity, once a minute; after a halt once, not for each minute of it."""
    book = _book(state)
    if book.next_minute_ts != tick.due_ts:
        return []  # another tick has taken its place
    state.put(BOOK_KEY, replace(book, next_minute_ts=None))
    return [*_mark_minute(desk, state, now), *_await_minute(state, now)]


def _mark_minute(desk: Desk, state: State[Event], now: int) -> list[EquityMarked]:
    """Mark this minute, if it is not marked yet."""
    book = _book(state)
    minute_ts = begun_minute(book, now)
    if minute_ts is None:
        return []
    state.put(BOOK_KEY, replace(book, minute_ts=minute_ts))
    return [_worth(desk, state, "minute", now)]


def _worth(desk: Desk, state: State[Event], cause: Literal["minute", "fill"], now: int) -> EquityMarked:
    positions = _positions(desk, _book(state))
    return equity_marked(positions, desk.books, desk.rules.initial_capital, cause, now)


def _await_minute(state: State[Event], now: int) -> list[WakeAt]:
    """Wish for the next minute, if none is pending."""
    book = _book(state)
    if book.next_minute_ts is not None:
        return []
    pending_ts = next_minute(now)
    state.put(BOOK_KEY, replace(book, next_minute_ts=pending_ts))
    return [WakeAt(pending_ts, MINUTE + BOOK.encode())]


def _seen(desk: Desk) -> dict[str, Position]:
    items = desk.positions.items
    return {p.symbol: p for p in (items.get(key) for key in desk.positions.keys) if p is not None}


def _ahead(book: PortfolioBook, seen: Mapping[str, Position]) -> dict[str, Position]:
    return {s: p for s, p in book.ahead.items() if s not in seen or seen[s].fills < p.fills}


def _positions(desk: Desk, book: PortfolioBook) -> dict[str, Position]:
    """Return every position: as the view has it, or as a fill told of it that the view has not seen."""
    seen = _seen(desk)
    return seen | _ahead(book, seen)


def _assessed(desk: Desk, state: State[Event], book: PortfolioBook, now: int) -> Returned:
    """Assess, and wish for the next time if none is pending: soon while symbols still become known.

    A position that a fill told of counts until the view has seen that fill, so the risk never lags behind.
    """
    seen = _seen(desk)
    ahead = _ahead(book, seen)
    budget = assess(seen | ahead, desk.history, desk.rules, now)
    day = day_of(book, budget.equity, now)
    budget = replace(budget, day_ts=day.ts, day_equity=day.equity, day_high=day.high)
    wishes, pending_ts, known = [], book.next_assessment_ts, len(budget.by_symbol)
    if pending_ts is None:
        grows = known == 0 or known != book.symbols
        pending_ts = now + (min(GROWING_NS, desk.rules.period_ns) if grows else desk.rules.period_ns)
        wishes.append(WakeAt(pending_ts, ASSESS + BOOK.encode()))
    kept = replace(
        book,
        next_assessment_ts=pending_ts,
        ahead=ahead,
        symbols=known,
        equity=budget.equity,
        day_ts=day.ts,
        day_equity=day.equity,
        day_high=day.high,
    )
    state.put(BOOK_KEY, kept)
    return [budget, *wishes]


def _book(state: State[Event]) -> PortfolioBook:
    found = state.get(BOOK_KEY)
    return found if isinstance(found, PortfolioBook) else PortfolioBook(next_assessment_ts=None)
