"""The state of any moment against a naive fold of the whole logs, whatever these hold."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from libs.common.codec import UndecodableMessageError, decode
from libs.common.kafka import Record
from libs.common.topics import (
    L2_BOOK_DELTAS,
    L2_BOOK_TOPS,
)
from services.gateway.reading import moment_state
from services.gateway.reading.moments import Moments
from services.gateway.reading.topic_views import GatewayViews
from services.gateway.settings import GatewaySettings
from tests.moment_stories import KINDS, MINUTE_MS, START_MS, Step, assert_told, may_lack, naive, written
from tests.unit.services.gateway.moment_logs import InMemoryMoments

if TYPE_CHECKING:
    from libs.common.topics import Topic
    from tests.moment_stories import Written

NOW_MS = START_MS + 4 * 3_600_000
PARTITIONS = 2
steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(KINDS),
        st.integers(0, 3),
        st.sampled_from([0, 0, 1, 5, 300, 9_000, 50_000, -1_500]),
    ),
    max_size=60,
)


def asked(log: list[Written], at_ms: int | None, since: int) -> dict[str, Any]:
    """Return the gateway's answer, whose views of what is repeated begin behind the first `since` records."""
    logs = InMemoryMoments()
    views = GatewayViews(5.0, PARTITIONS, lambda: 0, max((each.ms for each in log[:since]), default=0))
    by_name = {view.topic.name: view for view in views.all}
    for view in views.all:
        view.begin({0: 0})
    logs.append(L2_BOOK_DELTAS, 0, b"binance:Z-USDT", None, START_MS - MINUTE_MS)
    for count, (topic, partition, offset, key, value, ms) in enumerate(log):
        raw = logs.append(topic, partition, key, value, ms, offset)
        event = _event(topic, value)
        if topic.name in by_name and event != b"" and not (topic.repeated and count < since):
            by_name[topic.name].fold(partition, raw.offset, key, event)
            place: dict[str, Any] = {
                "topic": topic,
                "partition": partition,
                "offset": raw.offset,
                "timestamp_ms": ms,
            }
            views.note([Record(key=key, event=event, value=value, **place)])
    config = GatewaySettings(topic_partitions=PARTITIONS)
    moments = Moments(config, views, logs.lend, lambda: NOW_MS * 10**6)
    answer: dict[str, Any] = json.loads(asyncio.run(moments.body(at_ms, None, "here")))
    return answer


def _event(topic: Topic, value: bytes | None) -> Any:
    """Return the message, None for a tombstone, b"" for what is none."""
    try:
        return None if value is None else decode(topic, value)
    except UndecodableMessageError:
        return b""


def answered(log: list[Written], at_ms: int, since: int, first: int) -> dict[str, Any]:
    """Return the answer where the first window of a partition has this many offsets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moment_state, "FIRST", first)
        patch.setattr(moment_state, "WIDER", 2)
        return asked(log, at_ms, since)


@pytest.mark.parametrize("first", [1, 2, 128])
@settings(max_examples=60, deadline=None)
@given(steps, st.data())
def test_each_record_of_any_moment_is_the_newest_of_its_key_that_is_not_after_it(
    first: int, story: list[Step], data: st.DataObject
) -> None:
    log = written(story, PARTITIONS)
    since = data.draw(st.integers(0, len(log)))
    moments = {START_MS, *(each.ms + step for each in log for step in (-1, 0, 1))}
    at_ms = max(START_MS - MINUTE_MS, data.draw(st.sampled_from(sorted(moments))))
    answer = answered(log, at_ms, since, first)
    assert_told(answer, log, at_ms)
    assert {each["topic"] for each in answer["missing"]} <= {L2_BOOK_TOPS.name}, "there are no deltas"
    assert (answer["ts"], answer["live"], answer["from"]) == (at_ms, False, START_MS - MINUTE_MS)


STORIES = {
    "choices of one millisecond in two partitions": ("snapshot 0 0", "choice 0 0", "choice 0 0"),
    "progress with an earlier time than its execution": ("execution 0 5", "progress 0 -1500"),
    "a choice found by the way, and a newer one elsewhere": (
        *("health 0 0", "choice 0 15", "choice 0 10", "health 0 0", "choice 1 5", "snapshot 1 0"),
    ),
}


@pytest.mark.parametrize("first", [1, 2, 128])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_what_is_seldom_drawn(story: tuple[str, ...], first: int) -> None:
    drawn = [(kind, int(name), int(wait)) for kind, name, wait in map(str.split, story)]
    log = written([Step(*each) for each in drawn], PARTITIONS)
    for at_ms in {each.ms for each in log}:
        assert_told(answered(log, at_ms, 0, first), log, at_ms)


@settings(max_examples=40, deadline=None)
@given(steps)
def test_now_is_what_the_views_hold_and_the_newest_choices(story: list[Step]) -> None:
    log = written(story, PARTITIONS)
    answer = asked(log, None, 0)
    right = naive(log, NOW_MS)
    told = {(each["topic"], each["key"]): each["id"] for each in answer["records"]}
    wanted = {
        place: each[0] for place, each in right.items() if not may_lack(place, right, START_MS - MINUTE_MS)
    }
    assert wanted.items() <= told.items() <= {place: each[0] for place, each in right.items()}.items()
    assert (answer["ts"], answer["live"]) == (NOW_MS, True)
