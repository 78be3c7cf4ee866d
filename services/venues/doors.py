"""What a message of another service must hold before it is measured, whoever wrote it; pure.

What does not is kept as a dead letter: a number that no market has raises, or stays in an average for ever.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final, cast

from libs.common.amounts import absurd_amount
from libs.common.codec import UndecodableMessageError, decode
from libs.common.command_rules import SYMBOL, echoed
from libs.common.events import BookHealth, BookTop, OrderFilled
from libs.common.live_books import MOST_PRICE, level_fault
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_TOPS
from libs.common.views import View

if TYPE_CHECKING:
    from libs.common.events import ScoreVenues
    from libs.common.topics import Topic
    from services.venues.handlers import Message

MOST_COUNTED: Final = 2**40  # gaps and the like of one owner: one a microsecond for twelve days
MOST_REQUEST_NS: Final = 3600 * NS_PER_S


class Tops(View[BookTop]):
    """The newest top of each book; none of a book whose newest one is at fault."""

    def __init__(self) -> None:
        super().__init__(L2_BOOK_TOPS)
        self.faults: dict[tuple[int, int], str] = {}  # by partition and offset, until somebody takes them

    def fold(self, partition: int, offset: int, key: bytes, event: BookTop | None) -> None:
        """Apply one record."""
        if event is not None and (wrong := fault_of(event)) is not None:
            self.faults[partition, offset] = wrong
            event = None
        super().fold(partition, offset, key, event)


def message_of(topic: Topic, value: bytes) -> Message:
    """Return the message that stands on a topic which the handler reads.

    Raises
    ------
    UnknownMessageError
        If only another version knows it.
    UndecodableMessageError
        If it is none, or holds what no honest message does.
    """
    message = cast("Message", decode(topic, value))
    if (wrong := fault_of(message)) is not None:
        raise UndecodableMessageError(wrong)
    return message


def fault_of(message: BookTop | BookHealth | OrderFilled | ScoreVenues) -> str | None:
    """Return what no honest message holds, None if nothing; commands have a door of their own."""
    match message:
        case BookTop():
            wrong = level_fault(message)
        case BookHealth():
            wrong = _health_fault(message)
        case OrderFilled():
            wrong = _fill_fault(message)
        case _:
            return None
    if wrong is None and SYMBOL.fullmatch(message.symbol) is None:
        wrong = f"its symbol {echoed(message.symbol)!r} is not BASE-QUOTE, as BTC-USDT"
    return None if wrong is None else f"{type(message).__name__}: {wrong}"


def _health_fault(health: BookHealth) -> str | None:
    for name in ("gaps", "checksum_failures", "disconnects", "requests"):
        if not 0 <= getattr(health, name) <= MOST_COUNTED:
            return f"{name} is {getattr(health, name)}, not 0 to {MOST_COUNTED}"
    if health.rate_remaining is not None and not 0 <= health.rate_remaining <= 1:
        return f"rate_remaining is {health.rate_remaining}, not 0 to 1"
    if health.request_ns is not None and not 0 <= health.request_ns <= MOST_REQUEST_NS:
        return f"request_ns is {health.request_ns}, not 0 to {MOST_REQUEST_NS}"
    return None


def _fill_fault(fill: OrderFilled) -> str | None:
    if (wrong := absurd_amount(fill)) is not None:
        return wrong
    if not 0 < fill.last_qty <= fill.order_qty:
        return f"last_qty is {fill.last_qty}, not over 0 and at most its order's {fill.order_qty}"
    if not (isfinite(fill.expected_px) and 0 < fill.expected_px <= MOST_PRICE):
        return f"expected_px is {fill.expected_px}, not over 0 and at most {MOST_PRICE:g}"
    if not 0 < fill.last_px <= MOST_PRICE:
        return f"last_px is {fill.last_px}, not over 0 and at most {MOST_PRICE:g}"
    return None
