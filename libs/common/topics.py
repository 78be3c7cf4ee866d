"""The registry of topics: who may say what where, under which key, and how long it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from libs.common.events import (
    AddPolicy,
    AssessRisk,
    AuditEntry,
    BookDelta,
    BookHealth,
    BookSnapshot,
    BookTop,
    CancelExecution,
    Candle,
    ChoosePolicy,
    CommandRejected,
    Event,
    ExecutionCanceled,
    ExecutionPlanned,
    ExecutionRecord,
    ExecutionSimulated,
    ExecutionVerified,
    IdempotentReply,
    OptimizePortfolio,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PaperOrderPlaced,
    PlanAndExecute,
    PoliciesChanged,
    PolicyChosen,
    PolicyRegistered,
    PolicyRewarded,
    PortfolioBook,
    PortfolioHolding,
    PortfolioOptimized,
    PortfolioRemembered,
    PortfolioSlot,
    Position,
    RetirePolicy,
    RewardPolicy,
    RiskBudget,
    RouterAnswer,
    RouterPolicyState,
    RouterScopeState,
    RouterSlot,
    RouterSnapshot,
    ScoreVenues,
    ServiceStatus,
    SimulateExecution,
    SizingSnapshot,
    SubmitPaperOrder,
    Subscribed,
    Trade,
    VenueMetrics,
    VenueScored,
    VerifyExecution,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1024 * 1024
FOREVER: Final = -1


class Key(StrEnum):
    """What a topic's key names; all instrument keys are partitioned by the symbol alone."""

    BOOK = "venue:symbol"
    SYMBOL = "symbol"
    SCOPE = "scope"
    POLICY = "policy id"
    PORTFOLIO = "book"
    EXECUTION = "execution id"
    IDEMPOTENCY_KEY = "Idempotency-Key"
    SERVICE = "service:instance"
    ORIGINAL = "original key"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: its messages, key and storage."""

    name: str
    events: tuple[type[Event], ...]  # empty: raw bytes
    key: Key
    writers: tuple[str, ...]
    compacted: bool = False  # the newest message per key is the materialised state
    retention_ms: int = FOREVER
    retention_bytes: int = FOREVER  # of the whole topic, shared among its partitions
    max_message_bytes: int = MIB

    def config(self, partitions: int) -> Mapping[str, str]:
        """Return the Kafka topic settings for this many partitions."""
        settings = {"max.message.bytes": str(self.max_message_bytes), "compression.type": "producer"}
        if self.compacted:
            settings |= {
                "cleanup.policy": "compact" if self.retention_ms == FOREVER else "compact,delete",
                "retention.ms": str(self.retention_ms),
                "segment.ms": str(HOUR_MS),  # only closed segments are compacted
                "segment.bytes": str(64 * MIB),
                "min.cleanable.dirty.ratio": "0.2",
                "delete.retention.ms": str(DAY_MS),  # how long a late view can still see a tombstone
            }
        else:
            per_partition = self.retention_bytes // partitions if self.retention_bytes > 0 else FOREVER
            settings |= {
                "cleanup.policy": "delete",
                "retention.ms": str(self.retention_ms),
                "retention.bytes": str(per_partition),
                "segment.bytes": str(64 * MIB),  # retention drops whole segments
            }
        return settings


L2_SUBSCRIPTIONS: Final = Topic(
    "l2.subscriptions.v1", (Subscribed,), Key.BOOK, ("gateway", "cli", "l2"), compacted=True
)
L2_BOOK_DELTAS: Final = Topic(
    "l2.book-deltas.v1",
    (BookSnapshot, BookDelta),
    Key.BOOK,
    ("l2",),
    retention_ms=6 * HOUR_MS,
    retention_bytes=4096 * MIB,
    max_message_bytes=8 * MIB,  # a keyframe of a full book approaches 1 MB
)
L2_BOOK_TOPS: Final = Topic("l2.book-tops.v1", (BookTop,), Key.BOOK, ("l2",), compacted=True)
L2_BOOK_HEALTH: Final = Topic("l2.book-health.v1", (BookHealth,), Key.BOOK, ("l2",), compacted=True)
L2_TRADES: Final = Topic("l2.trades.v1", (Trade,), Key.BOOK, ("l2",), retention_ms=30 * DAY_MS)
L2_CANDLES: Final = Topic("l2.candles.v1", (Candle,), Key.BOOK, ("l2",), retention_ms=3 * 365 * DAY_MS)
VENUES_COMMANDS: Final = Topic(
    "venues.commands.v1", (ScoreVenues,), Key.SYMBOL, ("gateway", "execution"), retention_ms=7 * DAY_MS
)
VENUES_METRICS: Final = Topic("venues.metrics.v1", (VenueMetrics,), Key.BOOK, ("venues",), compacted=True)
VENUES_SCORES: Final = Topic(
    "venues.scores.v1", (VenueScored, CommandRejected), Key.SYMBOL, ("venues",), retention_ms=7 * DAY_MS
)
POLICIES_REGISTRY: Final = Topic(
    "policies.registry.v1",
    (PolicyRegistered,),
    Key.POLICY,
    ("execution", "policies", "gateway"),
    compacted=True,
)
ROUTER_COMMANDS: Final = Topic(
    "router.commands.v1",
    (ChoosePolicy, RewardPolicy, AddPolicy, RetirePolicy),
    Key.SCOPE,
    ("gateway", "execution"),
    retention_ms=7 * DAY_MS,
)
ROUTER_CHOICES: Final = Topic(
    "router.choices.v1",
    (PolicyChosen, PolicyRewarded, PoliciesChanged, CommandRejected),
    Key.SCOPE,
    ("router",),
)
ROUTER_SNAPSHOTS: Final = Topic(
    "router.snapshots.v1", (RouterSnapshot,), Key.SCOPE, ("router",), compacted=True
)
ROUTER_STATE: Final = Topic(
    "router.state.v1",
    (RouterScopeState, RouterPolicyState, RouterAnswer, RouterSlot),
    Key.SCOPE,
    ("router",),
    compacted=True,
)
PORTFOLIO_COMMANDS: Final = Topic(
    "portfolio.commands.v1",
    (OptimizePortfolio, AssessRisk),
    Key.PORTFOLIO,
    ("gateway", "execution", "portfolio"),
    retention_ms=7 * DAY_MS,
)
PORTFOLIO_STATE: Final = Topic(
    "portfolio.state.v1",
    (PortfolioHolding, PortfolioBook, PortfolioRemembered, PortfolioSlot),
    Key.ORIGINAL,
    ("portfolio",),
    compacted=True,
)
PORTFOLIO_ALLOCATIONS: Final = Topic(
    "portfolio.allocations.v1", (PortfolioOptimized, CommandRejected), Key.PORTFOLIO, ("portfolio",)
)
PORTFOLIO_POSITIONS: Final = Topic(
    "portfolio.positions.v1", (Position,), Key.SYMBOL, ("portfolio",), compacted=True
)
PORTFOLIO_RISK: Final = Topic(
    "portfolio.risk.v1", (RiskBudget,), Key.PORTFOLIO, ("portfolio",), compacted=True
)
EXECUTION_COMMANDS: Final = Topic(
    "execution.commands.v1",
    (PlanAndExecute, SimulateExecution, SubmitPaperOrder, CancelExecution, VerifyExecution),
    Key.SYMBOL,
    ("gateway", "cli", "execution"),
    retention_ms=7 * DAY_MS,
)
EXECUTION_PLANS: Final = Topic(
    "execution.plans.v1",
    (
        ExecutionPlanned,
        ExecutionSimulated,
        ExecutionCanceled,
        PaperOrderPlaced,
        ExecutionVerified,
        CommandRejected,
    ),
    Key.SYMBOL,
    ("execution",),
)
EXECUTION_ORDERS: Final = Topic(
    "execution.orders.v1",
    (OrderSubmitted, OrderAccepted, OrderRejected, OrderCanceled),
    Key.SYMBOL,
    ("execution",),
)
EXECUTION_FILLS: Final = Topic("execution.fills.v1", (OrderFilled,), Key.SYMBOL, ("execution",))
EXECUTION_RECORDS: Final = Topic(  # partitioned by the execution's id, so a key stays in one partition
    "execution.records.v1", (ExecutionRecord,), Key.EXECUTION, ("execution",), compacted=True
)
EXECUTION_SIZINGS: Final = Topic(
    "execution.sizings.v1", (SizingSnapshot,), Key.SYMBOL, ("execution",), compacted=True
)
EXECUTION_AUDIT: Final = Topic("execution.audit.v1", (AuditEntry,), Key.EXECUTION, ("execution",))
EXECUTION_STATE: Final = Topic(  # its messages are the service's own
    "execution.state.v1", (), Key.SYMBOL, ("execution",), compacted=True
)
GATEWAY_IDEMPOTENCY: Final = Topic(
    "gateway.idempotency.v1",
    (IdempotentReply,),
    Key.IDEMPOTENCY_KEY,
    ("gateway",),
    compacted=True,
    retention_ms=DAY_MS,
)
SERVICES_STATUS: Final = Topic(
    "services.status.v1", (ServiceStatus,), Key.SERVICE, ("all",), compacted=True, retention_ms=DAY_MS
)
DEAD_LETTERS: Final = Topic(
    "dead-letters.v1", (), Key.ORIGINAL, ("any",), retention_ms=7 * DAY_MS, max_message_bytes=8 * MIB
)

TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic
    for topic in (
        L2_SUBSCRIPTIONS,
        L2_BOOK_DELTAS,
        L2_BOOK_TOPS,
        L2_BOOK_HEALTH,
        L2_TRADES,
        L2_CANDLES,
        VENUES_COMMANDS,
        VENUES_METRICS,
        VENUES_SCORES,
        POLICIES_REGISTRY,
        ROUTER_COMMANDS,
        ROUTER_CHOICES,
        ROUTER_SNAPSHOTS,
        ROUTER_STATE,
        PORTFOLIO_COMMANDS,
        PORTFOLIO_STATE,
        PORTFOLIO_ALLOCATIONS,
        PORTFOLIO_POSITIONS,
        PORTFOLIO_RISK,
        EXECUTION_COMMANDS,
        EXECUTION_PLANS,
        EXECUTION_ORDERS,
        EXECUTION_FILLS,
        EXECUTION_RECORDS,
        EXECUTION_SIZINGS,
        EXECUTION_AUDIT,
        EXECUTION_STATE,
        GATEWAY_IDEMPOTENCY,
        SERVICES_STATUS,
        DEAD_LETTERS,
    )
}


def book_key(venue: str, symbol: str) -> bytes:
    """Return the key of an instrument at a venue; Kafka partitions it by what follows the last colon."""
    return f"{venue}:{symbol}".encode()
