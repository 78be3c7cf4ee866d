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

from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

Level: TypeAlias = tuple[float, float]
"""(price, size); in a delta a size of 0.0 deletes the level."""


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of a message; a message is a tree, so the search for cycles leaves it and its parts out."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
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
    INTERNAL = "internal"  # its service failed on it: a defect; the command is kept in dead-letters.v1


class Fault(Part, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: str  # as callers of the gateway name it
    message: str  # and what would be right


class CommandRejected(Event, frozen=True, kw_only=True):
    """The answer to a command that was refused; nothing was done."""

    command_id: str
    command: str  # its type
    key: str  # that of the command
    refusal: Refusal  # of which kind
    detail: str  # for people
    faults: tuple[Fault, ...] = ()  # the fields that are wrong, where it is they
    ts: int


class Remembered(Event, frozen=True, kw_only=True):
    """State, private: what was done under an id that may come again; see `libs.common.answered`."""

    among: str = ""  # with what it is forgotten, in one order; "": an older version gave its place
    number: int = 0  # in that order
    ts: int = 0  # when it was done, on the clock that its age is told by


class ServiceState(StrEnum):
    """What a process says of itself."""

    STARTING = "starting"  # it lives, and does not do its work yet
    READY = "ready"  # it does all of its work
    DEGRADED = "degraded"  # part of its work is not done, or refused, until somebody mends it


class ServiceStatus(Event, frozen=True, kw_only=True):
    """The heartbeat of a process, repeated every second; a tombstone says that it stopped as asked.

    It is believed for `STATUS_SILENCE_NS`: a process that dies cannot say so.
    """

    service: str  # "router"
    instance: str  # unique and stable per replica of the service
    version: str  # of Bookrunner
    state: ServiceState
    partitions_owned: tuple[int, ...] = ()  # that it works on now, restored
    partitions_stopped: tuple[int, ...] = ()  # whose handler raised
    since_ts: int  # when the state began
    ts: int
    detail: str = ""  # what it waits for, or what has stopped, in words


STATUS_SILENCE_NS: Final = 5_000_000_000

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
    ONE_SIDED = "ONE_SIDED"  # proven consistent, and a side is empty
    HALTED = "HALTED"  # the venue says that it does not match now
    REFUSED = "REFUSED"  # the venue does not serve this symbol
    BLOCKED = "BLOCKED"  # the venue serves nothing to this address


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
    reason: Literal["resync", "keyframe"]  # resync: the book began anew; keyframe: repeated for late readers
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


class Features(Part, frozen=True, kw_only=True):
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
    """The best levels of a LIVE or ONE_SIDED book, conflated; the state that views fold."""

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


class InstrumentTerms(Part, frozen=True, kw_only=True):
    """What a venue demands of an order in a symbol, as it says itself."""

    tick: Decimal  # quote units
    lot: Decimal  # base units
    min_qty: Decimal  # base units
    min_notional: Decimal  # quote units


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
    rate_remaining: float | None = None  # share of what l2 allows itself of the venue's REST limit, in [0, 1]
    requests: int = 0  # REST requests to the venue that this process had answered
    request_ns: int | None = None  # how long the last of them took, there and back
    told_seq: int = 0  # of this epoch's newest top by the heartbeat before; one older is not the newest
    in_doubt: bool = False  # silent for longer than is usual for it: only a message proves it
    false_stamps: int = 0  # venue times that cannot be true, and were not used
    repeated_trades: int = 0  # trades of an id that had been counted
    trade_holes: int = 0  # times at which the venue's trade ids left some out
    missing_trades: int = 0  # trades that they left out
    reconnects: int = 0  # orderly ones: the new connection's book took over before the old one was dropped
    resnapshots: int = 0  # snapshots taken while LIVE, as the mid neared the edge of what is known
    ignored: int = 0  # messages that the feed does not know or cannot use, and late ones
    terms: InstrumentTerms | None = None  # as the venue said last; None: not known, the table's hold


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
    interval: Interval  # its length
    open_ts: int  # start of the interval
    open: float  # of its first trade, quote units
    high: float  # quote units
    low: float  # quote units
    close: float  # of its last trade, quote units
    volume: float  # base units
    trades: int  # how many
    closed: bool  # no further trade can change it


# --- venues ---


class ScoreVenues(Command, frozen=True, kw_only=True):
    """Choose a venue, and a split, to take `size` of a symbol now."""

    symbol: str
    size: float  # base units
    side: TakerSide = "buy"


class CostBps(Part, frozen=True, kw_only=True):
    """The parts of a venue's expected all-in cost, in bps of its own mid."""

    spread: float  # half spread
    impact: float  # of walking the book beyond the best price
    fee: float  # taker
    latency: float  # of the price moving while the order is on its way
    reliability: float  # includes pressure on the rate limit

    @property
    def total(self) -> float:
        """The sum."""
        return self.spread + self.impact + self.fee + self.latency + self.reliability


class VenueCandidate(Part, frozen=True, kw_only=True):
    """One venue as it was judged; the book it was judged on can be found again by `epoch` and `seq`."""

    venue: str
    eligible: bool  # whether the order may go there now
    score: float | None = None  # minus the total cost in bps, higher is better; None where not eligible
    cost_bps: CostBps | None = None  # the parts of its cost
    reasons: tuple[str, ...]  # in words: what speaks against it, or why it is not eligible
    mid: float | None = None  # quote units
    epoch: int | None = None
    seq: int | None = None
    basis_bps: float | None = None  # gap of the mid to the median of the usable books; reported, not scored


class VenueShare(Part, frozen=True, kw_only=True):
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
    score: float  # its: minus the expected all-in cost, bps
    reasons: tuple[str, ...]  # what speaks against the best, in words
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
    latency_p99_ms: float | None  # the same, 99th percentile
    request_p50_ms: float | None = None  # round trip of a request
    clock_offset_ms: float | None = None  # the least received minus venue time seen: what is corrected
    spread_bps: float | None  # best ask minus best bid, bps of mid
    top_depth: float | None  # base units within the best 5 levels, the smaller side
    depth_bid: tuple[float, float, float] | None = None  # base units within 5, 10, 25 bps of mid
    depth_ask: tuple[float, float, float] | None = None  # the same above mid
    taker_bps: float  # taker fee
    maker_bps: float  # maker fee
    reliability: float  # posterior mean of being LIVE and well, in (0, 1)
    alpha: float  # of the Beta posterior
    beta: float  # of the Beta posterior
    gaps: int = 0  # since first seen, over restarts of l2
    checksum_failures: int = 0  # since first seen
    disconnects: int = 0  # since first seen
    rate_remaining: float  # share of the venue's rate limit left, in [0, 1]
    slippage_bps: float | None = None  # own fills against their expectation, decayed mean
    fills: int = 0  # own, so far
    volatility: float | None = None  # of the mid, fraction per day; None below 5 one-minute returns
    reference_cost_bps: float | None = None  # all-in, mean of buy and sell of `reference_notional`
    reference_notional: float = 0.0  # quote units
    reasons: tuple[str, ...] = ()  # why there is no reference cost, in words
    epoch: int
    seq: int
    ts: int


# --- policies ---


class PolicyRegistered(Event, frozen=True, kw_only=True):
    """A trading policy that somebody can turn into a signal; a tombstone under the same key ends it."""

    policy_id: str
    kind: str  # whose code it is; builtin: execution's own
    summary: str  # what it does, in a sentence
    parameters: dict[str, float | str | bool] = {}  # what it is set to; names say the unit
    version: str  # another one whenever the policy may decide otherwise


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
    scores: dict[str, float]  # sampled, by policy; of those of the scope that were registered then
    means: dict[str, float]  # posterior means of the expected reward at this context
    propensities: dict[str, float]  # by policy; they sum to 1
    width: float  # 90 % credible width of the chosen policy's expected reward, return units
    prior_width: float  # the same before any reward, at this context
    forecast_vol: float | None  # sigmaHAR used, fraction per day; None where unknown
    features: dict[str, float]  # the vector by feature name, as the model sees it
    inputs: dict[str, float | str]  # values used, before transformation, live ones included
    filled: tuple[str, ...] = ()  # inputs that were filled from live topics
    missing: tuple[str, ...] = ()  # inputs without a value
    ignored: tuple[str, ...] = ()  # unknown keys of the context
    layout: int  # version of the feature layout
    versions: dict[str, int]  # posterior version (updates so far) by policy
    ts: int


class RewardPolicy(Command, frozen=True, kw_only=True):
    """Teach the router what a policy earned, in return units net of costs."""

    scope: str = "default"
    policy_id: str  # that earned it
    reward: float  # return units, net of costs
    context: dict[str, float | str] = {}  # used where the decision is not known
    decision_id: str | None = None  # the command_id of the ChoosePolicy


class PolicyRewarded(Event, frozen=True, kw_only=True):
    """The answer to RewardPolicy."""

    command_id: str
    scope: str
    policy_id: str  # that earned it
    reward: float  # as sent, return units
    decision_id: str | None
    counted: bool  # False: nothing was learnt, see `reason`
    reason: str = ""  # why it was not counted: the decision expired, or was rewarded before
    updates: int  # of the policy, after this
    mean_reward: float  # of the policy, after this; 0 before the first
    drift_alarm: bool = False  # rewards left what the model expects; what it knew was reset
    ts: int


class AddPolicy(Command, frozen=True, kw_only=True):
    """Let the router of a scope choose one more registered policy; a retired one comes back as it was."""

    scope: str = "default"
    policy_id: str


class RetirePolicy(Command, frozen=True, kw_only=True):
    """Choose a policy no more; its late rewards still count, and the others keep what they learnt."""

    scope: str = "default"
    policy_id: str


class PoliciesChanged(Event, frozen=True, kw_only=True):
    """The answer to AddPolicy and RetirePolicy."""

    command_id: str
    scope: str
    policy_id: str  # added or retired
    policies: tuple[str, ...]  # that may be chosen, after this
    changed: bool  # False: it was so already
    ts: int


class OffPolicyEstimate(Part, frozen=True, kw_only=True):
    """What always choosing one policy would have earned, by one estimator, return units."""

    value: float  # return units
    low: float | None = None  # 95 % interval; None below 30 rewarded decisions
    high: float | None = None  # its upper end


class PolicySummary(Part, frozen=True, kw_only=True):
    """What is known of one policy; rewards are in return units."""

    policy_id: str
    updates: int  # rewards counted
    mean_reward: float | None  # of all its rewards; None before the first
    estimate: float  # posterior mean of the expected reward at the last choice's context
    low: float  # its 90 % credible interval
    high: float  # its upper end
    choices: int  # of this policy, so far
    share: float  # of all choices of the scope
    cusum: float  # of its drift alarm
    resets: int  # by drift alarms
    registered: bool = True  # False: nobody implements it, so it is not chosen until it is registered
    rewarded: int  # decisions with a known propensity and a reward in which it could be chosen
    ess: float  # effective sample size of its importance weights
    ips: OffPolicyEstimate | None = None  # None before the first such decision
    snips: OffPolicyEstimate | None = None  # None while the policy was not chosen
    dr: OffPolicyEstimate | None = None  # doubly robust


class RouterSnapshot(Event, frozen=True, kw_only=True):
    """The state of a scope after its last command, for people."""

    scope: str
    last_choice: str | None  # policy
    decision_id: str | None  # UUID of the last choice; None before the first
    decided_ts: int | None
    sampled_scores: dict[str, float]  # of the last choice, by policy, return units
    features: dict[str, float]  # the vector of the last choice, by name, as the model sees it
    inputs: dict[str, float | str]  # values the last choice used, before transformation
    filled: tuple[str, ...]  # inputs of it that were filled from live topics
    missing: tuple[str, ...]  # inputs of it without a value
    policies: tuple[PolicySummary, ...]  # that may be chosen while they are registered
    retired: tuple[str, ...]  # that may be chosen no more
    choices: int  # of the scope, so far
    updates: int  # rewards counted, of the scope, so far
    noise: float  # pooled scale of rewards around their means, return units
    pooled_cusum: float  # of the drift alarm over all policies
    drift_alarms: int  # so far
    ignored_keys: int  # unknown keys of contexts, so far
    pending: int  # decisions and answers remembered
    stubs: tuple[str, ...]  # inputs that a stub provides
    layout: int  # version of the feature vector
    ts: int


class RouterScopeState(Event, frozen=True, kw_only=True):
    """State, private: what the policies of a scope share."""

    layout: int
    policies: tuple[str, ...]  # that may be chosen
    retired: tuple[str, ...] = ()  # that may be chosen no more
    means: tuple[float, ...]  # running statistics of the inputs, in the order of the layout
    variances: tuple[float, ...]  # of the inputs, as above
    counts: tuple[int, ...]  # of the inputs, as above
    choices: int = 0
    pooled_cusum: float = 0.0  # of the drift alarm over all policies
    drift_alarms: int = 0  # so far
    ignored_keys: int = 0  # unknown keys of contexts, so far
    evaluation: dict[str, tuple[float, ...]] = {}  # sums of the off-policy estimators, by policy
    last: PolicyChosen | None = None  # choice
    used_ts: int = 0  # when its last command was carried out
    archive_ts: int | None = None  # when it is looked at whether it is idle; None: it is archived
    stepped_ns: int = 0  # by how much the clock was set since it began; answers are on the clock of then


class RouterPolicyState(Event, frozen=True, kw_only=True):
    """State, private: the posterior of one policy; arrays are float64, little-endian, row by row."""

    precision: bytes  # A, (d, d)
    shift: bytes  # h, (d,)
    covariance: bytes  # P, (d, d)
    mean: bytes  # m, (d,)
    shape: float  # a, of the noise
    rate: float  # B, of the noise
    updates: int = 0
    reward_sum: float = 0.0  # return units
    choices: int = 0  # of this policy, so far
    cusum: float = 0.0  # of its drift alarm
    resets: int = 0


class RouterAnswer(Remembered, frozen=True, kw_only=True):
    """State, private: an answer remembered, so that its command is answered again and not done again."""

    answer: PolicyChosen | PolicyRewarded | PoliciesChanged  # as it was given
    rewarded: bool = False  # of a decision: its reward was counted


class RouterIntake(Event, frozen=True, kw_only=True):
    """State, private: how many scopes a partition keeps, and how many of them began in this minute."""

    scopes: int  # kept, the archived ones included
    minute_ts: int  # when the minute began
    begun: int  # scopes in it


class RouterSlot(Event, frozen=True, kw_only=True):
    """State, private: the place of an answer, as older versions kept it; read and replaced at a start."""

    command_id: str  # of the remembered command
    ts: int  # of its answer, less `stepped_ns`


# --- portfolio ---

BOOK: Final = "default"  # the one book: every fill belongs to it, and every execution is sized by its risk


class OptimizePortfolio(Command, frozen=True, kw_only=True):
    """Find weights under a CVaR budget and a volatility ceiling."""

    book: str = BOOK  # name of the book; it chooses the partition
    symbols: tuple[str, ...]  # canonical
    cvar_budget: float  # fraction per day
    vol_target: float  # fraction per day
    mode: Literal["sum_cvar", "portfolio_cvar"] = "sum_cvar"
    lookback: int | None = None  # days, 20 at least; None: all there are
    confidence: float = 0.95  # of the CVaR


class PortfolioOptimized(Event, frozen=True, kw_only=True):
    """The answer to OptimizePortfolio, with all that is needed to compute its utility again.

    The utility is ``mean'w - risk_aversion / 2 w'covariance w``. Limits are named as their fields:
    ``cvar_budget``, ``vol_target``, and ``invested`` for the whole of the capital.
    """

    command_id: str
    book: str
    mode: Literal["sum_cvar", "portfolio_cvar"]
    status: Literal[
        "optimal", "all_cash", "tolerance_not_met", "insufficient_history"
    ]  # whether the weights are the best there are, or why not
    reason: str  # in words, why this status
    symbols: tuple[str, ...]  # as asked for
    dropped: tuple[str, ...] = ()  # weight 0: too young for history in common with the others, or ended
    weights: dict[str, float]  # shares of capital, by symbol
    cash: float  # 1 less the weights
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
    first_day_ts: int | None  # start of the first of these days
    last_day_ts: int | None  # start of the last of them
    horizon_days: int = 1  # of returns, volatilities and CVaR
    confidence: float  # of the CVaR
    cvar_budget: float  # as asked for
    vol_target: float  # as asked for
    lookback: int | None  # days, as asked for; None: all there are
    mean: dict[str, float]  # shrunk, fraction per day
    covariance: tuple[tuple[float, ...], ...]  # shrunk, in the order of `mean`
    risk_aversion: float  # of the utility, per unit of variance
    venue: str  # whose candles
    ts: int


class AssessRisk(Command, frozen=True, kw_only=True):
    """Measure the risk of the positions of a book anew; answered by RiskBudget."""

    book: str = BOOK
    position: Position | None = None  # newer perhaps than what the book's partition has seen of it


class Position(Event, frozen=True, kw_only=True):
    """What is held of a symbol, from all its fills; amounts in quote units, signed."""

    symbol: str
    quantity: Decimal  # base units, signed
    basis: Decimal  # average cost times quantity
    avg_price: Decimal | None  # None while flat
    mark: float | None  # mid of a LIVE book, else the last known
    mark_ts: int | None  # when the mark was known
    realized_pnl: Decimal  # fees apart
    unrealized_pnl: Decimal  # of what is held, at the mark
    fees: Decimal  # of all fills
    cash: Decimal  # paid (-) and received (+), fees included
    fills: int  # so far
    ts: int


class SymbolRisk(Part, frozen=True, kw_only=True):
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
    confidence: float  # of the CVaR
    observations: int  # days of history
    venue: str = ""  # whose candles
    ts: int


class PortfolioHolding(Event, frozen=True, kw_only=True):
    """State, private: a position, and when it is marked next (None: no tick is pending)."""

    position: Position  # as it is
    next_mark_ts: int | None = None  # ns since 1970 UTC


class PortfolioBook(Event, frozen=True, kw_only=True):
    """State, private: when a book is assessed next, and positions newer than the view of them was."""

    next_assessment_ts: int | None  # ns since 1970 UTC; None: none is pending
    ahead: dict[str, Position] = {}  # by symbol
    symbols: int = 0  # whose risk was known at the last assessment


class PortfolioRemembered(Remembered, frozen=True, kw_only=True):
    """State, private: something done under an id that may come again; the answer, where there was one."""

    answer: PortfolioOptimized | None  # None: there was none to give


class PortfolioSlot(Event, frozen=True, kw_only=True):
    """State, private: the place of an id, as older versions kept it; read and replaced at a start."""

    remembered: str  # the id
    count: int  # ids remembered before it


# --- execution ---


class ExecutionStatus(StrEnum):
    """How far an execution is; the last four are final."""

    PLANNING = "planning"  # policy, size, venue and plan are being found
    WORKING = "working"  # children are sent
    COMPLETED = "completed"  # filled, but for a rest under the venue's minimum
    CANCELED = "canceled"  # as was wished
    FAILED = "failed"  # ended with a rest, or before a plan; `reason` says why
    SKIPPED = "skipped"  # nothing to do: flat signal, or size 0

    @property
    def final(self) -> bool:
        """Nothing more is sent to a venue."""
        return self not in (ExecutionStatus.PLANNING, ExecutionStatus.WORKING)


class OrdStatus(StrEnum):
    """FIX OrdStatus (39)."""

    PENDING_NEW = "pending_new"  # on its way to the venue
    NEW = "new"  # rests at the venue
    PARTIALLY_FILLED = "partially_filled"  # and the rest rests
    FILLED = "filled"
    CANCELED = "canceled"  # `cum_qty` was filled before
    REJECTED = "rejected"

    @property
    def open(self) -> bool:
        """More may be filled."""
        return self in (OrdStatus.PENDING_NEW, OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)


class ExecType(StrEnum):
    """FIX ExecType (150): what happened last."""

    PENDING_NEW = "pending_new"
    NEW = "new"
    TRADE = "trade"
    CANCELED = "canceled"
    REJECTED = "rejected"


OrdType: TypeAlias = Literal["market", "limit"]
TimeInForce: TypeAlias = Literal["ioc", "gtc"]


class PlanAndExecute(Command, frozen=True, kw_only=True):
    """Choose a policy, size its signal, find a venue, plan, execute on paper; its id names the execution."""

    symbol: str
    urgency: float = 0.5  # in [0, 1]; 1 is at once
    context: dict[str, float | str] = {}  # for the router
    scope: str = "default"  # of the router


class SimulateExecution(Command, frozen=True, kw_only=True):
    """Say how `size` would be executed and what that would cost; changes nothing."""

    symbol: str
    size: float  # base units
    side: TakerSide = "buy"
    urgency: float = 0.5


class SubmitPaperOrder(Command, frozen=True, kw_only=True):
    """Send one order to the paper broker; its id names the order."""

    symbol: str
    side: TakerSide
    order_qty: Decimal  # base units
    ord_type: OrdType = "market"
    price: Decimal | None = None  # limit, quote units
    time_in_force: TimeInForce = "ioc"  # gtc: limit orders only, the rest waits at the venue
    venue: str | None = None  # None: the LIVE one with the best price, fee included


class CancelExecution(Command, frozen=True, kw_only=True):
    """End an execution, or a paper order on its own, now; what is filled stays."""

    symbol: str
    execution_id: str  # or the cl_ord_id of an order on its own


class PaperOrder(Part, frozen=True, kw_only=True):
    """A paper order as it stands; amounts in quote units. A cancel leaves `leaves_qty` 0, as FIX has it."""

    cl_ord_id: str
    execution_id: str | None  # None: an order on its own
    venue: str
    symbol: str
    side: TakerSide
    order_qty: Decimal  # base units
    ord_type: OrdType
    price: Decimal | None  # limit
    time_in_force: TimeInForce
    ord_status: OrdStatus
    exec_type: ExecType
    cum_qty: Decimal
    leaves_qty: Decimal
    cum_quote: Decimal  # what the fills cost or brought, fees apart; exact
    fees: Decimal  # of its fills
    avg_px: Decimal | None  # cum_quote / cum_qty; None without a fill
    fills: int = 0  # so far
    submitted_ts: int
    arrives_ts: int  # when the venue has it
    mid: float  # of the book it was submitted on
    best_px: float  # of the side it takes, at submission
    expected_px: float  # what is expected to be paid, quote units
    epoch: int  # of that book
    seq: int  # of that book
    text: str = ""  # why canceled or rejected


class OrderSubmitted(Event, frozen=True, kw_only=True):
    """An order is on its way to the paper broker."""

    order: PaperOrder  # as it stands
    ts: int


class OrderAccepted(Event, frozen=True, kw_only=True):
    """The paper broker has the order."""

    order: PaperOrder  # as it stands
    ts: int


class OrderRejected(Event, frozen=True, kw_only=True):
    """The paper broker refused the order; `text` of the order says why."""

    order: PaperOrder  # as it stands
    ts: int


class OrderCanceled(Event, frozen=True, kw_only=True):
    """What was left of the order is no more at the venue; `text` of the order says why."""

    order: PaperOrder  # as it stands
    ts: int


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
    last_px: Decimal  # of this fill
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_px: Decimal
    fee: Decimal  # of this fill
    liquidity: Literal["taker", "maker"] = "taker"  # taker: took it; maker: rested and was taken
    mid: float  # of the book it was filled on
    expected_px: float  # what the plan expected to pay, quote units
    latency_ns: int  # simulated, from submission to fill
    epoch: int  # of the book
    seq: int
    ts: int


class PolicySignal(Part, frozen=True):
    """What the chosen policy wants."""

    value: float  # +1 fully long, 0 flat, in [-1, 1]
    reason: str  # in words


class SizingSnapshot(Event, frozen=True, kw_only=True):
    """How a signal became a size, with every factor; fractions are of equity."""

    execution_id: str
    symbol: str
    signal: float  # what the policy wants, -1 to 1
    uncertainty_width: float  # return units
    s_max: float  # fraction
    w_star: float  # return units
    sigmoid: float  # sigma(-width / w_star), 0 to 0.5
    forecast_vol: float | None  # fraction per day
    vol_target: float  # fraction per day
    vol_scale: float | None  # vol_target / forecast_vol, bounded
    caps: dict[str, float]  # fractions, by name
    binding: str | None  # the cap that cut the size
    raw: float  # fraction, before the caps
    size: float  # fraction, signed, after the caps
    target: Decimal  # base units, signed
    held: Decimal  # base units, with what is on its way
    side: TakerSide | None  # of the order
    qty: Decimal  # base units of the order
    reason: str
    equity: Decimal  # quote units
    price: Decimal  # quote units
    ts: int


class PlannedSlice(Part, frozen=True, kw_only=True):
    """One child order of a plan."""

    at_ts: int  # when it is sent
    size: Decimal  # base units
    limit: Decimal  # quote units, as seen from the book of the plan


class PlanAlternative(Part, frozen=True, kw_only=True):
    """A way to work the order, as it was judged."""

    style: str
    horizon_s: float
    children: int  # orders that it would send
    expected_bps: float | None  # fees apart
    risk_bps: float | None  # standard deviation
    objective_bps: float | None  # expected plus weighted risk; None: impossible
    why_not: str  # empty: possible


class ExecutionPlan(Part, frozen=True, kw_only=True):
    """How an order is worked."""

    style: str
    venue: str
    side: TakerSide
    size: Decimal  # base units
    horizon_s: float
    interval_s: float
    participation: float | None  # of POV
    slices: tuple[PlannedSlice, ...]
    expected_bps: float  # spread and impact, bps of `mid`
    risk_bps: float
    mid: float  # of the book it was made on
    epoch: int
    seq: int
    alternatives: tuple[PlanAlternative, ...]


class PlanCost(Part, frozen=True, kw_only=True):
    """What a plan is expected to cost."""

    spread_bps: float  # half spread
    impact_bps: float  # of walking the books
    fee_bps: float  # taker
    total_bps: float  # spread, impact and fee
    total: float  # quote units
    impact_lower_bps: float  # 95 % interval
    impact_upper_bps: float  # its upper end


class RecordFill(Part, frozen=True, kw_only=True):
    """One fill of a record; amounts in quote units."""

    fill_id: str  # FIX ExecID
    order_id: str  # FIX ClOrdID of its order
    venue: str
    side: TakerSide
    size: Decimal  # base units
    price: Decimal
    fee: Decimal
    mid: float  # of the book its order was submitted on
    best_px: float  # of the taken side, at submission
    ts: int  # when it was filled


class ShortfallBps(Part, frozen=True, kw_only=True):
    """Implementation shortfall, bps of the order's value at the decision; four parts and their sum."""

    delay_bps: float  # from the decision to the first child
    impact_bps: float  # of the fills against the mid at the first child
    opportunity_bps: float  # of what was not filled
    fees_bps: float  # of the fills
    total_bps: float  # the sum of the four; a cost is positive
    detail: dict[str, float | str]  # parts of impact in bps; all amounts in quote units as text


class RewardOutcome(Part, frozen=True, kw_only=True):
    """What the execution taught the router."""

    reward: float | None  # return units, net of costs; None: nothing was taught
    reason: str
    mid: float | None = None  # at the horizon
    counted: bool | None = None  # by the router; None: not answered


class AuditHead(Part, frozen=True, kw_only=True):
    """Where the chain of an execution's audit entries stands."""

    entries: int  # how many
    head: str  # hash of the last


class ExecutionRecord(Event, frozen=True, kw_only=True):
    """An execution as it stands; filled + open + unscheduled is the size of its order at any time."""

    execution_id: str
    symbol: str
    status: ExecutionStatus  # how far it is
    reason: str = ""  # why it ended so
    waiting: str = ""  # for what, while it waits
    urgency: float
    scope: str  # of the router
    decision_id: str  # of the policy
    policy_id: str | None = None  # chosen; None before that
    propensity: float | None = None  # with which it was chosen, 0 to 1
    score: float | None = None  # sampled, of the policy
    signal: PolicySignal | None = None
    sizing: SizingSnapshot | None = None
    venue: str | None = None  # chosen; None before that
    venue_score: float | None = None
    venue_reasons: tuple[str, ...] = ()
    plan: ExecutionPlan | None = None
    orders: tuple[PaperOrder, ...] = ()
    fills: tuple[RecordFill, ...] = ()  # the newest of its orders, oldest first
    fills_total: int | None = None  # so far, each on execution.fills.v1; null: no more than fills
    filled: Decimal = Decimal(0)  # base units
    open: Decimal = Decimal(0)
    unscheduled: Decimal = Decimal(0)
    avg_px: Decimal | None = None  # quote units
    shortfall: ShortfallBps | None = None
    reward: RewardOutcome | None = None  # what it taught; None before that
    audit: AuditHead
    created_ts: int
    ts: int


class ExecutionPlanned(Event, frozen=True, kw_only=True):
    """The answer to PlanAndExecute: the plan is made, or the execution has ended without one."""

    command_id: str
    record: ExecutionRecord
    ts: int


class ExecutionSimulated(Event, frozen=True, kw_only=True):
    """The answer to SimulateExecution."""

    command_id: str
    symbol: str
    plan: ExecutionPlan
    cost: PlanCost  # of the plan
    venues: dict[str, str]  # why each venue was taken or not
    ts: int


class PaperOrderPlaced(Event, frozen=True, kw_only=True):
    """The answer to SubmitPaperOrder, when the broker has it, and to the cancel of such an order."""

    command_id: str
    order: PaperOrder  # as it stands
    fills: tuple[RecordFill, ...]  # the newest of the order, oldest first
    fills_total: int | None = None  # so far, each on execution.fills.v1; null: no more than fills
    ts: int


class ExecutionCanceled(Event, frozen=True, kw_only=True):
    """The answer to CancelExecution."""

    command_id: str
    record: ExecutionRecord
    ts: int


class AuditEntry(Event, frozen=True, kw_only=True):
    """A link of an execution's chain: ``hash = SHA-256(prev_hash + JCS({seq, ts, kind, payload}))``."""

    execution_id: str  # whose chain it is
    seq: int  # from 0
    ts: int  # whole ms; hashed as ms
    kind: str  # what happened
    payload: str  # a JSON object in canonical form (RFC 8785)
    prev_hash: str  # hex; 64 zeros first
    hash: str  # hex


class VerifyExecution(Command, frozen=True, kw_only=True):
    """Make the decisions of these audit entries again; refused, known for the gateways that still send it."""

    symbol: str
    execution_id: str  # whose chain it is
    entries: tuple[AuditEntry, ...]  # the chain, in order


class ExecutionVerified(Event, frozen=True, kw_only=True):
    """The answer to VerifyExecution; nobody writes it, and older logs hold some."""

    command_id: str
    execution_id: str  # whose chain it is
    decisions: int  # made again
    differences: tuple[str, ...]  # in words; empty: all came out the same
    ts: int


# --- gateway ---


class IdempotentReply(Event, frozen=True, kw_only=True):
    """What a POST under this Idempotency-Key was answered; a retry is answered again, not done again."""

    request_hash: str  # SHA-256 of method, path and body, hex
    status: int  # of HTTP
    body: bytes  # JSON
    ts: int
    caller: str = ""  # the address that it counts for; empty: nobody knows
