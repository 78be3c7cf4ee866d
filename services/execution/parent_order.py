"""The accounts of a parent order: ``filled + open + unscheduled = Q`` after any event."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time

import msgspec


class ParentError(ValueError):
    """An event that cannot happen to this order: a broken invariant."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One order at a venue."""

    order_qty: Decimal
    cum_qty: Decimal
    open: bool  # at the venue


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """A parent order; each transition returns the next one. Reports are cumulative, so a repeat changes nothing."""

    quantity: Decimal  # Q, base units
    children: dict[str, Child]  # by cl_ord_id

    @property
    def filled(self) -> Decimal:
        """Base units bought or sold."""
        raise NotImplementedError

    @property
    def open(self) -> Decimal:
        """Base units at venues, not filled."""
        raise NotImplementedError

    @property
    def unscheduled(self) -> Decimal:
        """Base units that are in no open child: still to be sent."""
        raise NotImplementedError

    @property
    def done(self) -> bool:
        """All is filled."""
        raise NotImplementedError

    def submit(self, cl_ord_id: str, qty: Decimal) -> Parent:
        """Send a child."""
        raise NotImplementedError

    def fill(self, cl_ord_id: str, cum_qty: Decimal) -> Parent:
        """Take a fill report; `cum_qty` as in FIX, of the child."""
        raise NotImplementedError

    def close(self, cl_ord_id: str) -> Parent:
        """Take a reject, cancel or expiry: what the child has not filled is unscheduled again."""
        raise NotImplementedError


def parent_of(quantity: Decimal) -> Parent:
    """Return a parent of which nothing is sent."""
    return Parent(quantity=quantity, children={})
