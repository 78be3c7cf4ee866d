"""Executions, folded as their records come: what they cost, by term and by venue, and what they earned; pure.

A record is kept as a few numbers, and only until nothing of it can change: it has ended, and its reward is
learnt or there is none. Then it is in sums. Until it has ended its children are kept one by one, as progress
tells of each. Of those that wait the newest `PENDING` are kept; the ones before
are summed as they stand.

==========  ==================================================================  ===========
symbol      meaning                                                             unit
==========  ==================================================================  ===========
V           value of an order at its decision: its size at the plan's mid       quote units
a           what a term of its cost was                                         quote units
==========  ==================================================================  ===========
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.events import ExecutionProgress, ExecutionRecord, PaperOrder, ShortfallBps

PENDING: Final = 10_000
SETTLED: Final = 10_000  # ids of which a record told again changes nothing
WORST: Final = 10
BPS: Final = 10_000
TERMS: Final = ("delay", "impact", "opportunity", "fees", "total", "timing", "spread", "walk")


class AtVenue(NamedTuple):
    """What was filled at a venue, of an execution; quote units."""

    fills: int
    notional: float
    fees: float
    against_mid: float
    slippage: float

    def plus(self, other: AtVenue) -> AtVenue:
        """Return the sum."""
        return AtVenue(
            self.fills + other.fills,
            self.notional + other.notional,
            self.fees + other.fees,
            self.against_mid + other.against_mid,
            self.slippage + other.slippage,
        )


NOTHING: Final = AtVenue(0, 0.0, 0.0, 0.0, 0.0)


class Done(NamedTuple):
    """An execution, in numbers; quote units."""

    execution_id: str
    symbol: str
    policy_id: str | None
    ts: int  # when it began, ns UTC
    final: bool
    settled: bool
    filled: bool
    profit: float | None  # of its decision's window
    value: float  # V
    realized: Mapping[str, float]  # a, by term; empty: not known
    expected: tuple[float, float] | None  # spread and impact, and fees, as planned
    children: dict[str, tuple[str, AtVenue]]  # venue and fills, by order; by venue once it has ended
    cost_bps: float | None

    @property
    def venues(self) -> Mapping[str, AtVenue]:
        """What was filled, by venue."""
        return _by_venue(self.children.values())

    @property
    def notional(self) -> float:
        """What was filled."""
        return sum(each.notional for each in self.venues.values())


def done_of(record: ExecutionRecord) -> Done:
    """Return what of a record counts."""
    plan, reward = record.plan, record.reward
    value = 0.0 if plan is None else float(plan.size) * plan.mid
    profit = None
    if reward is not None and reward.gross is not None and reward.cost is not None:
        profit = float(reward.gross - reward.cost)
    taught = reward is not None and (reward.reward is None or reward.counted is not None)
    children = {order.cl_ord_id: _child(order) for order in record.orders}
    if record.status.final:
        children = {venue: (venue, at) for venue, at in _by_venue(children.values()).items()}
    return Done(
        execution_id=record.execution_id,
        symbol=record.symbol,
        policy_id=record.policy_id,
        ts=record.created_ts,
        final=record.status.final,
        settled=record.status.final and taught,
        filled=record.filled > 0,
        profit=profit,
        value=value,
        realized={} if record.shortfall is None else _amounts(record.shortfall),
        expected=None if plan is None else _expected(record, plan.mid),
        children=children,
        cost_bps=None if record.shortfall is None else record.shortfall.total_bps,
    )


def _amounts(cost: ShortfallBps) -> dict[str, float]:
    return {term: float(cost.detail[term]) for term in TERMS if term in cost.detail}


def _expected(record: ExecutionRecord, mid: float) -> tuple[float, float]:
    worth = [(float(leg.size) * mid / BPS, leg) for leg in record.legs]
    return sum(v * leg.expected_bps for v, leg in worth), sum(v * leg.fee_bps for v, leg in worth)


def _child(order: PaperOrder) -> tuple[str, AtVenue]:
    s = 1.0 if order.side == "buy" else -1.0
    paid, quantity = float(order.cum_quote), float(order.cum_qty)
    return order.venue, AtVenue(
        order.fills,
        paid,
        float(order.fees),
        s * (paid - quantity * order.mid),
        s * (paid - quantity * order.expected_px),
    )


def _by_venue(children: Iterable[tuple[str, AtVenue]]) -> dict[str, AtVenue]:
    found: dict[str, AtVenue] = {}
    for venue, at in children:
        if at.notional:
            found[venue] = found.get(venue, NOTHING).plus(at)
    return found


@dataclass
class Ratio:
    """Sums of which a ratio Σa/ΣV and its error are made; changes in place."""

    n: int = 0
    a: float = 0.0
    V: float = 0.0
    aa: float = 0.0
    aV: float = 0.0
    VV: float = 0.0

    def add(self, a: float, V: float) -> None:
        """Add one."""
        self.n += 1
        self.a += a
        self.V += V
        self.aa += a * a
        self.aV += a * V
        self.VV += V * V


@dataclass
class PolicyTrades:
    """Trades of a policy; changes in place."""

    trades: int = 0
    known: int = 0
    profit: float = 0.0  # quote units
    squares: float = 0.0


@dataclass
class Executions:
    """All that is kept of executions; changes in place."""

    began: int = 0
    trades: int = 0
    unfinished: int = 0
    hits: int = 0
    results: PolicyTrades = field(default_factory=PolicyTrades)
    policies: dict[str | None, PolicyTrades] = field(default_factory=dict)
    realized: dict[str, Ratio] = field(default_factory=dict)
    expected: dict[str, Ratio] = field(default_factory=dict)
    venues: dict[str, AtVenue] = field(default_factory=dict)
    worst: list[Done] = field(default_factory=list)  # the worst first
    symbols: set[str] = field(default_factory=set)  # of trades
    pending: dict[str, Done] = field(default_factory=dict)
    _settled: dict[str, None] = field(default_factory=dict)

    def take(self, record: ExecutionRecord) -> None:
        """Take a record as it stands; it replaces an earlier one of its execution."""
        if record.execution_id in self._settled:
            return
        done = done_of(record)
        self.pending.pop(done.execution_id, None)
        if done.settled:
            self._settle(done)
            return
        self.pending[done.execution_id] = done
        if len(self.pending) > PENDING:
            self._settle(self.pending.pop(next(iter(self.pending))))

    def step(self, progress: ExecutionProgress) -> None:
        """Take what became of a child since the last whole record of its execution."""
        done = self.pending.get(progress.execution_id)
        if done is None or done.final or progress.order is None:
            return
        done.children[progress.order.cl_ord_id] = _child(progress.order)
        if progress.filled > 0 and not done.filled:
            self.pending[progress.execution_id] = done._replace(filled=True)

    def _settle(self, done: Done) -> None:
        self._settled[done.execution_id] = None
        if len(self._settled) > SETTLED:
            del self._settled[next(iter(self._settled))]
        self.add(done)

    def add(self, done: Done) -> None:
        """Add an execution to the sums."""
        self.began += 1
        self.unfinished += not done.final
        if not done.filled:
            return
        self.trades += 1
        self.symbols.add(done.symbol)
        for venue, at in done.venues.items():
            self.venues[venue] = self.venues.get(venue, NOTHING).plus(at)
        if done.realized and done.expected is not None and done.value > 0:
            for term, amount in done.realized.items():
                self.realized.setdefault(term, Ratio()).add(amount, done.value)
            impact, fees = done.expected
            for term, amount in (("impact", impact), ("fees", fees), ("total", impact + fees)):
                self.expected.setdefault(term, Ratio()).add(amount, done.value)
        self._result(done)

    def _result(self, done: Done) -> None:
        own = self.policies.setdefault(done.policy_id, PolicyTrades())
        for sums in (self.results, own):
            sums.trades += 1
            if done.profit is not None:
                sums.known += 1
                sums.profit += done.profit
                sums.squares += done.profit * done.profit
        if done.profit is None:
            return
        self.hits += done.profit > 0
        self.worst = sorted((*self.worst, done), key=lambda each: (each.profit, each.execution_id))[:WORST]
