"""`Choices`: commands that go on all the time, each of which the router must have counted once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

if TYPE_CHECKING:
    from tests.chaos.world import World

SCOPE: Final = "chaos"
EVERY_S: Final = 0.5
PATIENCE_S: Final = 30.0


class Choices:
    """Asks for a policy twice a second, and counts what was answered.

    A request that failed may have been carried out, and is not sent again: the router's count lies between
    what was answered and what was asked.
    """

    def __init__(self, world: World) -> None:
        self.asked = 0
        self.answered = 0
        self._world = world

    async def ask_for_ever(self) -> None:
        """Ask."""
        body = {"scope": SCOPE, "context": {"regime": "bull"}}
        while True:
            self.asked += 1
            key = str(uuid5(NAMESPACE_URL, f"chaos/{self._world.simulator_url}/{self.asked}"))
            status = await self._world.post("/api/router/choose", body, key)
            self.answered += status == 200
            await asyncio.sleep(EVERY_S)

    async def lost(self) -> str:
        """Return what the router's count lacks or has too much, once it stands still; empty where nothing."""
        counted = -1
        for _ in range(round(PATIENCE_S / EVERY_S)):
            snapshot = await self._world.gateway(f"/api/router/snapshot?scope={SCOPE}")
            counted = -1 if snapshot is None else int(snapshot["choices"])
            if self.answered <= counted <= self.asked:
                return ""
            await asyncio.sleep(EVERY_S)
        return f"{self.answered} choices were answered of {self.asked}, and the router has counted {counted}"
