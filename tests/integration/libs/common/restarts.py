"""A processor killed and started at random, while commands come and strangers leave transactions open."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from libs.common.codec import decode
from libs.common.kafka import Publisher, partition_of
from libs.common.partition import POSITION_KEY, Position
from tests.integration.libs.common.strangers import Stranger, visible
from tests.integration.libs.common.workers import Worker, eventually, group_offsets, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from aiokafka.structs import ConsumerRecord

    from libs.common.events import Event
    from libs.common.topics import Topic

PARTITIONS: Final = 2
START_S: Final = 2.0
WORK_S: Final = 1.5
MOST_OPEN: Final = 3
TIMEOUTS_MS: Final = (1_000, 6_000)
SETTLE_S: Final = 45.0


class Restarts(ABC):
    """One processor, those who send it commands, and strangers; all that happens is drawn by a seed."""

    commands: ClassVar[Topic]
    state: ClassVar[Topic]
    answers: ClassVar[Topic]
    module: ClassVar[str]
    keys: ClassVar[tuple[str, ...]]  # of commands

    def __init__(self, kafka: str, folder: Path, seed: int, group: str) -> None:
        self.chance = random.Random(seed)
        self.kafka = kafka
        self.settings = settings_of(kafka, topic_partitions=PARTITIONS)
        self.group = group
        self.sent = 0
        self._publisher = Publisher(self.settings, compress=False)
        self._up = False
        self._open: list[tuple[Stranger, bool]] = []  # and whether it may be committed
        self._strangers = 0
        environment = {"TOPIC_PARTITIONS": str(PARTITIONS), "BATCH_RECORDS": "5"}
        self._worker = Worker(kafka, group, 0, folder / "worker.log", self.module, **environment)

    @abstractmethod
    async def command(self, key: str) -> Event:
        """Return a command about `key`, now and then one that was sent before."""

    @abstractmethod
    def stray(self, topic: Topic, key: str) -> Event:
        """Return what a stranger writes to the state or the answers; wrong, if anyone took it."""

    @abstractmethod
    async def look(self) -> None:
        """Judge the answers that are there now."""

    @abstractmethod
    async def settled(self) -> bool:
        """Return whether every command is answered."""

    async def run(self, steps: int) -> None:
        """Do so many things, then let all transactions end and all commands be answered."""
        actions = {
            self.send: 6,
            self.begin: 6,
            self.write: 2,
            self.end: 2,
            self.leave: 1,
            self.kill: 4,
            self.start: 6,
            self.look: 2,
            self.pause: 2,
        }
        await self.start()
        try:
            async with self._publisher:
                for _ in range(steps):
                    (action,) = self.chance.choices(list(actions), list(actions.values()))
                    await action()
                while self._open:
                    await self.end()
                await self.start()
                await eventually(self._settled, SETTLE_S)
            self._worker.send(signal.SIGTERM)
            assert await asyncio.to_thread(self._worker.process.wait, 20.0) == 0
        finally:
            self._worker.kill()
            for stranger, _ in self._open:
                await stranger.leave()

    async def _settled(self) -> bool:
        assert self._worker.process.poll() is None, self._worker.log.read_text()[-3000:]
        return await self.settled()

    async def send(self) -> None:
        """Send some commands."""
        for _ in range(self.chance.randint(1, 8)):
            key = self.chance.choice(self.keys)
            command = await self.command(key)
            await self._publisher.send_and_wait(self.commands, key.encode(), command, time.time_ns())
            self.sent += 1

    async def begin(self) -> None:
        """Open a stranger's transaction, mostly on the state."""
        if len(self._open) < MOST_OPEN:
            topic = self.chance.choice((self.state, self.state, self.commands, self.answers))
            await self._begin(topic, self.chance.choice(TIMEOUTS_MS))

    async def _begin(self, topic: Topic, timeout_ms: int) -> None:
        self._strangers += 1
        name = f"{self.group}-stranger-{self._strangers}"
        stranger = Stranger(self.kafka, name, topic, self.chance.randrange(PARTITIONS), timeout_ms)
        await stranger.begin()
        self._open.append((stranger, topic is not self.state and self.chance.random() < 0.5))
        if self.chance.random() < 0.9:
            await self._write(stranger)

    async def write(self) -> None:
        """Write into an open transaction."""
        if self._open:
            stranger, _ = self.chance.choice(self._open)
            await self._write(stranger)

    async def _write(self, stranger: Stranger) -> None:
        home = [key for key in self.keys if partition_of(key.encode(), PARTITIONS) == stranger.partition]
        key = self.chance.choice(home)
        if stranger.topic is self.commands:
            event = await self.command(key)
        else:
            event = self.stray(stranger.topic, key)
        await stranger.write(self.key_of(stranger.topic, key), event)

    def key_of(self, _topic: Topic, key: str) -> bytes:
        """Return the record's key of what is about `key`."""
        return key.encode()

    async def end(self) -> None:
        """End one of the transactions; what a stranger writes to the state is never committed."""
        if self._open:
            stranger, commit = self._open.pop(self.chance.randrange(len(self._open)))
            await stranger.end(commit=commit)

    async def leave(self) -> None:
        """Let a stranger go away without a word."""
        if self._open:
            stranger, _ = self._open.pop(self.chance.randrange(len(self._open)))
            await stranger.leave()

    async def kill(self) -> None:
        """Kill the processor, mostly at work; every other time its successor finds that work hidden."""
        if not self._up:
            return
        hidden = self.chance.random() < 0.5
        if hidden:
            await self._begin(self.state, max(TIMEOUTS_MS))
            await self._send_and_see()
        elif self.chance.random() < 0.8:
            await self.send()
            await asyncio.sleep(self.chance.uniform(0.0, 0.2))
        self._worker.kill()
        self._up = False
        if hidden:
            await self.start()
        else:
            await self._assert_group_is_not_ahead()

    async def _send_and_see(self) -> None:
        """Send some commands, and wait a while for the first of their answers."""

        async def answers() -> int:
            return len(await visible(self.kafka, self.answers, PARTITIONS, committed=False))

        async def more() -> bool:
            return await answers() > before

        before = await answers()
        await self.send()
        with suppress(AssertionError):  # it is held up itself
            await eventually(more, WORK_S)

    async def start(self) -> None:
        """Start the processor, and mostly let it restore its state."""
        if self._up:
            return
        restored = self._worker.said("partition_restored") if self._worker.log.exists() else 0

        async def done() -> bool:
            return self._worker.said("partition_restored") >= restored + PARTITIONS

        self._worker.start()
        self._up = True
        if self.chance.random() < 0.8:
            with suppress(AssertionError):  # held up: the next steps come upon a processor that waits
                await eventually(done, START_S)

    async def pause(self) -> None:
        """Let time pass."""
        await asyncio.sleep(self.chance.uniform(0.0, 0.5))

    async def seen(self, topic: Topic) -> dict[int, list[ConsumerRecord[bytes, bytes]]]:
        """Return the committed records of a topic by partition; of the answers, the processor's own."""
        found = defaultdict(list)
        for record in await visible(self.kafka, topic, PARTITIONS):
            if topic is not self.answers or record.headers:
                found[record.partition].append(record)
        return found

    async def messages(self, topic: Topic) -> list[list[Event]]:
        """Return the committed messages of each partition."""
        found = await self.seen(topic)
        return [[decode(topic, record.value) for record in found[n]] for n in range(PARTITIONS)]

    async def kept(self) -> list[dict[str, Event]]:
        """Return the newest state of each partition by its key."""
        found = await self.seen(self.state)
        return [
            {
                record.key.decode(): decode(self.state, record.value)
                for record in found[n]
                if not record.key.startswith(b"\0") and record.value is not None
            }
            for n in range(PARTITIONS)
        ]

    async def _assert_group_is_not_ahead(self) -> None:
        """No offset of the group is beyond the position in the state's log."""
        told = await group_offsets(self.kafka, self.group)
        reached: dict[int, int] = {}
        for record in await visible(self.kafka, self.state, PARTITIONS, committed=False):
            if record.key == POSITION_KEY:
                position = msgspec.msgpack.decode(record.value, type=Position)
                reached[record.partition] = position.offsets[self.commands.name]
        for partition, offset in told.items():
            assert offset <= reached.get(partition.partition, 0)
