"""Settings of the execution service: its patience, its limits, and what it assumes of paper venues."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.common.events import LimitName, Limits
from libs.common.live_books import PATIENCE
from libs.common.settings import ProcessorSettings, VenueId
from libs.common.time_units import NS_PER_S
from libs.common.trading_limits import MOST
from libs.common.venue_fees import FeeSettings


class ExecutionSettings(ProcessorSettings, FeeSettings):
    """Patience, limits, and what is assumed of venues."""

    model_config = SettingsConfigDict(env_prefix="EXECUTION_")

    reference_venue: VenueId = Field("binance", description="venue whose candles and book the policies see")
    step_timeout_s: float = Field(
        5.0, gt=0, description="how long an execution waits for the router or the venues, seconds"
    )
    latency_ms: float = Field(
        5.0, ge=0, description="simulated way of an order to a venue that has no measured request time, ms"
    )
    retry_ms: float = Field(
        250.0, gt=0, description="pause before a child that found no book, or a rest, is tried again, ms"
    )
    patience_s: float = Field(
        30.0, gt=0, description="how long after its last planned slice an execution goes on, seconds"
    )
    reallocate_after_s: float = Field(
        2.0, ge=0, description="how long a venue that is lost is waited for before its part goes elsewhere, s"
    )
    horizon_s: float = Field(
        86_400.0,
        gt=0,
        description="longest window in which a decision is paid; cuts the policies' own horizons, seconds",
    )
    remember_s: float = Field(
        3600.0, gt=0, description="how long one that ended and is rewarded answers its command again, seconds"
    )
    orders_per_symbol: int = Field(
        1_000, ge=1, description="open orders on their own of a symbol, beyond which none more may rest"
    )
    orders_most: int = Field(
        10_000, ge=1, description="open orders on their own, in equal parts by all partitions"
    )
    running_most: int = Field(
        4_000, ge=1, description="executions under way, in equal parts by all partitions"
    )
    remembered_most: int = Field(
        100_000,
        ge=1,
        description="orders and executions that run or are remembered, in equal parts by all partitions",
    )
    ids_most: int = Field(
        1_000_000, ge=1, description="ids of older ones that are kept, in equal parts by all partitions"
    )
    book_silence_s: float = Field(
        PATIENCE["trading"].silence_ns / NS_PER_S,
        gt=0,
        description="a book whose heartbeat is older is not used, seconds",
    )
    book_age_s: float = Field(
        PATIENCE["trading"].unproven_ns / NS_PER_S,
        gt=0,
        description="a book that nothing proved for longer, neither change nor heartbeat, is not used, s",
    )
    book_half_life_s: float = Field(
        20.0, gt=0, description="half-life of what paper orders took of a book until it is back, seconds"
    )
    s_max: float | None = Field(
        None,
        gt=0,
        le=10,
        description="multiplies the sigmoid of the size; None: so that a full certain signal has vol_target",
    )
    w_star: float | None = Field(
        None, gt=0, description="width at which the size is .269 s_max, return units; None: half the prior's"
    )
    vol_target: float = Field(0.02, gt=0, description="volatility aimed at, fraction per day")
    position_cap: float = Field(0.5, gt=0, le=1, description="cap of one position, fraction of equity")
    allow_short: bool = Field(default=False, description="whether a position may be negative")
    protection_bps: float = Field(
        25.0, gt=0, description="limit of a child beyond the best price of the plan, bps"
    )
    deadline_s: float = Field(3600.0, gt=0, le=7200, description="longest plan, seconds")
    participation: float = Field(0.1, gt=0, le=0.1, description="share of the volume that a POV plan takes")
    participation_cap: float = Field(
        0.2, gt=0, le=1, description="most of the volume expected over its horizon that a plan may be, share"
    )
    split_fixed_bps: float = Field(
        0.1,
        ge=0,
        description="what each further venue of a split is taken to cost: its messages, and what may go wrong"
        " there, bps of the order",
    )
    sigma_day: float = Field(
        0.03, gt=0, description="volatility of a plan while neither router nor candles know one, fraction/day"
    )
    minutes: int = Field(180, ge=1, le=2880, description="1m candles that a policy sees")
    days: int = Field(120, ge=1, le=1500, description="1d candles that a policy sees")

    limit_gross_exposure: float = Field(
        2.0,
        ge=0,
        le=MOST[LimitName.GROSS_EXPOSURE],
        description="most of all positions together, fraction of equity; 0: off",
    )
    limit_symbol_exposure: float = Field(
        0.8,
        ge=0,
        le=MOST[LimitName.SYMBOL_EXPOSURE],
        description="most of a symbol's position, fraction of equity; 0: off",
    )
    limit_order_notional: float = Field(
        0.6,
        ge=0,
        le=MOST[LimitName.ORDER_NOTIONAL],
        description="most that one order is worth, fraction of equity; 0: off",
    )
    limit_orders_per_minute: int = Field(
        1_200,
        ge=0,
        le=int(MOST[LimitName.ORDERS_PER_MINUTE]),
        description="most orders of a symbol in a minute; 0: off",
    )
    limit_daily_loss: float = Field(
        0.05,
        ge=0,
        le=MOST[LimitName.DAILY_LOSS],
        description="loss since the UTC day began that halts all, fraction of the equity then; 0: off",
    )
    limit_drawdown: float = Field(
        0.10,
        ge=0,
        le=MOST[LimitName.DRAWDOWN],
        description="loss since the UTC day's highest equity that halts all, fraction of it; 0: off",
    )
    limit_failed_share: float = Field(
        0.8,
        ge=0,
        le=MOST[LimitName.FAILED_SHARE],
        description="share of a symbol's last 50 executions, from 20 on, that failed and halt it; 0: off",
    )
    limit_min_live_venues: int = Field(
        1,
        ge=0,
        le=int(MOST[LimitName.MIN_LIVE_VENUES]),
        description="usable books of a symbol without which no order of it is sent; 0: off",
    )

    def limits(self) -> Limits:
        """Return the trading limits that hold where none are set on execution.controls.v1."""
        return Limits(**{name: getattr(self, f"limit_{name}") for name in Limits.__struct_fields__})

    def part_of(self, most: int) -> int:
        """Return how many of so many each partition may keep."""
        return max(1, most // self.topic_partitions)
