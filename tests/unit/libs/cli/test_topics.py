from __future__ import annotations

import pytest

from libs.cli.screen import Screen
from libs.cli.topics import Found, differences, duration, table
from libs.common.budgets import Usage, Use, budget_of
from libs.common.topics import L2_BOOK_DELTAS, L2_TRADES, TOPICS


def as_registered(name: str, offsets: int = 0) -> Found:
    return Found(8, Usage(offsets, 1_000_000), TOPICS[name].config(8))


def printed(found: dict[str, Found], others: tuple[str, ...] = (), books: int = 15) -> str:
    console = Screen(width=200, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(table(found, others, 8, books))
    return capture.get()


def test_a_topic_as_registered_differs_in_nothing() -> None:
    for name, topic in TOPICS.items():
        assert differences(topic, as_registered(name), 8) == []


def test_missing_partitions_and_settings_are_differences() -> None:
    assert differences(L2_TRADES, None, 8) == ["missing"]
    assert differences(L2_TRADES, as_registered(L2_TRADES.name), 4) == ["8 partitions, TOPIC_PARTITIONS is 4"]
    config = {**L2_TRADES.config(8), "retention.ms": "1"}
    assert differences(L2_TRADES, Found(8, Usage(0, 0), config), 8) == [
        "retention.ms is 1, the registry says 2592000000"
    ]


def test_cleanup_policies_are_the_same_in_any_order() -> None:
    config = {**TOPICS["gateway.idempotency.v1"].config(8), "cleanup.policy": "delete,compact"}
    assert differences(TOPICS["gateway.idempotency.v1"], Found(8, Usage(0, 0), config), 8) == []


@pytest.mark.parametrize(
    ("ms", "text"),
    [(-1, "for ever"), (21_600_000, "6 h"), (86_400_000, "1 d"), (1500, "1500 ms"), (94_608_000_000, "3 y")],
)
def test_durations_read_in_their_largest_whole_unit(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_the_table_shows_every_topic_and_marks_the_missing() -> None:
    text = printed({L2_BOOK_DELTAS.name: as_registered(L2_BOOK_DELTAS.name, 12_345)}, ("stray",))
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert TOPICS.keys() <= rows.keys()
    assert "12,345" in rows[L2_BOOK_DELTAS.name]
    assert rows[L2_BOOK_DELTAS.name].rstrip().endswith("ok")
    assert " 0% " in rows[L2_BOOK_DELTAS.name]
    assert rows[L2_TRADES.name].rstrip().endswith("missing")
    assert "also on this Kafka: stray" in text


@pytest.mark.parametrize(
    ("partitions", "books", "used"), [(8, 15, "134%"), (8, 0, "134%"), (64, 15, "64%"), (8, 120, "96%")]
)
def test_the_share_used_is_of_the_budget_for_the_partitions_and_books_there_are(
    partitions: int, books: int, used: str
) -> None:
    size = round(1.34 * budget_of(L2_BOOK_DELTAS).bytes)
    assert size < budget_of(L2_BOOK_DELTAS, Use(partitions=64)).bytes
    text = printed({L2_BOOK_DELTAS.name: Found(partitions, Usage(0, size), {})}, books=books)
    (row,) = (line for line in text.splitlines() if line.startswith(L2_BOOK_DELTAS.name))
    assert used in row.split()


def test_a_topic_of_which_a_partition_has_no_leader_says_so_and_is_not_missing() -> None:
    found = Found(8, None, {})
    assert differences(L2_TRADES, found, 8) == ["a partition has no leader"]
    (row,) = (
        line for line in printed({L2_TRADES.name: found}).splitlines() if line.startswith(L2_TRADES.name)
    )
    assert row.split().count("?") == 2
    assert row.rstrip().endswith("a partition has no leader")
