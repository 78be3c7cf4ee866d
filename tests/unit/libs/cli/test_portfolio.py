from __future__ import annotations

from decimal import Decimal
from io import StringIO

from msgspec.structs import replace
from rich.console import Console

from libs.cli.portfolio import risk_table
from libs.common.events import BOOK, RiskBudget, SymbolRisk


def test_the_risk_shows_how_many_days_each_is_of_and_what_they_weigh() -> None:
    risk = SymbolRisk(cvar=0.05, vol=0.02, weight=0.1, used=0.005)
    budget = RiskBudget(
        book=BOOK,
        equity=Decimal(100),
        cvar_budget=0.05,
        cvar_used=0.005,
        cvar_left=0.045,
        by_symbol={
            "BTC-USDT": replace(risk, observations=728, effective_days=173.1),
            "ETH-USDT": replace(risk, observations=398, effective_days=169.7, left_out=2),
            "OLD-USDT": replace(risk, observations=99),
            "NEW-USDT": replace(risk, observations=5, assumed=True),
        },
        confidence=0.95,
        observations=5,
        ts=0,
    )
    screen = StringIO()
    Console(file=screen, width=200).print(risk_table(budget))
    days = [line.split("0.500%")[1].strip() for line in screen.getvalue().splitlines() if "USDT" in line]
    assert days == [
        "728, weigh as 173",
        "398, weigh as 170, 2 left out",
        "99",
        "5 (total loss assumed)",
    ]
