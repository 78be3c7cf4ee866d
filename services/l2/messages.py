"""What the l2 core is told and what it asks its shell to do; topic events are in ``libs.common.events``."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from libs.common.events import Candle, Event, InstrumentTerms

HTTP_OK: Final = 200
Purpose: TypeAlias = Literal["snapshot", "candles-1m", "candles-1d", "instrument"]


class Message(msgspec.Struct, frozen=True, gc=False):
    """An input of the core."""


class BookWanted(Message, frozen=True, gc=False):
    """A subscription exists, and this process is to keep the book."""

    venue: str
    symbol: str
    epoch: int = 0  # which an earlier owner reached; ours rise above it
    terms: InstrumentTerms | None = None  # which the venue told an earlier owner


class CandlesKnown(Message, frozen=True, gc=False):
    """What the log holds of a wanted book's closed candles, as far back as anything is asked of its venue."""

    key: str  # venue:symbol
    candles: tuple[Candle, ...]


class BookUnwanted(Message, frozen=True, gc=False):
    """The subscription ended: drop this book."""

    venue: str
    symbol: str


class BookReleased(Message, frozen=True, gc=False):
    """Another process keeps this book from now on."""

    venue: str
    symbol: str


class SocketOpened(Message, frozen=True, gc=False):
    """The connection asked for is open and its subscribe frames are sent."""

    key: str  # venue:symbol
    connection: int  # numbered by the core; anything said of an older one is ignored


class FrameReceived(Message, frozen=True, gc=False):
    """One frame, as it came out of the socket; `now` is its time of receipt."""

    key: str
    connection: int
    raw: bytes


class SocketClosed(Message, frozen=True, gc=False):
    """The connection ended or could not be opened."""

    key: str
    connection: int
    reason: str
    status: int = 0  # of HTTP, where the venue answered the handshake with another than 101
    retry_after_s: float | None = None  # which the answer asks to wait


class BytesArrived(Message, frozen=True, gc=False):
    """Bytes came of a frame that is not whole yet."""

    key: str
    connection: int
    count: int  # since this was said last, or since the last whole frame


class PongReceived(Message, frozen=True, gc=False):
    """The venue answered a WebSocket ping of ours: the line lives, however quiet the market is."""

    key: str
    connection: int


class ReplyReceived(Message, frozen=True, gc=False):
    """A REST request was answered; status 0 means that no answer came, and `body` says why."""

    key: str
    request: int
    purpose: Purpose
    status: int
    body: bytes
    retry_after_s: float | None = None
    took_ns: int | None = None  # from asking to the first byte of the answer; None where none came


class ReplyArriving(Message, frozen=True, gc=False):
    """Bytes came of a reply that is not whole yet."""

    key: str
    request: int
    count: int  # since this was said last


class ClockSet(Message, frozen=True, gc=False):
    """Somebody set the machine's clock: no book's time from before says anything of now."""

    by_ns: int  # forwards if positive


class BookAsked(Message, frozen=True, gc=False):
    """Somebody is about to look at a book that is not told again by itself (`Policy.repeats`)."""

    key: str  # venue:symbol


class Tick(Message, frozen=True, gc=False):
    """Time passed, for one book or for all."""

    key: str | None = None  # venue:symbol


BookMessage: TypeAlias = (
    BookAsked
    | CandlesKnown
    | SocketOpened
    | FrameReceived
    | BytesArrived
    | PongReceived
    | SocketClosed
    | ReplyArriving
    | ReplyReceived
)
"""What is told of a book that is kept already; of any other it is too late."""
L2Message: TypeAlias = BookWanted | BookUnwanted | BookReleased | BookMessage | ClockSet | Tick


class Effect(msgspec.Struct, frozen=True, gc=False):
    """Something the shell must do for a book."""

    key: str  # venue:symbol


class OpenSocket(Effect, frozen=True, gc=False):
    """Connect, send the subscribe frames, then report; every frame and the end are reported too."""

    connection: int
    url: str
    subscribe: tuple[str, ...]
    ping: str | None  # sent every `ping_interval_s`, where the venue wants its own keep-alive
    ping_interval_s: float
    pong_interval_s: float | None = None  # between WebSocket pings whose pongs are to be reported
    compressed: bool = False  # whether permessage-deflate is offered (RFC 7692)


class CloseSocket(Effect, frozen=True, gc=False):
    """Drop this connection of a book, if any; its end need not be reported."""

    connection: int


class Fetch(Effect, frozen=True, gc=False):
    """GET an address and report the reply."""

    request: int
    purpose: Purpose
    url: str


class DeadLetter(Effect, frozen=True, gc=False):
    """Keep a frame or reply that could not be read."""

    raw: bytes
    reason: str


class TradesMissing(Effect, frozen=True, gc=False):
    """Say that the venue's trade ids leave some out."""

    before: str  # the trade that came instead
    missing: int


class FalseStamp(Effect, frozen=True, gc=False):
    """Say that a message's time cannot be true, and was not used."""

    stamp: int  # ns UTC, as far as one can tell


class Renewed(Effect, frozen=True, gc=False):
    """Say that a book was renewed without leaving LIVE."""

    why: str


class RenewalFailed(Effect, frozen=True, gc=False):
    """Say that an attempt to renew a LIVE book failed; others follow."""

    why: str  # it is to be renewed
    reason: str


class MessageIgnored(Effect, frozen=True, gc=False):
    """Say that the venue sent what the feed does not know, or cannot use; the book is none the worse."""

    what: str


class TermsUnknown(Effect, frozen=True, gc=False):
    """Say that the venue did not tell what it demands of an order, so those before hold, else the table's."""

    reason: str


class TermsChanged(Effect, frozen=True, gc=False):
    """Say that the venue demands something else of an order than it did, or than the table has."""

    before: InstrumentTerms
    after: InstrumentTerms


class NoFeed(Effect, frozen=True, gc=False):
    """Say that a book is wanted of a venue without a feed."""


class Forget(Effect, frozen=True, gc=False):
    """Write tombstones for the state of a dropped book."""


Output: TypeAlias = Event | Effect
