"""Halts and limits as they stand on execution.controls.v1, whatever is compacted away."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from libs.common.command_rules import command_faults
from libs.common.events import (
    HaltTrading,
    LimitName,
    Limits,
    LimitsSet,
    LimitsUsed,
    ResumeTrading,
    SetLimits,
    TradingHalted,
    TradingResumed,
)
from libs.common.limit_uses import Unknown, daily_loss, drawdown, exceeded, gross_exposure, limit_use
from libs.common.time_units import DAY_NS
from libs.common.topics import limits_key, limits_used_key
from libs.common.trading_limits import halt_of, halts_in, limits_of
from tests.execution_market import a_position, a_risk_budget

if TYPE_CHECKING:
    from libs.common.events import Event

ID = str(UUID(int=1))
NOW = 20_000 * DAY_NS + 5


def a_halt(scope: str, ts: int = 1) -> TradingHalted:
    return TradingHalted(scope=scope, reason="why", by="cli", ts=ts)


def compacted(log: list[tuple[bytes, Event]]) -> dict[bytes, Event]:
    """Return what compaction keeps: the newest record of each key."""
    return dict(log)


def test_neither_limits_nor_counts_push_out_a_halt_of_the_same_scope() -> None:
    scope = "symbol:BTC-USDT"
    log: list[tuple[bytes, Event]] = [
        (scope.encode(), a_halt(scope)),
        (limits_key(scope), LimitsSet(scope=scope, limits=Limits(drawdown=0.5), by="cli", ts=2)),
        (limits_used_key("BTC-USDT"), LimitsUsed(symbol="BTC-USDT", orders=1, ended=0, failed=0, ts=3)),
    ]
    kept = compacted(log)
    assert halt_of(kept, "BTC-USDT") == a_halt(scope)
    assert limits_of(kept, "BTC-USDT", Limits(drawdown=0.1)).drawdown == 0.5
    kept = compacted([*log, (scope.encode(), TradingResumed(scope=scope, reason="r", by="cli", ts=4))])
    assert halt_of(kept, "BTC-USDT") is None
    assert halts_in(kept) == ()


@pytest.mark.parametrize(
    ("scope", "halted"),
    [
        ("all", True),
        ("symbol:BTC-USDT", True),
        ("symbol:ETH-USDT", False),
        ("venue:okx", True),
        ("venue:kraken", False),
        ("policy:p_sma", True),
        ("policy:p_obi", False),
    ],
)
def test_a_halt_holds_for_its_scope_alone(scope: str, *, halted: bool) -> None:
    controls = {scope.encode(): a_halt(scope)}
    assert (halt_of(controls, "BTC-USDT", venue="okx", policy_id="p_sma") is not None) is halted
    assert (halt_of(controls, "BTC-USDT") is not None) is (scope in ("all", "symbol:BTC-USDT"))


def test_a_symbols_limit_comes_before_that_of_all_and_both_before_the_settings() -> None:
    controls: dict[bytes, Event] = {
        limits_key("all"): LimitsSet(scope="all", limits=Limits(drawdown=0.2, daily_loss=0), by="x", ts=1),
        limits_key("symbol:A-B"): LimitsSet(scope="symbol:A-B", limits=Limits(drawdown=0.3), by="x", ts=1),
    }
    settings = Limits(drawdown=0.1, daily_loss=0.1, failed_share=0.9)
    assert limits_of(controls, "A-B", settings) == Limits(drawdown=0.3, daily_loss=0, failed_share=0.9)
    assert limits_of(controls, "C-D", settings) == Limits(drawdown=0.2, daily_loss=0, failed_share=0.9)
    assert limits_of(controls, None, settings) == limits_of(controls, "C-D", settings)


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (HaltTrading(command_id=ID, scope="everything", reason="r", by="x"), "scope"),
        (HaltTrading(command_id=ID, scope="symbol:btcusdt", reason="r", by="x"), "scope"),
        (HaltTrading(command_id=ID, reason="  ", by="x"), "reason"),
        (HaltTrading(command_id=ID, reason="r" * 201, by="x"), "reason"),
        (ResumeTrading(command_id=ID, reason="r", by=""), "by"),
        (SetLimits(command_id=ID, scope="venue:okx", limits=Limits(drawdown=0.1), by="x"), "scope"),
        (SetLimits(command_id=ID, limits=Limits(), by="x"), "limits"),
        (SetLimits(command_id=ID, limits=Limits(drawdown=1.5), by="x"), "limits"),
        (SetLimits(command_id=ID, limits=Limits(daily_loss=float("nan")), by="x"), "limits"),
        (SetLimits(command_id=ID, limits=Limits(orders_per_minute=-1), by="x"), "limits"),
    ],
)
def test_a_wrong_command_is_refused_at_the_door(
    command: HaltTrading | ResumeTrading | SetLimits, field: str
) -> None:
    assert [fault.field for fault in command_faults(command)] == [field]


def test_a_right_command_passes_the_door() -> None:
    for scope in ("all", "symbol:BTC-USDT", "policy:p_sma", "venue:okx"):
        assert command_faults(HaltTrading(command_id=ID, scope=scope, reason="r", by="x")) == ()
    assert command_faults(SetLimits(command_id=ID, limits=Limits(drawdown=0), by="x")) == ()


def test_losses_are_of_the_days_begin_and_of_its_high() -> None:
    day = a_risk_budget(
        equity=Decimal(90), day_ts=20_000 * DAY_NS, day_equity=Decimal(100), day_high=Decimal(120)
    )
    assert daily_loss(day, NOW) == pytest.approx(0.1)
    assert drawdown(day, NOW) == pytest.approx(0.25)
    assert isinstance(daily_loss(day, NOW + DAY_NS), Unknown)  # of yesterday
    assert isinstance(drawdown(a_risk_budget(), NOW), Unknown)  # of an older version
    assert isinstance(daily_loss(None, NOW), Unknown)


def test_exposure_is_the_sum_of_sizes_whatever_their_side() -> None:
    held = [a_position(Decimal(2), mark=10.0), a_position(Decimal(-3), mark=20.0, symbol="ETH-USDT")]
    assert gross_exposure(held, a_risk_budget(equity=Decimal(100))) == pytest.approx(0.8)
    assert isinstance(gross_exposure(held, a_risk_budget(equity=Decimal(0))), Unknown)


def test_up_to_its_limit_a_use_is_right_and_zero_is_off() -> None:
    assert not exceeded(LimitName.DRAWDOWN, 0.1, 0.1)
    assert exceeded(LimitName.DRAWDOWN, 0.1, 0.1001)
    assert not exceeded(LimitName.DRAWDOWN, 0, 5.0)
    assert exceeded(LimitName.MIN_LIVE_VENUES, 2, 1)
    assert not exceeded(LimitName.MIN_LIVE_VENUES, 2, 2)


def test_a_breach_says_which_limit_its_value_the_use_how_far_and_what_helps() -> None:
    text = limit_use(LimitName.DAILY_LOSS, "all", 0.05, 0.07).text
    for part in ("daily_loss", "all", "0.07", "0.05", "0.02 over", "raise daily_loss"):
        assert part in text
