"""Settings of the venues service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.all_in_price import OFF_MARKET_BPS
from libs.common.live_books import PATIENCE, Patience
from libs.common.settings import NAME, ReplicaSettings
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.venue_fees import FeeSettings
from services.venues.costs import HOLDING_S
from services.venues.smart_router import Policy


class VenuesSettings(ReplicaSettings, FeeSettings):
    """The limits of the router's gates, what it assumes while nothing is measured, and the process."""

    model_config = SettingsConfigDict(env_prefix="VENUES_")

    group: str = Field(
        "venues", pattern=NAME, description="consumer group, and the prefix of the changelog topics"
    )
    max_age_ms: float = Field(
        PATIENCE["scoring"].unproven_ns / NS_PER_MS,
        gt=0,
        le=60_000,
        description="a book that nothing proved for longer, neither change nor heartbeat, is not scored, ms",
    )
    silence_s: float = Field(
        PATIENCE["scoring"].silence_ns / NS_PER_S,
        gt=0,
        le=600,
        description="without l2's heartbeat for so long a book is not scored, seconds",
    )
    off_market_bps: float = Field(
        OFF_MARKET_BPS,
        gt=0,
        le=10_000,
        description="a mid further from the venues' median is not scored, bps",
    )
    min_rate_remaining: float = Field(
        0.05, ge=0, lt=1, description="least share of a venue's rate limit that must be left"
    )
    max_failures: int = Field(5, ge=1, le=1000, description="so many failures in a row of a book exclude it")
    unknown_request_ms: float = Field(
        50.0, gt=0, le=60_000, description="round trip of a request while none was timed, ms"
    )
    unknown_volatility: float = Field(
        0.03, gt=0, le=10, description="volatility while no venue has five one-minute returns, per day"
    )
    holding_s: float = Field(
        HOLDING_S,
        gt=0,
        le=31_536_000,
        description="how long what is bought is held: a basis that lasts longer is no bargain, seconds",
    )
    reference_notional: float = Field(
        10_000.0, gt=0, le=1e9, description="order by whose cost the registry is sorted, quote units"
    )


def policy_of(settings: VenuesSettings) -> Policy:
    """Return the settings of the gates, in the core's units."""
    return Policy(
        patience=Patience.of_seconds(settings.silence_s, settings.max_age_ms / 1e3),
        off_market_bps=settings.off_market_bps,
        min_rate_remaining=settings.min_rate_remaining,
        max_failures=settings.max_failures,
    )
