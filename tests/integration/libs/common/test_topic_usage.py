from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings
from libs.common.topic_usage import topic_usage
from libs.common.topics import L2_BOOK_DELTAS, L2_TRADES, TOPICS, book_key
from tests.unit.libs.cli.builders import a_delta
from tests.unit.libs.cli.test_lines import A_TRADE

if TYPE_CHECKING:
    from pathlib import Path

    from broker.native import NativeBroker

KEY = book_key("binance", "BTC-USDT")


async def test_bytes_are_those_of_the_logs_on_disk_and_offsets_those_written(
    own_broker: NativeBroker, tmp_path: Path
) -> None:
    settings = ServiceSettings(kafka_bootstrap_servers=own_broker.bootstrap_servers, topic_partitions=3)
    await create_topics(settings, (L2_BOOK_DELTAS, L2_TRADES))
    async with Publisher(settings) as publisher:
        for seq in range(1, 51):
            await publisher.send_and_wait(L2_BOOK_DELTAS, KEY, a_delta(seq), time.time_ns())
            await publisher.send_and_wait(
                L2_BOOK_DELTAS, book_key("okx", "ETH-USDT"), a_delta(seq), time.time_ns()
            )
        await publisher.send_and_wait(L2_TRADES, KEY, A_TRADE, time.time_ns())
    usage = await topic_usage(settings, TOPICS)
    known = {name: used for name, used in usage.items() if used is not None}
    assert {name: used.offsets for name, used in known.items()} == {
        L2_BOOK_DELTAS.name: 100,
        L2_TRADES.name: 1,
    }
    assert known == usage
    for name, used in known.items():
        logs = list((tmp_path / "kafka").rglob(f"{name}-*/*.log"))
        assert len(logs) == 3
        assert used.bytes == sum(log.stat().st_size for log in logs)


async def test_without_topics_nothing_is_used(fresh_kafka: str) -> None:
    assert await topic_usage(ServiceSettings(kafka_bootstrap_servers=fresh_kafka), TOPICS) == {}
