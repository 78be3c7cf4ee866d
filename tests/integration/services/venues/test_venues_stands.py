"""The venues service on a real broker, where Faust takes no more records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.events import ServiceState
from libs.common.topics import VENUES_COMMANDS
from tests.venues_running import PARTITIONS, Market, Process, until

if TYPE_CHECKING:
    from pathlib import Path

VENUES = b"venues:0"


async def test_a_service_that_takes_no_more_records_says_so(fresh_kafka: str, tmp_path: Path) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path, "tests.venues_stuck_fetch")
    statuses = market.statuses.items
    try:
        async with market.open():
            await until(
                "it is ready",
                lambda: VENUES in statuses and statuses[VENUES].state is ServiceState.READY,
                process,
            )
            await until("it stands", lambda: statuses[VENUES].state is ServiceState.DEGRADED, process)
            status = statuses[VENUES]
            assert status.partitions_stopped == tuple(range(PARTITIONS))
            assert status.detail.startswith(f"{VENUES_COMMANDS.name}-0 is not heard of for 10 s")
    finally:
        process.process.kill()
        process.process.wait()
