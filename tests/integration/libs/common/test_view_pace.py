"""How long views wait for what they follow: what is told again is fetched together, all else at once."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common import kafka_reader
from libs.common.kafka import Reader, create_topics, follow
from libs.common.kafka_reader import PATIENT, by_pace
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, ROUTER_SNAPSHOTS
from libs.common.views import View
from tests.integration.libs.common.workers import settings_of

if TYPE_CHECKING:
    from libs.common.kafka import Undecodable
    from libs.common.topics import Topic


async def none_is(undecodable: Undecodable) -> None:
    raise AssertionError(undecodable)


@pytest.mark.parametrize(
    ("topics", "patient"),
    [
        ((L2_BOOK_TOPS, L2_BOOK_HEALTH), True),
        ((ROUTER_SNAPSHOTS,), False),
        ((L2_BOOK_TOPS, ROUTER_SNAPSHOTS), False),
    ],
)
async def test_views_wait_for_more_only_where_all_of_them_are_told_again(
    fresh_kafka: str, monkeypatch: pytest.MonkeyPatch, *, topics: tuple[Topic, ...], patient: bool
) -> None:
    asked: list[dict[str, Any]] = []

    class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka carries no types
        def __init__(self, **arguments: Any) -> None:
            asked.append(arguments)
            super().__init__(**arguments)

    settings = settings_of(fresh_kafka)
    await create_topics(settings, topics)
    monkeypatch.setattr(kafka_reader, "AIOKafkaConsumer", Consumer)
    views: list[View[Any]] = [View(topic) for topic in topics]
    async with aclosing(follow(settings, views, on_undecodable=none_is)) as batches:
        async for _ in batches:
            if all(view.ready for view in views):
                break
    (arguments,) = asked
    assert (PATIENT.items() <= arguments.items()) is patient


def test_views_are_followed_in_two_groups_at_most_by_whether_they_are_told_again() -> None:
    tops, healths, snapshots = (
        View[Any](topic) for topic in (L2_BOOK_TOPS, L2_BOOK_HEALTH, ROUTER_SNAPSHOTS)
    )
    assert by_pace([tops, snapshots, healths]) == [[tops, healths], [snapshots]]
    assert by_pace([snapshots]) == [[snapshots]]
    assert by_pace([]) == []


@pytest.mark.parametrize(("survey_s", "looks"), [(3600.0, 0), (0.0, 5)])
async def test_once_all_is_read_a_view_looks_at_every_partition_only_when_a_survey_is_due(
    fresh_kafka: str, monkeypatch: pytest.MonkeyPatch, *, survey_s: float, looks: int
) -> None:
    asked: list[TopicPartition] = []
    position = Reader.position

    async def counted(self: Reader, partition: TopicPartition) -> int:
        asked.append(partition)
        return await position(self, partition)

    settings = settings_of(fresh_kafka)
    await create_topics(settings, [ROUTER_SNAPSHOTS])
    monkeypatch.setattr(Reader, "position", counted)
    monkeypatch.setattr(kafka_reader, "SURVEY_S", survey_s)
    view: View[Any] = View(ROUTER_SNAPSHOTS)
    async with aclosing(follow(settings, [view], on_undecodable=none_is)) as batches:
        async for _ in batches:
            if view.ready:
                break
        asked.clear()
        for _ in range(5):
            await anext(batches)
    assert len(asked) == looks * settings.topic_partitions
