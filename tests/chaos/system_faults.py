"""`SystemFaults`: what happens to the system itself, begun here and followed until it has healed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from tests.chaos.pending import PATIENCE_NS, Pending
from tests.chaos.schedule import (
    BROKER_KILLED,
    CLOCK_SET,
    GATEWAY_KILLED,
    L2_KILLED,
    MARKET_QUIET,
    QUICK_RESTART_S,
    TRANSACTION_OPEN,
    UNKNOWN_RECORDS,
)
from tests.chaos.strangers import open_transaction, write_unknown
from tests.chaos.world import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.follower import Follower
    from tests.chaos.readiness import Readiness
    from tests.chaos.schedule import Action, Book
    from tests.chaos.world import World

PATIENCE_S: Final = PATIENCE_NS / NS_PER_S
LOOK_S: Final = 0.1
NAMED_S: Final = 30.0  # for /readyz to name a log that is held up: told after 3 s, and a service starts first
READ_S: Final = 2.0  # for everybody to have read some records
MOST_RESYNCS: Final = 1  # of a book whose market is quiet: once it may be in doubt, for ever it may not


class SystemFaults:
    """Begins faults; each comes back as a `Pending` that settles by its books, or by a task of its own."""

    def __init__(
        self, world: World, follower: Follower, readiness: Readiness, tasks: asyncio.TaskGroup
    ) -> None:
        self._world = world
        self._follower = follower
        self._readiness = readiness
        self._tasks = tasks

    def begin(self, action: Action, calm: tuple[Book, ...]) -> Pending:
        """Let it happen.

        Parameters
        ----------
        calm
            The books of the action that do not heal from another fault, for that one has to answer for them.
        """
        now = self._world.now()
        match action.kind:
            case kind if kind == L2_KILLED:
                name = self._world.workers[action.worker]
                owned = tuple(book for book in calm if self._follower.health(book).owner == name)
                self._world.kill(name, action.away_s)
                return Pending(action, now, owned, frozenset(owned), over_ts=now, injected=1)
            case kind if kind == BROKER_KILLED:
                pending = Pending(action, now, calm, injected=1)
                self._tasks.create_task(self._restart_broker(pending))
            case kind if kind == GATEWAY_KILLED:
                pending = Pending(action, now, (("gateway", "all views"),), over_ts=now, injected=1)
                self._world.kill("gateway", action.away_s)
                self._tasks.create_task(self._await_gateway(pending))
            case kind if kind == CLOCK_SET:
                self._world.clock.jump(action.by_s)
                self._follower.forget_changes()
                now = self._world.now()
                return Pending(action, now, calm, frozenset(calm), over_ts=now, injected=1)
            case kind if kind == TRANSACTION_OPEN:
                pending = Pending(action, now, (("transaction", action.topic),), injected=1)
                self._tasks.create_task(self._hold_transaction(pending))
            case kind if kind == UNKNOWN_RECORDS:
                pending = Pending(action, now, (("records", str(action.seed)),), injected=1)
                self._tasks.create_task(self._write_unknown(pending))
            case kind if kind == MARKET_QUIET:
                pending = Pending(action, now, action.books, injected=1)
                self._tasks.create_task(self._keep_quiet(pending))
            case kind:
                raise AssertionError(f"no one begins {kind}")
        return pending

    async def _restart_broker(self, pending: Pending) -> None:
        await self._world.kill_broker(pending.action.away_s)
        pending.over_ts = self._world.now()

    async def _await_gateway(self, pending: Pending) -> None:
        async def answers() -> bool:
            page = await self._world.gateway("/readyz") and await self._world.gateway("/api/l2")
            return page is not None and len(page) == len(self._world.books)

        deadline = time.monotonic() + PATIENCE_S
        while not await answers():
            if time.monotonic() > deadline:
                pending.give_up(f"the gateway did not show every book {PATIENCE_S:g} s after it was killed")
                return
            await asyncio.sleep(LOOK_S)
        pending.settle_at_once(self._world.now())

    async def _hold_transaction(self, pending: Pending) -> None:
        action = pending.action
        partition = pending.began_ts % PARTITIONS
        timeout_s = NAMED_S + action.lasts_s + PATIENCE_S
        async with open_transaction(self._world.kafka, action.topic, partition, timeout_s):
            if action.service:
                self._world.kill(action.service, QUICK_RESTART_S)
            named = await self._until(lambda: self._readiness.names(action.topic), NAMED_S)
            await asyncio.sleep(action.lasts_s)
        pending.over_ts = self._world.now()
        if not named:
            pending.give_up(
                f"/readyz did not name {action.topic} within {NAMED_S:g} s of an open transaction"
            )
            return
        await self._heal(pending, f"the transaction on {action.topic}")

    async def _write_unknown(self, pending: Pending) -> None:
        ended = len(self._world.ended)
        said = await write_unknown(self._world.kafka, pending.action.seed, PARTITIONS)
        await asyncio.sleep(READ_S)
        pending.over_ts = self._world.now()
        if len(self._world.ended) > ended:
            pending.give_up(f"after {said}: {self._world.ended[ended]}")
            return
        await self._heal(pending, said)

    async def _heal(self, pending: Pending, what: str) -> None:
        if await self._until(lambda: self._readiness.ready, PATIENCE_S):
            pending.settle_at_once(self._world.now())
        else:
            lines = "; ".join(self._readiness.lines)
            pending.give_up(f"/readyz is {self._readiness.status} {PATIENCE_S:g} s after {what}: {lines}")

    async def _keep_quiet(self, pending: Pending) -> None:
        """Let the market rest; its books may be in doubt, but they do not fall again and again."""
        resyncs = {book: self._follower.health(book).resyncs for book in pending.books}
        for request in pending.action.requests:
            await self._world.control("POST", "faults", request)
        await asyncio.sleep(pending.action.lasts_s)
        for book, before in resyncs.items():
            health = self._follower.health(book)
            more = health.resyncs - before
            states = health.states_since(pending.began_ts)
            if more > MOST_RESYNCS or "STALE" in states:
                went = ", ".join(sorted(states))
                pending.failed.append(f"{':'.join(book)} was quiet, and resynced {more} times: {went}")
        pending.over_ts = self._world.now()

    async def _until(self, holds: Callable[[], bool], patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while not holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True
