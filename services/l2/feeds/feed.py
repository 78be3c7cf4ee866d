"""What a feed is: the one place where an exchange's protocol becomes venue messages.

A feed is pure. Bytes and reply bodies go in, venue messages come out, and the venue's rule of continuity is a
method that looks at numbers only, so a live socket, a replay and a test share all of it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from libs.common.events import Level, TakerSide  # noqa: TC001 -- msgspec resolves field types at run time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval
    from services.l2.feeds.digits import DigitBook


class BadFrameError(ValueError):
    """A frame or reply that is not what the venue documents; it goes to ``dead-letters.v1`` whole."""


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


class Step(Enum):
    """What continuity says about a delta."""

    APPLY = "apply"
    OLD = "old"  # already inside the book
    GAP = "gap"  # something between book and delta is missing


class Feed(Protocol):
    """One exchange's protocol; instances carry no state."""

    venue: str
    snapshot_by_rest: bool  # else the snapshot comes in band after subscribing
    depth: int | None  # levels a side the venue maintains; the client truncates to it. None: the full book
    silence_s: float  # without any frame or pong for this long, the connection is stale
    ping_interval_s: float | None  # how often `ping` must be sent; None: the venue wants none
    pong_interval_s: float | None  # between WebSocket pings of ours; None: the venue sends heartbeats
    contiguous_trades: bool  # whether the ids of an instrument's trades are whole numbers that rise by 1
    placed_by_time: bool  # whether `first` and `last` of a delta are its time

    def stream_url(self, base: str, symbol: str) -> str:
        """Return the WebSocket address that serves this symbol."""

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the frames to send after connecting."""

    def ping(self) -> str:
        """Return the keep-alive frame."""

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`, in order; other symbols' messages are left out.

        Raises
        ------
        BadFrameError
            If a frame of the book, or one that may be of it, is not what the venue documents, or a price or
            size in it is absurd. What is known to be of something else is `Ignored` or `Unread` instead.
        """

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Apply the venue's rule of continuity to a delta after book id `position`."""

    def new_digit_book(self) -> DigitBook | None:
        """Return what keeps the digits of a book's levels; None where the venue has no checksum."""

    def checksum(self, bids: Sequence[str], asks: Sequence[str]) -> int:
        """Return the venue's checksum of a book from the digits of its levels, best first."""

    def snapshot_url(self, base: str, symbol: str) -> str:
        """Return the REST address of the snapshot."""

    def parse_snapshot(self, body: bytes) -> VenueSnapshot:
        """Return the snapshot of a REST reply.

        Raises
        ------
        BadFrameError
            If the body is not what the venue documents.
        """

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the REST address of the candles from `since_ts` (ns) on; None where the venue has none."""

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the last may still be open.

        Raises
        ------
        BadFrameError
            If the body is not what the venue documents.
        """

    def instrument_url(self, base: str, symbol: str) -> str | None:
        """Return the REST address of what is demanded of an order; None where the venue is not asked."""

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what a REST reply of that HTTP status says of the symbol.

        Raises
        ------
        BadFrameError
            If it is no answer to the question, or a number in it is absurd.
        """
