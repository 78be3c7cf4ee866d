"""One processor whose topics an enemy writes to; it runs inside the test."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.kafka import create_topics, partition_of
from libs.common.topics import DEAD_LETTERS
from tests import hostile_batches
from tests.hostile_batches import Batch, batch_of
from tests.integration.libs.common.counting import COMMANDS, COUNTS, STATE, Add, Counted, Total, wiring
from tests.integration.libs.common.exactly_once import log_of
from tests.integration.libs.common.strangers import visible
from tests.integration.libs.common.test_processor import has_counted, has_stopped, running, tell
from tests.integration.libs.common.workers import PARTITIONS, eventually, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from libs.common.handling import Wiring
    from libs.common.processor import Processor
    from libs.common.settings import ProcessorSettings

HOME: Final = partition_of(b"k", PARTITIONS)


@pytest.fixture
def settings(fresh_kafka: str) -> ProcessorSettings:
    return settings_of(fresh_kafka)


@pytest.fixture
def counting(tmp_path: Path) -> Wiring[Total]:
    return wiring(tmp_path.name)


async def test_whatever_stands_among_its_commands_it_goes_on_and_keeps_each_as_a_dead_letter(
    settings: ProcessorSettings, counting: Wiring[Total]
) -> None:
    kafka = settings.kafka_bootstrap_servers
    await create_topics(settings, (*counting.topics, DEAD_LETTERS))
    wanted = (*hostile_batches.batches(), *hostile_batches.bombs(), *hostile_batches.keyless())
    async with running(counting, settings) as processor:
        await tell(settings, Add(key="k", amount=1))
        found = await hostile_batches.send(kafka, COMMANDS, HOME, wanted)
        await tell(settings, Add(key="k", amount=2))
        await eventually(partial(has_counted, settings, 2))
        assert not processor.stopped_partitions
    taken = [batch for batch in wanted if not batch.refused]
    assert all(found[batch.name] >= 0 for batch in taken)
    sources = {dict(letter.headers)["source"] for letter in await visible(kafka, DEAD_LETTERS, PARTITIONS)}
    # A type that nobody knows is another version's; where a topic has no commands, it is left out.
    told = {
        f"{COMMANDS.name}/{HOME}/{found[batch.name] + batch.records - 1}".encode()
        for batch in taken
        if batch.name != "a type that nobody knows"
    }
    assert told <= sources
    assert [r.event for r in await log_of(settings, COUNTS) if isinstance(r.event, Counted)] == [
        Counted(key="k", total=1, messages=1),
        Counted(key="k", total=3, messages=2),
    ]


@pytest.mark.parametrize(
    "poison",
    [
        Batch("garbage", batch_of([(b"k", b"garbage", ())]), 1),
        hostile_batches.bomb(hostile_batches.ZSTD, 20 * hostile_batches.MIB),
    ],
    ids=["garbage", "a bomb"],
)
async def test_a_state_that_an_enemy_wrote_to_stops_its_partition_and_not_the_process(
    settings: ProcessorSettings, counting: Wiring[Total], poison: Batch
) -> None:
    other = next(f"other{n}" for n in range(100) if partition_of(b"other%d" % n, PARTITIONS) != HOME)
    await create_topics(settings, counting.topics)
    async with running(counting, settings):
        await tell(settings, Add(key="k", amount=1))
        await eventually(partial(has_counted, settings, 1))
    await hostile_batches.send(settings.kafka_bootstrap_servers, STATE, HOME, [poison])
    async with running(counting, settings) as processor:
        await eventually(partial(has_stopped, processor))
        await tell(settings, Add(key="k", amount=2), Add(key=other, amount=3))
        await eventually(partial(has_counted, settings, 2))
        assert _said(processor).startswith(f"{STATE.name}-{HOME}, key ")
    found = {
        (r.event.key, r.event.total) for r in await log_of(settings, COUNTS) if isinstance(r.event, Counted)
    }
    assert found == {("k", 1), (other, 3)}


def _said(processor: Processor[Total]) -> str:
    (said,) = processor.stopped_partitions.values()
    return said
