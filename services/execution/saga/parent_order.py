"""The accounts of a parent order: ``filled + open + unscheduled = Q`` after any event."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class ParentError(ValueError):
    """An event that cannot happen to this order: a broken invariant."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One order at a venue."""

    order_qty: Decimal  # base units
    cum_qty: Decimal  # base units filled
    open: bool  # it may still fill


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A parent order; each transition returns the next one.

    Reports are cumulative as in FIX, so one that is repeated or late changes nothing.
    """

    quantity: Decimal  # Q, base units
    children: dict[str, Child]  # by cl_ord_id

    @property
    def filled(self) -> Decimal:
        """Base units bought or sold."""
        return sum((child.cum_qty for child in self.children.values()), Decimal(0))

    @property
    def open(self) -> Decimal:
        """Base units at venues, not filled."""
        return sum((c.order_qty - c.cum_qty for c in self.children.values() if c.open), Decimal(0))

    @property
    def unscheduled(self) -> Decimal:
        """Base units that are in no open child: still to be sent, or given up."""
        return self.quantity - self.filled - self.open

    @property
    def done(self) -> bool:
        """All is filled."""
        return self.filled == self.quantity

    def submit(self, cl_ord_id: str, qty: Decimal) -> Parent:
        """Send a child of `qty`; the same child again changes nothing.

        Raises
        ------
        ParentError
            If it is more than is unscheduled, not positive, or another child of this id.
        """
        if cl_ord_id in self.children:
            if self.children[cl_ord_id].order_qty != qty:
                raise ParentError(
                    f"{cl_ord_id} was sent with {self.children[cl_ord_id].order_qty}, not {qty}"
                )
            return self
        if not 0 < qty <= self.unscheduled:
            raise ParentError(f"{cl_ord_id} wants {qty}; only 0 < qty <= {self.unscheduled} can be sent")
        return self._with(cl_ord_id, Child(order_qty=qty, cum_qty=Decimal(0), open=True))

    def fill(self, cl_ord_id: str, cum_qty: Decimal) -> Parent:
        """Take a fill report; `cum_qty` is the child's, in base units.

        Raises
        ------
        ParentError
            If the child is unknown, over-filled, or filled further after it was closed.
        """
        child = self._child(cl_ord_id)
        if cum_qty > child.order_qty:
            raise ParentError(f"{cl_ord_id} of {child.order_qty} reports {cum_qty} filled")
        if cum_qty <= child.cum_qty:
            return self
        if not child.open:
            raise ParentError(f"{cl_ord_id} was closed at {child.cum_qty} and reports {cum_qty} filled")
        still_open = cum_qty < child.order_qty
        return self._with(cl_ord_id, Child(order_qty=child.order_qty, cum_qty=cum_qty, open=still_open))

    def close(self, cl_ord_id: str) -> Parent:
        """Take a reject, cancel or expiry: what the child has not filled is unscheduled again.

        Raises
        ------
        ParentError
            If the child is unknown.
        """
        child = self._child(cl_ord_id)
        return self._with(cl_ord_id, Child(order_qty=child.order_qty, cum_qty=child.cum_qty, open=False))

    def _child(self, cl_ord_id: str) -> Child:
        try:
            return self.children[cl_ord_id]
        except KeyError:
            raise ParentError(f"{cl_ord_id} is no child of this order") from None

    def _with(self, cl_ord_id: str, child: Child) -> Parent:
        return Parent(quantity=self.quantity, children={**self.children, cl_ord_id: child})


def parent_of(quantity: Decimal) -> Parent:
    """Return a parent of which nothing is sent."""
    return Parent(quantity=quantity, children={})
