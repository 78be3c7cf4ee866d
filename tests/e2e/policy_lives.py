"""A system whose policies come, change, break, signal from outside and go under load, while it is killed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

from libs.common.events import (
    AddPolicy,
    CommandRejected,
    ExecutionRecord,
    PlanAndExecute,
    PolicyRegistered,
    PolicySignalled,
    PolicyState,
    RetirePolicy,
    RouterSnapshot,
)
from libs.common.kafka import follow, read
from libs.common.time_units import NS_PER_S
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    ROUTER_COMMANDS,
    ROUTER_SNAPSHOTS,
    signal_key,
)
from libs.common.views import View
from libs.policies.described import version_of
from tests.e2e.system import System, until
from tests.whole_records import WholeRecords

if TYPE_CHECKING:
    from libs.common.kafka import Publisher, Undecodable
    from libs.common.settings import ServiceSettings

SEED: Final = 20_261_130
VICTIMS: Final = ("services.policies", "services.router", "services.execution")
SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
LOAD_S: Final = 0.2  # between executions
MOST_OPEN: Final = 12  # of them, so that a slow machine falls behind by no more
PATIENCE_S: Final = 120.0
SCOPE: Final = "default"
STAYS: Final = {
    "steady": PolicyState.RUNNING,
    "changes": PolicyState.RUNNING,
    "raises": PolicyState.QUARANTINED,
}

SAYS: Final = '''"""Says something that follows from all that it sees. {words}"""

import zlib

from bookrunner import Policy, Signal


def signal(market):
    books = [(book.venue, book.epoch, book.seq, book.bids, book.asks) for book in market.books.values()]
    closes = [(each.open_ts, each.close) for each in (*market.minutes, *market.days)]
    digest = zlib.crc32(repr((market.symbol, market.ts, market.features, books, closes)).encode())
    return Signal(digest % 2001 / 1000 - 1, f"{{digest:08x}} of {{len(books)}} books and candles")


POLICY = Policy(signal=signal, summary="says something", on_tops=True, valid_s=20.0, keeps_posterior={keeps})
'''
RAISES: Final = (
    "from bookrunner import Policy\nPOLICY = Policy(signal=lambda market: 1 / 0, summary='breaks')\n"
)


class Run:
    """A system that runs, and what is done to it."""

    def __init__(self, system: System, publisher: Publisher, settings: ServiceSettings, kills: int) -> None:
        self.system, self.publisher, self.settings = system, publisher, settings
        self.most_kills = kills
        self.chance = random.Random(SEED)
        self.folder = system.folder / "policies"
        self.sources = system.folder / "sources"  # each version that there was
        self.registry: View[PolicyRegistered] = View(POLICIES_REGISTRY)
        self.snapshots: View[RouterSnapshot] = View(ROUTER_SNAPSHOTS)
        self.names: list[str] = []  # of executions
        self.whole = WholeRecords()
        self.refused: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.rounds = 0  # of what becomes of policies
        self.seconds: dict[str, int] = {}  # since it was ready, until what
        self._began_s = time.monotonic()
        self.killed = asyncio.Event()
        self.flows = asyncio.Event()  # the load
        self.flows.set()

    def note(self, what: str) -> None:
        self.seconds[what] = round(time.monotonic() - self._began_s)

    async def listen(self) -> None:
        async for _ in follow(self.settings, [self.registry, self.snapshots], on_undecodable=refuse):
            pass

    async def follow(self) -> None:
        topics = (EXECUTION_RECORDS, EXECUTION_PLANS)
        async with aclosing(read(self.settings, topics, on_undecodable=refuse)) as batches:
            async for batch in batches:
                for record in batch:
                    if isinstance(record.event, CommandRejected):
                        self.refused.add(record.event.command_id)
                    else:
                        self.whole.fold(record.event)

    async def has_room(self) -> bool:
        """Tell whether one more execution may begin."""
        newest = self.whole.newest
        ended = {name for name, record in newest.items() if record.status.final} | self.refused
        return len(set(self.names) - ended) < MOST_OPEN

    # The load, and what kills

    async def load(self) -> None:
        for n in count():
            await until("few executions are open", self.has_room, PATIENCE_S)
            await self.flows.wait()
            name, symbol = _named("run", n), SYMBOLS[n % len(SYMBOLS)]
            command = PlanAndExecute(command_id=name, symbol=symbol, urgency=1.0)
            self.names.append(name)
            await self.publisher.send_and_wait(EXECUTION_COMMANDS, symbol.encode(), command, time.time_ns())
            await asyncio.sleep(LOAD_S)

    async def kill(self) -> None:
        """Kill one after the other, some while they start; each is started again at once."""
        victims = [VICTIMS[n % len(VICTIMS)] for n in range(self.most_kills)]
        self.chance.shuffle(victims)
        for module in victims:
            await asyncio.sleep(self.chance.choice((0.3, 2.0, 5.0)) * self.chance.uniform(0.5, 1.5))
            self.system.kill(module)
            self.system.start(module)
            self.kills[module] += 1
        self.killed.set()
        self.note("killed")

    # What becomes of policies

    async def live(self) -> None:
        """Let policies come, change, break and go, until all kills are done and at least once."""
        self.write("raises", RAISES)
        self.write("steady", SAYS.format(words="It stays.", keeps=False))
        await self.in_state("steady", PolicyState.RUNNING)
        await self.in_state("raises", PolicyState.QUARANTINED)
        for n in count():
            self.write("changes", SAYS.format(words=f"Anew {n}.", keeps=False))
            await self.in_state("changes", PolicyState.RUNNING)
            await self.decide("steady")
            await self.decided_last("changes")
            self.flows.clear()  # so that what it decided waits for its reward
            self.write("changes", SAYS.format(words=f"Anew again {n}.", keeps=False))
            await self.in_state("changes", PolicyState.RUNNING)
            self.flows.set()
            await self.decide("changes")
            kept = SAYS.format(words=f"It goes on {n}.", keeps=True)
            self.write("changes", kept)
            self.write("passes", SAYS.format(words=f"It passes {n}.", keeps=False))
            await self.in_state("changes", PolicyState.RUNNING)
            await self.decide("changes")
            await self.router(RetirePolicy, n)
            self.write("changes", RAISES)
            await self.in_state("changes", PolicyState.QUARANTINED)
            await self.in_state("passes", PolicyState.RUNNING)
            self.write("changes", kept)
            await self.in_state("changes", PolicyState.RUNNING)
            await self.router(AddPolicy, n)
            await self.decide("changes", "passes")
            (self.folder / "passes.py").unlink()
            await self.gone("passes")
            self.rounds += 1
            self.note(f"round {self.rounds}")
            if self.killed.is_set():
                return

    async def signal(self) -> None:
        """Let a policy from outside signal for a while, and then not, again and again."""
        for n in count():
            now = time.time_ns()
            if n % 24 < 12:
                for symbol in SYMBOLS:
                    told = PolicySignalled(
                        policy_id="x_desk",
                        symbol=symbol,
                        value=self.chance.uniform(-1, 1),
                        inputs_ts=now,
                        valid_until_ts=now + 2 * NS_PER_S,
                    )
                    await self.publisher.send(POLICIES_SIGNALS, signal_key("x_desk", symbol), told, now)
            await asyncio.sleep(0.5)

    def write(self, name: str, source: str) -> None:
        """Let the file of a policy be another one, at once."""
        (self.sources / f"{version_of(source.encode())}.py").write_text(source)
        draft = self.folder / f"{name}.draft"
        draft.write_text(source)
        draft.replace(self.folder / f"{name}.py")

    async def router(self, kind: type[RetirePolicy | AddPolicy], n: int) -> None:
        command = kind(command_id=_named(kind.__name__, n), scope=SCOPE, policy_id="steady")
        await self.publisher.send_and_wait(ROUTER_COMMANDS, SCOPE.encode(), command, time.time_ns())

    async def in_state(self, name: str, state: PolicyState) -> None:
        version = version_of((self.folder / f"{name}.py").read_bytes())

        async def so() -> bool:
            entry = self.registry.items.get(name.encode())
            return entry is not None and (entry.version, entry.state) == (version, state)

        await until(f"{name} is {state}", so, PATIENCE_S)

    async def gone(self, name: str) -> None:
        async def so() -> bool:
            return name.encode() not in self.registry.items

        await until(f"{name} is gone", so, PATIENCE_S)

    async def decided_last(self, name: str) -> None:
        async def so() -> bool:
            snapshot = self.snapshots.items.get(SCOPE.encode())
            return snapshot is not None and snapshot.last_choice == name

        await until(f"{name} was chosen last", so, PATIENCE_S)

    async def decide(self, *names: str) -> None:
        """Wait until there are decisions for these policies at their present versions."""
        wanted = {(name, self.registry.items[name.encode()].version) for name in names}

        async def so() -> bool:
            snapshot = self.snapshots.items.get(SCOPE.encode())
            return snapshot is not None and wanted <= {
                (each.policy_id, each.version) for each in snapshot.policies if each.choices
            }

        await until(f"{names} were chosen", so, PATIENCE_S)

    # The end

    async def settled(self) -> bool:
        """Tell whether all executions are paid, and all that is to go is gone."""
        if {entry.policy_id for entry in self.registry.items.values() if entry.kind != "builtin"} != {*STAYS}:
            return False
        return all(name in self.refused or _paid(self.whole.newest.get(name)) for name in self.names)


def _paid(record: ExecutionRecord | None) -> bool:
    if record is None or not record.status.final or record.reward is None:
        return False
    return record.reward.counted is not None or record.policy_id is None


def _named(what: str, n: int) -> str:
    return str(uuid5(NAMESPACE_URL, f"{what} {n}"))


async def refuse(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)
