"""A parent order at work on a stream of books: its legs' children go through the paper broker; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from libs.common.events import ExecType, OrdStatus, PaperOrder
from services.execution.broker.paper_broker import arrive
from tests.bench.split_markets import SYMBOL

if TYPE_CHECKING:
    from libs.common.events import BookTop, TakerSide
    from services.execution.broker.paper_broker import Terms
    from services.execution.broker.self_impact import SelfImpact
    from services.execution.decide.split import Split

RETRY_NS: Final = 250_000_000  # until what is left of a child is tried again, as the service does
ZERO: Final = Decimal(0)


@dataclass
class WorkingLeg:
    """A venue's part."""

    venue: str
    due: list[tuple[int, Decimal, Decimal | None]]  # when it arrives, how much, limit
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    fees: Decimal = ZERO


@dataclass
class Work:
    """An order over its venues, each leg with what it has taken of its book."""

    side: TakerSide
    legs: list[WorkingLeg]
    mid: float  # at the decision, the median of the venues
    impacts: dict[str, SelfImpact] = field(default_factory=dict)
    quantity: Decimal = ZERO

    @property
    def done(self) -> bool:
        """All is filled."""
        return not any(leg.due for leg in self.legs)

    def to(self, tops: dict[str, BookTop], terms: dict[str, Terms], ts: int) -> None:
        """Let what has arrived by `ts` take from these books."""
        for leg in self.legs:
            while leg.due and leg.due[0][0] <= ts and leg.venue in tops:
                _, qty, limit = leg.due.pop(0)
                rest = self._take(leg, tops[leg.venue], terms[leg.venue], qty, limit, ts)
                if rest:
                    leg.due.append((ts + RETRY_NS, rest, None))
                    leg.due.sort(key=lambda each: each[0])

    def _take(
        self, leg: WorkingLeg, top: BookTop, terms: Terms, qty: Decimal, limit: Decimal | None, ts: int
    ) -> Decimal:
        order = an_order(leg.venue, self.side, qty, limit, ts)
        worked = arrive(order, top, self.impacts.get(leg.venue), terms, ts)
        self.impacts[leg.venue] = worked.impact
        leg.filled += worked.order.cum_qty
        leg.quote += worked.order.cum_quote
        leg.fees += worked.order.fees
        return qty - worked.order.cum_qty

    @property
    def cost_bps(self) -> float:
        """The all-in cost in bps of the mid at the decision."""
        s = 1 if self.side == "buy" else -1
        filled, quote, fees = (
            float(sum(getattr(leg, name) for leg in self.legs)) for name in ("filled", "quote", "fees")
        )
        return (s * (quote - filled * self.mid) + fees) / (filled * self.mid) * 1e4


def a_work(split: Split, side: TakerSide, mid: float, latency_ns: dict[str, int], now: int) -> Work:
    """Return the work of a split; every child arrives its venue's latency after it is sent."""
    legs = [
        WorkingLeg(
            leg.venue,
            [(each.at_ts + latency_ns[leg.venue], each.size, each.limit) for each in leg.plan.slices],
        )
        for leg in split.legs
    ]
    assert all(at >= now for leg in legs for at, _, _ in leg.due)
    return Work(side, legs, mid, quantity=split.quantity)


def an_order(venue: str, side: TakerSide, qty: Decimal, limit: Decimal | None, ts: int) -> PaperOrder:
    """Return a child that has just arrived; without a limit it takes at any price."""
    return PaperOrder(
        cl_ord_id="bench",
        execution_id=None,
        venue=venue,
        symbol=SYMBOL,
        side=side,
        order_qty=qty,
        ord_type="market" if limit is None else "limit",
        price=limit,
        time_in_force="ioc",
        ord_status=OrdStatus.PENDING_NEW,
        exec_type=ExecType.PENDING_NEW,
        cum_qty=ZERO,
        leaves_qty=qty,
        cum_quote=ZERO,
        fees=ZERO,
        avg_px=None,
        submitted_ts=ts,
        arrives_ts=ts,
        mid=1.0,
        best_px=1.0,
        expected_px=1.0,
        epoch=1,
        seq=1,
    )
