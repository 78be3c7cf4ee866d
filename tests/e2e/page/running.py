"""The system that the page is looked at on: few books, all services, and an execution to look at."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.system import System, folder_of_policies, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SYMBOL: Final = "BTC-USDT"
OTHER: Final = "ETH-USDT"
VENUES: Final = ("binance", "okx")
SERVICES: Final = tuple(
    f"services.{name}" for name in ("venues", "router", "portfolio", "execution", "policies")
)
SETTINGS: Final = {
    "L2_BOOKS": ",".join(f"{venue}:{symbol}" for venue in VENUES for symbol in (SYMBOL, OTHER)),
    "EXECUTION_HORIZON_S": "2",
    "EXECUTION_S_MAX": "0.02",  # orders that their books take at once
}


@asynccontextmanager
async def a_page_system(kafka: str, folder: Path, **settings: str) -> AsyncIterator[System]:
    """Start the system, and wait until every route does its work."""
    chosen = SETTINGS | {"POLICIES_DIR": folder_of_policies(folder)} | settings
    async with System(kafka, folder, **chosen) as running:
        running.start(*SERVICES)
        await running.ready()
        await running.all_live(len(VENUES) * 2)
        yield running


async def post(system: System, path: str, body: object) -> Any:
    """Return the JSON of a success, None of a refusal that may pass."""
    async with system.http.post(f"{system.gateway}{path}", json=body) as reply:
        answer = json.loads(await reply.read())
        assert reply.status < 300 or reply.status in {503, 504}, answer
        return answer if reply.status < 300 else None


async def executed(system: System) -> Any:
    """Execute until a policy wants to trade, some may be flat; return the record once it has ended filled."""

    async def worked() -> Any:
        answer = await post(system, "/api/exec/plan-and-execute", {"symbol": SYMBOL})
        return answer if answer and answer["status"] in {"working", "completed"} else None

    begun = await until("an execution that trades", worked)

    async def ended() -> Any:
        answer = await system.get(f"/api/exec/{begun['executionId']}")
        return answer if answer and answer["status"] == "completed" and answer["fills"] else None

    return await until("its end", ended)
