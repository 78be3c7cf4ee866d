from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from libs.common.effects import Effects
from libs.common.holdups import HELD_S
from libs.common.monitoring import Meter, Unmonitored
from libs.common.partition_owner import PartitionOwner
from libs.common.settings import ServiceSettings
from tests.integration.libs.common.counting import wiring

if TYPE_CHECKING:
    import pytest


class Idle:
    """A consumer that has fetched nothing, and transactions that end when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.answered = asyncio.Event()

    def highwater(self, _partition: object) -> None:
        return None

    last_stable_offset = highwater

    async def commit(self, *_what: object) -> None:
        self.begun.set()
        await self.answered.wait()


async def test_a_transaction_that_kafka_does_not_end_is_told_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    counting, kafka = wiring("owner"), Idle()
    owner = PartitionOwner(
        counting, ServiceSettings(), 3, cast("Any", kafka), time.time_ns, Meter(counting, Unmonitored())
    )
    owner.restored = True
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)
    writing = asyncio.ensure_future(owner._write(cast("Any", kafka), Effects(1), {}))  # noqa: SLF001 -- how long it takes is Kafka's
    await kafka.begun.wait()
    now_s += HELD_S - 0.1
    assert owner.held_up() == ""
    now_s += 1.1
    assert owner.held_up() == "a transaction of partition 3 waits for Kafka for 4 s"
    kafka.answered.set()
    await writing
    assert owner.held_up() == ""
