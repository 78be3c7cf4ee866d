"""What the gateway would know of an execution world: its views, and its decisions as they were audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.codec import encode
from libs.common.events import (
    BookDelta,
    Event,
    ExecutionPlanned,
    LimitsSet,
    OrderFilled,
    OrderSubmitted,
    PolicyChosen,
    PolicyRegistered,
    SizingSnapshot,
    VenueScored,
)
from libs.common.kafka import Record, partition_of
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_FILLS,
    EXECUTION_ORDERS,
    EXECUTION_PLANS,
    EXECUTION_SIZINGS,
    L2_BOOK_DELTAS,
    ROUTER_CHOICES,
    VENUES_SCORES,
    limits_key,
)
from libs.common.trading_limits import SETTINGS
from services.execution.decide.policies import POLICIES
from services.gateway.reading.decision_facts import decision_of, entries_of
from services.gateway.reading.present import Present
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.reading.window_log import logged
from tests.execution_market import EPOCH, NOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import AuditEntry
    from libs.common.topics import Topic
    from libs.common.views import View
    from services.gateway.reading.decision_facts import Decision
    from tests.execution_world import ExecutionWorld

SYMBOL = "BTC-USDT"
TOLD: dict[str, tuple[type[Event], Topic]] = {  # by stage of a lineage, the message that tells it, and where
    "book": (BookDelta, L2_BOOK_DELTAS),
    "choice": (PolicyChosen, ROUTER_CHOICES),
    "sizing": (SizingSnapshot, EXECUTION_SIZINGS),
    "venues": (VenueScored, VENUES_SCORES),
    "plan": (ExecutionPlanned, EXECUTION_PLANS),
    "child": (OrderSubmitted, EXECUTION_ORDERS),
    "fill": (OrderFilled, EXECUTION_FILLS),
}
TOPIC_OF = dict(TOLD.values())


def records_of(entries: Iterable[AuditEntry]) -> list[Record]:
    """Return a chain as it stands on its topic."""
    return [
        Record(
            topic=EXECUTION_AUDIT,
            partition=partition_of(entry.execution_id.encode(), 8),
            offset=100 + offset,
            timestamp_ms=entry.ts // 1_000_000,
            key=entry.execution_id.encode(),
            event=entry,
            value=encode(entry),
        )
        for offset, entry in enumerate(entries)
    ]


def decision_in(world: ExecutionWorld, execution_id: str) -> Decision | None:
    return decision_of(entries_of(map(logged, records_of(world.audit(execution_id)))))


class SeenViews:
    """The gateway's views, filled with what an execution world was told."""

    def __init__(self, world: ExecutionWorld) -> None:
        self.views = GatewayViews(5.0, 1, lambda: 0)
        self._offset = 0
        market, views = world.market, self.views
        pairs: tuple[tuple[Any, View[Any]], ...] = (
            (market.tops, views.tops),
            (market.healths, views.healths),
            (market.metrics, views.venues),
            (market.risk, views.risks),
            (market.positions, views.positions),
            (market.controls, views.controls),
            (market.policies, views.policies),
        )
        for theirs, ours in pairs:
            for key, event in theirs.items.items():
                self.fold(ours, key, event)
        for policy_id in POLICIES:
            registered = PolicyRegistered(policy_id=policy_id, kind="builtin", summary="", version="1")
            self.fold(views.policies, policy_id.encode(), registered)
        told = LimitsSet(scope=SETTINGS, limits=world.settings.limits(), by="execution", ts=0)
        self.fold(views.controls, limits_key(SETTINGS), told)

    def fold(self, view: View[Any], key: bytes, event: Event | None) -> None:
        view.fold(0, self._offset, key, event)
        self._offset += 1


def a_delta(seq: int, venue: str = "binance", received_ts: int = NOW) -> BookDelta:
    return BookDelta(
        venue=venue,
        symbol=SYMBOL,
        epoch=EPOCH,
        seq=seq,
        venue_seq=None,
        bids=((60_000.0, 2.0),),
        asks=(),
        venue_ts=None,
        received_ts=received_ts,
    )


def present_of(
    views: GatewayViews, now: int, chosen: Decision | None, sized: Decision | None, **changes: Any
) -> Present:
    given: dict[str, Any] = {"running": (), "neighbours": frozenset()} | changes
    return Present(views=views, symbol=SYMBOL, now=now, chosen=chosen, sized=sized, **given)
