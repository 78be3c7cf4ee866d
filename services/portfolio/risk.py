"""How much of the CVaR budget the positions use.

``used = sum_i |w_i| c_i`` with ``w_i = quantity mark / equity`` and c_i the CVaR of a day of one unit of
weight, in the direction held (long where nothing is), cautious as its days are few. CVaR is subadditive, so
the book's own is no more. What is held is no portfolio fitted to these days, so it has no caution of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from libs.common.command_rules import NEEDED_DAYS
from libs.common.events import BOOK, RiskBudget, SymbolRisk
from services.portfolio.equity import equity_of
from services.portfolio.measures import cautious_cvar, day_weights, effective_days, volatility
from services.portfolio.positions import exact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from libs.common.events import Position
    from services.portfolio.returns import History, Returns
    from services.portfolio.rules import Rules

TOTAL_LOSS: Final = 1.0  # what one unit of weight loses at most, where too little is known of now to say less


def assess(positions: Mapping[str, Position], history: History, rules: Rules, now: int) -> RiskBudget:
    """Return the budget of the book: every symbol with enough history, and every symbol held.

    Parameters
    ----------
    positions
        By symbol, each valued at its last mark.
    """
    equity = equity_of(positions, rules.initial_capital)
    held = {symbol for symbol, position in positions.items() if position.quantity}
    by_symbol = {}
    for symbol in sorted(held.union(history.symbols)):
        risk = _risk_of(symbol, _weight(positions.get(symbol), equity), history, rules, now)
        if risk is not None:
            by_symbol[symbol] = risk
    used = sum(risk.used for risk in by_symbol.values())
    return RiskBudget(
        book=BOOK,
        equity=equity,
        cvar_budget=rules.cvar_budget,
        cvar_used=used,
        cvar_left=max(0.0, rules.cvar_budget - used),
        by_symbol=by_symbol,
        confidence=rules.confidence,
        half_life_days=rules.half_life_days,
        observations=min((risk.observations for risk in by_symbol.values()), default=0),
        venue=rules.venue,
        ts=now,
    )


def _risk_of(symbol: str, weight: float, history: History, rules: Rules, now: int) -> SymbolRisk | None:
    found = history.returns(symbol)
    observations = len(found.values)
    left_out = sum(not each.kept for each in found.suspects) + len(found.wrong)
    if observations < NEEDED_DAYS or history.ended(symbol, now) is not None:
        if not weight:
            return None
        return SymbolRisk(
            cvar=TOTAL_LOSS,
            vol=TOTAL_LOSS,
            weight=weight,
            used=abs(weight) * TOTAL_LOSS,
            observations=observations,
            left_out=left_out,
            assumed=True,
        )
    unit = _unit_risk(found, rules.half_life_days, rules.confidence, short=weight < 0.0)
    return SymbolRisk(
        cvar=unit.cvar,
        vol=unit.vol,
        weight=weight,
        used=abs(weight) * unit.cvar,
        observations=observations,
        effective_days=unit.effective_days,
        left_out=left_out,
    )


class _UnitRisk(NamedTuple):
    """What the days of a symbol say of one unit of weight."""

    cvar: float  # fraction per day
    vol: float  # likewise
    effective_days: float


_found: Final[WeakKeyDictionary[Returns, dict[tuple[float, float, bool], _UnitRisk]]] = WeakKeyDictionary()


def _unit_risk(found: Returns, half_life: float, confidence: float, *, short: bool) -> _UnitRisk:
    """Return the risk of these very returns, kept as long as they are: they are others once a day closed."""
    known, wanted = _found.setdefault(found, {}), (half_life, confidence, short)
    if wanted not in known:
        known[wanted] = _computed(found, half_life, confidence, short=short)
    return known[wanted]


def _computed(found: Returns, half_life: float, confidence: float, *, short: bool) -> _UnitRisk:
    R, p = found.values[:, None], day_weights(found.days, half_life)
    c = float(cautious_cvar(-R if short else R, p, confidence)[0])
    return _UnitRisk(c, float(volatility(R, p)[0]), effective_days(p))


def _weight(position: Position | None, equity: Decimal) -> float:
    if position is None or not position.quantity or position.mark is None:
        return 0.0
    if equity <= 0:
        return float(exact(TOTAL_LOSS).copy_sign(position.quantity))  # nothing is left to hold it with
    return float(position.quantity * exact(position.mark) / equity)
