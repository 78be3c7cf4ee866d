"""Settings of the portfolio service."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.live_books import PATIENCE
from libs.common.settings import ProcessorSettings, VenueId
from libs.common.time_units import NS_PER_S
from services.portfolio.measures import HALF_LIFE_DAYS
from services.portfolio.returns import AGE_DAYS
from services.portfolio.rules import Rules


class PortfolioSettings(ProcessorSettings):
    """Where prices come from, how much may be lost, and how often that is looked at."""

    model_config = SettingsConfigDict(env_prefix="PORTFOLIO_")

    venue: VenueId = Field("binance", description="reference venue: whose daily candles and mids count")
    cvar_budget: float = Field(
        0.05, ge=0, le=10, allow_inf_nan=False, description="CVaR budget of the book, fraction per day"
    )
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="confidence level of the book's CVaR")
    capital: Decimal = Field(
        Decimal(1_000_000), gt=0, allow_inf_nan=False, description="initial capital, quote units"
    )
    risk_aversion: float = Field(
        1.0, gt=0, le=1000, allow_inf_nan=False, description="gamma0 of mean-variance utility, 1 / fraction"
    )
    kelly_fraction: float = Field(
        0.25, gt=0, le=1, description="kappa: share of the full Kelly share that is advised"
    )
    kelly_clip: float = Field(1.0, gt=0, le=1, description="most that Kelly-lite advises, 0-1")
    period_s: float = Field(
        5.0, ge=0.1, le=3600, description="between two marks of a position and two assessments, seconds"
    )
    silence_s: float = Field(
        PATIENCE["marking"].silence_ns / NS_PER_S,
        gt=0,
        description="a book whose heartbeat is older is not LIVE, seconds",
    )
    history_age_days: int = Field(
        AGE_DAYS,
        ge=1,
        le=36_500,
        description="a series whose last day is older than yesterday by more has ended, days",
    )
    half_life_days: float = Field(
        HALF_LIFE_DAYS,
        ge=5,
        le=36_500,
        description="age at which a day weighs half as much in volatility and CVaR, days",
    )

    def rules(self) -> Rules:
        """Return what the core goes by."""
        return Rules(
            venue=self.venue,
            cvar_budget=self.cvar_budget,
            confidence=self.confidence,
            initial_capital=self.capital,
            risk_aversion=self.risk_aversion,
            kelly_fraction=self.kelly_fraction,
            kelly_clip=self.kelly_clip,
            period_ns=round(self.period_s * NS_PER_S),
            patience=PATIENCE["marking"]._replace(silence_ns=round(self.silence_s * NS_PER_S)),
            history_age_days=self.history_age_days,
            half_life_days=self.half_life_days,
        )
