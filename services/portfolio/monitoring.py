"""What the portfolio tells Prometheus and the log: optimisations, positions, and risk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from libs.common.events import CommandRejected, OrderFilled, PortfolioOptimized, Position, RiskBudget
from libs.common.handling import Tick
from libs.common.metrics import Family, Names
from libs.common.monitoring import Line, refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from libs.common.handling import State
    from libs.common.partition import Step


class PortfolioMonitor:
    """Counts optimisations and fills, and keeps the newest positions and budgets."""

    def __init__(self) -> None:
        self._books = Names()
        self._optimizations: Counter[str] = Counter()
        self._fills = 0
        self._positions: dict[str, Position] = {}
        self._budgets: dict[str, RiskBudget] = {}

    def saw(self, step: Step) -> Iterable[Line]:
        """Count, and tell what commands and fills changed; marks and assessments by the clock are no news."""
        self._fills += isinstance(step.message, OrderFilled)
        told = not isinstance(step.message, Tick)
        for event in step.events:
            match event:
                case PortfolioOptimized():
                    self._optimizations[event.status] += 1
                    facts = {"book": event.book, "status": event.status, "symbols": len(event.symbols)}
                    yield Line("portfolio_optimized", facts | {"gap": event.gap})
                case Position():
                    self._positions[event.symbol] = event
                    if told:
                        facts = {"symbol": event.symbol, "quantity": str(event.quantity)}
                        yield Line("position_changed", facts | {"fills": event.fills})
                case RiskBudget():
                    self._budgets[self._books.of(event.book)] = event
                    if told:
                        facts = {"book": event.book, "cvar_used": event.cvar_used}
                        yield Line("risk_assessed", facts | {"cvar_left": event.cvar_left})
                case CommandRejected():
                    yield refused(event)

    def families(self, _states: Collection[State[Any]]) -> Iterable[Family]:
        """Return the portfolio's own metrics."""
        prefix = "bookrunner_portfolio"
        yield Family(
            f"{prefix}_optimizations_total",
            "Optimisations by how they ended",
            "counter",
            ("status",),
            {(status,): count for status, count in self._optimizations.items()},
        )
        yield Family(f"{prefix}_fills_total", "Fills taken into positions", "counter", (), {(): self._fills})
        held = sum(1 for position in self._positions.values() if position.quantity)
        yield Family(f"{prefix}_positions", "Symbols held now", "gauge", (), {(): held})
        for what, text, value in (
            ("cvar_budget_ratio", "CVaR that the book may have, of equity per day", "cvar_budget"),
            ("cvar_used_ratio", "CVaR of what is held, of equity per day", "cvar_used"),
            ("equity_quote", "Initial capital and all profit and loss, quote units", "equity"),
            ("history_days", "Days of history that the risk is measured on", "observations"),
        ):
            samples = {(book,): float(getattr(budget, value)) for book, budget in self._budgets.items()}
            yield Family(f"{prefix}_{what}", text, "gauge", ("book",), samples)
