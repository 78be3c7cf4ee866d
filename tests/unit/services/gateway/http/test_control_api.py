"""Halt, resume and limits over HTTP."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from libs.common.events import (
    HaltTrading,
    Limits,
    LimitsSet,
    LimitsUsed,
    ResumeTrading,
    SetLimits,
    TradingControlled,
    TradingHalted,
)
from libs.common.time_units import DAY_NS, NS_PER_MS
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_CONTROLS,
    PORTFOLIO_POSITIONS,
    PORTFOLIO_RISK,
    limits_key,
)
from tests.execution_market import a_position, a_risk_budget
from tests.unit.services.gateway.asking.test_commands import a_record, listening, until
from tests.unit.services.gateway.world import World

SETTINGS = Limits(
    gross_exposure=2.0,
    symbol_exposure=0.8,
    order_notional=0.6,
    orders_per_minute=1200,
    daily_loss=0.05,
    drawdown=0.1,
    failed_share=0.8,
    min_live_venues=1,
)


def a_world() -> World:
    world = World()
    told = LimitsSet(scope="settings", limits=SETTINGS, by="settings", ts=0)
    world.fold(EXECUTION_CONTROLS, limits_key("settings"), told)
    return world


def row(document: Any, limit: str, scope: str = "all") -> Any:
    (found,) = (each for each in document["limits"] if (each["limit"], each["scope"]) == (limit, scope))
    return found


async def test_every_limit_is_shown_with_value_use_headroom_and_what_a_breach_does() -> None:
    world = a_world()
    day = world.now // DAY_NS * DAY_NS
    budget = a_risk_budget(
        equity=Decimal(97_000), day_ts=day, day_equity=Decimal(100_000), day_high=Decimal(100_000)
    )
    world.fold(PORTFOLIO_RISK, b"default", budget)
    world.fold(PORTFOLIO_POSITIONS, b"BTC-USDT", a_position(Decimal(1), mark=48_500.0))
    used = LimitsUsed(symbol="BTC-USDT", orders=7, ended=20, failed=5, ts=world.now)
    world.fold(EXECUTION_CONTROLS, b"use:symbol:BTC-USDT", used)
    document = (await world.ask("/api/exec/limits")).json()
    loss = row(document, "dailyLoss")
    assert (loss["value"], loss["use"], loss["headroom"]) == pytest.approx((0.05, 0.03, 0.02))
    assert (loss["breach"], loss["unknown"], loss["setBy"]) == ("halts all", "", "settings")
    assert row(document, "grossExposure")["use"] == pytest.approx(0.5)
    of_symbol = {name: row(document, name, "symbol:BTC-USDT") for name in ("ordersPerMinute", "failedShare")}
    assert (of_symbol["ordersPerMinute"]["use"], of_symbol["failedShare"]["use"]) == (7, 0.25)
    assert row(document, "orderNotional", "symbol:BTC-USDT")["use"] is None
    assert document["halts"] == []
    assert (
        len({(each["limit"], each["scope"]) for each in document["limits"]}) == len(document["limits"]) == 8
    )


async def test_a_use_that_nobody_knows_is_null_and_says_why() -> None:
    world = a_world()
    document = (await world.ask("/api/exec/limits")).json()  # of an older portfolio
    loss = row(document, "dailyLoss")
    assert (loss["use"], loss["headroom"]) == (None, None)
    assert "older version" in loss["unknown"]
    world.fold(PORTFOLIO_RISK, b"default", None)
    document = (await world.ask("/api/exec/limits")).json()
    assert "no risk budget" in row(document, "grossExposure")["unknown"]


async def test_before_execution_has_told_them_limits_have_no_value() -> None:
    document = (await World().ask("/api/exec/limits")).json()
    assert row(document, "drawdown")["value"] is None


async def test_the_halts_that_stand_are_shown_with_since_by_and_reason() -> None:
    world = a_world()
    halted = TradingHalted(scope="venue:okx", reason="its prices", by="cli", ts=world.now)
    world.fold(EXECUTION_CONTROLS, b"venue:okx", halted)
    (shown,) = (await world.ask("/api/exec/limits")).json()["halts"]
    assert shown == {
        "scope": "venue:okx",
        "reason": "its prices",
        "by": "cli",
        "limit": None,
        "sinceTs": world.now // NS_PER_MS,
    }


@pytest.mark.parametrize(
    ("route", "method", "body", "kind"),
    [
        ("/api/exec/halt", "POST", {"scope": "symbol:BTC-USDT", "reason": "r"}, HaltTrading),
        ("/api/exec/resume", "POST", {}, ResumeTrading),
        ("/api/exec/limits", "PUT", {"dailyLoss": 0.03, "ordersPerMinute": 9}, SetLimits),
    ],
)
async def test_a_control_goes_to_execution_under_the_one_key_and_is_answered_by_its_event(
    route: str, method: str, body: Any, kind: type
) -> None:
    world = a_world()
    headers = {"content-type": "application/json"}
    async with listening(world):
        asked = asyncio.create_task(world.ask(route, method, json.dumps(body).encode(), headers))
        await until(lambda: any(isinstance(each.event, kind) for each in world.writer.sent) or asked.done())
        (sent,) = (each for each in world.writer.sent if isinstance(each.event, kind))
        assert (sent.topic, sent.key) == (EXECUTION_COMMANDS, b"all")
        assert isinstance(sent.event, HaltTrading | ResumeTrading | SetLimits)
        assert sent.event.by == "gateway"
        told = TradingControlled(
            command_id=sent.event.command_id, scope=sent.event.scope, halts=(), limits=SETTINGS, ts=world.now
        )
        world.answers.feed(a_record(told))
        answer = await asked
    assert answer.status == 200
    assert (answer.json()["halts"], answer.json()["limits"]["dailyLoss"]) == ([], 0.05)


@pytest.mark.parametrize(
    ("route", "method", "body", "field"),
    [
        ("/api/exec/halt", "POST", {"scope": "all"}, "reason"),
        ("/api/exec/halt", "POST", {"reason": ""}, "reason"),
        ("/api/exec/halt", "POST", {"reason": "r" * 201}, "reason"),
        ("/api/exec/halt", "POST", {"reason": "r", "why": 1}, "why"),
        ("/api/exec/limits", "PUT", {"dailyLoss": 2}, "dailyLoss"),
        ("/api/exec/limits", "PUT", {"daily_loss": 0.1}, "daily_loss"),
        ("/api/exec/limits", "PUT", {"ordersPerMinute": 1.5}, "ordersPerMinute"),
    ],
)
async def test_a_wrong_body_is_refused_by_the_name_of_its_field(
    route: str, method: str, body: Any, field: str
) -> None:
    answer = await a_world().ask(
        route, method, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    assert answer.status == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
