from __future__ import annotations

import pytest
from typer.testing import CliRunner

from libs.cli.commands import app
from libs.cli.errors import UsageError
from libs.cli.screen import Screen
from libs.cli.topic_fields import fields_table
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, L2_BOOK_TOPS, TOPICS, Topic


def printed(topic: Topic) -> str:
    console = Screen(width=300)
    with console.capture() as capture:
        console.print(fields_table(topic))
    return capture.get()


def row(text: str, field: str) -> str:
    return next(" ".join(line.split()) for line in text.splitlines() if line.strip().startswith(f"{field} "))


def test_a_topic_shows_each_field_of_its_messages_with_type_unit_and_meaning() -> None:
    text = printed(L2_BOOK_TOPS)
    assert "l2.book-tops.v1  key: venue:symbol; written by l2" in text
    assert row(text, "epoch") == (
        "epoch int start of the book's last resync; rises across restarts and owners (ms since 1970 UTC)"
    )
    assert row(text, "venue_ts") == (
        "venue_ts int or null the venue's time of the last message inside (ns since 1970 UTC); "
        "null where the venue gives none"
    )
    assert row(text, "bids").startswith("bids list of (float, float) up to 50, by descending price")
    assert row(text, "features").startswith("features Features or null")


def test_what_a_message_contains_is_shown_after_it_and_words_with_their_meanings() -> None:
    text = printed(L2_BOOK_HEALTH)
    assert text.index("BookHealth  ") < text.index("InstrumentTerms  ")
    scored = printed(TOPICS["venues.scores.v1"])
    assert scored.index("VenueScored  ") < scored.index("CostBps  ")
    assert row(text, "tick") == "tick decimal text least step of a price (quote units)"
    assert "HALTED: the venue says that it does not match now" in text


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_can_be_shown(name: str) -> None:
    text = printed(TOPICS[name])
    assert all(f"{kind.__name__}  " in text for kind in TOPICS[name].events)


def test_a_topic_of_raw_bytes_says_so() -> None:
    assert "raw bytes" in printed(DEAD_LETTERS)


def test_a_part_of_the_name_is_enough_and_no_kafka_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = CliRunner().invoke(app, ["topics", "tops"])
    assert done.exit_code == 0
    assert "l2.book-tops.v1" in done.output


def test_to_create_is_of_all_topics() -> None:
    done = CliRunner().invoke(app, ["topics", "tops", "--create"])
    assert isinstance(done.exception, UsageError)
    assert "name none" in str(done.exception)
