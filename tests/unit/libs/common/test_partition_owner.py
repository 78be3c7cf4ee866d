from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock, Mock

from libs.common import partition_owner
from libs.common.monitoring import Meter, Unmonitored
from libs.common.partition_owner import PartitionOwner
from libs.common.settings import ServiceSettings
from tests.integration.libs.common.counting import wiring

if TYPE_CHECKING:
    import pytest


async def test_a_transaction_that_kafka_does_not_end_is_told_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partition_owner, "HELD_S", 0.01)
    counting = wiring("owner")
    nothing_read = Mock(last_stable_offset=Mock(return_value=None), highwater=Mock(return_value=None))
    owner = PartitionOwner(
        counting, ServiceSettings(), 3, nothing_read, time.time_ns, Meter(counting, Unmonitored())
    )
    owner.restored = True
    assert owner.held_up() == ""
    producer = AsyncMock()
    async with owner._transaction(producer):  # noqa: SLF001 -- how long it takes is Kafka's
        assert owner.held_up() == ""
        await asyncio.sleep(0.02)
        assert owner.held_up() == "a transaction of partition 3 waits for Kafka for 0 s"
    assert owner.held_up() == ""
    assert [call[0] for call in producer.method_calls] == ["begin_transaction", "commit_transaction"]
