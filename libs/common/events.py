"""Every message that crosses a process, in one file.

On the wire a message is a MessagePack map; its field ``type`` is the class name. New fields are optional and
a meaning never changes within ``.v1``. Times end in ``_ts`` and are int nanoseconds since 1970 UTC:
``venue_ts`` is the exchange's clock (a recording's, in replay), ``received_ts`` the wall clock at which the
frame came out of the socket. Prices are in quote units and sizes in base units, both float64 parsed from the
venue's digits.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

Level: TypeAlias = tuple[float, float]
"""(price, size); in a delta a size of 0.0 deletes the level."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A message on a topic; its wire field ``type`` is the class name."""


class BookState(StrEnum):
    """What may be done with a book; only a LIVE one may score, plan or fill."""

    SYNCING = "SYNCING"  # waiting for a snapshot that joins the stream
    LIVE = "LIVE"  # proven consistent up to `seq`
    GAP = "GAP"  # the venue's sequence has a hole, or its book crossed
    STALE = "STALE"  # connected, but silent for too long
    CHECKSUM_FAILED = "CHECKSUM_FAILED"  # the venue's checksum is not ours
    DISCONNECTED = "DISCONNECTED"  # no socket


class Subscribed(Event, frozen=True, kw_only=True):
    """A book is wanted; a tombstone under the same key ends it."""

    venue: str
    symbol: str  # canonical BASE-QUOTE
    requested_ts: int
    source: Literal["settings", "request"] = "request"  # whose wish: the configuration's or a caller's


class BookSnapshot(Event, frozen=True, kw_only=True, gc=False):
    """The whole book as of `seq`: a keyframe from which a late reader starts."""

    venue: str
    symbol: str
    epoch: int  # ms UTC at which this resync began; rises across restarts and owners
    seq: int  # ours; a repeated keyframe carries the seq of the state it shows and takes none of its own
    venue_seq: int | None  # theirs, where the venue has one
    bids: tuple[Level, ...]  # descending
    asks: tuple[Level, ...]  # ascending
    venue_ts: int | None
    received_ts: int
    reason: Literal["resync", "keyframe"]
    owner: str = ""  # the l2 process that keeps the book


class BookDelta(Event, frozen=True, kw_only=True, gc=False):
    """Levels that changed; a size of 0.0 deletes the level."""

    venue: str
    symbol: str
    epoch: int
    seq: int  # ours: +1 per message within an epoch
    venue_seq: int | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    venue_ts: int | None
    received_ts: int


class Features(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the top of a LIVE two-sided book says; definitions in ``services/l2/features.py``."""

    mid: float  # quote units
    microprice: float  # quote units, size-weighted mid
    spread_bps: float
    obi: float  # order-book imbalance of the top 5 sizes, in [-1, 1]
    depth_bid: float  # base units within 10 bps of mid
    depth_ask: float
    depth_truncated: bool  # the known book ends inside the 10 bps, so a depth is a lower bound
    trade_imbalance: float | None = None  # decayed aggressor volume, in [-1, 1]; None below 10 trades


class BookTop(Event, frozen=True, kw_only=True, gc=False):
    """The best levels of a LIVE book, conflated; the state that views fold."""

    venue: str
    symbol: str
    epoch: int
    seq: int  # of the last delta inside
    venue_seq: int | None
    bids: tuple[Level, ...]  # up to 50, descending
    asks: tuple[Level, ...]  # up to 50, ascending
    features: Features | None  # None while a side is empty
    venue_ts: int | None
    received_ts: int


class BookHealth(Event, frozen=True, kw_only=True, gc=False):
    """A book's state and its counts since its owner started; repeated as a heartbeat."""

    venue: str
    symbol: str
    state: BookState
    epoch: int
    seq: int
    reason: str  # why this state, in words
    owner: str = ""  # the l2 process that keeps the book
    since_ts: int  # when this state began
    ts: int  # when this was said
    messages: int = 0  # book messages accepted
    gaps: int = 0
    resyncs: int = 0
    checksum_failures: int = 0
    disconnects: int = 0
    stales: int = 0
    bad_frames: int = 0  # undecodable or absurd, kept in dead-letters.v1
    orphan_deletes: int = 0  # deletes of levels never seen; normal at some venues
    checksums_matched: int = 0  # messages whose checksum was the venue's
    quotes_matched: int = 0  # best quotes of the venue that equalled the book at the same venue id
    lag_ns: int = 0  # received minus venue time of the last message, clocks uncorrected


class Trade(Event, frozen=True, kw_only=True, gc=False):
    """A public trade."""

    venue: str
    symbol: str
    trade_id: str
    price: float
    size: float
    side: Literal["buy", "sell"]  # the aggressor's
    venue_ts: int
    received_ts: int


class Candle(Event, frozen=True, kw_only=True, gc=False):
    """Open, high, low, close and volume of one interval of a venue's trades."""

    venue: str
    symbol: str
    interval: Literal["1m", "1d"]
    open_ts: int  # start of the interval
    open: float
    high: float
    low: float
    close: float
    volume: float  # base units
    trades: int
    closed: bool  # no further trade can change it


class IdempotentReply(Event, frozen=True, kw_only=True):
    """What a POST under this Idempotency-Key was answered; a retry is answered again, not done again."""

    request_hash: str  # SHA-256 of method, path and body, hex
    status: int
    body: bytes  # JSON
    ts: int
