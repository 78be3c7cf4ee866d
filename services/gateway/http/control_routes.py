"""The routes that halt trading, resume it, and set and show its limits."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import Field

from libs.common.events import HaltTrading, LimitName, Limits, ResumeTrading, SetLimits
from libs.common.trading_limits import ALL, MAX_REASON, MOST
from services.gateway.http import openapi, views
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.command_routes import body_example, commanded
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import parts_of, ready_parts_of, shown
from services.gateway.http.strict_json import StrictRoute
from services.gateway.reading.limit_uses import LimitsAnswer, limits_answer

router = APIRouter(route_class=StrictRoute)

BY: Final = "gateway"  # who did it, as execution.controls.v1 has it

ControlScope = Annotated[
    str,
    Field(min_length=1, max_length=80, description="all, symbol:BTC-USDT, policy:p_sma or venue:okx"),
]
LimitScope = Annotated[str, Field(min_length=1, max_length=80, description="all, or symbol:BTC-USDT")]
Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON, description="why, for whoever reads it")]


def _most(name: LimitName, unit: str) -> float | None:
    found: float | None = Field(
        None, ge=0, le=MOST[name], description=f"{name.meaning}; {unit}; 0 is off, null leaves it as it is"
    )
    return found


def _count(name: LimitName) -> int | None:
    found: int | None = Field(
        None, ge=0, le=int(MOST[name]), description=f"{name.meaning}; 0 is off, null leaves it as it is"
    )
    return found


class HaltBody(r.Body):
    """What is to be halted, and why."""

    scope: ControlScope = ALL
    reason: Reason


class ResumeBody(r.Body):
    """What is to be resumed, and why."""

    scope: ControlScope = ALL
    reason: Reason = "resumed"


class LimitsBody(r.Body):
    """Limits that are to be set; those that are left out stay as they are."""

    scope: LimitScope = ALL
    gross_exposure: float | None = _most(LimitName.GROSS_EXPOSURE, "fraction")
    symbol_exposure: float | None = _most(LimitName.SYMBOL_EXPOSURE, "fraction")
    order_notional: float | None = _most(LimitName.ORDER_NOTIONAL, "fraction")
    orders_per_minute: int | None = _count(LimitName.ORDERS_PER_MINUTE)
    daily_loss: float | None = _most(LimitName.DAILY_LOSS, "fraction")
    drawdown: float | None = _most(LimitName.DRAWDOWN, "fraction")
    failed_share: float | None = _most(LimitName.FAILED_SHARE, "0 to 1")
    min_live_venues: int | None = _count(LimitName.MIN_LIVE_VENUES)


_ANSWERS: Final = (*openapi.TAKES_A_BODY, *openapi.ASKS)


@router.post(
    "/api/exec/halt",
    tags=["executions"],
    summary="Halt trading",
    responses=answers("All halts that stand, this one among them.", reference(views.CONTROLS), *_ANSWERS),
    openapi_extra=body_example({"scope": "venue:okx", "reason": "its prices look wrong"}),
)
async def halt(request: Request, body: HaltBody, key: r.IdempotencyKey = None) -> Response:
    """Send no order of the scope from now on, and cancel what is open of it; answered when the halt stands.

    It outlives restarts, until POST /api/exec/resume ends it. What is halted already stays as it was halted.
    """

    def wish(name: str) -> HaltTrading:
        return HaltTrading(command_id=name, scope=body.scope, reason=body.reason, by=BY)

    return await commanded(request, key, views.CONTROLS, wish)


@router.post(
    "/api/exec/resume",
    tags=["executions"],
    summary="Resume trading",
    responses=answers("The halts that still stand.", reference(views.CONTROLS), *_ANSWERS),
    openapi_extra=body_example({"scope": "venue:okx", "reason": "its prices are right"}),
)
async def resume(request: Request, body: ResumeBody, key: r.IdempotencyKey = None) -> Response:
    """End the halt of this very scope; halts of other scopes stand.

    While the limit that halted it is still exceeded it would be halted again at once: that is refused, and
    the detail says what helps.
    """

    def wish(name: str) -> ResumeTrading:
        return ResumeTrading(command_id=name, scope=body.scope, reason=body.reason, by=BY)

    return await commanded(request, key, views.CONTROLS, wish)


@router.put(
    "/api/exec/limits",
    tags=["executions"],
    summary="Set trading limits",
    responses=answers("The limits that hold for the scope now.", reference(views.CONTROLS), *_ANSWERS),
    openapi_extra=body_example({"scope": "all", "dailyLoss": 0.05}),
)
async def set_limits(request: Request, body: LimitsBody, key: r.IdempotencyKey = None) -> Response:
    """Set limits of all or of one symbol: a symbol's come before those of all, both before the settings."""
    limits = Limits(**{name: getattr(body, name) for name in Limits.__struct_fields__})

    def wish(name: str) -> SetLimits:
        return SetLimits(command_id=name, scope=body.scope, limits=limits, by=BY)

    return await commanded(request, key, views.CONTROLS, wish)


@router.get(
    "/api/exec/limits",
    tags=["executions"],
    summary="Every trading limit, and what is halted",
    responses=answers("As it is now.", reference(LimitsAnswer), p.NOT_READY),
)
async def get_limits(request: Request) -> Response:
    """Return every limit with its value, use and headroom, what its breach does, and the halts that stand."""
    return shown(limits_answer(ready_parts_of(request).views, parts_of(request).clock()))
