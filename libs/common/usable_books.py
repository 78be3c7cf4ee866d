"""Whether a book may be used: one rule for all who show, score, size, plan, fill or mark on it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from libs.common.events import BookHealth, BookState, BookTop
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sized

    from libs.common.events import Event

E = TypeVar("E", bound="Event")

EARLY_NS: Final = NS_PER_S  # how far the clocks of two machines may be apart


def missing_side(bids: Sized | None, asks: Sized | None) -> str | None:
    """Return which side of a book is empty, by its levels or its best one; None where both have levels."""
    if bids and asks:
        return None
    if bids:
        return "no asks: there is nothing to buy, and no price"
    if asks:
        return "no bids: nobody to sell to, and no price"
    return "no bids and no asks: the venue's book is empty"


def health_fault(health: BookHealth | None, now: int, silence_ns: int) -> str | None:
    """Return why the owner's word does not make the book LIVE at `now` (ns UTC), None if it does.

    What is stamped later than now is not fresh: a clock was wrong, and how old it is cannot be known.
    """
    if health is None:
        return "there is no book"
    if health.state is not BookState.LIVE:
        return f"the book is {health.state}: {health.reason}"
    if health.ts > now + EARLY_NS:
        return f"the book's owner speaks from {(health.ts - now) / NS_PER_S:.1f} s ahead: a clock is wrong"
    if now - health.ts > silence_ns:
        return "the book's owner is silent: its heartbeat is overdue"
    return None


def book_age_ns(top: BookTop, health: BookHealth | None, now: int) -> int:
    """Return the age (ns) of what is known of a book: since its last message, or its owner's last word on it.

    A LIVE book that is quiet is as fresh as its owner's heartbeat, for the owner knows that the line lives.
    Where it is silent for longer than is usual for it, the line proves nothing; and its word on one epoch is
    none on another.
    """
    newest = top.received_ts
    vouched = health is not None and health.state is BookState.LIVE and not health.in_doubt
    if health is not None and vouched and health.epoch == top.epoch:
        newest = max(newest, health.ts)
    return now - newest


def book_fault(top: BookTop | None, health: BookHealth | None, now: int, silence_ns: int) -> str | None:
    """Return why the book may not be used at `now` (ns UTC), None if it may.

    Its owner says with each heartbeat up to which seq it had told tops by the one before (`told_seq`): a top
    from before that is not the newest one, whatever its age, for those behind it have not come through.
    A top of a later epoch is of a book that was renewed: it was proven then, and its health is on its way.
    """
    if (fault := health_fault(health, now, silence_ns)) is not None:
        return fault
    if top is None or health is None:
        return "there is no book"
    if health.epoch > top.epoch:
        return "the book was synchronised anew"
    if health.epoch == top.epoch and health.told_seq > top.seq:
        return f"the book stands at seq {top.seq} here, and {health.told_seq} was told: its log is held up"
    if (missing := missing_side(top.bids, top.asks)) is not None:
        return missing
    if top.received_ts > now + EARLY_NS:
        return f"the book is from {(top.received_ts - now) / NS_PER_S:.1f} s ahead: a clock is wrong"
    return None


def aged_alike(event: E, by_ns: int) -> E:
    """Return an event with the age that it had before the clock was set by so many ns.

    Only the tops and healths of books have one. A book whose owner fell silent would else be fresh again
    after a step back of about its age.
    """
    if isinstance(event, BookTop):
        return replace(event, received_ts=event.received_ts + by_ns)
    if isinstance(event, BookHealth):
        return replace(event, ts=event.ts + by_ns, since_ts=event.since_ts + by_ns)
    return event
