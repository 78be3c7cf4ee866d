"""A paper order that belongs to no execution, as the state keeps it."""

from __future__ import annotations

from decimal import Decimal

from libs.common.events import Event, PaperOrder, RecordFill
from libs.common.instruments import instrument_of
from libs.common.venues.venue import Instrument  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.broker.queue_position import Queue  # noqa: TC001 -- resolved at run time


class OwnOrder(Event, frozen=True, kw_only=True):
    """A paper order that belongs to no execution."""

    order: PaperOrder
    fills: tuple[RecordFill, ...] = ()  # the newest, to be told; what all sum to is in `order`
    reserved: Decimal = Decimal(0)  # of a buy: the cash it was accepted at, quote units
    instrument: Instrument | None = None  # what it was made to; None: to the table's
    queue: Queue | None = None  # where it rests; None: not yet, or where the book does not show

    @property
    def made_to(self) -> Instrument:
        """What the order was made to, whatever the venue demands since."""
        return self.instrument or instrument_of(self.order.venue, self.order.symbol)


def order_key(cl_ord_id: str) -> bytes:
    """Return the state's key of an order on its own."""
    return b"order/" + cl_ord_id.encode()


def impact_key(venue: str, symbol: str) -> bytes:
    """Return the state's key of what we took from a book."""
    return f"impact/{venue}:{symbol}".encode()
