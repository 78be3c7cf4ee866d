"""What the chosen policy sees, and what a size is made of; pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from libs.common.events import BOOK
from libs.common.policy import Market
from services.execution.broker import holdings
from services.execution.broker.exact_amounts import exact
from services.execution.decide.sizing import MODEL, SizingInputs

if TYPE_CHECKING:
    from libs.common.events import BookTop, PolicyChosen, RiskBudget
    from services.execution.market_data import MarketData
    from services.execution.saga.unit_of_work import UnitOfWork


def market_seen(market: MarketData, symbol: str, top: BookTop, now: int) -> Market:
    """Return what a policy sees of a symbol at `now` (ns UTC), beside the reference book `top`."""
    seen = market.seen(symbol)
    return Market(symbol=symbol, ts=now, minutes=seen.minutes, days=seen.days, features=top.features)


def sizing_inputs(unit: UnitOfWork, chosen: PolicyChosen, signal: float, top: BookTop) -> SizingInputs:
    """Return what the size of a signal depends on, at the reference book `top`."""
    settings, market, symbol = unit.settings, unit.market, unit.symbol
    budget: RiskBudget | None = market.risk.items.get(BOOK.encode())
    own = None if budget is None else budget.by_symbol.get(symbol)
    others = 0.0 if budget is None else budget.cvar_used - (own.used if own else 0.0)
    assert top.features is not None  # noqa: S101 -- of a usable book
    instrument = market.instrument_at(top)
    position = market.positions.items.get(symbol.encode())
    held = holdings.held(unit.state, symbol, position) + holdings.in_flight(unit.state, symbol)
    price, taker_bps = exact(top.features.mid), market.fees(top.venue).taker_bps
    # The budget's cash knows the portfolio's position only, and not what is bought beyond it.
    bought = max(Decimal(0), held - (Decimal(0) if position is None else position.quantity))
    owed = bought * price * (1 + exact(taker_bps) / 10_000) + holdings.reserved_cash(unit.state)
    owed += holdings.owed_elsewhere(unit.state, symbol, market.positions.items)
    return SizingInputs(
        execution_id=unit.execution_id,
        symbol=symbol,
        now=unit.now,
        signal=signal,
        uncertainty_width=chosen.width,
        prior_width=chosen.prior_width,
        w_star=settings.w_star,
        s_max=settings.s_max,
        forecast_vol=chosen.forecast_vol,
        vol_target=settings.vol_target,
        cvar_budget=None if budget is None else budget.cvar_budget,
        cvar_of_others=max(0.0, others),
        cvar_of_one=None if own is None else own.cvar,
        position_cap=settings.position_cap,
        equity=Decimal(0) if budget is None else budget.equity,
        cash=Decimal(0) if budget is None else max(Decimal(0), market.cash(budget) - owed),
        price=price,
        taker_bps=taker_bps,
        held=held,
        reserved=holdings.resting(unit.state, symbol, "sell") + holdings.meant(unit.state, symbol, "buy"),
        lot=instrument.lot,
        min_qty=instrument.min_qty,
        min_notional=instrument.min_notional,
        allow_short=settings.allow_short,
        model=MODEL,
    )
