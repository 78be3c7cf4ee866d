from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import pytest
from rich.filesize import decimal

from libs.common.book_settings import DEFAULT_BOOKS
from libs.common.budgets import STATED, YEAR_S, Account, Budget, Usage, Use, account_of, budget_of, use_of
from libs.common.codec import encode
from libs.common.topic import DAY_MS, HOUR_MS, MIB, SEGMENT_BYTES, Grows, Key, Load, Topic
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_TOPS, L2_CANDLES, TOPICS
from services.execution.autopilot import AutopilotSettings
from services.l2.settings import L2Settings
from services.venues.tables import changelogs
from tests import aged_log
from tests.prometheus import DOCS

A_DAY = 1_795_000_000 * 10**9
KEPT = Topic("t.kept.v1", (), Key.ORIGINAL, ("tests",), retention_ms=DAY_MS, load=Load(Grows.TIME, 2, 1_000))
COMPACTED = replace(KEPT, compacted=True, retention_ms=-1, load=Load(Grows.BOOKS, 2, 100, keys=3))


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_every_topic_has_a_budget_and_only_a_compacted_one_states_keys(topic: Topic) -> None:
    budget = budget_of(topic)
    assert budget.records > 0
    assert budget.bytes >= budget.records
    assert topic.load is not None
    assert topic.compacted == bool(topic.load.keys or topic.load.keys_kept)


def test_the_stated_use_is_what_the_settings_are_by_default() -> None:
    assert STATED.books == len(DEFAULT_BOOKS.split(","))
    assert STATED.executions_per_s == 1 / AutopilotSettings.model_fields["autopilot_interval_s"].default
    assert STATED.partitions == L2Settings.model_fields["topic_partitions"].default


def test_a_kept_topic_has_its_retention_and_what_a_segment_takes_to_fill() -> None:
    filling_s = SEGMENT_BYTES * 8 / 2_000
    assert filling_s < 7 * 86_400
    assert budget_of(KEPT).records == round(2 * (86_400 + filling_s))
    slow = replace(KEPT, load=Load(Grows.TIME, 0.001, 1_000))
    assert budget_of(slow).records == round(0.001 * 8 * 86_400), "no segment is open for more than a week"


def test_what_is_kept_for_ever_has_a_budget_of_a_year() -> None:
    assert budget_of(replace(KEPT, retention_ms=-1)) == Budget(2 * YEAR_S, 2_000 * YEAR_S)


def test_a_limit_in_bytes_bounds_the_budget_but_for_whole_segments() -> None:
    limited = replace(KEPT, retention_bytes=1 * MIB)
    assert budget_of(limited).bytes == MIB + 8 * SEGMENT_BYTES
    assert budget_of(limited).records == round(budget_of(limited).bytes / 1_000)
    assert budget_of(L2_BOOK_DELTAS).bytes < 4096 * MIB + 8 * SEGMENT_BYTES


def test_a_compacted_topic_has_its_keys_two_segments_and_a_quarter_of_the_keys() -> None:
    keys, hour = 3 * 15, 2 * 15 * 3_600
    assert budget_of(COMPACTED).records == round(keys * 1.25 + 2 * hour)
    many = replace(COMPACTED, load=Load(Grows.BOOKS, 2, 100, keys=1_000_000))
    assert budget_of(many).records == 15_000_000 + 2 * hour + 2 * hour, "two hours at most are not compacted"


def test_a_past_that_can_be_asked_for_stays_before_anything_is_compacted() -> None:
    kept = replace(COMPACTED, past_ms=6 * HOUR_MS)
    assert budget_of(kept).records == budget_of(COMPACTED).records + 2 * 15 * 6 * 3_600
    lags = [kept.config(8)[f"{which}.compaction.lag.ms"] for which in ("min", "max")]
    assert lags == [str(6 * HOUR_MS), str(8 * HOUR_MS)], "Kafka takes no max below the min"


def test_keys_that_executions_leave_are_those_of_a_year_or_of_the_retention() -> None:
    load = Load(Grows.EXECUTIONS, 0.001, 100, keys_kept=1)
    of_a_year = budget_of(replace(COMPACTED, load=load)).records
    of_an_hour = budget_of(replace(COMPACTED, load=load, retention_ms=HOUR_MS)).records
    assert of_a_year == pytest.approx(0.1 * YEAR_S, rel=0.001)
    assert of_an_hour == pytest.approx(0.1 * 3_600, rel=0.01)


def test_more_books_have_more_of_what_grows_with_books_and_fewer_have_no_less() -> None:
    assert use_of(0, 8) == use_of(15, 8) == STATED
    assert budget_of(L2_BOOK_TOPS, use_of(30, 8)).records == pytest.approx(
        2 * budget_of(L2_BOOK_TOPS).records
    )
    assert budget_of(KEPT, use_of(30, 8)) == budget_of(KEPT)


def test_more_partitions_have_more_open_segments() -> None:
    of_8, of_64 = (budget_of(L2_BOOK_DELTAS, use_of(15, partitions)).bytes for partitions in (8, 64))
    assert of_64 > 2 * of_8


def test_a_topic_without_a_load_has_no_budget() -> None:
    with pytest.raises(ValueError, match=r"t\.kept\.v1 states no load"):
        budget_of(replace(KEPT, load=None))


def test_the_share_is_of_what_is_fuller() -> None:
    assert Account(50, 10, Budget(100, 100)).share == 0.5
    assert Account(50, 120, Budget(100, 100)).share == 1.2
    assert Account(None, None, Budget(100, 100)).share == 0


def test_records_are_offsets_and_of_a_compacted_topic_no_more_than_its_bytes_hold() -> None:
    assert account_of(KEPT, Usage(500, 10)).records == 500
    assert account_of(COMPACTED, Usage(500, 10_000)).records == 100
    assert account_of(COMPACTED, Usage(50, 10_000)).records == 50


def test_where_kafka_tells_no_bytes_only_kept_topics_have_records() -> None:
    assert account_of(KEPT, Usage(500, None)).records == 500
    unknown = account_of(COMPACTED, Usage(10**9, None))
    assert (unknown.records, unknown.bytes, unknown.share) == (None, None, 0)


def test_the_log_that_a_start_is_timed_on_is_within_its_budgets_and_near_those_of_what_is_repeated() -> None:
    books = (("binance", "BTC-USDT"),)
    tables = {topic.name: topic for topic in changelogs("venues")}
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for topic, _, message, _ in aged_log.records(books, 1, A_DAY, tables, "venues"):
        if topic.name in TOPICS:
            found[topic.name][0] += 1
            found[topic.name][1] += len(encode(message))
    assert len(found) == 8
    for name, (records, size) in found.items():
        budget = budget_of(TOPICS[name], Use(books=1))
        assert records <= budget.records, name
        if TOPICS[name].repeated:
            read = budget_of(replace(TOPICS[name], past_ms=0), Use(books=1))  # as a start reads
            assert records >= 0.8 * read.records, name
            assert size <= 1.5 * budget.bytes, f"{name}: values, of which a top is compressed by a third"


def test_the_table_of_the_documents_is_that_of_the_registry() -> None:
    row = re.compile(r"^\| (\S+\.v1) \| .+ \| ([\d,]+) \| .+ \| ([\d,]+) \| ([\d.]+ \w+) \|$", re.MULTILINE)
    told = {name: figures for name, *figures in row.findall((DOCS / "operations.md").read_text())}
    assert told == {
        name: [
            f"{topic.load.record_bytes:,}",
            f"{budget_of(topic).records:,}",
            decimal(budget_of(topic).bytes),
        ]
        for name, topic in TOPICS.items()
        if topic.load is not None
    }


def test_three_years_of_candles_are_of_every_minute_and_day() -> None:
    one = budget_of(L2_CANDLES, Use(books=1)).records
    assert one == pytest.approx(3 * 365 * (1_440 + 1), rel=0.01)
