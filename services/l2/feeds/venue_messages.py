"""What feeds say: an exchange's frames and replies as messages of one form."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from libs.common.events import Level, TakerSide  # noqa: TC001 -- msgspec resolves field types at run time


class VenueSnapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The venue's whole book (or its top `depth` levels), by REST or in band."""

    bids: tuple[Level, ...]  # any order; size 0.0 is no level
    asks: tuple[Level, ...]
    sequence: int | None = None  # the id that the next delta must follow
    checksum: int | None = None  # of the book after this message
    bid_digits: tuple[str, ...] = ()  # per level what the checksum is made of; empty where there is none
    ask_digits: tuple[str, ...] = ()
    venue_ts: int | None = None
    verified: bool = True  # whether ids or checksums will show what is lost after it
    limit: int | None = None  # levels a side that it holds at most; beyond so many, the venue has more


class VenueDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Levels that changed, to be applied whole; size 0.0 deletes."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    first: int | None = None  # first and last venue id inside, where the venue has ids
    last: int | None = None
    previous: int | None = None  # last venue id of the delta before, where the venue says it
    checksum: int | None = None  # of the book after this message
    bid_digits: tuple[str, ...] = ()
    ask_digits: tuple[str, ...] = ()
    venue_ts: int | None = None


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A public trade; `side` is the aggressor's. One of size 0 takes its id, and is no trade."""

    trade_id: str
    price: float
    size: float
    side: TakerSide
    venue_ts: int


class BestQuote(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The venue's own best bid and ask at one of its book ids: an oracle for the book."""

    sequence: int
    bid: Level
    ask: Level


class FrameNumber(msgspec.Struct, frozen=True):
    """The venue's count of frames on this connection, +1 each; a hole means that something was lost."""

    number: int


class Heartbeat(msgspec.Struct, frozen=True):
    """The venue is alive and has nothing to say about the book."""


class Acknowledged(msgspec.Struct, frozen=True):
    """The venue confirmed a subscription."""


class Refused(msgspec.Struct, frozen=True):
    """The venue refused a subscription, in its words."""

    reason: str


class VenueStatus(msgspec.Struct, frozen=True):
    """Whether the venue matches orders now; where it does not, why, in its words."""

    open: bool
    reason: str


class Reconnect(msgspec.Struct, frozen=True):
    """The venue will end this connection soon and wants another to be made, in its words."""

    reason: str


class Unlisted(msgspec.Struct, frozen=True):
    """The venue does not trade a symbol: it lists none such, or has halted or delisted it; in its words."""

    reason: str


class Ignored(msgspec.Struct, frozen=True):
    """A message that is no part of any book and says nothing we know: counted, and nothing else."""

    what: str


class Unread(msgspec.Struct, frozen=True):
    """A frame that is no book's and could not be read: a dead letter, at the cost of itself only."""

    raw: bytes
    reason: str
    trades: bool  # whether trades were in it, which are missing now


Notice: TypeAlias = Heartbeat | Acknowledged | VenueStatus | Reconnect | Ignored | Unread
"""What is said of the line or the venue, and of nothing in a book."""
Said: TypeAlias = VenueSnapshot | VenueDelta | VenueTrade | BestQuote | Refused | Notice
VenueMessage: TypeAlias = FrameNumber | Said
