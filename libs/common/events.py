"""Every message that crosses a process, in one file.

On the wire a message is a MessagePack map; its field ``type`` is the class name. New fields are optional and
a meaning never changes within ``.v1``. Times end in ``_ts`` and are int nanoseconds since 1970 UTC:
``venue_ts`` is the exchange's clock (a recording's, in replay), ``received_ts`` the wall clock at which the
frame came out of the socket. Prices are in quote units and sizes in base units, both float64 parsed from the
venue's digits. Orders, fills and positions are Decimal, text on the wire. Volatilities, CVaR, budgets and
rewards are fractions (per day where time enters), bps are 1e-4.

One section per service, in the order in which they build on each other; the file is long because it is the
dictionary of the whole system.
"""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

Level: TypeAlias = tuple[float, float]
"""(price, size); in a delta a size of 0.0 deletes the level."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A message on a topic; its wire field ``type`` is the class name."""


class Command(Event, frozen=True, kw_only=True):
    """A wish that its service answers with one event of the same `command_id`.

    A `command_id` seen before is answered again, not done again.
    """

    command_id: str  # a UUID, also the record's ce_id; what is random about the answer is drawn from it
    reply_key: str | None = None  # the answer goes to this key's partition; None: to that of the command's


class Refusal(StrEnum):
    """Why a command is not done."""

    UNKNOWN = "unknown"  # it names something that does not exist
    INVALID = "invalid"  # a field is wrong
    UNAVAILABLE = "unavailable"  # what it needs is not there now, but may be soon


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: str  # as in the command
    message: str  # and what would be right


class CommandRejected(Event, frozen=True, kw_only=True):
    """The answer to a command that was refused; nothing was done."""

    command_id: str
    command: str  # its type
    key: str  # that of the command
    refusal: Refusal
    detail: str  # for people
    faults: tuple[Fault, ...] = ()
    ts: int


TakerSide: TypeAlias = Literal["buy", "sell"]
Interval: TypeAlias = Literal["1m", "1d"]


# --- l2 ---


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
    interval: Interval
    open_ts: int  # start of the interval
    open: float
    high: float
    low: float
    close: float
    volume: float  # base units
    trades: int
    closed: bool  # no further trade can change it


# --- venues ---


class ScoreVenues(Command, frozen=True, kw_only=True):
    """Choose a venue, and a split, to take `size` of a symbol now."""

    symbol: str
    size: float  # base units
    side: TakerSide = "buy"


class CostBps(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a venue's expected all-in cost, in bps of its own mid."""

    spread: float  # half spread
    impact: float  # of walking the book beyond the best price
    fee: float  # taker
    latency: float
    reliability: float  # includes pressure on the rate limit

    @property
    def total(self) -> float:
        """The sum."""
        return self.spread + self.impact + self.fee + self.latency + self.reliability


class VenueCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """One venue as it was judged; the book it was judged on can be found again by `epoch` and `seq`."""

    venue: str
    eligible: bool
    score: float | None = None  # minus the total cost in bps, higher is better; None where not eligible
    cost_bps: CostBps | None = None
    reasons: tuple[str, ...]  # in words: what speaks against it, or why it is not eligible
    mid: float | None = None  # quote units
    epoch: int | None = None
    seq: int | None = None


class VenueShare(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's part of an optimal split."""

    venue: str
    size: float  # base units


class VenueScored(Event, frozen=True, kw_only=True):
    """The answer to ScoreVenues."""

    command_id: str
    symbol: str
    side: TakerSide
    size: float  # base units
    venue: str  # the best
    score: float  # its
    reasons: tuple[str, ...]
    candidates: tuple[VenueCandidate, ...]  # best first, then those not eligible
    allocation: tuple[VenueShare, ...]  # sums to `size`
    saving_bps: float  # of the allocation against the single best venue, fees included; at least 0
    ts: int


class VenueMetrics(Event, frozen=True, kw_only=True):
    """What is known of one symbol at one venue; times are seconds of the service's window."""

    venue: str
    symbol: str
    state: BookState
    latency_p50_ms: float | None  # venue timestamp to receipt, corrected for the clocks' offset
    latency_p99_ms: float | None
    request_p50_ms: float | None = None  # round trip of a request
    clock_offset_ms: float | None = None  # the least received minus venue time seen: what is corrected
    spread_bps: float | None
    top_depth: float | None  # base units within the best 5 levels, the smaller side
    depth_bid: tuple[float, float, float] | None = None  # base units within 5, 10, 25 bps of mid
    depth_ask: tuple[float, float, float] | None = None
    taker_bps: float
    maker_bps: float
    reliability: float  # posterior mean of being LIVE and well, in (0, 1)
    alpha: float  # of the Beta posterior
    beta: float
    gaps: int = 0  # since first seen, over restarts of l2
    checksum_failures: int = 0
    disconnects: int = 0
    rate_remaining: float  # share of the venue's rate limit left, in [0, 1]
    slippage_bps: float | None = None  # own fills against their expectation, decayed mean
    fills: int = 0
    epoch: int
    seq: int
    ts: int


# --- router ---


class ChoosePolicy(Command, frozen=True, kw_only=True):
    """Choose a trading policy for a context; values by the names of `services/router/context.py`."""

    scope: str = "default"
    context: dict[str, float | str]  # what is missing is imputed; `symbol` fills in live values


class PolicyChosen(Event, frozen=True, kw_only=True):
    """The answer to ChoosePolicy, with all that is needed to draw it again; `command_id` is the decision."""

    command_id: str
    scope: str
    policy_id: str
    score: float  # sampled reward of the policy, return units
    exploration_bonus: float  # score minus posterior mean
    propensity: float  # probability with which this policy was chosen
    explored: bool  # drawn by the uniform part of the mixture
    scores: dict[str, float]  # sampled, by policy
    means: dict[str, float]  # posterior means of the expected reward at this context
    propensities: dict[str, float]
    width: float  # 90 % credible width of the chosen policy's expected reward, return units
    prior_width: float  # the same before any reward, at this context
    forecast_vol: float | None  # sigmaHAR used, fraction per day; None where unknown
    features: dict[str, float]  # the vector by feature name, as the model sees it
    inputs: dict[str, float | str]  # values used, before transformation, live ones included
    filled: tuple[str, ...] = ()  # inputs that were filled from live topics
    missing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # unknown keys of the context
    layout: int  # version of the feature layout
    versions: dict[str, int]  # posterior version (updates so far) by policy
    ts: int


class RewardPolicy(Command, frozen=True, kw_only=True):
    """Teach the router what a policy earned, in return units net of costs."""

    scope: str = "default"
    policy_id: str
    reward: float
    context: dict[str, float | str] = {}  # used where the decision is not known
    decision_id: str | None = None  # the command_id of the ChoosePolicy


class PolicyRewarded(Event, frozen=True, kw_only=True):
    """The answer to RewardPolicy."""

    command_id: str
    scope: str
    policy_id: str
    reward: float
    decision_id: str | None
    counted: bool  # False: this decision had been rewarded before
    updates: int  # of the policy, after this
    mean_reward: float  # of the policy, after this
    drift_alarm: bool = False
    ts: int


# --- portfolio ---


class OptimizePortfolio(Command, frozen=True, kw_only=True):
    """Find weights under a CVaR budget and a volatility ceiling."""

    book: str = "default"
    symbols: tuple[str, ...]  # canonical
    cvar_budget: float  # fraction per day
    vol_target: float  # fraction per day
    mode: Literal["sum_cvar", "portfolio_cvar"] = "sum_cvar"
    lookback: int | None = None  # days; None: all there are
    confidence: float = 0.95


class PortfolioOptimized(Event, frozen=True, kw_only=True):
    """The answer to OptimizePortfolio, with all that is needed to compute its utility again.

    The utility is ``mean'w - risk_aversion / 2 w'covariance w``. Limits are named as their fields:
    ``cvar_budget``, ``vol_target``, and ``invested`` for the whole of the capital.
    """

    command_id: str
    book: str
    mode: Literal["sum_cvar", "portfolio_cvar"]
    status: Literal["optimal", "all_cash", "tolerance_not_met", "insufficient_history"]
    reason: str  # in words, why this status
    symbols: tuple[str, ...]  # as asked for
    dropped: tuple[str, ...] = ()  # weight 0 because too young, so that the others have history in common
    weights: dict[str, float]
    cash: float
    vol: float  # of the weights under `covariance`, fraction per day
    vol_historical: float  # sample standard deviation over the days
    cvar_sum: float  # sum of weight times cvar_by_symbol, fraction per day
    cvar_portfolio: float  # of the weights over the days, fraction per day
    cvar_by_symbol: dict[str, float]  # of one unit of weight, >= 0; no entry without history
    cvar_limits: dict[str, float]  # the same as the budget counts it: cautious below 120 days
    expected_return: float  # fraction per day
    utility: float  # fraction per day
    gap: float  # proven: no weights within the limits have a utility greater by more
    kelly: dict[str, float]  # advisory, each symbol on its own
    binding: tuple[str, ...]  # limits with a positive shadow price
    shadow_prices: dict[str, float]  # utility per unit of each limit
    observations: int  # days of returns that all symbols have
    needed: int  # days below which all is cash
    first_day_ts: int | None  # start of the first and last of these days
    last_day_ts: int | None
    horizon_days: int = 1
    confidence: float
    cvar_budget: float  # as asked for
    vol_target: float
    lookback: int | None
    mean: dict[str, float]  # shrunk, fraction per day
    covariance: tuple[tuple[float, ...], ...]  # shrunk, in the order of `mean`
    risk_aversion: float
    venue: str  # whose candles
    ts: int


class AssessRisk(Command, frozen=True, kw_only=True):
    """Measure the risk of the positions of a book anew; answered by RiskBudget."""

    book: str = "default"
    position: Position | None = None  # newer perhaps than what the book's partition has seen of it


class Position(Event, frozen=True, kw_only=True):
    """What is held of a symbol, from all its fills; amounts in quote units, signed."""

    symbol: str
    quantity: Decimal  # base units, signed
    basis: Decimal  # average cost times quantity
    avg_price: Decimal | None  # None while flat
    mark: float | None  # mid of a LIVE book, else the last known
    mark_ts: int | None
    realized_pnl: Decimal  # fees apart
    unrealized_pnl: Decimal
    fees: Decimal
    cash: Decimal  # paid (-) and received (+), fees included
    fills: int
    ts: int


class SymbolRisk(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's part of the risk."""

    cvar: float  # of one unit of weight, fraction per day, >= 0
    vol: float  # fraction per day
    weight: float  # position value / equity, signed
    used: float  # |weight| times cvar
    observations: int = 0  # days of its history
    assumed: bool = False  # too little history of something held: all of it may be lost in a day


class RiskBudget(Event, frozen=True, kw_only=True):
    """How much of the CVaR budget the positions use; what sizing must stay within."""

    book: str
    equity: Decimal  # quote units: initial capital plus all profit and loss
    cvar_budget: float  # fraction per day
    cvar_used: float
    cvar_left: float  # >= 0
    by_symbol: dict[str, SymbolRisk]  # every symbol with enough history, held or not
    confidence: float
    observations: int  # days of history
    venue: str = ""  # whose candles
    ts: int


class PortfolioHolding(Event, frozen=True, kw_only=True):
    """State, private: a position, and when it is marked next (None: no tick is pending)."""

    position: Position
    next_mark_ts: int | None = None


class PortfolioBook(Event, frozen=True, kw_only=True):
    """State, private: when a book is assessed next, and positions newer than the view of them was."""

    next_assessment_ts: int | None
    ahead: dict[str, Position] = {}


class PortfolioRemembered(Event, frozen=True, kw_only=True):
    """State, private: something done under an id that may come again; the answer, where there was one."""

    answer: PortfolioOptimized | None


class PortfolioSlot(Event, frozen=True, kw_only=True):
    """State, private: an id's place in the order of forgetting; the newest also stands by itself."""

    remembered: str
    count: int  # ids remembered before it


# --- execution ---


class OrderFilled(Event, frozen=True, kw_only=True):
    """A (part of a) paper order was filled; FIX names, amounts in quote units."""

    exec_id: str  # FIX ExecID: deterministic, so a repeated fill can be dropped
    cl_ord_id: str
    execution_id: str | None  # None: an order on its own
    venue: str
    symbol: str
    side: TakerSide
    order_qty: Decimal
    last_qty: Decimal  # base units
    last_px: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal
    fee: Decimal
    liquidity: Literal["taker", "maker"] = "taker"
    mid: float  # of the book it was filled on
    expected_px: float  # what the plan expected to pay, quote units
    latency_ns: int  # simulated, from submission to fill
    epoch: int  # of the book
    seq: int
    ts: int


# --- gateway ---


class IdempotentReply(Event, frozen=True, kw_only=True):
    """What a POST under this Idempotency-Key was answered; a retry is answered again, not done again."""

    request_hash: str  # SHA-256 of method, path and body, hex
    status: int
    body: bytes  # JSON
    ts: int
