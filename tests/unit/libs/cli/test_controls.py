"""`halt`, `resume` and `limits` at the terminal."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from rich.console import Console

from libs.cli.controls import control, halts_table, limits_named, limits_table
from libs.cli.errors import UsageError
from libs.common.events import (
    BOOK,
    Event,
    HaltTrading,
    LimitName,
    Limits,
    LimitsSet,
    LimitsUsed,
    TradingHalted,
)
from libs.common.settings import ServiceSettings
from libs.common.topics import limits_key, limits_used_key
from tests.execution_market import NOW, a_position, a_risk_budget


def shown(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=250).print(table)
    return out.getvalue()


def test_limits_are_named_as_they_stand_on_the_topic() -> None:
    assert limits_named(["daily_loss=.03", "orders_per_minute=9"]) == Limits(
        daily_loss=0.03, orders_per_minute=9
    )


@pytest.mark.parametrize("text", ["daily_loss", "loss=1", "daily_loss=much", "orders_per_minute=1.5"])
def test_a_limit_that_is_none_is_told_with_what_would_be_right(text: str) -> None:
    with pytest.raises(UsageError, match=r"there are: gross_exposure|is no number for"):
        limits_named([text])


async def test_a_command_that_is_wrong_is_refused_before_kafka_is_asked() -> None:
    wrong = HaltTrading(
        command_id="00000000-0000-0000-0000-000000000001", scope="everything", reason="r", by="x"
    )
    with pytest.raises(UsageError, match="scope must be all"):
        await control(ServiceSettings(), wrong)


def test_what_is_halted_is_shown_with_since_by_and_reason() -> None:
    halt = TradingHalted(scope="venue:okx", reason="its prices", by="cli", ts=NOW)
    for part in ("venue:okx", "its prices", "cli", "Z"):
        assert part in shown(halts_table([halt]))
    assert "nothing is halted" in shown(halts_table([]))


def test_every_limit_is_a_row_with_value_and_use_and_an_unknown_use_says_why() -> None:
    settings = Limits(**dict.fromkeys(Limits.__struct_fields__, 1))
    controls: dict[bytes, Event] = {
        limits_key("settings"): LimitsSet(scope="settings", limits=settings, by="settings", ts=0),
        limits_used_key("BTC-USDT"): LimitsUsed(symbol="BTC-USDT", orders=7, ended=20, failed=5, ts=NOW),
    }
    positions = {b"BTC-USDT": a_position(Decimal(1), mark=48_500.0)}
    risks = {BOOK.encode(): a_risk_budget(equity=Decimal(97_000))}
    text = shown(limits_table(controls, positions, risks, NOW))
    rows = {line.split()[1]: line for line in text.splitlines()[2:]}
    assert rows.keys() == set(LimitName)
    assert " 0.5 " in rows["gross_exposure"]
    assert " 7 " in rows["orders_per_minute"]
    assert " 0.25 " in rows["failed_share"]
    assert "unknown: the portfolio is of an older version" in rows["daily_loss"]
