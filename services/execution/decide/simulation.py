"""What an execution would look like and cost: a plan at the cheapest venue, and nothing else; pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from libs.common.events import BookTop, ExecutionSimulated, PlanCost
from services.execution import refusals
from services.execution.broker.exact_amounts import exact
from services.execution.broker.order_faults import size_fault
from services.execution.decide.cost import impact_interval_bps
from services.execution.decide.planner import CannotPlanError, plan
from services.execution.decide.planning import Wish, plan_generator, plan_inputs

if TYPE_CHECKING:
    from libs.common.events import Event, ExecutionPlan, SimulateExecution
    from libs.common.handling import State
    from services.execution.decide.alternatives import PlanInputs
    from services.execution.market_data import MarketData


def simulate(state: State[Any], command: SimulateExecution, market: MarketData, now: int) -> list[Event]:
    """Answer with the plan of the venue where plan and taker fee together are cheapest; keeps nothing."""
    instruments = market.instruments(command.symbol)
    if not instruments:
        return [refusals.unlisted(command, now)]
    books = market.books(command.symbol, now)
    why: dict[str, str] = {}
    too_small: list[str] = []
    best: tuple[float, ExecutionPlan, PlanInputs] | None = None
    for venue, top in books.items():
        if not isinstance(top, BookTop):
            why[venue] = top.reason
            continue
        assert top.features is not None  # noqa: S101 -- of a usable book
        instrument = instruments[venue]
        size = exact(command.size)
        quantity = size - size % instrument.lot
        fault = size_fault(instrument, quantity, exact(top.features.mid))
        if fault is not None:
            why[venue] = fault
            too_small.append(fault)
            continue
        wish = Wish(side=command.side, quantity=quantity, urgency=command.urgency, forecast_vol=None)
        inputs = plan_inputs(state, market, top, wish, now)
        try:
            made = plan(inputs, plan_generator(command.command_id))
        except CannotPlanError as error:
            why[venue] = str(error)
            continue
        total_bps = made.expected_bps + market.fees(venue).taker_bps
        why[venue] = f"{made.style}: {total_bps:.2f} bps, fee included"
        if best is None or total_bps < best[0]:
            best = (total_bps, made, inputs)
    if best is None:
        if too_small:
            return [refusals.invalid(command, now, "size", "; ".join(too_small))]
        return [refusals.unavailable(command, now, "; ".join(why.values()))]
    _, made, inputs = best
    return [
        ExecutionSimulated(
            command_id=command.command_id,
            symbol=command.symbol,
            plan=made,
            cost=_cost(made, inputs, market.fees(inputs.venue).taker_bps),
            venues=why,
            ts=now,
        )
    ]


def _cost(made: ExecutionPlan, inputs: PlanInputs, fee_bps: float) -> PlanCost:
    spread_bps = inputs.spread_bps / 2
    total_bps = made.expected_bps + fee_bps
    child = max((piece.size for piece in made.slices), default=Decimal(0))
    interval = impact_interval_bps(inputs.cost, float(child) / inputs.depth)
    return PlanCost(
        spread_bps=spread_bps,
        impact_bps=max(0.0, made.expected_bps - spread_bps - (made.meta_impact_bps or 0.0)),  # not -1e-12
        meta_impact_bps=made.meta_impact_bps,
        fee_bps=fee_bps,
        total_bps=total_bps,
        total=total_bps * 1e-4 * float(inputs.quantity) * inputs.mid,
        impact_lower_bps=interval.lower,
        impact_upper_bps=interval.upper,
    )
