from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from libs.common.holdups import HELD_S
from libs.common.monitoring import Meter, Unmonitored
from libs.common.partition_owner import PartitionOwner
from libs.common.settings import ServiceSettings
from tests.integration.libs.common.counting import wiring

if TYPE_CHECKING:
    import pytest


class Idle:
    """A consumer that has fetched nothing, and a producer whose requests are answered at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def highwater(self, _partition: object) -> None:
        return None

    last_stable_offset = highwater

    async def begin_transaction(self) -> None:
        self.asked.append("begin")

    async def commit_transaction(self) -> None:
        self.asked.append("commit")


async def test_a_transaction_that_kafka_does_not_end_is_told_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)
    counting, kafka = wiring("owner"), Idle()
    owner = PartitionOwner(
        counting, ServiceSettings(), 3, cast("Any", kafka), time.time_ns, Meter(counting, Unmonitored())
    )
    owner.restored = True
    async with owner._transaction(cast("Any", kafka)):  # noqa: SLF001 -- how long it takes is Kafka's
        now_s += HELD_S - 0.1
        assert owner.held_up() == ""
        now_s += 1.1
        assert owner.held_up() == "a transaction of partition 3 waits for Kafka for 4 s"
    assert owner.held_up() == ""
    assert kafka.asked == ["begin", "commit"]
