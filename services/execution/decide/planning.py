"""What a plan is made from: the views at one venue, the costs learnt there, and its own generator; pure."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from numpy.random import Generator, Philox

from libs.common.cloudevents import caused_id
from libs.common.events import TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.broker.own_order import impact_key
from services.execution.broker.self_impact import offered
from services.execution.decide.alternatives import PlanInputs
from services.execution.decide.cost_history import cost_fit
from services.execution.decide.planner import MODEL
from services.execution.decide.profile import profile_of
from services.execution.decide.volatility import sigma_day
from services.execution.decide.volume_days import volume_days

if TYPE_CHECKING:
    from libs.common.events import BookTop, Level
    from libs.common.handling import State
    from services.execution.broker.self_impact import SelfImpact
    from services.execution.market_data import MarketData


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A parent order to be planned."""

    side: TakerSide
    quantity: Decimal  # base units, whole lots
    urgency: float
    forecast_vol: float | None  # fraction per day; None: from the candles, else the setting


def plan_generator(cause_id: str) -> Generator:
    """Return the generator of the plan that an execution or command causes; its key is a uuid5 of its own."""
    return Generator(Philox(key=caused_id(UUID(cause_id), "plan").int))


def plan_inputs(state: State[Any], market: MarketData, top: BookTop, wish: Wish, now: int) -> PlanInputs:
    """Return what a plan at the venue of this book depends on."""
    assert top.features is not None  # noqa: S101 -- of a usable book
    settings = market.settings
    instrument = market.instrument_at(top)
    minutes = market.minutes(top.symbol, top.venue)
    impact = state.get(impact_key(top.venue, top.symbol))
    return PlanInputs(
        venue=top.venue,
        side=wish.side,
        quantity=wish.quantity,
        urgency=wish.urgency,
        now=now,
        levels=_levels(top, wish.side, impact, now),
        mid=top.features.mid,
        spread_bps=top.features.spread_bps,
        depth=market.depth(top, wish.side),
        sigma_day=wish.forecast_vol or sigma_day(minutes) or settings.sigma_day,
        cost=cost_fit(state, top.venue, top.symbol),
        volume=profile_of(volume_days(state, market, top.venue, top.symbol, now), now),
        tick=instrument.tick,
        lot=instrument.lot,
        min_qty=instrument.min_qty,
        min_notional=instrument.min_notional,
        deadline_s=settings.deadline_s,
        participation=settings.participation,
        participation_cap=settings.participation_cap,
        protection_bps=settings.protection_bps,
        epoch=top.epoch,
        seq=top.seq,
        model=MODEL,
    )


def _levels(top: BookTop, side: TakerSide, impact: SelfImpact | None, now: int) -> tuple[Level, ...]:
    """Return the taken side beyond what we took of it, best first."""
    if impact is None:  # then the digits are those of the book
        return tuple(level for level in (top.asks if side == "buy" else top.bids) if level[1] > 0)
    return tuple((float(price), float(left)) for price, left in offered(top, side, impact, now))
