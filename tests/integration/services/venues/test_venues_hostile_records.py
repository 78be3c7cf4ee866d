"""The venues service where an enemy writes to all that it reads: it lives, answers, and tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.kafka import partition_of
from libs.common.topics import (
    DEAD_LETTERS,
    EXECUTION_FILLS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    VENUES_COMMANDS,
)
from tests import hostile_batches
from tests.e2e.system import until as holds
from tests.integration.libs.common.strangers import visible
from tests.venues_running import PARTITIONS, Market, Process, until

if TYPE_CHECKING:
    from libs.common.topics import Topic

INPUTS: Final = (L2_BOOK_TOPS, L2_BOOK_HEALTH, EXECUTION_FILLS, VENUES_COMMANDS)
HOME: Final = partition_of(b"BTC-USDT", PARTITIONS)
GROWTH_MIB: Final = 100  # a bomb inflates to 150
POISON: Final = (
    "a megabyte of garbage",
    "a header whose name is no text",
    "half a million packed headers",
    "no time",
    "a hundred thousand records",
)


@pytest.mark.parametrize("topic", INPUTS, ids=lambda topic: topic.name)
async def test_whatever_stands_in_its_logs_it_lives_and_answers(
    fresh_kafka: str, tmp_path: Path, topic: Topic
) -> None:
    market = Market(fresh_kafka)
    process = Process(fresh_kafka, tmp_path)
    try:
        async with market.open():
            first = await market.ask(0)
            await until("the first answer", lambda: first in market.answers, process)
            before = most_mib(process)
            wanted = (*hostile_batches.batches(), *hostile_batches.bombs())
            found = await hostile_batches.send(fresh_kafka, topic, HOME, wanted)
            assert min(found[batch.name] for batch in wanted if not batch.refused) >= 0, found
            second = await market.ask(1)
            await until("an answer after it all", lambda: second in market.answers, process)
            poison = {
                f"{topic.name}/{HOME}/{found[batch.name] + batch.records - 1}"
                for batch in wanted
                if batch.name in POISON or batch in hostile_batches.bombs()
            }

            async def told() -> bool:
                letters = await visible(fresh_kafka, DEAD_LETTERS, PARTITIONS)
                return poison <= {dict(letter.headers)["source"].decode() for letter in letters}

            await holds(f"dead letters of {poison}", told)
            grown = most_mib(process) - before
        assert process.stop() == 0, process.log.read_text()[-3000:]
    finally:
        process.process.kill()
    assert grown < GROWTH_MIB, f"{grown} MiB more than {before}"


def most_mib(process: Process) -> int:
    """Return the most memory that the process ever had."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
