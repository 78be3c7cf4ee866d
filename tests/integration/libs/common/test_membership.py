"""A static member that comes back to topics with other partitions; Kafka gives it what the one before had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.kafka import create_topics
from tests import kafka_cluster
from tests.integration.libs.common.counting import wiring
from tests.integration.libs.common.test_processor import running
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_replica_that_is_back_at_once_owns_the_partitions_that_were_added(
    fresh_kafka: str, tmp_path: Path
) -> None:
    for partitions in (PARTITIONS // 2, PARTITIONS):
        kafka_cluster.wipe(fresh_kafka)
        counting = wiring(tmp_path.name)
        settings = settings_of(fresh_kafka, topic_partitions=partitions)
        await create_topics(settings, counting.topics)
        async with running(counting, settings) as processor:

            async def owns_all() -> bool:
                return len(processor.owned) == partitions  # noqa: B023 -- awaited here

            await eventually(owns_all)
