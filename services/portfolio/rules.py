"""What the core goes by: the settings, as numbers of its own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.live_books import Patience


@dataclass(frozen=True)
class Rules:
    """Fractions are per day, money is in quote units."""

    venue: str
    cvar_budget: float
    confidence: float
    initial_capital: Decimal
    risk_aversion: float
    kelly_fraction: float
    kelly_clip: float
    period_ns: int
    patience: Patience  # with a book that is marked on
    history_age_days: int
    half_life_days: float  # of a day's weight in volatility and CVaR
