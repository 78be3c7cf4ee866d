"""Worker processes of the counting service, to be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from libs.common.settings import ProcessorSettings

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from aiokafka import TopicPartition


PARTITIONS: Final = 4
COUNTING: Final = "tests.integration.libs.common.counting"


class Worker:
    """One replica of the counting service, or of another module; `start` it again after a `kill`."""

    def __init__(
        self, kafka: str, group: str, instance: int, log: Path, module: str = COUNTING, **environment: str
    ) -> None:
        self.log = log
        self._command = [sys.executable, "-m", module, group]
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "TOPIC_PARTITIONS": str(PARTITIONS),
            "GROUP_INSTANCE_ID": str(instance),
            "BATCH_RECORDS": "20",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None, "start it first"
        return self._process

    def start(self) -> None:
        """Start the process; its log is appended to."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """End the process with SIGKILL, if it runs, frozen or not."""
        self.process.kill()
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def revive(self) -> None:
        """Start the process again if it ended, as a supervisor does."""
        if self.process.poll() is not None:
            self.start()

    def said(self, event: str) -> int:
        """Return how often the log has this event."""
        return self.log.read_text().count(f'"event":"{event}"')


@contextmanager
def workers(kafka: str, folder: Path, count: int) -> Iterator[list[Worker]]:
    """Start that many replicas; at the end none is left."""
    found = [Worker(kafka, folder.name, i, folder / f"worker-{i}.log") for i in range(count)]
    for worker in found:
        worker.start()
    try:
        yield found
    finally:
        for worker in found:
            worker.kill()


def settings_of(kafka: str, **changes: object) -> ProcessorSettings:
    """Return settings for this Kafka, with the partitions of the tests."""
    known = {"kafka_bootstrap_servers": kafka, "topic_partitions": PARTITIONS, "kafka_wait_s": 20.0}
    return ProcessorSettings.model_validate(known | changes)


async def group_offsets(kafka: str, group: str) -> dict[TopicPartition, int]:
    """Return the group's offsets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:  # of a new broker, before the first group
        return {}
    finally:
        await admin.close()
    return {partition: place.offset for partition, place in found.items()}


async def reported(settings: ProcessorSettings, group: str) -> int:
    """Return how many commands the group's offsets say were handled (their topics have no markers)."""
    return sum((await group_offsets(settings.kafka_bootstrap_servers, group)).values())


async def eventually(condition: Callable[[], Awaitable[bool]], timeout_s: float = 30.0) -> None:
    """Return once `condition` holds; fail with a plain message if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {condition}"
        await asyncio.sleep(0.1)
