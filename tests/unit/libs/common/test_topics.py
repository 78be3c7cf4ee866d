from __future__ import annotations

import re

import pytest

from libs.common.topics import (
    DAY_MS,
    DEAD_LETTERS,
    FOREVER,
    HOUR_MS,
    L2_BOOK_DELTAS,
    MIB,
    TOPICS,
    Topic,
    book_key,
)

STATEFUL = ("router", "portfolio", "execution")


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_names_say_owner_noun_and_version(topic: Topic) -> None:
    assert re.fullmatch(r"([a-z0-9]+\.)?[a-z]+(-[a-z]+)*\.v1", topic.name)
    assert topic.writers


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_settings_are_text_as_kafka_wants_them(topic: Topic) -> None:
    assert all(isinstance(value, str) for value in topic.config(8).values())


def test_what_is_private_is_written_by_one_service_and_kept_for_ever() -> None:
    private = [topic for topic in TOPICS.values() if topic.private]
    assert {topic.name for topic in private} == {f"{name}.state.v1" for name in STATEFUL}
    for topic in private:
        assert topic.writers == (topic.name.partition(".")[0],)
        assert topic.compacted
        assert topic.retention_ms == FOREVER


def test_a_compacted_topic_keeps_the_newest_message_of_a_key_for_ever() -> None:
    compacted = [topic for topic in TOPICS.values() if topic.compacted and topic.retention_ms < 0]
    assert compacted
    for topic in compacted:
        assert topic.config(8)["cleanup.policy"] == "compact"


def test_a_limit_in_bytes_is_of_the_whole_topic() -> None:
    config = L2_BOOK_DELTAS.config(8)
    assert int(config["retention.bytes"]) * 8 == 4096 * MIB
    assert config["retention.ms"] == str(6 * HOUR_MS)


def test_a_keyframe_of_a_full_book_fits_and_so_does_its_dead_letter() -> None:
    assert L2_BOOK_DELTAS.max_message_bytes == DEAD_LETTERS.max_message_bytes == 8 * MIB


def test_every_retention_is_that_of_the_contract() -> None:
    days = {name: topic.retention_ms / DAY_MS for name, topic in TOPICS.items() if topic.retention_ms > 0}
    assert days == {
        "l2.book-deltas.v1": 0.25,
        "l2.trades.v1": 30,
        "l2.candles.v1": 3 * 365,
        "venues.commands.v1": 7,
        "venues.scores.v1": 7,
        "router.commands.v1": 7,
        "portfolio.commands.v1": 7,
        "portfolio.equity.v1": 3 * 365,
        "execution.commands.v1": 7,
        "gateway.idempotency.v1": 1,
        "services.status.v1": 1,
        "dead-letters.v1": 7,
    }


def test_a_book_is_keyed_by_venue_and_symbol() -> None:
    assert book_key("binance", "BTC-USDT") == b"binance:BTC-USDT"
