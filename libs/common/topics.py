"""The registry of topics: who may say what where and how much, under which key, and how long it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common import events
from libs.common.time_units import DAY_S
from libs.common.topic import DAY_MS, FOREVER, HOUR_MS, MIB, MINUTE_MS, PAST_MS, Grows, Key, Load, Topic
from libs.common.topic_keys import (
    book_key,
    candle_key,
    input_key,
    limits_key,
    limits_used_key,
    progress_key,
    signal_key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DAY_MS",
    "FOREVER",
    "HOUR_MS",
    "MIB",
    "MINUTE_MS",
    "Key",
    "Topic",
    "book_key",
    "candle_key",
    "input_key",
    "limits_key",
    "limits_used_key",
    "progress_key",
    "signal_key",
]

L2_SUBSCRIPTIONS: Final = Topic(
    "l2.subscriptions.v1",
    (events.Subscribed,),
    Key.BOOK,
    ("gateway", "cli", "l2"),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.BOOKS, 1 / 600, 100, keys=1),  # a start each ten minutes
)
L2_BOOK_DELTAS: Final = Topic(
    "l2.book-deltas.v1",
    (events.BookSnapshot, events.BookDelta),
    Key.BOOK,
    ("l2",),
    retention_ms=PAST_MS,
    retention_bytes=4096 * MIB,
    max_message_bytes=8 * MIB,  # a keyframe of a full book approaches 1 MB
    load=Load(Grows.BOOKS, 30, 300),
)
L2_BOOK_TOPS: Final = Topic(
    "l2.book-tops.v1",
    (events.BookTop,),
    Key.BOOK,
    ("l2",),
    compacted=True,
    repeated=True,
    load=Load(Grows.BOOKS, 10, 1_500, keys=1),
)
L2_BOOK_HEALTH: Final = Topic(
    "l2.book-health.v1",
    (events.BookHealth,),
    Key.BOOK,
    ("l2",),
    compacted=True,
    repeated=True,
    past_ms=PAST_MS,
    load=Load(Grows.BOOKS, 1.2, 330, keys=1),
)
L2_TRADES: Final = Topic(
    "l2.trades.v1",
    (events.Trade,),
    Key.BOOK,
    ("l2",),
    retention_ms=30 * DAY_MS,
    load=Load(Grows.BOOKS, 8, 200),
)
L2_CANDLES: Final = Topic(  # closed ones, of a minute and of a day
    "l2.candles.v1",
    (events.Candle,),
    Key.CANDLE,
    ("l2",),
    compacted=True,
    retention_ms=3 * 365 * DAY_MS,
    load=Load(Grows.BOOKS, 1 / 60, 170, keys=3 * 365 * 1_441),
)
L2_CANDLES_DAILY: Final = Topic(  # the days again: who wants years of them need not read all minutes
    "l2.candles-daily.v1",
    (events.Candle,),
    Key.CANDLE,
    ("l2",),
    compacted=True,
    load=Load(Grows.BOOKS, 1 / DAY_S, 170, keys=730 + 10 * 365),  # backfilled, and ten years
)
L2_CANDLES_OPEN: Final = Topic(
    "l2.candles-open.v1",
    (events.Candle,),
    Key.OPEN_CANDLE,
    ("l2",),
    compacted=True,
    repeated=True,
    load=Load(Grows.BOOKS, 2, 150, keys=2),
)
VENUES_COMMANDS: Final = Topic(
    "venues.commands.v1",
    (events.ScoreVenues,),
    Key.SYMBOL,
    ("gateway", "execution"),
    retention_ms=7 * DAY_MS,
    load=Load(Grows.EXECUTIONS, 3, 300),
)
VENUES_METRICS: Final = Topic(
    "venues.metrics.v1",
    (events.VenueMetrics,),
    Key.BOOK,
    ("venues",),
    compacted=True,
    repeated=True,
    past_ms=PAST_MS,
    load=Load(Grows.BOOKS, 1, 750, keys=1),
)
VENUES_SCORES: Final = Topic(
    "venues.scores.v1",
    (events.VenueScored, events.CommandRejected),
    Key.SYMBOL,
    ("venues",),
    retention_ms=7 * DAY_MS,
    load=Load(Grows.EXECUTIONS, 2, 2_200),
)
POLICIES_REGISTRY: Final = Topic(
    "policies.registry.v1",
    (events.PolicyRegistered,),
    Key.POLICY,
    ("execution", "policies", "gateway"),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.TIME, 1 / 60, 400, keys=100),
)
POLICIES_SIGNALS: Final = Topic(
    "policies.signals.v1",
    (events.PolicySignalled,),
    Key.SIGNAL,
    ("policies", "gateway", "any"),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.TIME, 10, 350, keys=1_000),
)
CONTEXT_INPUTS: Final = Topic(
    "context.inputs.v1",
    (events.ContextInput,),
    Key.INPUT,
    ("context", "gateway", "any"),
    compacted=True,
    load=Load(Grows.TIME, 2, 150, keys=1_000),
)
CONTEXT_SOURCES: Final = Topic(
    "context.sources.v1",
    (events.ContextSource,),
    Key.SOURCE,
    ("context",),
    compacted=True,
    load=Load(Grows.TIME, 1, 250, keys=20),
)
ROUTER_COMMANDS: Final = Topic(
    "router.commands.v1",
    (
        events.ChoosePolicy,
        events.RewardPolicy,
        events.AddPolicy,
        events.RetirePolicy,
        events.DeclareFeatures,
    ),
    Key.SCOPE,
    ("gateway", "execution"),
    retention_ms=7 * DAY_MS,
    load=Load(Grows.EXECUTIONS, 5, 350),
)
ROUTER_CHOICES: Final = Topic(
    "router.choices.v1",
    (
        events.PolicyChosen,
        events.PolicyRewarded,
        events.PoliciesChanged,
        events.FeaturesDeclared,
        events.CommandRejected,
    ),
    Key.SCOPE,
    ("router",),
    load=Load(Grows.EXECUTIONS, 5, 800),
)
ROUTER_SNAPSHOTS: Final = Topic(
    "router.snapshots.v1",
    (events.RouterSnapshot,),
    Key.SCOPE,
    ("router",),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.EXECUTIONS, 5, 2_600, keys=100),  # scopes
)
ROUTER_STATE: Final = Topic(
    "router.state.v1",
    (
        events.RouterScopeState,
        events.RouterPolicyState,
        events.RouterAnswer,
        events.RouterSlot,
        events.RouterIntake,
    ),
    Key.SCOPE,
    ("router",),
    compacted=True,
    private=True,
    load=Load(Grows.EXECUTIONS, 15, 3_500, keys=75_000),  # answers remembered, a day of tombstones
)
PORTFOLIO_COMMANDS: Final = Topic(
    "portfolio.commands.v1",
    (events.OptimizePortfolio, events.AssessRisk),
    Key.PORTFOLIO,
    ("gateway", "execution", "portfolio"),
    retention_ms=7 * DAY_MS,
    load=Load(Grows.EXECUTIONS, 2, 450),
)
PORTFOLIO_STATE: Final = Topic(
    "portfolio.state.v1",
    (events.PortfolioHolding, events.PortfolioBook, events.PortfolioRemembered, events.PortfolioSlot),
    Key.ORIGINAL,
    ("portfolio",),
    compacted=True,
    private=True,
    load=Load(Grows.TIME, 4, 200, keys=100_000),  # fills remembered of some symbols
)
PORTFOLIO_ALLOCATIONS: Final = Topic(
    "portfolio.allocations.v1",
    (events.PortfolioOptimized, events.CommandRejected),
    Key.PORTFOLIO,
    ("portfolio",),
    load=Load(Grows.TIME, 1 / 1_800, 10_000),  # an optimisation an hour, and its marker
)
PORTFOLIO_POSITIONS: Final = Topic(
    "portfolio.positions.v1",
    (events.Position,),
    Key.SYMBOL,
    ("portfolio",),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.TIME, 1.5, 400, keys=100),
)
PORTFOLIO_RISK: Final = Topic(
    "portfolio.risk.v1",
    (events.RiskBudget,),
    Key.PORTFOLIO,
    ("portfolio",),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.TIME, 1, 500, keys=10),
)
PORTFOLIO_EQUITY: Final = Topic(
    "portfolio.equity.v1",
    (events.EquityMarked,),
    Key.PORTFOLIO,
    ("portfolio",),
    retention_ms=3 * 365 * DAY_MS,
    load=Load(Grows.TIME, 1 / 20, 400),  # a minute's, and some fills'
)
EXECUTION_COMMANDS: Final = Topic(
    "execution.commands.v1",
    (
        events.PlanAndExecute,
        events.SimulateExecution,
        events.SubmitPaperOrder,
        events.CancelExecution,
        events.VerifyExecution,
        events.HaltTrading,
        events.ResumeTrading,
        events.SetLimits,
    ),
    Key.SYMBOL,
    ("gateway", "cli", "execution"),
    retention_ms=7 * DAY_MS,
    load=Load(Grows.EXECUTIONS, 2, 500),
)
EXECUTION_PLANS: Final = Topic(
    "execution.plans.v1",
    (
        events.ExecutionPlanned,
        events.ExecutionSimulated,
        events.ExecutionCanceled,
        events.PaperOrderPlaced,
        events.ExecutionVerified,
        events.TradingControlled,
        events.CommandRejected,
    ),
    Key.SYMBOL,
    ("execution",),
    load=Load(Grows.EXECUTIONS, 3, 1_400),
)
EXECUTION_ORDERS: Final = Topic(
    "execution.orders.v1",
    (events.OrderSubmitted, events.OrderAccepted, events.OrderRejected, events.OrderCanceled),
    Key.SYMBOL,
    ("execution",),
    load=Load(Grows.EXECUTIONS, 8, 500),
)
EXECUTION_FILLS: Final = Topic(
    "execution.fills.v1",
    (events.OrderFilled,),
    Key.SYMBOL,
    ("execution",),
    load=Load(Grows.EXECUTIONS, 3, 500),
)
EXECUTION_RECORDS: Final = Topic(  # partitioned by the execution's id: all its keys are in one partition
    "execution.records.v1",
    (events.ExecutionRecord, events.ExecutionProgress),
    Key.EXECUTION_OR_CHILD,
    ("execution",),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.EXECUTIONS, 14, 1_500, keys_kept=1),
)
EXECUTION_SIZINGS: Final = Topic(
    "execution.sizings.v1",
    (events.SizingSnapshot,),
    Key.SYMBOL,
    ("execution",),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.EXECUTIONS, 3, 500, keys=100),
)
EXECUTION_CONTROLS: Final = Topic(  # small, and read whole before any order is sent
    "execution.controls.v1",
    (events.TradingHalted, events.TradingResumed, events.LimitsSet, events.LimitsUsed),
    Key.CONTROL,
    ("execution",),
    compacted=True,
    past_ms=PAST_MS,
    load=Load(Grows.EXECUTIONS, 2, 200, keys=300),
)
EXECUTION_AUDIT: Final = Topic(
    "execution.audit.v1",
    (events.AuditEntry,),
    Key.EXECUTION,
    ("execution",),
    load=Load(Grows.EXECUTIONS, 20, 3_000),
)
EXECUTION_STATE: Final = Topic(
    "execution.state.v1",
    (),
    Key.SYMBOL,
    ("execution",),
    compacted=True,
    private=True,
    load=Load(Grows.EXECUTIONS, 40, 800, keys=60_000),  # of an hour of executions, and a day of tombstones
)
GATEWAY_IDEMPOTENCY: Final = Topic(
    "gateway.idempotency.v1",
    (events.IdempotentReply,),
    Key.IDEMPOTENCY_KEY,
    ("gateway",),
    compacted=True,
    retention_ms=DAY_MS,
    load=Load(Grows.EXECUTIONS, 2, 2_500, keys_kept=1),
)
SERVICES_STATUS: Final = Topic(
    "services.status.v1",
    (events.ServiceStatus,),
    Key.SERVICE,
    ("all",),
    compacted=True,
    repeated=True,
    retention_ms=DAY_MS,
    past_ms=PAST_MS,
    load=Load(Grows.TIME, 9, 300, keys=20),
)
DEAD_LETTERS: Final = Topic(
    "dead-letters.v1",
    (),
    Key.ORIGINAL,
    ("any",),
    retention_ms=7 * DAY_MS,
    max_message_bytes=8 * MIB,
    load=Load(Grows.TIME, 1 / 60, 2_500),
)

TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic for topic in tuple(globals().values()) if isinstance(topic, Topic)
}

CONTROLS_KEY: Final = "all"
"""Key of every command that halts, resumes or sets limits: they come in one order, in one partition."""
