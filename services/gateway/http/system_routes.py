"""The routes that show the system as a whole, and those of the simulation that it may trade on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from services.gateway.asking.idempotency import Reply
from services.gateway.asking.simulator import Fault, FaultsAnswer, SimulatedExchangesAnswer
from services.gateway.http import openapi
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.command_routes import body_example, once
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import parts_of, shown
from services.gateway.http.strict_json import StrictRoute
from services.gateway.http.view import encode
from services.gateway.reading.system_status import SystemAnswer

if TYPE_CHECKING:
    from services.gateway.asking.commands import Command

router = APIRouter(route_class=StrictRoute)

FAULTS: Final = "/api/simulation/faults"
_THERE: Final = (p.UNKNOWN_NAME, p.UNAVAILABLE)
_Seconds = Annotated[float, Field(gt=0, le=86_400)]


class FaultBody(r.Body):
    """What is to go wrong; GET /api/simulation lists the kinds, and which fields each takes."""

    kind: str = Field(min_length=1, max_length=40, description="one of `kinds`")
    venue: str = Field(min_length=1, max_length=40, description="where; one of the simulated exchanges")
    symbol: str | None = Field(None, max_length=40, description="of this symbol alone; null: of all")
    endpoint: str | None = Field(
        None, max_length=200, description="path of REST whose answers it is of; null: of the venue"
    )
    once: bool | None = Field(None, description="it strikes once, at the next chance; null: no")
    probability: float | None = Field(
        None, gt=0, le=1, description="with which it strikes at each chance; null: see `once`"
    )
    duration_s: _Seconds | None = Field(
        None, description="how long it lasts, or is armed, seconds; null: no end"
    )
    status: int | None = Field(None, description="of HTTP, with which the venue blocks; null: not said")
    at: Literal["socket", "rest", "both"] | None = Field(
        None, description="where the venue blocks; null: both"
    )
    system: Literal["maintenance", "cancel_only", "post_only", "limit_only"] | None = Field(
        None, description="what clients are told; null: maintenance"
    )
    side: Literal["bids", "asks"] | None = Field(None, description="of the book, that is gone; null: asks")
    grace_s: _Seconds | None = Field(None, description="between notice and cut, seconds; null: 5")
    age_s: _Seconds | None = Field(None, description="at which connections are cut, seconds; null: not said")
    bytes_per_s: int | None = Field(
        None, ge=100, le=10**9, description="that a line carries, bytes per second; null: not said"
    )
    bps: float | None = Field(
        None, ge=-5_000, le=5_000, description="by which the price moves, bps; null: not said"
    )


FaultPath = Annotated[
    str, Path(pattern=r"^[1-9][0-9]{0,8}$", description="number of the fault, `id`", examples=["1"])
]


@router.get(
    "/api/system",
    tags=["operations"],
    summary="The system at a glance",
    responses=answers("As it is, ready or not.", reference(SystemAnswer)),
)
async def get_system(request: Request) -> Response:
    """Return processes, topics with what they take and how fast they grow, dead letters and alerts.

    It answers also while the system is not ready, with what is known then. The figures of the topics are a
    minute old at most, and some five seconds while somebody asks; `perSecond` is the mean between the last
    two. Alerts stand here whether or not they are posted to a webhook.
    """
    return shown(await parts_of(request).system())


@router.get(
    "/api/simulation",
    tags=["operations"],
    summary="The simulated exchanges",
    responses=answers("What goes wrong there, and what can.", reference(SimulatedExchangesAnswer), *_THERE),
)
async def get_simulation(request: Request) -> Response:
    """Return faults that were asked for, what they did, and the kinds of faults there are.

    Only where the books come from the simulator (FEED=simulator); else 404.
    """
    return shown(await parts_of(request).simulator.shown())


@router.post(
    FAULTS,
    tags=["operations"],
    summary="Let something go wrong",
    responses=answers(
        "The fault, as it was armed.", reference(Fault), *openapi.TAKES_A_BODY, *openapi.WAITS, *_THERE
    ),
    openapi_extra=body_example({"kind": "drop", "venue": "okx", "symbol": "SOL-USDT", "once": True}),
)
async def add_fault(request: Request, body: FaultBody, key: r.IdempotencyKey = None) -> Response:
    """Ask the simulated exchanges for a fault, and watch how the books recover.

    A field that the kind does not take, or lacks, is 422 with the simulator's words.
    """
    asked: dict[str, Any] = body.model_dump(by_alias=True, exclude_none=True)

    async def execute(_command: Command) -> Reply:
        return Reply(200, encode(await parts_of(request).simulator.add(asked)))

    return await once(request, key, execute)


@router.delete(
    FAULTS,
    tags=["operations"],
    summary="End all faults",
    responses=answers("None are left.", reference(FaultsAnswer), *openapi.WAITS, *_THERE),
)
async def end_faults(request: Request) -> Response:
    """End every fault; the books recover by themselves."""
    return await _ended(request, None)


@router.delete(
    FAULTS + "/{number}",
    tags=["operations"],
    summary="End a fault",
    responses=answers("Those that are left.", reference(FaultsAnswer), *openapi.WAITS, *_THERE),
)
async def end_fault(request: Request, number: FaultPath) -> Response:
    """End a fault; the book recovers by itself."""
    return await _ended(request, int(number))


async def _ended(request: Request, number: int | None) -> Response:
    async def execute(_command: Command) -> Reply:
        return Reply(200, encode(await parts_of(request).simulator.end(number)))

    return await once(request, None, execute)
