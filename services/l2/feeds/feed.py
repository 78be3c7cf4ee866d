"""What a feed is: the one place where an exchange's protocol becomes venue messages.

A feed is pure. Bytes and reply bodies go in, venue messages come out, and the venue's rule of continuity is a
method that looks at numbers only, so a live socket, a replay and a test share all of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval
    from services.l2.feeds.digits import DigitBook
    from services.l2.feeds.venue_messages import Unlisted, VenueDelta, VenueMessage, VenueSnapshot


class BadFrameError(ValueError):
    """A frame or reply that is not what the venue documents; it goes to ``dead-letters.v1`` whole."""


class Step(Enum):
    """What continuity says about a delta."""

    APPLY = "apply"
    OLD = "old"  # already inside the book
    GAP = "gap"  # something between book and delta is missing


class Feed(ABC):
    """One exchange's protocol; instances carry no state.

    Of what a venue does not have (REST snapshots, checksums, pings of ours, terms of instruments) a feed says
    nothing: nobody asks for it, and who does gets `NotImplementedError`.
    """

    venue: str
    snapshot_by_rest = False  # else the snapshot comes in band after subscribing
    depth: int | None = None  # levels a side the venue maintains, to which the client truncates; None: all
    silence_s: float  # without any frame or pong for this long, the connection is stale
    ping_interval_s: float | None = None  # how often `ping` must be sent; None: the venue wants none
    pong_interval_s: float | None = None  # between WebSocket pings of ours; None: the venue sends heartbeats
    contiguous_trades = False  # whether the ids of an instrument's trades are whole numbers that rise by 1
    placed_by_time = False  # whether `first` and `last` of a delta are its time

    @abstractmethod
    def stream_url(self, base: str, symbol: str) -> str:
        """Return the WebSocket address that serves this symbol."""

    @abstractmethod
    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the frames to send after connecting."""

    def ping(self) -> str:
        """Return the keep-alive frame."""
        raise NotImplementedError(f"{self.venue} is kept alive without frames of ours")

    @abstractmethod
    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`, in order; other symbols' messages are left out.

        Raises
        ------
        BadFrameError
            If a frame of the book, or one that may be of it, is not what the venue documents, or a price or
            size in it is absurd. What is known to be of something else is `Ignored` or `Unread` instead.
        """

    @abstractmethod
    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Apply the venue's rule of continuity to a delta after book id `position`."""

    def new_digit_book(self) -> DigitBook | None:
        """Return what keeps the digits of a book's levels; None where the venue has no checksum."""
        return None

    def checksum(self, bids: Sequence[str], asks: Sequence[str]) -> int:
        """Return the venue's checksum of a book from the digits of its levels, best first."""
        raise NotImplementedError(f"{self.venue} publishes no checksum")

    def snapshot_url(self, base: str, symbol: str) -> str:
        """Return the REST address of the snapshot."""
        raise NotImplementedError(f"{self.venue} sends its snapshot in band")

    def parse_snapshot(self, body: bytes) -> VenueSnapshot:
        """Return the snapshot of a REST reply.

        Raises
        ------
        BadFrameError
            If the body is not what the venue documents.
        """
        raise NotImplementedError(f"{self.venue} sends its snapshot in band")

    @abstractmethod
    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the REST address of the candles from `since_ts` (ns) on; None where the venue has none."""

    @abstractmethod
    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the last may still be open.

        Raises
        ------
        BadFrameError
            If the body is not what the venue documents.
        """

    def instrument_url(self, base: str, symbol: str) -> str | None:  # noqa: ARG002 -- nothing is asked
        """Return the REST address of what is demanded of an order; None where no order is priced."""
        return None

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what a REST reply of that HTTP status says of the symbol.

        Raises
        ------
        BadFrameError
            If it is no answer to the question, or a number in it is absurd.
        """
        raise NotImplementedError(f"{self.venue} is not asked for instruments")
