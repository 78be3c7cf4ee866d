"""Whether a book may be used: one rule for all who show, score, size, plan, fill or mark on it; pure.

The conditions are the same for every use, `usable` states them all, and no caller adds one. How long a use
waits for a word is its own, and stands in `PATIENCE` with its reason; a service's settings may override it.

A book is proven by each message of its own and by each heartbeat that vouches for it. One that is quiet is
therefore as fresh as its owner's last word, however long it has not changed: the owner knows that the line
lives, and an unchanged book is still the venue's. Where it is silent for longer than is usual for it, it is
in doubt: the line proves nothing, and only a message does. A book that nothing has proved for longer than
its use waits is used by nobody for that use; one whose owner is silent by nobody at all, though tops flow.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, TypeVar

from msgspec.structs import replace

from libs.common.events import BookHealth, BookState, BookTop
from libs.common.same import Same
from libs.common.time_units import NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sized

    from libs.common.events import Event

E = TypeVar("E", bound="Event")

EARLY_NS: Final = NS_PER_S  # how far the clocks of two machines may be apart
MOST_PRICE: Final = 1e12  # quote units; NaN and the infinities are none
MOST_SIZE: Final = 1e15  # base units
SYNCED: Final = frozenset({BookState.LIVE, BookState.ONE_SIDED})  # in which a book follows its venue


class Patience(NamedTuple):
    """How long a use waits for a word of a book."""

    silence_ns: int  # since its owner's last heartbeat
    unproven_ns: int  # since its last message or the last heartbeat that vouches for it

    @classmethod
    def of_seconds(cls, silence_s: float, unproven_s: float) -> Patience:
        """Return it from seconds, as settings have them."""
        return cls(round(silence_s * NS_PER_S), round(unproven_s * NS_PER_S))


Use: TypeAlias = Literal["features", "scoring", "trading", "marking", "showing"]

# l2 repeats every health each second, so an owner that let five pass is gone, whoever asks.
PATIENCE: Final[Mapping[Use, Patience]] = {
    # The router's context: imbalance and microprice tell of the next seconds, and a missing value is allowed.
    "features": Patience.of_seconds(5, 10),
    # Venues are compared with each other, and the one that stands still looks cheapest while the others move.
    "scoring": Patience.of_seconds(5, 1.5),
    # Sizes, plans and fills: an order is rejected, and a slice late, where its book is not used. So work that
    # is under way, at a venue that passed `scoring`, outlasts the 30 s for which l2 doubts a book.
    "trading": Patience.of_seconds(5, 30),
    # Profit and loss: a mark is what a fill would be valued at, so it believes what fills believe.
    "marking": Patience.of_seconds(5, 30),
    # A page says LIVE of what an order would be filled on.
    "showing": Patience.of_seconds(5, 30),
}


class BookFault(NamedTuple):
    """Why a book may not be used."""

    state: BookState  # as which it counts
    reason: str  # why this state, in words
    by_owner: bool = False  # the state and its reason are its owner's own

    def __str__(self) -> str:
        """Return it as a sentence without an end."""
        return f"the book is {self.state}: {self.reason}" if self.by_owner else self.reason


def usable(top: BookTop | None, health: BookHealth | None, now: int, patience: Patience) -> BookFault | None:
    """Return why the book may not be used at `now` (ns UTC), None if it may: then it has a top with features.

    Its owner says with each heartbeat up to which seq it had told tops by the one before (`told_seq`): a top
    from before that is not the newest one, whatever its age, for those behind it have not come through.
    A top of a later epoch is of a book that was renewed: it was proven then, and its health is on its way.
    """
    if (fault := follows(top, health, now, patience)) is not None or top is None:
        return fault
    if top.features is None or not 0 < top.features.mid <= MOST_PRICE:
        return BookFault(BookState.GAP, "the book was told without its features")
    return None


def follows(top: BookTop | None, health: BookHealth | None, now: int, patience: Patience) -> BookFault | None:
    """Return why the book may not be used, as `usable` does, of a top that may have no features."""
    if health is None and top is None:
        return BookFault(BookState.SYNCING, "there is no book")
    if (reason := owner_fault(health, now, patience)) is not None or health is None:
        return BookFault(BookState.STALE, str(reason))
    if health.state is not BookState.LIVE:
        return BookFault(health.state, health.reason, by_owner=True)
    if top is None:
        return BookFault(BookState.SYNCING, "there is no book yet: its first top is on its way")
    if (reason := missing_side(top.bids, top.asks)) is not None:
        return BookFault(BookState.ONE_SIDED, reason)
    if (reason := _age_fault(top, health, now, patience)) is not None:
        return BookFault(BookState.STALE, reason)
    if (reason := _content_fault(top)) is not None:
        return BookFault(BookState.GAP, reason)
    return None


def holds_until(top: BookTop, health: BookHealth | None, now: int, patience: Patience) -> float:
    """Return the last moment (ns UTC) at which `usable` says as at `now`; infinity: time changes nothing."""
    turns = [top.received_ts - EARLY_NS - 1]
    if health is not None:
        turns += (health.ts - EARLY_NS - 1, health.ts + patience.silence_ns)
        turns.append(proven_ts(top, health) + patience.unproven_ns)
    return min((turn for turn in turns if turn >= now), default=float("inf"))


def owner_fault(health: BookHealth | None, now: int, patience: Patience) -> str | None:
    """Return why a book's owner cannot be believed at `now` (ns UTC), None if it can.

    What is stamped later than now is not fresh: a clock was wrong, and how old it is cannot be known.
    """
    if health is None or now - health.ts > patience.silence_ns:
        return "the l2 process is silent: its heartbeat is overdue"
    if health.ts > now + EARLY_NS:
        return f"the book's owner speaks from {(health.ts - now) / NS_PER_S:.1f} s ahead: a clock is wrong"
    return None


def vouches(health: BookHealth, epoch: int | None) -> bool:
    """Return whether a heartbeat proves the book of an epoch; it is none for another, nor while in doubt."""
    return health.state in SYNCED and health.epoch == epoch and not health.in_doubt


def proven_ts(top: BookTop, health: BookHealth) -> int:
    """Return when a book was last proven (ns UTC), by its last message or its owner's last word on it."""
    return max(top.received_ts, health.ts) if vouches(health, top.epoch) else top.received_ts


def missing_side(bids: Sized | None, asks: Sized | None) -> str | None:
    """Return which side of a book is empty, by its levels or its best one; None where both have levels."""
    if bids and asks:
        return None
    if bids:
        return "no asks: there is nothing to buy, and no price"
    if asks:
        return "no bids: nobody to sell to, and no price"
    return "no bids and no asks: the venue's book is empty"


def level_fault(top: BookTop) -> str | None:
    """Return which level no book has, None if all may be."""
    return _level_fault(Same(top))


@lru_cache(maxsize=256)
def _level_fault(same: Same[BookTop]) -> str | None:
    top = same.it  # its hundred levels are looked at once, not by each who looks
    most_price, most_size = MOST_PRICE, MOST_SIZE
    for side in (top.bids, top.asks):
        for price, size in side:
            if 0.0 < price <= most_price and 0.0 < size <= most_size:  # which no NaN is
                continue
            return f"{(price, size)} is no price and size"
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


def _age_fault(top: BookTop, health: BookHealth, now: int, patience: Patience) -> str | None:
    """Return why the top is not what the book is now, None if nothing says so."""
    if health.epoch > top.epoch:
        return "the book was synchronised anew"
    if health.epoch == top.epoch and health.told_seq > top.seq:
        return f"the book stands at seq {top.seq} here, and {health.told_seq} was told: its log is held up"
    if top.received_ts > now + EARLY_NS:
        return f"the book is from {(top.received_ts - now) / NS_PER_S:.1f} s ahead: a clock is wrong"
    if (age_ns := now - proven_ts(top, health)) > patience.unproven_ns:
        limit_ms = patience.unproven_ns / NS_PER_MS
        return f"stale: the book is {age_ns / NS_PER_MS:.0f} ms old, over {limit_ms:.0f} ms"
    return None


def _content_fault(top: BookTop) -> str | None:
    """Return what a two-sided top holds that no market does, whoever wrote it; None if it is sound."""
    bid, ask = top.bids[0][0], top.asks[0][0]
    if bid >= ask:
        return f"crossed: the best bid {bid:g} is not below the best ask {ask:g}"
    return level_fault(top)
