"""Every message that crosses a process, in one file.

On the wire a message is a MessagePack map; its field ``type`` is the class name. New fields are optional and
a meaning never changes within ``.v1``. Times end in ``_ts`` and are int nanoseconds since 1970 UTC:
``venue_ts`` is the exchange's clock (a recording's, in replay), ``received_ts`` the wall clock at which the
frame came out of the socket. Prices are in quote units and sizes in base units, both float64 parsed from the
venue's digits. Orders, fills and positions are Decimal, text on the wire. Volatilities, CVaR, budgets and
rewards are fractions (per day where time enters), bps are 1e-4.

One section per service, in the order in which they build on each other; the file is long because it is the
dictionary of the whole system. Every field says its meaning and unit (``libs/common/meanings.py``): AsyncAPI,
OpenAPI, ``/docs`` and ``bookrunner topics`` read them here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from libs.common.meanings import (
    Balance,
    BaseAmount,
    BaseUnits,
    Bps,
    ByName,
    Count,
    Days,
    EpochMs,
    Milliseconds,
    Ns,
    OfCapital,
    OfEquity,
    Ordinal,
    PerDay,
    PerSecond,
    Pure,
    QuoteAmount,
    QuoteUnits,
    Returns,
    Seconds,
    Share,
    SpanNs,
    Word,
    meaning,
    unit,
)

Level: TypeAlias = Annotated[
    tuple[QuoteUnits, BaseUnits], unit("each a price in quote units and a size in base units")
]
"""(price, size); in a delta a size of 0.0 deletes the level."""

# Fields that mean the same wherever they stand.
VenueId: TypeAlias = Annotated[str, meaning("id of the exchange, like binance")]
Symbol: TypeAlias = Annotated[str, meaning("canonical BASE-QUOTE, like BTC-USDT")]
Epoch: TypeAlias = Annotated[
    EpochMs, meaning("start of the book's last resync; rises across restarts and owners")
]
VenueSeq: TypeAlias = Annotated[
    Ordinal | None, meaning("the venue's own sequence number", null="where the venue has none")
]
VenueTs: TypeAlias = Annotated[
    Ns | None, meaning("the venue's time of the last message inside", null="where the venue gives none")
]
ReceivedTs: TypeAlias = Annotated[Ns, meaning("when the last message inside came out of the socket")]
CommandId: TypeAlias = Annotated[str, meaning("UUID of the command that this answers")]
ExecutionId: TypeAlias = Annotated[str, meaning("UUID of the execution: that of its command")]
Scope: TypeAlias = Annotated[
    str, meaning("whose router: the policies of a scope learn together, apart from those of other scopes")
]
PolicyId: TypeAlias = Annotated[str, meaning("name of the policy")]
SaidTs: TypeAlias = Annotated[Ns, meaning("when this was said")]


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of a message; a message is a tree, so the search for cycles leaves it and its parts out."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A message on a topic; its wire field ``type`` is the class name."""


class Command(Event, frozen=True, kw_only=True):
    """A wish that its service answers with one event of the same `command_id`.

    A `command_id` seen before is answered again, not done again.
    """

    command_id: Annotated[
        str, meaning("a UUID, also the record's ce_id; what is random about the answer is drawn from it")
    ]
    reply_key: Annotated[
        str | None,
        meaning("the answer goes to the partition of this key", null="where the command's own key is meant"),
    ] = None


class Refusal(Word):
    """Why a command is not done."""

    UNKNOWN = "unknown", "it names something that does not exist"
    INVALID = "invalid", "a field is wrong"
    UNAVAILABLE = "unavailable", "what it needs is not there now, but may be soon"
    INTERNAL = "internal", "its service failed on it: a defect; the command is kept in dead-letters.v1"


class Fault(Part, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: Annotated[str, meaning("which one, as callers of the gateway name it")]
    message: Annotated[str, meaning("what is wrong, and what would be right")]


class CommandRejected(Event, frozen=True, kw_only=True):
    """The answer to a command that was refused; nothing was done."""

    command_id: CommandId
    command: Annotated[str, meaning("type of the command that was refused")]
    key: Annotated[str, meaning("the key under which the command is judged: its symbol, scope or book")]
    refusal: Annotated[Refusal, meaning("of which kind")]
    detail: Annotated[str, meaning("why, for people")]
    faults: Annotated[tuple[Fault, ...], meaning("the fields that are wrong, where it is they")] = ()
    ts: Annotated[Ns, meaning("when it was refused")]


class Remembered(Event, frozen=True, kw_only=True):
    """State, private: what was done under an id that may come again; see `libs.common.answered`."""

    among: Annotated[
        str, meaning("with what it is forgotten, in one order; empty: an older version gave its place")
    ] = ""
    number: Annotated[Ordinal, meaning("in that order")] = 0
    ts: Annotated[Ns, meaning("when it was done, on the clock that its age is told by")] = 0


class ServiceState(Word):
    """What a process says of itself."""

    STARTING = "starting", "it lives, and does not do its work yet"
    READY = "ready", "it does all of its work"
    DEGRADED = "degraded", "part of its work is not done, or refused, until somebody mends it"


class ServiceStatus(Event, frozen=True, kw_only=True):
    """The heartbeat of a process, repeated every second; a tombstone says that it stopped as asked.

    It is believed for `STATUS_SILENCE_NS`: a process that dies cannot say so.
    """

    service: Annotated[str, meaning("what it is a process of, like router")]
    instance: Annotated[str, meaning("its own name: unique and stable per replica of the service")]
    version: Annotated[str, meaning("of Bookrunner")]
    state: Annotated[ServiceState, meaning("whether it does its work")]
    partitions_owned: Annotated[
        tuple[Ordinal, ...], meaning("partitions that it works on now, their state restored")
    ] = ()
    partitions_stopped: Annotated[
        tuple[Ordinal, ...], meaning("partitions that it cannot go on with: their handler raised")
    ] = ()
    since_ts: Annotated[Ns, meaning("when the state began")]
    ts: SaidTs
    detail: Annotated[str, meaning("what it waits for, or what has stopped, in words")] = ""


STATUS_SILENCE_NS: Final = 5_000_000_000

TakerSide: TypeAlias = Literal["buy", "sell"]
"""Of who takes: buy takes asks, sell takes bids."""
Interval: TypeAlias = Literal["1m", "1d"]


# --- l2 ---


class BookState(Word):
    """What may be done with a book; only a LIVE one may score, plan or fill."""

    SYNCING = "SYNCING", "waiting for a snapshot that joins the stream"
    LIVE = "LIVE", "proven consistent up to `seq`"
    GAP = "GAP", "the venue's sequence has a hole, or its book crossed"
    STALE = "STALE", "connected, but silent for too long"
    CHECKSUM_FAILED = "CHECKSUM_FAILED", "the venue's checksum is not ours"
    DISCONNECTED = "DISCONNECTED", "no socket"
    ONE_SIDED = "ONE_SIDED", "proven consistent, and a side is empty"
    HALTED = "HALTED", "the venue says that it does not match now"
    REFUSED = "REFUSED", "the venue does not serve this symbol"
    BLOCKED = "BLOCKED", "the venue serves nothing to this address"


class Subscribed(Event, frozen=True, kw_only=True):
    """A book is wanted; a tombstone under the same key ends it."""

    venue: VenueId
    symbol: Symbol
    requested_ts: Annotated[Ns, meaning("when it was asked for")]
    source: Annotated[
        Literal["settings", "request"],
        meaning("whose wish; settings: the configuration's; request: a caller's"),
    ] = "request"


class BookSnapshot(Event, frozen=True, kw_only=True, gc=False):
    """The whole book as of `seq`: a keyframe from which a late reader starts."""

    venue: VenueId
    symbol: Symbol
    epoch: Epoch
    seq: Annotated[
        Ordinal, meaning("ours: that of the state it shows, of which a repeated keyframe takes no new one")
    ]
    venue_seq: VenueSeq
    bids: Annotated[tuple[Level, ...], meaning("all known bids, by descending price")]
    asks: Annotated[tuple[Level, ...], meaning("all known asks, by ascending price")]
    venue_ts: VenueTs
    received_ts: ReceivedTs
    reason: Annotated[
        Literal["resync", "keyframe"],
        meaning("resync: the book began anew; keyframe: repeated for late readers"),
    ]
    owner: Annotated[str, meaning("the l2 process that keeps the book")] = ""


class BookDelta(Event, frozen=True, kw_only=True, gc=False):
    """Levels that changed; a size of 0.0 deletes the level."""

    venue: VenueId
    symbol: Symbol
    epoch: Epoch
    seq: Annotated[Ordinal, meaning("ours: +1 per message within an epoch")]
    venue_seq: VenueSeq
    bids: Annotated[tuple[Level, ...], meaning("bids that changed, with their new sizes, in any order")]
    asks: Annotated[tuple[Level, ...], meaning("asks that changed, with their new sizes, in any order")]
    venue_ts: Annotated[
        Ns | None, meaning("the venue's time of the change", null="where the venue gives none")
    ]
    received_ts: Annotated[Ns, meaning("when the change came out of the socket")]


class Features(Part, frozen=True, kw_only=True):
    """What the top of a LIVE two-sided book says; definitions in ``libs/common/book_features.py``."""

    mid: Annotated[QuoteUnits, meaning("(best bid + best ask) / 2")]
    microprice: Annotated[QuoteUnits, meaning("the mid, weighted by the sizes of the best levels")]
    spread_bps: Annotated[Bps, meaning("best ask minus best bid, of the mid")]
    obi: Annotated[Balance, meaning("order-book imbalance of the top 5 sizes; positive: more is bid")]
    depth_bid: Annotated[BaseUnits, meaning("sizes of the bids within 10 bps of the mid")]
    depth_ask: Annotated[BaseUnits, meaning("sizes of the asks within 10 bps of the mid")]
    depth_truncated: Annotated[
        bool, meaning("the known book ends inside the 10 bps, so a depth is a lower bound")
    ]
    trade_imbalance: Annotated[
        Balance | None,
        meaning(
            "volume of aggressors of late, fading with age; positive: more was bought",
            null="below 10 trades, or when all have faded",
        ),
    ] = None


class BookTop(Event, frozen=True, kw_only=True, gc=False):
    """The best levels of a LIVE or ONE_SIDED book, conflated; the state that views fold."""

    venue: VenueId
    symbol: Symbol
    epoch: Epoch
    seq: Annotated[Ordinal, meaning("ours: of the last delta inside")]
    venue_seq: VenueSeq
    bids: Annotated[tuple[Level, ...], meaning("up to 50, by descending price")]
    asks: Annotated[tuple[Level, ...], meaning("up to 50, by ascending price")]
    features: Annotated[Features | None, meaning("what these levels say", null="while a side is empty")]
    venue_ts: VenueTs
    received_ts: ReceivedTs


class InstrumentTerms(Part, frozen=True, kw_only=True):
    """What a venue demands of an order in a symbol, as it says itself."""

    tick: Annotated[QuoteAmount, meaning("least step of a price")]
    lot: Annotated[BaseAmount, meaning("least step of a size")]
    min_qty: Annotated[BaseAmount, meaning("least size")]
    min_notional: Annotated[QuoteAmount, meaning("least value")]


class BookHealth(Event, frozen=True, kw_only=True, gc=False):
    """A book's state and its counts since its owner started; repeated as a heartbeat."""

    venue: VenueId
    symbol: Symbol
    state: Annotated[BookState, meaning("what may be done with the book")]
    epoch: Annotated[EpochMs, meaning("start of the book's last resync; 0 before the first")]
    seq: Annotated[Ordinal, meaning("ours: of the book's last delta")]
    reason: Annotated[str, meaning("why this state, in words")]
    owner: Annotated[str, meaning("the l2 process that keeps the book")] = ""
    since_ts: Annotated[Ns, meaning("when this state began")]
    ts: SaidTs
    messages: Annotated[Count, meaning("book messages accepted")] = 0
    gaps: Annotated[
        Count, meaning("holes in the venue's sequence, crossed books and frames that could not be read")
    ] = 0
    resyncs: Annotated[Count, meaning("fresh starts of the book")] = 0
    checksum_failures: Annotated[Count, meaning("messages whose checksum was not the venue's")] = 0
    disconnects: Annotated[
        Count, meaning("connections that ended, failed or were given up; symbols that were refused")
    ] = 0
    stales: Annotated[Count, meaning("silences over the limit")] = 0
    bad_frames: Annotated[Count, meaning("frames undecodable or absurd, kept in dead-letters.v1")] = 0
    orphan_deletes: Annotated[Count, meaning("deletes of levels never seen; normal at some venues")] = 0
    checksums_matched: Annotated[Count, meaning("messages whose checksum was the venue's")] = 0
    quotes_matched: Annotated[
        Count, meaning("best quotes of the venue that equalled the book at the same venue id")
    ] = 0
    lag_ns: Annotated[
        SpanNs,
        meaning("received minus venue time of the last message, clocks uncorrected; 0 without a venue time"),
    ] = 0
    rate_remaining: Annotated[
        Share | None,
        meaning(
            "what is left of what l2 allows itself of the venue's REST limit", null="where it is not told"
        ),
    ] = None
    requests: Annotated[Count, meaning("REST requests to the venue that this process had answered")] = 0
    request_ns: Annotated[
        SpanNs | None, meaning("how long the last of them took, there and back", null="before the first")
    ] = None
    told_seq: Annotated[
        Ordinal,
        meaning(
            "of this epoch's newest top, as of the heartbeat before: a top older than this is not the newest"
        ),
    ] = 0
    in_doubt: Annotated[
        bool, meaning("silent for longer than is usual for it: only a message of its own proves it")
    ] = False
    false_stamps: Annotated[Count, meaning("venue times that cannot be true, and were not used")] = 0
    repeated_trades: Annotated[Count, meaning("trades of an id that had been counted")] = 0
    trade_holes: Annotated[Count, meaning("times at which the venue's trade ids left some out")] = 0
    missing_trades: Annotated[Count, meaning("trades that they left out")] = 0
    reconnects: Annotated[
        Count, meaning("orderly ones: the new connection's book took over before the old one was dropped")
    ] = 0
    resnapshots: Annotated[
        Count, meaning("snapshots taken while LIVE, as the mid neared the edge of what is known")
    ] = 0
    ignored: Annotated[
        Count, meaning("messages that the feed does not know or cannot use, and late ones")
    ] = 0
    terms: Annotated[
        InstrumentTerms | None,
        meaning(
            "what the venue demands of an order, as it said last", null="where it has not: the table's hold"
        ),
    ] = None
    feed: Annotated[
        str,
        meaning(
            "where its messages come from: `simulator`, `replay` (a recording) or `live` (the exchange); "
            "empty where it is not said"
        ),
    ] = ""


class Trade(Event, frozen=True, kw_only=True, gc=False):
    """A public trade."""

    venue: VenueId
    symbol: Symbol
    trade_id: Annotated[str, meaning("the venue's own")]
    price: Annotated[QuoteUnits, meaning("at which it was done")]
    size: Annotated[BaseUnits, meaning("how much changed hands")]
    side: Annotated[TakerSide, meaning("the aggressor's")]
    venue_ts: Annotated[Ns, meaning("the venue's time of the trade")]
    received_ts: Annotated[Ns, meaning("when it came out of the socket")]


class Candle(Event, frozen=True, kw_only=True, gc=False):
    """Open, high, low, close and volume of one interval of a venue's trades."""

    venue: VenueId
    symbol: Symbol
    interval: Annotated[Interval, meaning("its length: a minute or a UTC day")]
    open_ts: Annotated[Ns, meaning("start of the interval")]
    open: Annotated[QuoteUnits, meaning("price of its first trade; of a minute without one the last before")]
    high: Annotated[QuoteUnits, meaning("highest price")]
    low: Annotated[QuoteUnits, meaning("lowest price")]
    close: Annotated[QuoteUnits, meaning("price of its last trade; of a minute without one the last before")]
    volume: Annotated[BaseUnits, meaning("what was traded in it")]
    trades: Annotated[Count, meaning("its trades; 0 also where the venue's history does not tell")]
    closed: Annotated[bool, meaning("no further trade can change it")]


# --- venues ---


AllowedVenues: TypeAlias = Annotated[
    tuple[str, ...], meaning("ids of the exchanges that may be used; empty: all")
]


class ScoreVenues(Command, frozen=True, kw_only=True):
    """Choose a venue, and a split, to take `size` of a symbol now."""

    symbol: Symbol
    size: Annotated[BaseUnits, meaning("what is to be taken")]
    side: Annotated[TakerSide, meaning("buy takes asks, sell takes bids")] = "buy"
    max_venues: Annotated[
        Count | None, meaning("venues that the split may use at most", null="where any number may be used")
    ] = None
    venues: AllowedVenues = ()


class CostBps(Part, frozen=True, kw_only=True):
    """The parts of a venue's expected all-in cost, in bps of the symbol's fair mid."""

    spread: Annotated[Bps, meaning("half the spread: its best price against its own mid")]
    impact: Annotated[Bps, meaning("of walking the book beyond the best price")]
    fee: Annotated[Bps, meaning("taker fee")]
    basis: Annotated[
        Bps,
        meaning(
            "its own mid against the fair one, without what of it is expected to last; a bargain is negative"
        ),
    ] = 0.0
    latency: Annotated[
        Bps, meaning("how much of that is expected to be gone when the order arrives; of a bargain positive")
    ]
    reliability: Annotated[
        Bps, meaning("of tries that fail, and of being stuck with what was bought while the venue is down")
    ]
    slippage: Annotated[
        Bps, meaning("what own orders paid there beyond what was expected, shrunk to 0 with few orders")
    ] = 0.0

    @property
    def total(self) -> float:
        """The sum."""
        return (
            self.spread
            + self.impact
            + self.fee
            + self.basis
            + self.latency
            + self.reliability
            + self.slippage
        )


class VenueCandidate(Part, frozen=True, kw_only=True):
    """One venue as it was judged; the book it was judged on can be found again by `epoch` and `seq`."""

    venue: VenueId
    eligible: Annotated[bool, meaning("whether the order, or the part `available`, may go there now")]
    available: Annotated[
        BaseUnits | None,
        meaning(
            "how much of the size it can take alone, at most all of it; else all its book shows, in its lots",
            null="where not eligible, and of older records",
        ),
    ] = None
    score: Annotated[
        Bps | None,
        meaning(
            "minus the expected all-in cost of what it can take, of the fair mid: higher is better",
            null="where not eligible",
        ),
    ] = None
    cost_bps: Annotated[
        CostBps | None, meaning("the parts of its cost, each in bps", null="where not eligible")
    ] = None
    reasons: Annotated[
        tuple[str, ...],
        meaning("what its cost is made of, the greatest part first, or why it is not eligible, in words"),
    ]
    mid: Annotated[
        QuoteUnits | None, meaning("of the book it was judged on", null="without a book of two sides")
    ] = None
    epoch: Annotated[EpochMs | None, meaning("of the book it was judged on", null="without a book")] = None
    seq: Annotated[Ordinal | None, meaning("of the book it was judged on", null="without a book")] = None
    basis_bps: Annotated[
        Bps | None,
        meaning("gap of its mid to the fair one, the median of the usable books", null="where not eligible"),
    ] = None
    lasting_basis_bps: Annotated[
        Bps | None,
        meaning(
            "what that gap is expected to return to, which is no bargain",
            null="where not eligible, and of older records",
        ),
    ] = None


class VenueShare(Part, frozen=True, kw_only=True):
    """A venue's part of an optimal split."""

    venue: VenueId
    size: Annotated[BaseUnits, meaning("what goes there")]


class VenueScored(Event, frozen=True, kw_only=True):
    """The answer to ScoreVenues."""

    command_id: CommandId
    symbol: Symbol
    side: Annotated[TakerSide, meaning("as asked: buy takes asks, sell takes bids")]
    size: Annotated[BaseUnits, meaning("as asked")]
    venue: Annotated[
        str,
        meaning(
            "id of the best exchange for the whole size; of a size too large for each, who takes most of it"
        ),
    ]
    score: Annotated[
        Bps, meaning("its score: minus the expected all-in cost of what it can take, of the fair mid")
    ]
    reasons: Annotated[
        tuple[str, ...], meaning("what the best one's cost is made of, the greatest part first, in words")
    ]
    candidates: Annotated[
        tuple[VenueCandidate, ...],
        meaning(
            "those that take the whole size, the best first, then those that take a part, the greatest "
            "first, then those not eligible"
        ),
    ]
    allocation: Annotated[
        tuple[VenueShare, ...],
        meaning(
            "the best split, also over those that take a part; sums to `size`; empty: as many venues as may "
            "be used do not show it together, and all do"
        ),
    ]
    allocation_bps: Annotated[
        Bps | None,
        meaning(
            "expected all-in cost of that split, of the fair mid", null="without one, and of older records"
        ),
    ] = None
    saving_bps: Annotated[
        Bps,
        meaning("of the split against the best single venue; at least 0, and 0 of a size too large for each"),
    ]
    fair_mid: Annotated[
        QuoteUnits | None,
        meaning("median mid of the usable books, against which all is counted", null="of older records"),
    ] = None
    ts: Annotated[Ns, meaning("when it was judged")]


class VenueMetrics(Event, frozen=True, kw_only=True):
    """What is known of one symbol at one venue, as of its last book health."""

    venue: VenueId
    symbol: Symbol
    state: Annotated[BookState, meaning("of the book, as l2 said last")]
    latency_p50_ms: Annotated[
        Milliseconds | None,
        meaning(
            "venue time to receipt, corrected by the clocks' offset: median",
            null="without a venue time in the last 5 minutes",
        ),
    ]
    latency_p99_ms: Annotated[
        Milliseconds | None,
        meaning(
            "venue time to receipt, corrected by the clocks' offset: 99th percentile",
            null="without a venue time in the last 5 minutes",
        ),
    ]
    request_p50_ms: Annotated[
        Milliseconds | None,
        meaning("round trip of a REST request, median of the newest 32", null="before the first"),
    ] = None
    clock_offset_ms: Annotated[
        Milliseconds | None,
        meaning(
            "the clocks' offset: the 2 % quantile of received minus venue time, which corrects latencies",
            null="without a venue time in the last 5 minutes",
        ),
    ] = None
    spread_bps: Annotated[
        Bps | None, meaning("best ask minus best bid, of the mid", null="without a book of two sides")
    ]
    top_depth: Annotated[
        BaseUnits | None,
        meaning("sizes of the best 5 levels, of the thinner side", null="without a book of two sides"),
    ]
    depth_bid: Annotated[
        tuple[BaseUnits, BaseUnits, BaseUnits] | None,
        meaning(
            "sizes of the bids within 5, 10 and 25 bps of the mid, of the best 50 levels at most",
            null="without a book of two sides",
        ),
    ] = None
    depth_ask: Annotated[
        tuple[BaseUnits, BaseUnits, BaseUnits] | None,
        meaning(
            "sizes of the asks within 5, 10 and 25 bps of the mid, of the best 50 levels at most",
            null="without a book of two sides",
        ),
    ] = None
    taker_bps: Annotated[Bps, meaning("taker fee of the lowest tier")]
    maker_bps: Annotated[Bps, meaning("maker fee of the lowest tier")]
    reliability: Annotated[Share, meaning("posterior mean of the book being LIVE and well")]
    alpha: Annotated[Pure, meaning("first parameter of that Beta posterior")]
    beta: Annotated[Pure, meaning("second parameter of that Beta posterior")]
    outage_s: Annotated[Seconds, meaning("mean time until a book that is not LIVE is again")] = 10.0
    reliability_bps: Annotated[
        Bps, meaning("what failures are expected to cost an order, and who holds what it bought")
    ] = 0.0
    basis_bps: Annotated[
        Bps | None,
        meaning("gap of its mid to the median of the usable books", null="while its book is not usable"),
    ] = None
    lasting_basis_bps: Annotated[Bps, meaning("what that gap is expected to return to")] = 0.0
    basis_at_arrival: Annotated[
        Share, meaning("what of the rest of the gap is expected to be left when an order arrives")
    ] = 1.0
    basis_at_exit: Annotated[
        Share, meaning("what of the rest of the gap is expected to be left when its position ends")
    ] = 0.0
    gaps: Annotated[
        Count, meaning("holes in the venue's sequence and the like, since first seen, over restarts of l2")
    ] = 0
    checksum_failures: Annotated[
        Count, meaning("messages whose checksum was not the venue's, since first seen, over restarts of l2")
    ] = 0
    disconnects: Annotated[
        Count, meaning("connections that ended or failed, since first seen, over restarts of l2")
    ] = 0
    rate_remaining: Annotated[
        Share,
        meaning("what is left of what l2 allows itself of the venue's REST limit; 1 where it is not told"),
    ]
    slippage_bps: Annotated[
        Bps | None,
        meaning(
            "own orders that took against their expectation, decayed mean; a cost is positive",
            null="before the first",
        ),
    ] = None
    expected_slippage_bps: Annotated[
        Bps, meaning("what of that the next order is expected to pay: shrunk to 0 with few orders")
    ] = 0.0
    fills: Annotated[Count, meaning("own fills so far")] = 0
    volatility: Annotated[
        PerDay | None, meaning("of the mid, from its minutes", null="below 5 one-minute returns")
    ] = None
    reference_cost_bps: Annotated[
        Bps | None,
        meaning(
            "all-in cost of an order of `reference_notional`, mean of buy and sell",
            null="where either is not eligible",
        ),
    ] = None
    reference_notional: Annotated[QuoteUnits, meaning("value of the order whose cost is told")] = 0.0
    reasons: Annotated[
        tuple[str, ...], meaning("why there is no reference cost, in words; empty where there is one")
    ] = ()
    epoch: Annotated[EpochMs, meaning("of the newest top; 0 without one")]
    seq: Annotated[Ordinal, meaning("of the newest top; 0 without one")]
    ts: Annotated[Ns, meaning("when this was measured")]


# --- policies ---


class PolicyState(Word):
    """What becomes of a registered policy."""

    RUNNING = "running", "it may be chosen"
    STARTING = (
        "starting",
        "it waits for a signal, its first or its next after a silence; it is not chosen yet",
    )
    QUARANTINED = "quarantined", "it broke its contract, `fault` says how; it is not run and not chosen"


class PolicyRegistered(Event, frozen=True, kw_only=True):
    """A trading policy that somebody can turn into a signal; a tombstone under the same key ends it."""

    policy_id: PolicyId
    kind: Annotated[
        str,
        meaning(
            "whose code it is; builtin: execution's own; user: a file that services/policies hosts; "
            "external: nobody's here, its signals come from outside"
        ),
    ]
    summary: Annotated[str, meaning("what it does, in a sentence")]
    parameters: Annotated[dict[str, ByName | str | bool], meaning("what it is set to, by name")] = {}
    version: Annotated[str, meaning("another one whenever the policy may decide otherwise")]
    state: Annotated[PolicyState, meaning("what becomes of it")] = PolicyState.RUNNING
    fault: Annotated[str, meaning("of a quarantined one: what it did, with its traceback; else empty")] = ""
    source: Annotated[str, meaning("where its code stands, as its host names it; empty: in execution")] = ""
    host: Annotated[str, meaning("the process that hosts it, as `policies:0`; empty: nobody does")] = ""
    joins: Annotated[
        tuple[str, ...],
        meaning("scopes that choose among it from their next choice on, unless they retired it"),
    ] = ()
    keeps_posterior: Annotated[
        bool, meaning("what was learnt of its earlier versions holds for this one; false: it starts anew")
    ] = False
    ts: Annotated[Ns, meaning("when this was said; 0: of the code, not of a moment")] = 0


class PolicySignalled(Event, frozen=True, kw_only=True):
    """What a policy wants of a symbol, for a while; the newest one of its key counts.

    Anybody may say it of a policy whose name begins with ``x_``. Of a hosted one only its version counts.
    """

    policy_id: PolicyId
    symbol: Symbol
    value: Annotated[Balance, meaning("+1 fully long, 0 flat, -1 fully short")]
    reason: Annotated[str, meaning("why, in words")] = ""
    inputs_ts: Annotated[Ns, meaning("as of when it is: nothing later was known to it")]
    valid_until_ts: Annotated[Ns, meaning("until when it may be used")]
    version: Annotated[str, meaning("of the policy that said it; empty: from outside")] = ""
    seen: Annotated[
        dict[str, Ordinal],
        meaning("of a hosted policy, by topic: the offset in the symbol's partition before which it saw all"),
    ] = {}


# --- context ---


class ContextInput(Event, frozen=True, kw_only=True):
    """A number for contexts of the router, for a while; the newest one of its key counts."""

    symbol: Annotated[str, meaning("canonical BASE-QUOTE, like BTC-USDT, or * for every symbol")]
    name: Annotated[str, meaning("of a declared field of contexts, as rr25, or of a scope's own feature")]
    value: Annotated[float, unit("the unit of its name"), meaning("as of `ts`")]
    source: Annotated[str, meaning("who says so, as deribit; `stub`: it means nothing")] = ""
    ts: Annotated[Ns, meaning("as of when it is")]
    valid_until_ts: Annotated[Ns, meaning("until when it may be used")]


class SourceState(Word):
    """How a source of context inputs stands."""

    FRESH = "fresh", "it answers, and what it says is new enough"
    STALE = "stale", "it answers, but what it says is old"
    LIMITED = "limited", "it asked for fewer requests; it is left alone for a while"
    FAILING = "failing", "it does not answer, or what it answers cannot be used"


class ContextSource(Event, frozen=True, kw_only=True):
    """How a source of context inputs stands; told with each request, and a tombstone ends it."""

    source: Annotated[str, meaning("name of the source, as in the inputs that it gives")]
    names: Annotated[tuple[str, ...], meaning("names of the inputs that it can give")]
    state: Annotated[SourceState, meaning("how it stands")]
    reason: Annotated[str, meaning("why it stands so, in words; empty while it is fresh")] = ""
    inputs: Annotated[Count, meaning("inputs that its newest answer gave")] = 0
    requests: Annotated[Count, meaning("asked of it since its process started")] = 0
    failures: Annotated[Count, meaning("of these, those that gave nothing")] = 0
    answered_ts: Annotated[Ns | None, meaning("when it last gave something", null="before it ever did")] = (
        None
    )
    next_ts: Annotated[Ns, meaning("when it is asked again")]
    ts: SaidTs


# --- router ---


class ChoosePolicy(Command, frozen=True, kw_only=True):
    """Choose a trading policy for a context; values by the names of ``libs/common/context_fields.py``."""

    scope: Scope = "default"
    context: Annotated[
        dict[str, ByName | str],
        meaning("what is known, by name; `symbol` fills in live values, and what is missing then is imputed"),
    ]
    policies: Annotated[
        tuple[str, ...], meaning("names of the policies that may be chosen now; empty: all of the scope")
    ] = ()
    arms: Annotated[
        dict[str, dict[str, ByName]],
        meaning("what is known of a policy alone, by policy and name, as `signal`; what is missing is 0"),
    ] = {}
    reward_within_s: Annotated[
        Seconds | None,
        meaning(
            "after this `default_reward` is learnt",
            null="where it waits for its reward as long as it is remembered",
        ),
    ] = None
    default_reward: Annotated[Returns, meaning("what is learnt where no reward comes in time")] = 0.0


class PolicyChosen(Event, frozen=True, kw_only=True):
    """The answer to ChoosePolicy, with all that is needed to draw it again; `command_id` is the decision."""

    command_id: CommandId
    scope: Scope
    policy_id: Annotated[str, meaning("name of the policy that was chosen")]
    score: Annotated[Returns, meaning("the chosen policy's sampled expected reward")]
    exploration_bonus: Annotated[
        Returns, meaning("score minus the policy's posterior mean, signed: how much of the score was chance")
    ]
    propensity: Annotated[Share, meaning("probability with which this policy was chosen")]
    explored: Annotated[bool, meaning("drawn by the uniform part of the mixture, not by score")]
    scores: Annotated[
        dict[str, Returns],
        meaning(
            "sampled expected rewards by policy, of those that could be chosen: registered and asked for"
        ),
    ]
    means: Annotated[
        dict[str, Returns], meaning("posterior means of the expected reward at this context, by policy")
    ]
    propensities: Annotated[
        dict[str, Share], meaning("probabilities of being chosen, by policy; they sum to 1")
    ]
    width: Annotated[Returns, meaning("90 % credible width of the chosen policy's expected reward")]
    prior_width: Annotated[Returns, meaning("that width at this context before any reward")]
    forecast_vol: Annotated[
        PerDay | None,
        meaning("forecast of the volatility that was used: the input sigmaHAR", null="where nobody gave it"),
    ]
    features: Annotated[
        dict[str, Pure],
        meaning(
            "the chosen policy's vector by feature name, as the model sees it; others differ in `arms` alone"
        ),
    ]
    arms: Annotated[
        dict[str, dict[str, ByName]], meaning("values used that are a policy's alone, by policy and name")
    ] = {}
    inputs: Annotated[
        dict[str, ByName | str], meaning("values used, by name, before transformation, live ones included")
    ]
    filled: Annotated[tuple[str, ...], meaning("names of inputs that were filled from live topics")] = ()
    sources: Annotated[
        dict[str, str],
        meaning("who said each filled input, by its name: books, candles, or a source of inputs"),
    ] = {}
    unfitted: Annotated[
        tuple[str, ...],
        meaning(
            "names of filled inputs whose model is not fitted yet: too few hours, so its prior weights count"
        ),
    ] = ()
    missing: Annotated[tuple[str, ...], meaning("names of inputs without a value")] = ()
    ignored: Annotated[
        tuple[str, ...], meaning("keys of the context and names in `arms` that are no input, left out")
    ] = ()
    reward_within_s: Annotated[
        Seconds | None,
        meaning("after this `default_reward` is learnt", null="where none is"),
    ] = None
    default_reward: Annotated[Returns, meaning("what is learnt where no reward comes in time")] = 0.0
    layout: Annotated[Ordinal, meaning("version of the feature vector")]
    layout_version: Annotated[
        str, meaning("the same with a digest of the scope's own features, as 2-9f3a12c4; empty: without any")
    ] = ""
    versions: Annotated[
        dict[str, Ordinal], meaning("version of the posterior by policy: its rewards counted so far")
    ]
    policy_version: Annotated[
        str, meaning("version of the chosen policy, as it was registered; empty: of an older version")
    ] = ""
    ts: Annotated[Ns, meaning("when it was chosen")]


class RewardPolicy(Command, frozen=True, kw_only=True):
    """Teach the router what a policy earned, in return units net of costs."""

    scope: Scope = "default"
    policy_id: Annotated[str, meaning("name of the policy that earned it")]
    reward: Annotated[Returns, meaning("what it earned, net of costs")]
    context: Annotated[
        dict[str, ByName | str], meaning("what was known, by name; used where no decision is named")
    ] = {}
    decision_id: Annotated[
        str | None, meaning("UUID of the ChoosePolicy that is rewarded", null="where none is named")
    ] = None
    void: Annotated[
        str, meaning("why the decision teaches nothing: it is closed, and `reward` is not learnt; else empty")
    ] = ""


class PolicyRewarded(Event, frozen=True, kw_only=True):
    """The answer to RewardPolicy; also told where no reward came in time, under an id of its own."""

    command_id: CommandId
    scope: Scope
    policy_id: Annotated[str, meaning("name of the policy that earned it")]
    reward: Annotated[Returns, meaning("as sent, or the decision's default")]
    decision_id: Annotated[
        str | None, meaning("UUID of the ChoosePolicy that is rewarded", null="where none was named")
    ]
    counted: Annotated[bool, meaning("false: nothing was learnt, see `reason`")]
    learnt: Annotated[
        Returns | None,
        meaning(
            "the reward that was learnt, within 6 noise scales of what was expected", null="where nothing was"
        ),
    ] = None
    defaulted: Annotated[bool, meaning("no reward came in time, and the decision's default is learnt")] = (
        False
    )
    reason: Annotated[
        str,
        meaning(
            "why it was not counted, as `decision expired`, or how, where it is a default or was clipped; "
            "empty where it was learnt as sent"
        ),
    ] = ""
    updates: Annotated[Count, meaning("rewards of the policy counted so far, this one included")]
    mean_reward: Annotated[Returns, meaning("of the policy's rewards, this one included; 0 before the first")]
    drift_alarm: Annotated[
        bool, meaning("rewards left what the model expects: a challenger began that forgot the past")
    ] = False
    ts: Annotated[Ns, meaning("when it was learnt, or found not to count")]


class AddPolicy(Command, frozen=True, kw_only=True):
    """Let the router of a scope choose one more registered policy; a retired one comes back as it was."""

    scope: Scope = "default"
    policy_id: PolicyId
    expected_reward: Annotated[
        Returns | None,
        meaning("what a decision for it earns, as stated", null="where nothing is: then 0 is expected"),
    ] = None
    confidence: Annotated[
        Pure | None, meaning("rewards that the stated one is worth", null="where none is stated")
    ] = None


class RetirePolicy(Command, frozen=True, kw_only=True):
    """Choose a policy no more; its late rewards still count, and the others keep what they learnt."""

    scope: Scope = "default"
    policy_id: PolicyId


class DeclaredFeature(Part, frozen=True, kw_only=True):
    """A number of contexts that a scope has beside those of all, and what is expected of it."""

    name: Annotated[str, meaning("as contexts and context inputs name it")]
    low: Annotated[float, unit("the unit of its name"), meaning("the least value that can be meant")]
    high: Annotated[float, unit("the unit of its name"), meaning("the greatest value that can be meant")]
    mean: Annotated[float, unit("the unit of its name"), meaning("guessed, worth 20 values")]
    sd: Annotated[float, unit("the unit of its name"), meaning("guessed standard deviation, likewise")]


class DeclareFeatures(Command, frozen=True, kw_only=True):
    """Begin a scope with features of its own; what a scope declared once, it has for ever."""

    scope: Scope
    features: Annotated[tuple[DeclaredFeature, ...], meaning("in the order of the vector")]


class FeaturesDeclared(Event, frozen=True, kw_only=True):
    """The answer to DeclareFeatures."""

    command_id: CommandId
    scope: Scope
    features: Annotated[tuple[DeclaredFeature, ...], meaning("of the scope, in the order of the vector")]
    layout_version: Annotated[str, meaning("of its feature vector")]
    changed: Annotated[bool, meaning("false: it was so already")]
    ts: Annotated[Ns, meaning("when it was declared, or found to be so")]


class PoliciesChanged(Event, frozen=True, kw_only=True):
    """The answer to AddPolicy and RetirePolicy."""

    command_id: CommandId
    scope: Scope
    policy_id: Annotated[str, meaning("name of the policy that was added or retired")]
    policies: Annotated[tuple[str, ...], meaning("names of those that may be chosen, after this")]
    changed: Annotated[bool, meaning("false: it was so already")]
    ts: Annotated[Ns, meaning("when it was changed, or found to be so")]


class OffPolicyEstimate(Part, frozen=True, kw_only=True):
    """What always choosing one policy would have earned, over the decisions that tell of it."""

    value: Annotated[
        Returns | None,
        meaning(
            "mean reward of a decision, as estimated", null="while it was not chosen in one with overlap"
        ),
    ] = None
    low: Annotated[
        Returns | None,
        meaning("lower end of its 95 % interval, which holds whenever it is looked at", null="see `why`"),
    ] = None
    high: Annotated[Returns | None, meaning("upper end of that interval", null="see `why`")] = None
    overlap: Annotated[
        Share, meaning("of its rewarded decisions, those with overlap: it was chosen with 2 % or more")
    ] = 0.0
    why: Annotated[str, meaning("why there is no interval; empty where there is one")] = ""


class PolicyBelief(Part, frozen=True, kw_only=True):
    """The posterior of a policy's expected reward at the last choice's context: a mixture of Student's t.

    Its density at y is ``Σ_q w_q t((y - m_q)/s_q)/s_q``: w the snapshot's `weights`, m and s the `means` and
    `scales`, t the density of Student's t with these `degrees` of freedom.
    """

    degrees: Annotated[Pure, meaning("degrees of freedom of each t of the mixture")]
    means: Annotated[
        tuple[Returns, ...], meaning("by copy of the model, in the order of the snapshot's `weights`")
    ]
    scales: Annotated[tuple[Returns, ...], meaning("of each t, in the same order")]
    best: Annotated[
        Share | None,
        meaning(
            "probability that no other policy that may be chosen now has a larger expected reward",
            null="while it may not be chosen",
        ),
    ] = None


class PolicySummary(Part, frozen=True, kw_only=True):
    """What is known of one policy."""

    policy_id: PolicyId
    updates: Annotated[Count, meaning("its rewards counted so far")]
    mean_reward: Annotated[Returns | None, meaning("of all its rewards", null="before the first")]
    estimate: Annotated[
        Returns, meaning("posterior mean of its expected reward at the context of the last choice")
    ]
    low: Annotated[Returns, meaning("lower end of the 90 % credible interval of that expected reward")]
    high: Annotated[Returns, meaning("upper end of the 90 % credible interval of that expected reward")]
    choices: Annotated[Count, meaning("how often it was chosen, so far")]
    share: Annotated[Share, meaning("of all choices of the scope")]
    expected_reward: Annotated[
        Returns | None, meaning("stated before its first reward", null="where none was stated")
    ] = None
    confidence: Annotated[
        Pure | None, meaning("rewards that the stated one is worth", null="where none was stated")
    ] = None
    registered: Annotated[
        bool, meaning("false: nobody implements it, or it is quarantined, so it is not chosen")
    ] = True
    version: Annotated[
        str, meaning("of the policy that the posterior is of; empty: before its first choice")
    ] = ""
    rewarded: Annotated[
        Count, meaning("rewarded decisions in which it could be chosen; `dr.overlap` of them count there")
    ]
    ess: Annotated[Pure, meaning("effective sample size of `dr`: (Σw)²/Σw² of its importance weights w")]
    dr: Annotated[
        OffPolicyEstimate | None,
        meaning("value of always this policy, doubly robust", null="in snapshots of version 0.1"),
    ] = None
    belief: Annotated[
        PolicyBelief | None,
        meaning(
            "what `estimate`, `low` and `high` sum up, whole, and the probability of being best",
            null="where an older version wrote it",
        ),
    ] = None


class RouterMemory(Part, frozen=True, kw_only=True):
    """One copy of the model of a scope."""

    name: Annotated[str, meaning("what it forgets: `discount 0.99`, `keeps all`, `challenger`")]
    weight: Annotated[
        Share, meaning("how much the choices trust it, by how well it foresaw rewards; all sum to 1")
    ]


class RouterSnapshot(Event, frozen=True, kw_only=True):
    """The state of a scope after its last command, for people."""

    scope: Scope
    last_choice: Annotated[str | None, meaning("policy chosen last", null="before the first choice")]
    decision_id: Annotated[str | None, meaning("UUID of the last choice", null="before the first choice")]
    decided_ts: Annotated[Ns | None, meaning("when it was chosen", null="before the first choice")]
    sampled_scores: Annotated[
        dict[str, Returns], meaning("sampled expected rewards of the last choice, by policy")
    ]
    features: Annotated[
        dict[str, Pure], meaning("the vector of the last choice by feature name, as the model sees it")
    ]
    inputs: Annotated[
        dict[str, ByName | str], meaning("values that the last choice used, by name, before transformation")
    ]
    filled: Annotated[tuple[str, ...], meaning("names of its inputs that were filled from live topics")]
    sources: Annotated[
        dict[str, str],
        meaning("who said each filled input, by its name: books, candles, or a source of inputs"),
    ] = {}
    missing: Annotated[tuple[str, ...], meaning("names of its inputs without a value")]
    policies: Annotated[
        tuple[PolicySummary, ...], meaning("those that may be chosen while they are registered")
    ]
    retired: Annotated[tuple[str, ...], meaning("names of policies that may be chosen no more")]
    best: Annotated[
        str | None,
        meaning(
            "name of the policy proven to earn more than every other where both could be chosen; "
            "ever a wrong one in 5 % of scopes at most",
            null="while none is proven best, see `best_why`",
        ),
    ] = None
    best_why: Annotated[str, meaning("by how much it is proven better, or what is not proven yet")] = ""
    choices: Annotated[Count, meaning("of the scope, so far")]
    updates: Annotated[Count, meaning("rewards counted so far, of the policies that may be chosen")]
    noise: Annotated[Returns, meaning("present scale of rewards around their means")]
    memories: Annotated[
        tuple[RouterMemory, ...], meaning("the copies of the model, which differ in how fast they forget")
    ] = ()
    weights: Annotated[
        tuple[Share, ...],
        meaning(
            "of the copies that choices draw from, which the policies' beliefs are over; they sum to 1; "
            "empty: an older version wrote it"
        ),
    ] = ()
    drift_alarms: Annotated[Count, meaning("challengers that began in the scope, so far")]
    ignored_keys: Annotated[Count, meaning("keys of contexts that are no input, so far")]
    pending: Annotated[Count, meaning("decisions and answers remembered")]
    stubs: Annotated[
        tuple[str, ...], meaning("names of inputs that a stub provides: their values mean nothing")
    ]
    layout: Annotated[Ordinal, meaning("version of the feature vector")]
    layout_version: Annotated[
        str, meaning("the same with a digest of the scope's own features, as 2-9f3a12c4; empty: without any")
    ] = ""
    declared: Annotated[
        tuple[DeclaredFeature, ...], meaning("the scope's own features, in the order of the vector")
    ] = ()
    ts: Annotated[Ns, meaning("when the last command was carried out")]


class RouterContrasts(Part, frozen=True, kw_only=True):
    """Sums over rewarded decisions, of the differences between every two policies."""

    names: Annotated[tuple[str, ...], meaning("of the policies, in the order of the sums")] = ()
    sums: Annotated[
        bytes,
        meaning("H, D, Q and X of pairs (0, 1), (0, 2) ... (1, 2) ..., float64, little-endian"),
    ] = b""


class RouterScopeState(Event, frozen=True, kw_only=True):
    """State, private: what the policies of a scope share."""

    layout: Annotated[Ordinal, meaning("version of the feature vector")]
    declared: Annotated[
        tuple[DeclaredFeature, ...], meaning("the scope's own features, in the order of the vector")
    ] = ()
    policies: Annotated[tuple[str, ...], meaning("names of those that may be chosen")]
    retired: Annotated[tuple[str, ...], meaning("names of those that may be chosen no more")] = ()
    joined: Annotated[
        tuple[str, ...],
        meaning("names of `policies` that joined by themselves; whose last choice is newest stands last"),
    ] = ()
    means: Annotated[
        tuple[ByName, ...], meaning("running means of the inputs as the model sees them, by layout")
    ]
    variances: Annotated[
        tuple[Annotated[float, unit("squared unit of the input")], ...],
        meaning("running variances of the inputs as the model sees them, by layout"),
    ]
    counts: Annotated[
        tuple[Count, ...],
        meaning("values seen of the inputs, by layout, the 20 that the prior is worth included"),
    ]
    choices: Annotated[Count, meaning("of the scope, so far")] = 0
    chosen: Annotated[
        dict[str, Count], meaning("how often each policy was, by name; those with its posterior come on top")
    ] = {}
    mixture: Annotated[
        bytes,
        meaning("what all posteriors share, packed: weights, noise, alarm; empty: as before any reward"),
    ] = b""
    priors: Annotated[
        dict[str, tuple[Returns, Pure]],
        meaning("the stated expected reward, and the rewards that it is worth, by policy"),
    ] = {}
    drift_alarms: Annotated[Count, meaning("challengers that began in the scope, so far")] = 0
    ignored_keys: Annotated[Count, meaning("keys of contexts that are no input, so far")] = 0
    evaluation: Annotated[
        dict[
            str,
            tuple[
                Annotated[float, unit("of seen, n, w, w², φ, (we)², max (we)²: φ, e in return units")], ...
            ],
        ],
        meaning(
            "sums of the off-policy value over rewarded decisions, by policy; older versions kept 8 others"
        ),
    ] = {}
    contrasts: Annotated[
        RouterContrasts, meaning("the same of the differences between every two policies")
    ] = RouterContrasts()
    last: Annotated[PolicyChosen | None, meaning("choice", null="before the first")] = None
    used_ts: Annotated[Ns, meaning("when its last command was carried out")] = 0
    archive_ts: Annotated[
        Ns | None, meaning("when it is looked at whether it is idle", null="while it is archived")
    ] = None
    default_ts: Annotated[
        Ns | None,
        meaning("when it is looked at which decisions are to learn their default", null="while none waits"),
    ] = None
    awaited_ts: Annotated[Ns, meaning("until when its decisions wait for rewards")] = 0
    stepped_ns: Annotated[
        SpanNs,
        meaning("by how much the clock was set since the scope began; answers have the clock of then"),
    ] = 0


class RouterPolicyState(Event, frozen=True, kw_only=True):
    """State, private: the posterior of one policy; arrays of older versions are float64, row by row."""

    version: Annotated[
        str,
        meaning("of the policy that earned its rewards, as registered; empty: of an older version"),
    ] = ""
    renewed_ts: Annotated[
        Ns, meaning("when it began anew for another version, by the clock of answers; 0: it never did")
    ] = 0
    kept_versions: Annotated[
        tuple[str, ...],
        meaning(
            "versions before it whose posterior it is too, so that their decisions teach it: the newest 32"
        ),
    ] = ()
    posterior: Annotated[bytes, meaning("of every copy of the model, packed; empty: the prior's")] = b""
    updates: Annotated[Count, meaning("its rewards counted so far")] = 0
    reward_sum: Annotated[Returns, meaning("sum of its rewards")] = 0.0
    choices: Annotated[
        Count, meaning("how often it was chosen, as older versions counted it; the scope counts on")
    ] = 0
    precision: Annotated[
        bytes, meaning("A, (d, d), as older versions kept it; read and replaced at a start")
    ] = b""
    shift: Annotated[bytes, meaning("h, (d,), as older versions kept it")] = b""
    shape: Annotated[
        Pure, meaning("a, the data's part of the shape of the noise, as older versions kept it")
    ] = 0.0
    rate: Annotated[
        Annotated[float, unit("squared return units")],
        meaning("B, the data's part of the rate of the noise, as older versions kept it"),
    ] = 0.0


class RouterAnswer(Remembered, frozen=True, kw_only=True):
    """State, private: an answer remembered, so that its command is answered again and not done again."""

    answer: Annotated[
        PolicyChosen | PolicyRewarded | PoliciesChanged | FeaturesDeclared, meaning("as it was given")
    ]
    rewarded: Annotated[
        bool, meaning("of a decision: its reward was counted, or its default, or it is void: it is closed")
    ] = False
    defaulted: Annotated[
        bool, meaning("of a decision: no reward came in time, and its default was counted")
    ] = False
    void: Annotated[str, meaning("of a decision that teaches nothing: why; else empty")] = ""


class RouterIntake(Event, frozen=True, kw_only=True):
    """State, private: how many scopes a partition keeps, and how many of them began in this minute."""

    scopes: Annotated[Count, meaning("kept, the archived ones included")]
    minute_ts: Annotated[Ns, meaning("when the minute began")]
    begun: Annotated[Count, meaning("scopes that began in it")]


class RouterSlot(Event, frozen=True, kw_only=True):
    """State, private: the place of an answer, as older versions kept it; read and replaced at a start."""

    command_id: Annotated[str, meaning("UUID of the remembered command")]
    ts: Annotated[Ns, meaning("of its answer, less the `stepped_ns` of its scope")]


# --- portfolio ---

BOOK: Final = "default"  # the one book: every fill belongs to it, and every execution is sized by its risk

BookName: TypeAlias = Annotated[str, meaning("name of the portfolio's book")]
CvarBudget: TypeAlias = Annotated[PerDay, meaning("most CVaR allowed: the expected loss on the worst days")]
VolTarget: TypeAlias = Annotated[PerDay, meaning("volatility ceiling")]
Confidence: TypeAlias = Annotated[
    Share, meaning("of the CVaR: the worst days are the 1 - `confidence` of all, at 0.95 one in twenty")
]
CvarMode: TypeAlias = Annotated[
    Literal["sum_cvar", "portfolio_cvar"],
    meaning(
        "what the CVaR budget limits; sum_cvar: the weighted sum of the symbols' CVaRs; "
        "portfolio_cvar: the CVaR of the portfolio"
    ),
]
Lookback: TypeAlias = Annotated[
    Days | None, meaning("of each symbol's own history, 20 at least", null="for all there is")
]
HalfLife: TypeAlias = Annotated[
    Annotated[float, unit("days")] | None,
    meaning(
        "age at which a day weighs half as much in volatility and CVaR",
        null="where an older version, whose days weighed the same, wrote it",
    ),
]
EffectiveDays: TypeAlias = Annotated[
    Annotated[float, unit("days")],
    meaning("days of equal weight that would be as certain as its weighted ones: 1 / sum of squared weights"),
]


class SuspectDay(Part, frozen=True, kw_only=True):
    """A day whose move is out of all proportion: more than 20 robust sigmas."""

    symbol: Annotated[str, meaning("canonical BASE-QUOTE")]
    day_ts: Annotated[Ns, meaning("start of the day")]
    change: Annotated[PerDay, meaning("of the close against that of the day before")]
    kept: Annotated[
        bool,
        meaning(
            "whether it counts; a bad print, with the day that took it back, does not, and what no day "
            "beside it confirms counts as 20 sigmas"
        ),
    ]
    why: Annotated[str, meaning("it is kept or left out, in words")]


class OptimizePortfolio(Command, frozen=True, kw_only=True):
    """Find weights under a CVaR budget and a volatility ceiling."""

    book: Annotated[str, meaning("name of the portfolio's book; it chooses the partition")] = BOOK
    symbols: Annotated[
        tuple[str, ...], meaning("canonical BASE-QUOTE, among which the capital is shared out")
    ]
    cvar_budget: CvarBudget
    vol_target: VolTarget
    mode: CvarMode = "sum_cvar"
    lookback: Lookback = None
    confidence: Confidence = 0.95


class PortfolioOptimized(Event, frozen=True, kw_only=True):
    """The answer to OptimizePortfolio, with all that is needed to compute its utility again.

    The utility is ``mean'w - risk_aversion / 2 w'covariance w``. Limits are named as their fields:
    ``cvar_budget``, ``vol_target``, and ``invested`` for the whole of the capital.
    """

    command_id: CommandId
    book: BookName
    mode: CvarMode
    status: Annotated[
        Literal["optimal", "all_cash", "tolerance_not_met", "insufficient_history"],
        meaning(
            "whether the weights are the best there are; optimal: no others within the limits are better by "
            "more than `gap`, which is within the tolerance; all_cash: no symbol has a positive expected "
            "return; "
            "tolerance_not_met: within the limits, but better by up to `gap` may exist; "
            "insufficient_history: no symbol has `needed` days, so all is cash"
        ),
    ]
    reason: Annotated[str, meaning("why this status, in words")]
    symbols: Annotated[tuple[str, ...], meaning("canonical BASE-QUOTE, as asked for")]
    dropped: Annotated[
        tuple[str, ...],
        meaning("symbols of weight 0: of fewer days than `needed`, or ended"),
    ] = ()
    weights: Annotated[dict[str, OfCapital], meaning("by symbol")]
    cash: Annotated[OfCapital, meaning("1 less the weights")]
    vol: Annotated[PerDay, meaning("volatility of the weights under `covariance`: sqrt(w' covariance w)")]
    vol_historical: Annotated[
        PerDay, meaning("standard deviation of what the weights returned over the weighted days")
    ]
    cvar_sum: Annotated[
        PerDay,
        meaning("sum of weight times cvar_by_symbol; at least `cvar_portfolio` where all have the same days"),
    ]
    cvar_portfolio: Annotated[
        PerDay,
        meaning("CVaR of the weights over the weighted days, those that a symbol lacks filled in"),
    ]
    cvar_by_symbol: Annotated[
        dict[str, PerDay],
        meaning("CVaR of one unit of weight over its own days, at least 0; no entry without history"),
    ]
    cvar_limits: Annotated[
        dict[str, PerDay],
        meaning("cvar_by_symbol as the budget counts it, with the caution of its days and `caution`"),
    ]
    caution: Annotated[
        Pure,
        meaning(
            "times which the budget counts the CVaR, at least 1: what portfolios fitted to some of the days "
            "lost on the others, in CVaRs"
        ),
    ] = 1.0
    caution_reason: Annotated[
        str, meaning("from what `caution` was estimated; empty: an older version counted it once")
    ] = ""
    expected_return: Annotated[PerDay, meaning("mean'w")]
    utility: Annotated[PerDay, meaning("mean'w - risk_aversion / 2 w' covariance w")]
    gap: Annotated[
        PerDay,
        meaning(
            "proven: no weights within the limits, the CVaR counted `caution` times, have a utility greater "
            "by more"
        ),
    ]
    kelly: Annotated[
        dict[str, OfCapital],
        meaning("advisory: a fraction of mean / variance, clipped, of each symbol on its own"),
    ]
    binding: Annotated[tuple[str, ...], meaning("names of the limits with a positive shadow price")]
    shadow_prices: Annotated[
        dict[str, Annotated[float, unit("utility per unit of the limit")]],
        meaning("by name of the limit, at this `caution`"),
    ]
    observations: Annotated[Days, meaning("of the symbol that has the fewest, those dropped apart")]
    observations_by_symbol: Annotated[
        dict[str, Days], meaning("days of returns of each symbol; empty: an older version had one number")
    ] = {}
    filled_days: Annotated[
        dict[str, Days],
        meaning(
            "days that a symbol lacks and others have; the portfolio's CVaR takes what its regression on the "
            "others says of them, and its residuals; an entry only for those that lack days"
        ),
    ] = {}
    suspect_days: Annotated[
        tuple[SuspectDay, ...],
        meaning(
            "moves out of all proportion, by symbol and day, the newest 20 of each; bad prints among them"
        ),
    ] = ()
    effective_days: Annotated[
        EffectiveDays | None, meaning("of the days that any symbol has", null="without history")
    ] = None
    half_life_days: HalfLife = None
    needed: Annotated[Days, meaning("of each symbol, below which it is dropped, and all is cash if all are")]
    first_day_ts: Annotated[
        Ns | None, meaning("start of the first day that any symbol has", null="without such a day")
    ]
    last_day_ts: Annotated[
        Ns | None, meaning("start of the last day that any symbol has", null="without such a day")
    ]
    horizon_days: Annotated[Days, meaning("horizon of returns, volatilities and CVaR")] = 1
    confidence: Confidence
    cvar_budget: CvarBudget
    vol_target: VolTarget
    lookback: Lookback
    mean: Annotated[dict[str, PerDay], meaning("shrunk expected returns, by symbol")]
    covariance: Annotated[
        tuple[tuple[Annotated[float, unit("squared fraction per day")], ...], ...],
        meaning("shrunk covariances of the returns, rows and columns in the order of `mean`"),
    ]
    risk_aversion: Annotated[Annotated[float, unit("per unit of variance")], meaning("of the utility")]
    venue: Annotated[str, meaning("id of the exchange whose daily candles were used")]
    ts: Annotated[Ns, meaning("when it was optimised")]


class AssessRisk(Command, frozen=True, kw_only=True):
    """Measure the risk of the positions of a book anew; answered by RiskBudget."""

    book: BookName = BOOK
    position: Annotated[
        Position | None,
        meaning("newer perhaps than what the book's partition has seen of it", null="where nothing is newer"),
    ] = None


class Position(Event, frozen=True, kw_only=True):
    """What is held of a symbol, from all its fills; amounts are signed."""

    symbol: Symbol
    quantity: Annotated[BaseAmount, meaning("what is held, signed")]
    basis: Annotated[QuoteAmount, meaning("average cost times quantity, signed")]
    avg_price: Annotated[QuoteAmount | None, meaning("average cost of what is held", null="while flat")]
    mark: Annotated[
        QuoteUnits | None, meaning("mid of a LIVE book, else the last known", null="before the first fill")
    ]
    mark_ts: Annotated[Ns | None, meaning("when the mark was known", null="before the first fill")]
    realized_pnl: Annotated[QuoteAmount, meaning("profit of what was closed, fees apart")]
    unrealized_pnl: Annotated[QuoteAmount, meaning("profit of what is held, at the mark")]
    fees: Annotated[QuoteAmount, meaning("of all fills")]
    cash: Annotated[QuoteAmount, meaning("paid (-) and received (+), fees included")]
    fills: Annotated[Count, meaning("of the symbol, so far")]
    ts: Annotated[Ns, meaning("when it was filled or marked last")]


class SymbolRisk(Part, frozen=True, kw_only=True):
    """A symbol's part of the risk."""

    cvar: Annotated[
        PerDay,
        meaning(
            "CVaR of one unit of weight, in the direction held (long where nothing is), with the caution of "
            "its days, at least 0"
        ),
    ]
    vol: Annotated[PerDay, meaning("present volatility of its returns: newer days weigh more")]
    weight: Annotated[OfEquity, meaning("position at its mark, signed")]
    used: Annotated[PerDay, meaning("|weight| times cvar: what it uses of the budget")]
    observations: Annotated[Days, meaning("of its history")] = 0
    effective_days: EffectiveDays = 0.0
    left_out: Annotated[Days, meaning("of its history that are bad prints, or whose close is no price")] = 0
    assumed: Annotated[
        bool, meaning("held with too little history, or one that has ended: a total loss in a day is assumed")
    ] = False


class RiskBudget(Event, frozen=True, kw_only=True):
    """How much of the CVaR budget the positions use; what sizing must stay within."""

    book: BookName
    equity: Annotated[QuoteAmount, meaning("initial capital plus all profit and loss")]
    cvar_budget: CvarBudget
    cvar_used: Annotated[PerDay, meaning("what the positions use of the budget")]
    cvar_left: Annotated[PerDay, meaning("what is left of the budget, at least 0")]
    by_symbol: Annotated[
        dict[str, SymbolRisk], meaning("each symbol with enough history, and each held, by canonical symbol")
    ]
    confidence: Confidence
    observations: Annotated[Days, meaning("of history, the least of any symbol")]
    half_life_days: HalfLife = None
    venue: Annotated[str, meaning("id of the exchange whose daily candles were used; empty: not told")] = ""
    day_ts: Annotated[
        Ns | None, meaning("begin of the UTC day that the next two are of", null="an older version wrote it")
    ] = None
    day_equity: Annotated[
        QuoteAmount | None,
        meaning(
            "equity at the day's begin: the last one assessed before it; without such a one, the day's first",
            null="an older version wrote it",
        ),
    ] = None
    day_high: Annotated[
        QuoteAmount | None,
        meaning("highest equity assessed that day, its begin included", null="an older version wrote it"),
    ] = None
    ts: Annotated[Ns, meaning("when it was assessed")]


class EquityMarked(Event, frozen=True, kw_only=True):
    """What a book is worth: at the first assessment, each UTC minute, and after each fill."""

    book: BookName
    equity: Annotated[QuoteAmount, meaning("initial capital plus all profit and loss")]
    capital: Annotated[QuoteAmount, meaning("the book's initial capital")]
    realized_pnl: Annotated[QuoteAmount, meaning("profit of what was closed, of all symbols, fees apart")]
    unrealized_pnl: Annotated[QuoteAmount, meaning("profit of what is held, at the marks")]
    fees: Annotated[QuoteAmount, meaning("of all fills so far")]
    values: Annotated[
        dict[str, QuoteAmount], meaning("each position at its mark, signed, by symbol; those not flat")
    ] = {}
    quantities: Annotated[
        dict[str, BaseAmount], meaning("what is held of each symbol, signed, by symbol; those not flat")
    ] = {}
    marks: Annotated[
        dict[str, QuoteUnits], meaning("mid of each symbol that has a LIVE book, held or not, by symbol")
    ] = {}
    fills: Annotated[Count, meaning("of all symbols, so far")]
    cause: Annotated[Literal["minute", "fill"], meaning("why it was marked now")]
    ts: Annotated[Ns, meaning("when it was marked")]


class PortfolioHolding(Event, frozen=True, kw_only=True):
    """State, private: a position, and when it is marked next."""

    position: Annotated[Position, meaning("as it is")]
    next_mark_ts: Annotated[Ns | None, meaning("when it is marked next", null="while no tick is pending")] = (
        None
    )


class PortfolioBook(Event, frozen=True, kw_only=True):
    """State, private: when a book is assessed next, and positions newer than the view of them was."""

    next_assessment_ts: Annotated[
        Ns | None, meaning("when the book is assessed next", null="while no tick is pending")
    ]
    ahead: Annotated[
        dict[str, Position], meaning("positions that fills told of and the view had not seen, by symbol")
    ] = {}
    symbols: Annotated[Count, meaning("those whose risk was known at the last assessment")] = 0
    equity: Annotated[
        QuoteAmount | None, meaning("as assessed last", null="before the first, and of an older version")
    ] = None
    day_ts: Annotated[
        Ns | None, meaning("begin of the UTC day that the next two are of", null="as with `equity`")
    ] = None
    day_equity: Annotated[
        QuoteAmount | None, meaning("equity at the day's begin", null="as with `equity`")
    ] = None
    day_high: Annotated[
        QuoteAmount | None, meaning("highest equity assessed that day", null="as with `equity`")
    ] = None
    next_minute_ts: Annotated[
        Ns | None, meaning("when its equity is marked next", null="while no tick is pending")
    ] = None
    minute_ts: Annotated[
        Ns | None, meaning("begin of the UTC minute whose equity was marked last", null="before the first")
    ] = None


class PortfolioRemembered(Remembered, frozen=True, kw_only=True):
    """State, private: something done under an id that may come again; the answer, where there was one."""

    answer: Annotated[
        PortfolioOptimized | None, meaning("as it was given", null="where there was none to give")
    ]


class PortfolioSlot(Event, frozen=True, kw_only=True):
    """State, private: the place of an id, as older versions kept it; read and replaced at a start."""

    remembered: Annotated[str, meaning("the id")]
    count: Annotated[Count, meaning("ids of its kind that were remembered before it")]


# --- execution ---


class ExecutionStatus(Word):
    """How far an execution is; the last four are final."""

    PLANNING = "planning", "policy, size, venue and plan are being found"
    WORKING = "working", "children are sent"
    COMPLETED = "completed", "filled, but for a rest under the venue's minimum"
    CANCELED = "canceled", "as was wished"
    FAILED = "failed", "ended with a rest, or before a plan; `reason` says why"
    SKIPPED = "skipped", "nothing to do: no signal to use, flat signal, or size 0"

    @property
    def final(self) -> bool:
        """Nothing more is sent to a venue."""
        return self not in (ExecutionStatus.PLANNING, ExecutionStatus.WORKING)


class OrdStatus(Word):
    """FIX OrdStatus (39)."""

    PENDING_NEW = "pending_new", "on its way to the venue"
    NEW = "new", "at the venue, nothing filled yet"
    PARTIALLY_FILLED = "partially_filled", "partly filled, and the rest rests"
    FILLED = "filled", "filled whole"
    CANCELED = "canceled", "ended with a rest; `cum_qty` was filled before"
    REJECTED = "rejected", "the venue refused it"

    @property
    def open(self) -> bool:
        """More may be filled."""
        return self in (OrdStatus.PENDING_NEW, OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)


class ExecType(Word):
    """FIX ExecType (150): what happened last."""

    PENDING_NEW = "pending_new", "it was sent"
    NEW = "new", "the venue took it"
    TRADE = "trade", "it was filled, in part or whole"
    CANCELED = "canceled", "what was left of it was taken off"
    REJECTED = "rejected", "the venue refused it"


OrdType: TypeAlias = Literal["market", "limit"]
TimeInForce: TypeAlias = Literal["ioc", "gtc"]

# Fields that mean the same wherever they stand.
ClOrdId: TypeAlias = Annotated[str, meaning("FIX ClOrdID: UUID of the order")]
ParentId: TypeAlias = Annotated[
    str | None, meaning("UUID of the execution that it is a child of", null="of an order on its own")
]
OrderSide: TypeAlias = Annotated[TakerSide, meaning("of the order: buy or sell")]
OrderQty: TypeAlias = Annotated[BaseAmount, meaning("FIX OrderQty: size of the order")]
CumQty: TypeAlias = Annotated[BaseAmount, meaning("FIX CumQty: filled so far")]
LeavesQty: TypeAlias = Annotated[BaseAmount, meaning("FIX LeavesQty: what may still be filled")]
RestRule: TypeAlias = Annotated[
    TimeInForce, meaning("FIX TimeInForce; ioc: what is not filled at once is canceled; gtc: it rests")
]
Urgency: TypeAlias = Annotated[Share, meaning("how dear it is to wait; 1 is at once")]
PlanStyle: TypeAlias = Annotated[str, meaning("Immediate, TWAP, VWAP, POV or IS")]
Kappa: TypeAlias = Annotated[
    PerSecond | None,
    meaning("rate at which a front-loaded plan sends what is left", null="unless the style is IS"),
]
FillsTotal: TypeAlias = Annotated[
    Count | None, meaning("fills so far, each on execution.fills.v1", null="where `fills` holds them all")
]


class PlanAndExecute(Command, frozen=True, kw_only=True):
    """Choose a policy, size its signal, find a venue, plan, execute on paper; its id names the execution."""

    symbol: Symbol
    urgency: Urgency = 0.5
    context: Annotated[dict[str, ByName | str], meaning("for the router: what is known, by name")] = {}
    scope: Scope = "default"
    max_venues: Annotated[Count, meaning("venues that the order may be split over at most, 1 to 9")] = 3
    venues: AllowedVenues = ()


class SimulateExecution(Command, frozen=True, kw_only=True):
    """Say how `size` would be executed and what that would cost; changes nothing."""

    symbol: Symbol
    size: Annotated[BaseUnits, meaning("what would be taken")]
    side: Annotated[TakerSide, meaning("buy takes asks, sell takes bids")] = "buy"
    urgency: Urgency = 0.5


class SubmitPaperOrder(Command, frozen=True, kw_only=True):
    """Send one order to the paper broker; its id names the order."""

    symbol: Symbol
    side: OrderSide
    order_qty: OrderQty
    ord_type: Annotated[OrdType, meaning("FIX OrdType: market, or limit at `price`")] = "market"
    price: Annotated[QuoteAmount | None, meaning("FIX Price: its limit", null="of a market order")] = None
    time_in_force: Annotated[
        TimeInForce,
        meaning(
            "ioc: what is not filled at once is canceled; gtc, of a limit order only: it rests at the venue"
        ),
    ] = "ioc"
    venue: Annotated[
        str | None,
        meaning("id of the exchange", null="for the LIVE one with the best price, fee included"),
    ] = None


class CancelExecution(Command, frozen=True, kw_only=True):
    """End an execution, or a paper order on its own, now; what is filled stays."""

    symbol: Symbol
    execution_id: Annotated[str, meaning("UUID of the execution, or of the order on its own")]


class PaperOrder(Part, frozen=True, kw_only=True):
    """A paper order as it stands. A cancel leaves `leaves_qty` 0, as FIX has it."""

    cl_ord_id: ClOrdId
    execution_id: ParentId
    venue: VenueId
    symbol: Symbol
    side: OrderSide
    order_qty: OrderQty
    ord_type: Annotated[OrdType, meaning("FIX OrdType: market, or limit at `price`")]
    price: Annotated[QuoteAmount | None, meaning("FIX Price: its limit", null="of a market order")]
    time_in_force: RestRule
    ord_status: Annotated[OrdStatus, meaning("FIX OrdStatus: how far the order is")]
    exec_type: Annotated[ExecType, meaning("FIX ExecType: what happened to the order last")]
    cum_qty: CumQty
    leaves_qty: LeavesQty
    cum_quote: Annotated[QuoteAmount, meaning("what the fills cost or brought, fees apart; exact")]
    fees: Annotated[QuoteAmount, meaning("of its fills so far")]
    avg_px: Annotated[
        QuoteAmount | None, meaning("average price of its fills: cum_quote / cum_qty", null="without a fill")
    ]
    fills: Annotated[Count, meaning("of the order, so far")] = 0
    submitted_ts: Annotated[Ns, meaning("when it was submitted")]
    arrives_ts: Annotated[Ns, meaning("when the venue has it")]
    mid: Annotated[QuoteUnits, meaning("of the book that it was submitted on")]
    best_px: Annotated[QuoteUnits, meaning("best price of the side that it takes, at submission")]
    expected_px: Annotated[
        QuoteUnits,
        meaning(
            "what it is expected to pay: of a child by the plan without its meta impact, which is in the mid "
            "by then; else by the book at submission"
        ),
    ]
    epoch: Annotated[EpochMs, meaning("of the book that it was submitted on")]
    seq: Annotated[Ordinal, meaning("of the book that it was submitted on")]
    text: Annotated[str, meaning("why canceled or rejected, in words; empty: neither")] = ""


class OrderSubmitted(Event, frozen=True, kw_only=True):
    """An order is on its way to the paper broker."""

    order: Annotated[PaperOrder, meaning("as it stands")]
    ts: Annotated[Ns, meaning("when it was sent")]


class OrderAccepted(Event, frozen=True, kw_only=True):
    """The paper broker has the order."""

    order: Annotated[PaperOrder, meaning("as it stands, before its fills")]
    ts: Annotated[Ns, meaning("when the broker took it")]


class OrderRejected(Event, frozen=True, kw_only=True):
    """The paper broker refused the order; `text` of the order says why."""

    order: Annotated[PaperOrder, meaning("as it stands")]
    ts: Annotated[Ns, meaning("when the broker refused it")]


class OrderCanceled(Event, frozen=True, kw_only=True):
    """What was left of the order is no more at the venue; `text` of the order says why."""

    order: Annotated[PaperOrder, meaning("as it stands")]
    ts: Annotated[Ns, meaning("when it was taken off")]


class OrderFilled(Event, frozen=True, kw_only=True):
    """A (part of a) paper order was filled; FIX names."""

    exec_id: Annotated[str, meaning("FIX ExecID: deterministic, so a repeated fill can be dropped")]
    cl_ord_id: ClOrdId
    execution_id: ParentId
    venue: VenueId
    symbol: Symbol
    side: OrderSide
    order_qty: OrderQty
    last_qty: Annotated[BaseAmount, meaning("FIX LastQty: size of this fill")]
    last_px: Annotated[QuoteAmount, meaning("FIX LastPx: price of this fill")]
    cum_qty: CumQty
    leaves_qty: LeavesQty
    avg_px: Annotated[QuoteAmount, meaning("average price of the order's fills, this one included")]
    fee: Annotated[QuoteAmount, meaning("of this fill")]
    liquidity: Annotated[
        Literal["taker", "maker"], meaning("taker: took it; maker: rested and was taken")
    ] = "taker"
    mid: Annotated[QuoteUnits, meaning("of the book that it was filled on")]
    expected_px: Annotated[
        QuoteUnits,
        meaning(
            "what the order was expected to pay: of a child by the plan without its meta impact, else by the "
            "book then"
        ),
    ]
    latency_ns: Annotated[SpanNs, meaning("from submission to this fill")]
    epoch: Annotated[EpochMs, meaning("of the book that it was filled on")]
    seq: Annotated[Ordinal, meaning("of the book that it was filled on")]
    ts: Annotated[Ns, meaning("when it was filled")]
    queue_ahead: Annotated[
        BaseUnits | None,
        meaning(
            "estimate of what still stood in front of a resting order", null="of a taker; of an older version"
        ),
    ] = None
    queue_ahead_low: Annotated[
        BaseUnits | None,
        meaning("5 % quantile of that estimate", null="of a taker; of an older version"),
    ] = None
    queue_ahead_high: Annotated[
        BaseUnits | None,
        meaning("95 % quantile of that estimate", null="of a taker; of an older version"),
    ] = None
    fill_probability: Annotated[
        Pure | None,
        meaning(
            "estimated probability that a resting order is filled so far by then",
            null="of a taker; of an older version",
        ),
    ] = None


class PolicySignal(Part, frozen=True):
    """What a policy wants."""

    value: Annotated[Balance, meaning("+1 fully long, 0 flat, -1 fully short")]
    reason: Annotated[str, meaning("why, in words")]


class SizingSnapshot(Event, frozen=True, kw_only=True):
    """How a signal became a size, with every factor."""

    execution_id: ExecutionId
    symbol: Symbol
    signal: Annotated[Balance, meaning("what the policy wants")]
    uncertainty_width: Annotated[Returns, meaning("90 % credible width of the policy's expected reward")]
    s_max: Annotated[
        Pure, meaning("multiplies `sigmoid`; 2: a full certain signal has the target volatility")
    ]
    w_star: Annotated[Returns, meaning("width at which `sigmoid` is 0.269")]
    sigmoid: Annotated[Pure, meaning("sigma(-uncertainty_width / w_star): certainty, 0 to 0.5")]
    forecast_vol: Annotated[PerDay | None, meaning("forecast of the volatility", null="where there is none")]
    vol_target: VolTarget
    vol_scale: Annotated[
        Pure | None, meaning("vol_target / forecast_vol, at most 2", null="without a forecast")
    ]
    caps: Annotated[
        dict[str, OfEquity], meaning("caps on the size: position, cvar, cash; one that cannot bind is absent")
    ]
    binding: Annotated[str | None, meaning("name of the cap that cut the size", null="where none did")]
    raw: Annotated[OfEquity, meaning("size before the caps, without its sign")]
    size: Annotated[OfEquity, meaning("target after the caps, signed")]
    position_vol: Annotated[
        PerDay | None,
        meaning("expected volatility of `size`, fraction of equity", null="without a forecast"),
    ] = None
    target: Annotated[BaseAmount, meaning("target in whole lots, signed")]
    held: Annotated[BaseAmount, meaning("what is held and what is on its way, signed")]
    side: Annotated[TakerSide | None, meaning("of the order", null="where there is none")]
    qty: Annotated[BaseAmount, meaning("of the order; 0 without one")]
    reason: Annotated[
        str, meaning("sized, or in a word why there is no target or no order: flat, no_vol, below_lot, ...")
    ]
    equity: Annotated[QuoteAmount, meaning("of the book by its risk budget; 0 where that is not known")]
    price: Annotated[QuoteAmount, meaning("mid of the book that it was sized on")]
    ts: Annotated[Ns, meaning("when it was sized")]


class PlannedSlice(Part, frozen=True, kw_only=True):
    """One child order of a plan."""

    at_ts: Annotated[Ns, meaning("when it is to be sent")]
    size: Annotated[BaseAmount, meaning("of the child")]
    limit: Annotated[QuoteAmount, meaning("worst price it may take, as seen from the book of the plan")]
    venue: Annotated[
        str | None,
        meaning("id of the exchange that it is to be sent to", null="of older records: the plan's"),
    ] = None


class PlanAlternative(Part, frozen=True, kw_only=True):
    """A way to work the order, as it was judged."""

    style: PlanStyle
    horizon_s: Annotated[Seconds, meaning("over which its children would be spread; 0: at once")]
    children: Annotated[Count, meaning("orders that it would send")]
    expected_bps: Annotated[
        Bps | None, meaning("expected cost against the mid, fees apart", null="where it is impossible")
    ] = None
    risk_bps: Annotated[
        Bps | None, meaning("standard deviation of what waiting costs", null="where it is impossible")
    ] = None
    objective_bps: Annotated[
        Bps | None,
        meaning(
            "expected plus weighted risk: the least is taken",
            null="where it is impossible, and at urgency 1, where waiting is not weighed up",
        ),
    ] = None
    why_not: Annotated[str, meaning("why it is impossible, in words; empty: it is possible")] = ""
    meta_impact_bps: Annotated[
        Bps | None,
        meaning(
            "of the expected cost: the way that its own earlier children move the mid",
            null="where it is impossible, or no volume is known",
        ),
    ] = None
    kappa: Kappa = None
    warnings: Annotated[tuple[str, ...], meaning("what its figures do not rest on, in words")] = ()


class ExecutionPlan(Part, frozen=True, kw_only=True):
    """How an order is worked."""

    style: PlanStyle
    venue: VenueId
    side: OrderSide
    size: Annotated[BaseAmount, meaning("of the whole order")]
    horizon_s: Annotated[Seconds, meaning("over which its children are spread; 0: at once")]
    interval_s: Annotated[Seconds, meaning("between two children, before jitter; 0: at once")]
    participation: Annotated[Share | None, meaning("of the market's volume", null="unless the style is POV")]
    slices: Annotated[tuple[PlannedSlice, ...], meaning("its child orders, in time")]
    expected_bps: Annotated[Bps, meaning("expected cost against `mid`: spread and impact, fees apart")]
    risk_bps: Annotated[Bps, meaning("standard deviation of what waiting costs, of `mid`")]
    mid: Annotated[QuoteUnits, meaning("of the book that it was made on")]
    epoch: Annotated[EpochMs, meaning("of the book that it was made on")]
    seq: Annotated[Ordinal, meaning("of the book that it was made on")]
    alternatives: Annotated[tuple[PlanAlternative, ...], meaning("every way that was judged")]
    meta_impact_bps: Annotated[
        Bps | None,
        meaning(
            "of the expected cost: the way that its own earlier children move the mid",
            null="where no volume is known",
        ),
    ] = None
    kappa: Kappa = None
    warnings: Annotated[tuple[str, ...], meaning("what its figures do not rest on, in words")] = ()
    min_child: Annotated[
        BaseAmount, meaning("smallest child that the venue takes at this price; 0: of older versions")
    ] = Decimal(0)
    lambda_u: Annotated[
        Pure | None,
        meaning(
            "weight of the risk against the expected cost",
            null="at urgency 1, where the risk counts first, and of older versions",
        ),
    ] = None


class PlanCost(Part, frozen=True, kw_only=True):
    """What a plan is expected to cost, against the mid of its book."""

    spread_bps: Annotated[Bps, meaning("half the spread")]
    impact_bps: Annotated[Bps, meaning("beyond half the spread, of walking the book")]
    fee_bps: Annotated[Bps, meaning("taker fee")]
    total_bps: Annotated[Bps, meaning("spread, impact, meta impact and fee")]
    total: Annotated[QuoteUnits, meaning("the same of the whole order")]
    impact_lower_bps: Annotated[
        Bps, meaning("lower end of the 95 % interval of the cost curve, at the largest child")
    ]
    impact_upper_bps: Annotated[
        Bps, meaning("upper end of the 95 % interval of the cost curve, at the largest child")
    ]
    meta_impact_bps: Annotated[
        Bps | None,
        meaning(
            "the way that the order's own earlier children move the mid", null="where no volume is known"
        ),
    ] = None


class RecordFill(Part, frozen=True, kw_only=True):
    """One fill of a record."""

    fill_id: Annotated[str, meaning("FIX ExecID: id of the fill")]
    order_id: Annotated[str, meaning("FIX ClOrdID: UUID of its order")]
    venue: VenueId
    side: OrderSide
    size: Annotated[BaseAmount, meaning("of this fill")]
    price: Annotated[QuoteAmount, meaning("of this fill")]
    fee: Annotated[QuoteAmount, meaning("of this fill")]
    mid: Annotated[QuoteUnits, meaning("of the book that its order was submitted on")]
    best_px: Annotated[QuoteUnits, meaning("best price of the side that its order takes, at submission")]
    ts: Annotated[Ns, meaning("when it was filled")]


class ShortfallBps(Part, frozen=True, kw_only=True):
    """Implementation shortfall, bps of the order's value at the decision; four parts and their sum."""

    delay_bps: Annotated[
        Bps, meaning("the mid's way from the decision to the first child, of the whole order")
    ]
    impact_bps: Annotated[Bps, meaning("of the fills against the mid at the first child")]
    opportunity_bps: Annotated[
        Bps, meaning("the mid's way from the first child to the end, of what was not filled")
    ]
    fees_bps: Annotated[Bps, meaning("of the fills")]
    total_bps: Annotated[Bps, meaning("the sum of the four; a cost is positive")]
    detail: Annotated[
        dict[str, Bps | str],
        meaning(
            "timing_bps, spread_bps and walk_bps, which sum to impact; and amounts in quote units, as text"
        ),
    ]


class ExecutionLeg(Part, frozen=True, kw_only=True):
    """A venue's part of an execution's order; filled + open + unscheduled is its `size`.

    The sizes of all legs sum to the size of the order.
    """

    venue: VenueId
    size: Annotated[BaseAmount, meaning("of the order, to be filled at this venue; changes with the split")]
    why: Annotated[str, meaning("so much goes there, in words")]
    style: PlanStyle
    expected_bps: Annotated[
        Bps, meaning("expected cost against the mid of its own book: spread and impact, fees apart")
    ]
    fee_bps: Annotated[Bps, meaning("taker fee")]
    filled: Annotated[BaseAmount, meaning("of `size`")] = Decimal(0)
    open: Annotated[BaseAmount, meaning("sent to the venue and not filled yet")] = Decimal(0)
    unscheduled: Annotated[BaseAmount, meaning("in no open child: still to be sent, or given up")] = Decimal(
        0
    )
    avg_px: Annotated[QuoteAmount | None, meaning("average price of its fills", null="without a fill")] = None
    fees: Annotated[QuoteAmount, meaning("of its fills so far")] = Decimal(0)
    shortfall: Annotated[
        ShortfallBps | None,
        meaning("what it cost against the decision", null="before it has ended, and where no child was sent"),
    ] = None
    state: Annotated[str, meaning("working, filled, or in words why the venue was lost")] = "working"


class RewardOutcome(Part, frozen=True, kw_only=True):
    """What the execution taught the router: the change of equity over the window of its decision."""

    reward: Annotated[
        Returns | None,
        meaning("(gross - cost) / equity, within -1 and 1", null="where nothing was taught"),
    ]
    unchanged: Annotated[
        Returns | None,
        meaning("what the position held before would have earned", null="where nothing was taught"),
    ] = None
    gross: Annotated[
        QuoteAmount | None,
        meaning("what the position held in the window earned at the mid", null="where nothing was taught"),
    ] = None
    cost: Annotated[
        QuoteAmount | None,
        meaning("of the decision's own fills: against the mid, and fees", null="where nothing was taught"),
    ] = None
    equity: Annotated[
        QuoteAmount | None, meaning("of the book at the decision", null="where nothing was taught")
    ] = None
    begin_ts: Annotated[
        Ns | None, meaning("when the window began: at the choice", null="where there was none")
    ] = None
    end_ts: Annotated[Ns | None, meaning("when the window was closed", null="where there was none")] = None
    closed: Annotated[
        Literal["next decision", "horizon"] | None,
        meaning("what closed the window: the symbol's next choice, or the policy's horizon", null="as above"),
    ] = None
    reason: Annotated[
        str, meaning("what became of the decision, or why nothing was taught or counted, in words")
    ]
    begin_mid: Annotated[
        QuoteUnits | None, meaning("reference mid when the window began", null="where nothing was taught")
    ] = None
    mid: Annotated[
        QuoteUnits | None, meaning("reference mid when it was closed", null="where nothing was taught")
    ] = None
    counted: Annotated[
        bool | None, meaning("by the router", null="while it has not answered, or nothing was taught")
    ] = None


class AuditHead(Part, frozen=True, kw_only=True):
    """Where the chain of an execution's audit entries stands."""

    entries: Annotated[Count, meaning("in the chain")]
    head: Annotated[str, meaning("hash of the last entry, hex")]


class ExecutionRecord(Event, frozen=True, kw_only=True):
    """An execution as it stands; filled + open + unscheduled is the size of its order at any time."""

    execution_id: ExecutionId
    symbol: Symbol
    status: Annotated[ExecutionStatus, meaning("how far it is")]
    reason: Annotated[str, meaning("why it ended so, in words; empty before that")] = ""
    waiting: Annotated[str, meaning("for what it waits now, in words; empty: for nothing")] = ""
    urgency: Urgency
    scope: Scope
    decision_id: Annotated[str, meaning("UUID of the choice of its policy, made or asked for")]
    policy_id: Annotated[str | None, meaning("name of the policy", null="before it is chosen")] = None
    propensity: Annotated[
        Share | None, meaning("probability with which the policy was chosen", null="before it is chosen")
    ] = None
    score: Annotated[
        Returns | None, meaning("the policy's sampled expected reward", null="before it is chosen")
    ] = None
    signal: Annotated[PolicySignal | None, meaning("what the policy wants", null="before it is known")] = None
    sizing: Annotated[
        SizingSnapshot | None, meaning("how the signal became a size", null="before it has")
    ] = None
    venue: Annotated[str | None, meaning("id of the exchange", null="before it is chosen")] = None
    venue_score: Annotated[
        Bps | None, meaning("minus the expected all-in cost at the venue", null="before it is chosen")
    ] = None
    venue_reasons: Annotated[
        tuple[str, ...], meaning("what the cost at the venue is made of, the greatest part first, in words")
    ] = ()
    plan: Annotated[ExecutionPlan | None, meaning("how the order is worked", null="before there is one")] = (
        None
    )
    max_venues: Annotated[
        Count | None,
        meaning("venues that the order may be split over at most", null="of older records, which used one"),
    ] = None
    venues: AllowedVenues = ()
    legs: Annotated[
        tuple[ExecutionLeg, ...],
        meaning("the venues that it is split over, the largest first; empty: before the plan"),
    ] = ()
    single_venue: Annotated[
        str | None,
        meaning(
            "id of the exchange where the whole order was expected to be cheapest",
            null="before the plan, and where none could take all of it",
        ),
    ] = None
    saving_bps: Annotated[
        Bps | None,
        meaning(
            "by how much the split is expected to be cheaper than `single_venue`, fees and what further "
            "venues cost included; 0 of one leg",
            null="before the plan, and where no venue could take all of it",
        ),
    ] = None
    saved_bps: Annotated[
        Bps | None,
        meaning(
            "by how much its fills were cheaper than the same children would have been at `single_venue`, "
            "fees included, of the order's value at the decision",
            null="before the end, and where that could not be told",
        ),
    ] = None
    split_reason: Annotated[
        str, meaning("why it is split so, or not at all, in words; empty: before the plan")
    ] = ""
    orders: Annotated[tuple[PaperOrder, ...], meaning("sent to the paper broker, oldest first")] = ()
    fills: Annotated[tuple[RecordFill, ...], meaning("the newest of its orders, oldest first")] = ()
    fills_total: FillsTotal = None
    filled: Annotated[BaseAmount, meaning("of its order")] = Decimal(0)
    open: Annotated[BaseAmount, meaning("sent to the venue and not filled yet")] = Decimal(0)
    unscheduled: Annotated[BaseAmount, meaning("in no open child: still to be sent, or given up")] = Decimal(
        0
    )
    avg_px: Annotated[QuoteAmount | None, meaning("average price of its fills", null="without a fill")] = None
    shortfall: Annotated[
        ShortfallBps | None,
        meaning("what it cost against the decision", null="before it has ended, and where no child was sent"),
    ] = None
    reward: Annotated[RewardOutcome | None, meaning("what the policy was taught", null="before that")] = None
    audit: Annotated[AuditHead, meaning("where its audit chain stands")]
    created_ts: Annotated[Ns, meaning("when it began")]
    ts: Annotated[Ns, meaning("when it changed last")]


class ExecutionProgress(Event, frozen=True, kw_only=True):
    """A step of one child: what has changed of an execution's record since its last whole one.

    `libs.common.record_view.with_progress` makes the whole record of both.
    """

    execution_id: ExecutionId
    n: Annotated[
        Ordinal | None,
        meaning(
            "place of the child in the execution, from 0",
            null="where no child changed, only what parts wait for",
        ),
    ] = None
    order: Annotated[PaperOrder | None, meaning("the child as it stands", null="where no child changed")] = (
        None
    )
    fills: Annotated[tuple[RecordFill, ...], meaning("the newest of the child, oldest first")] = ()
    leg: Annotated[
        ExecutionLeg | None,
        meaning("the part of the child's venue as it stands", null="where no child changed"),
    ] = None
    legs: Annotated[
        tuple[ExecutionLeg, ...],
        meaning("all parts as they stand, where one changed without a child of its own; else empty"),
    ] = ()
    filled: Annotated[BaseAmount, meaning("of the execution's order")] = Decimal(0)
    open: Annotated[BaseAmount, meaning("sent to the venues and not filled yet")] = Decimal(0)
    unscheduled: Annotated[BaseAmount, meaning("in no open child: still to be sent, or given up")] = Decimal(
        0
    )
    avg_px: Annotated[
        QuoteAmount | None, meaning("average price of the execution's fills", null="without a fill")
    ] = None
    waiting: Annotated[str, meaning("for what the execution waits now, in words; empty: for nothing")] = ""
    audit: Annotated[AuditHead, meaning("where the execution's audit chain stands")]
    ts: Annotated[Ns, meaning("when the execution changed last")]


class ExecutionPlanned(Event, frozen=True, kw_only=True):
    """The answer to PlanAndExecute: the plan is made, or the execution has ended without one."""

    command_id: CommandId
    record: Annotated[ExecutionRecord, meaning("the execution as it stands")]
    ts: Annotated[Ns, meaning("when it was planned, or ended")]


class ExecutionSimulated(Event, frozen=True, kw_only=True):
    """The answer to SimulateExecution."""

    command_id: CommandId
    symbol: Symbol
    plan: Annotated[ExecutionPlan, meaning("how the order would be worked, at the cheapest venue")]
    cost: Annotated[PlanCost, meaning("what the plan is expected to cost")]
    venues: Annotated[dict[str, str], meaning("what each venue would cost, or why it cannot be, in words")]
    ts: Annotated[Ns, meaning("when it was simulated")]


class PaperOrderPlaced(Event, frozen=True, kw_only=True):
    """The answer to SubmitPaperOrder, when the broker has it, and to the cancel of such an order."""

    command_id: CommandId
    order: Annotated[PaperOrder, meaning("as it stands")]
    fills: Annotated[tuple[RecordFill, ...], meaning("the newest of the order, oldest first")]
    fills_total: FillsTotal = None
    ts: SaidTs


class ExecutionCanceled(Event, frozen=True, kw_only=True):
    """The answer to CancelExecution."""

    command_id: CommandId
    record: Annotated[ExecutionRecord, meaning("the execution as it stands")]
    ts: SaidTs


class AuditEntry(Event, frozen=True, kw_only=True):
    """A link of an execution's chain: ``hash = SHA-256(prev_hash + JCS({seq, ts, kind, payload}))``."""

    execution_id: Annotated[str, meaning("UUID of the execution whose chain it is")]
    seq: Annotated[Ordinal, meaning("place in the chain, from 0")]
    ts: Annotated[Ns, meaning("when it happened, in whole ms; hashed as ms")]
    kind: Annotated[str, meaning("what happened, in a word")]
    payload: Annotated[
        str, meaning("what was decided, and all it was made of: a JSON object in canonical form (RFC 8785)")
    ]
    prev_hash: Annotated[str, meaning("hash of the entry before, hex; 64 zeros first")]
    hash: Annotated[str, meaning("SHA-256(prev_hash + JCS({seq, ts, kind, payload})), hex")]


class VerifyExecution(Command, frozen=True, kw_only=True):
    """Make the decisions of these audit entries again; refused, known for the gateways that still send it."""

    symbol: Symbol
    execution_id: Annotated[str, meaning("UUID of the execution whose chain it is")]
    entries: Annotated[tuple[AuditEntry, ...], meaning("the chain, in order")]


class ExecutionVerified(Event, frozen=True, kw_only=True):
    """The answer to VerifyExecution; nobody writes it, and older logs hold some."""

    command_id: CommandId
    execution_id: Annotated[str, meaning("UUID of the execution whose chain it is")]
    decisions: Annotated[Count, meaning("decisions made again")]
    differences: Annotated[tuple[str, ...], meaning("in words; empty: all came out the same")]
    ts: SaidTs


# --- trading limits and halts: execution.controls.v1 ---

ControlScope: TypeAlias = Annotated[
    str, meaning("what it holds for: all, symbol:BTC-USDT, policy:p_sma or venue:okx")
]
LimitScope: TypeAlias = Annotated[
    str,
    meaning("what the limits hold for: all, or symbol:BTC-USDT; settings: those execution was started with"),
]
ControlledBy: TypeAlias = Annotated[
    str, meaning("who did it: limit, for a limit that was exceeded; else the program that was used, like cli")
]
ControlReason: TypeAlias = Annotated[str, meaning("why, in the words of who did it")]


class LimitName(Word):
    """What is limited; each is a field of `Limits`."""

    GROSS_EXPOSURE = "gross_exposure", "the sum of all positions' sizes at their marks, of equity"
    SYMBOL_EXPOSURE = "symbol_exposure", "the size of a symbol's position at its mark, of equity"
    ORDER_NOTIONAL = "order_notional", "what one order is worth, of equity"
    ORDERS_PER_MINUTE = "orders_per_minute", "orders of a symbol sent in the last minute"
    DAILY_LOSS = "daily_loss", "loss since the UTC day began, of the equity at its begin"
    DRAWDOWN = "drawdown", "loss since the UTC day's highest equity, of that equity"
    FAILED_SHARE = "failed_share", "failed ones of a symbol's last 50 executions, counted from 20 on"
    MIN_LIVE_VENUES = "min_live_venues", "venues whose book of the symbol may be used"


class Limits(Part, frozen=True, kw_only=True):
    """Trading limits; 0 is off, and what is null is left to what stands behind: all's, then the settings."""

    gross_exposure: Annotated[
        OfEquity | None, meaning("most of all positions together; 0: off", null="where it is not set here")
    ] = None
    symbol_exposure: Annotated[
        OfEquity | None, meaning("most of a symbol's position; 0: off", null="where it is not set here")
    ] = None
    order_notional: Annotated[
        OfEquity | None, meaning("most that one order is worth; 0: off", null="where it is not set here")
    ] = None
    orders_per_minute: Annotated[
        Count | None, meaning("most orders of a symbol in a minute; 0: off", null="where it is not set here")
    ] = None
    daily_loss: Annotated[
        Share | None,
        meaning(
            "loss since the UTC day began that halts all, of the equity at its begin; 0: off",
            null="where it is not set here",
        ),
    ] = None
    drawdown: Annotated[
        Share | None,
        meaning(
            "loss since the day's highest equity that halts all; 0: off", null="where it is not set here"
        ),
    ] = None
    failed_share: Annotated[
        Share | None,
        meaning(
            "share of failed executions of a symbol that halts it; 0: off", null="where it is not set here"
        ),
    ] = None
    min_live_venues: Annotated[
        Count | None,
        meaning("usable books without which no order is sent; 0: off", null="where it is not set here"),
    ] = None


class LimitUse(Part, frozen=True, kw_only=True):
    """A limit that is exceeded, or would be: which, its value, the use, and what would help."""

    limit: Annotated[LimitName, meaning("which one")]
    scope: Annotated[ControlScope, meaning("whose use it is: all, or symbol:BTC-USDT")]
    value: Annotated[ByName, meaning("of the limit")]
    use: Annotated[
        ByName | None,
        meaning("what it is, or would be with the order", null="while no equity is known, or none left"),
    ]
    passing: Annotated[bool, meaning("it may be right in a moment: try later")] = False
    text: Annotated[str, meaning("the same in words, and what would help")]


class TradingHalted(Event, frozen=True, kw_only=True):
    """No order of the scope is sent, until it is resumed; what is open of it is canceled."""

    scope: ControlScope
    reason: ControlReason
    by: ControlledBy
    limit: Annotated[LimitUse | None, meaning("the breach that did it", null="where somebody did it")] = None
    ts: Annotated[Ns, meaning("when it was halted")]


class TradingResumed(Event, frozen=True, kw_only=True):
    """The halt of the scope has ended."""

    scope: ControlScope
    reason: ControlReason
    by: ControlledBy
    ts: Annotated[Ns, meaning("when it was resumed")]


class LimitsSet(Event, frozen=True, kw_only=True):
    """The limits of a scope that stand in place of the settings', whole."""

    scope: LimitScope
    limits: Annotated[Limits, meaning("all that is set of this scope")]
    by: ControlledBy
    ts: Annotated[Ns, meaning("when they were set; 0: by the settings")]


class LimitsUsed(Event, frozen=True, kw_only=True):
    """What the execution service counts of a symbol against its limits; told at most once a second."""

    symbol: Symbol
    orders: Annotated[Count, meaning("sent in the minute before `ts`, and up to 5 s before that")]
    ended: Annotated[Count, meaning("newest executions that count, at most 50")]
    failed: Annotated[Count, meaning("those of them that failed")]
    ts: Annotated[Ns, meaning("when it was counted; for orders that count at most 65 s")]


class HaltTrading(Command, frozen=True, kw_only=True):
    """Send no order of the scope from now on, and cancel what is open of it."""

    scope: ControlScope = "all"
    reason: ControlReason
    by: ControlledBy


class ResumeTrading(Command, frozen=True, kw_only=True):
    """End the halt of this very scope; halts of other scopes stand."""

    scope: ControlScope = "all"
    reason: ControlReason
    by: ControlledBy


class SetLimits(Command, frozen=True, kw_only=True):
    """Set limits of a scope; those that are not named stay as they are."""

    scope: LimitScope = "all"
    limits: Annotated[Limits, meaning("those to be set; 0 turns one off")]
    by: ControlledBy


class TradingControlled(Event, frozen=True, kw_only=True):
    """The answer to HaltTrading, ResumeTrading and SetLimits, in one transaction with what they did."""

    command_id: CommandId
    scope: ControlScope
    halts: Annotated[tuple[TradingHalted, ...], meaning("all halts that stand, by scope")]
    limits: Annotated[Limits, meaning("that hold for the scope now, settings included")]
    ts: SaidTs


# --- gateway ---


class IdempotentReply(Event, frozen=True, kw_only=True):
    """What a POST under this Idempotency-Key was answered; a retry is answered again, not done again."""

    request_hash: Annotated[str, meaning("SHA-256 of method, path and body, hex")]
    status: Annotated[Annotated[int, unit("HTTP status")], meaning("of the reply")]
    body: Annotated[bytes, meaning("of the reply: JSON")]
    ts: Annotated[Ns, meaning("when it was answered")]
    caller: Annotated[str, meaning("the address that it counts for; empty: nobody knows")] = ""
