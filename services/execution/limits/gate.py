"""Why trading limits and halts refuse an order on its own, as its caller is told; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libs.common.command_rules import rejected
from libs.common.events import Fault, Refusal
from libs.common.trading_limits import halt_of
from services.execution.broker import holdings
from services.execution.limits.pre_trade import WishedOrder, order_fault

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import CommandRejected, SubmitPaperOrder, TradingHalted
    from libs.common.handling import State
    from services.execution.market_data import MarketData


def own_order(
    state: State[Any], command: SubmitPaperOrder, market: MarketData, venue: str, best: Decimal, now: int
) -> CommandRejected | None:
    """Return the refusal of an order at `venue`, whose best price is `best`; None if it may be sent."""
    if halt := halt_of(market.controls.halts, command.symbol, venue=venue):
        return rejected(command, command.symbol, Refusal.UNAVAILABLE, now, detail=halted(halt))
    price = best if command.price is None else command.price
    order = WishedOrder(command.symbol, venue, command.side, command.order_qty, price)
    open_qty = holdings.at_venues(state, command.symbol, command.side)
    use = order_fault(state, market, order, now, open_qty=open_qty)
    if use is None:
        return None
    if use.passing:
        return rejected(command, command.symbol, Refusal.UNAVAILABLE, now, detail=f"{use.text}.")
    fault = Fault(field="order_qty", message=use.text)
    return rejected(command, command.symbol, Refusal.INVALID, now, fault)


def halted(halt: TradingHalted) -> str:
    """Return what is said of trading that is halted, and what would help."""
    resume = f"bookrunner resume {halt.scope}"
    return (
        f"Trading of {halt.scope} is halted by {halt.by}: {halt.reason}. `{resume}` or POST /api/exec/resume"
        " ends that."
    )
