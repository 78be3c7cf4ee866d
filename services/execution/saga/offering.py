"""What a venue offers an execution now; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.time_units import NS_PER_MS
from services.execution.broker.exact_amounts import exact
from services.execution.broker.order_faults import size_fault
from services.execution.decide.offers import Offer, beside_bps
from services.execution.decide.planning import Wish, plan_inputs
from services.execution.decide.shares import floored
from services.execution.decide.volume_days import keep_days

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import BookTop, VenueCandidate
    from services.execution.saga.phases import Scoring
    from services.execution.saga.unit_of_work import UnitOfWork


def offer_of(
    unit: UnitOfWork, saga: Scoring, top: BookTop, quantity: Decimal, judged: VenueCandidate | None = None
) -> Offer | str:
    """Return what the venue of a usable book offers for so much; in words why it takes none, if so.

    Parameters
    ----------
    judged
        As `venues` judged it; None: it was not asked.
    """
    instrument = unit.market.instrument_at(top)
    quantity = floored(quantity, instrument.lot)
    assert top.features is not None  # noqa: S101 -- of a usable book
    fault = size_fault(instrument, quantity, exact(top.features.mid))
    if fault is not None:
        return fault
    wish = Wish(
        side=saga.side,
        quantity=quantity,
        urgency=saga.request.urgency,
        forecast_vol=saga.policy.forecast_vol,
    )
    inputs = plan_inputs(unit.state, unit.market, top, wish, unit.now)
    keep_days(unit.state, unit.market, top.venue, top.symbol, unit.now)
    cost = None if judged is None else judged.cost_bps
    return Offer(
        inputs=inputs,
        taker_bps=unit.market.fees(top.venue).taker_bps,
        latency_ms=unit.market.latency_ns(top.venue, top.symbol) / NS_PER_MS,
        score_bps=None if judged is None else judged.score,
        beside_bps=0.0 if cost is None else beside_bps(cost),
    )
