"""The router as a process of its own, beside a real Kafka: started, killed, and its logs read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from libs.common.kafka import read
from libs.common.topics import ROUTER_STATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libs.common.kafka import Record, Undecodable
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

PARTITIONS = "4"


class RouterProcess:
    """Start, kill, start again."""

    def __init__(self, kafka: str, log: Path, **environment: str) -> None:
        self.log = log
        self._environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TOPIC_PARTITIONS": PARTITIONS,
            **environment,
        }

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.router"], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def router(kafka: str, log: Path, **environment: str) -> Iterator[RouterProcess]:
    """Run a router; at the end none is left."""
    process = RouterProcess(kafka, log, **environment)
    process.start()
    try:
        yield process
    finally:
        process.kill()


async def log_of(settings: ServiceSettings, topic: Topic) -> list[Record]:
    """Return all committed records of a topic, in the order of each partition."""

    async def refuse(undecodable: Undecodable) -> None:
        assert undecodable.topic is ROUTER_STATE, undecodable
        assert undecodable.key.startswith(b"\0"), undecodable  # the processor's own

    found: list[Record] = []
    async with aclosing(read(settings, [topic], on_undecodable=refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found += batch
    return found
