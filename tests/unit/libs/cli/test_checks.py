from __future__ import annotations

from libs.cli.checks import (
    books_finding,
    budgets_finding,
    clock_finding,
    lines_of,
    locked_versions,
    packages_finding,
    topics_finding,
)
from libs.cli.findings import Finding, Verdict
from libs.cli.topics import LEADERLESS
from libs.common.budgets import Account, Budget

LOCK = """\
aiokafka==0.14.0 \\
    --hash=sha256:00
    # via bookrunner
pywin32==311 ; sys_platform == 'win32' \\
    --hash=sha256:11
Rich==15.0.0 \\
    --hash=sha256:22
"""


def test_a_lock_is_read_for_this_machine_only() -> None:
    assert locked_versions(LOCK) == {"aiokafka": "0.14.0", "rich": "15.0.0"}


def test_missing_and_other_packages_are_named() -> None:
    locked = {"a": "1", "b": "2", "c": "3"}
    finding = packages_finding(locked, {"a": "1", "b": "5", "c": None})
    assert finding.verdict is Verdict.FAIL
    assert finding.says == "b is 5, not 2; c is missing"
    assert packages_finding(locked, locked).verdict is Verdict.OK


def test_a_partition_without_a_leader_is_no_reason_to_delete_anything() -> None:
    finding = topics_finding({"a": [LEADERLESS], "b": ["retention.ms is 1, the registry says 2"]}, 9)
    assert finding.verdict is Verdict.FAIL
    assert finding.mend == "start the Kafka brokers that are down"


def test_missing_topics_fail_and_say_how_to_create_them() -> None:
    finding = topics_finding({"a": ["missing"], "b": []}, 2)
    assert finding.verdict is Verdict.FAIL
    assert "--create" in finding.mend


def test_wrong_partitions_fail_and_other_settings_only_warn() -> None:
    assert topics_finding({"a": ["4 partitions, TOPIC_PARTITIONS is 8"]}, 1).verdict is Verdict.FAIL
    assert topics_finding({"a": ["retention.ms is 1, the registry says 2"]}, 1).verdict is Verdict.WARN
    assert topics_finding({"a": []}, 1).verdict is Verdict.OK


def test_books_that_are_not_live_are_named_with_their_reason() -> None:
    live = {"venue": "binance", "symbol": "BTC-USDT", "state": "LIVE"}
    gap = {"venue": "kraken", "symbol": "BTC-USDT", "state": "GAP", "reason": "7 follows 5"}
    assert books_finding([live]).verdict is Verdict.OK
    some = books_finding([live, gap])
    assert some.verdict is Verdict.WARN
    assert "1 of 2 are LIVE; kraken:BTC-USDT is GAP (7 follows 5)" in some.says
    assert books_finding([gap]).verdict is Verdict.FAIL
    assert books_finding([]).verdict is Verdict.WARN


def test_a_clock_off_by_more_than_a_second_beyond_doubt_warns() -> None:
    assert clock_finding(0.4, 0.05).verdict is Verdict.OK
    assert clock_finding(-1.2, 0.05).verdict is Verdict.WARN
    assert clock_finding(1.2, 0.5).verdict is Verdict.OK


def test_a_line_holds_verdict_name_and_finding_and_below_it_the_mend() -> None:
    finding = Finding(Verdict.FAIL, "kafka", "nobody listens", "start it")
    first, second = (line.plain for line in lines_of(finding))
    assert first.split() == ["✗", "fail", "kafka", "nobody", "listens"]
    assert second.strip() == "→ start it"


def test_a_topic_over_its_budget_is_named_with_what_it_takes_and_may_the_fullest_first() -> None:
    budget = Budget(1_000, 2_000_000)
    finding = budgets_finding(
        {
            "a": Account(1_200, 1_000_000, budget),
            "b": Account(100, 5_000_000, budget),
            "c": Account(1_000, 2_000_000, budget),
        }
    )
    assert finding.verdict is Verdict.WARN
    assert finding.says == "b takes 5.0 MB of 2.0 MB; a takes 1,200 records of 1,000"
    assert "topicoverbudget" in finding.mend


def test_topics_within_their_budgets_are_fine_and_the_fullest_is_named() -> None:
    budget = Budget(1_000, 2_000_000)
    finding = budgets_finding({"a": Account(10, 100_000, budget), "b": Account(500, 900_000, budget)})
    assert finding == Finding(
        Verdict.OK, "budgets", "no topic is over its own; 1.0 MB in all, the fullest is b at 50%"
    )


def test_bytes_that_kafka_does_not_tell_are_no_good_news() -> None:
    finding = budgets_finding({"a": Account(10, None, Budget(1_000, 2_000_000))})
    assert finding.verdict is Verdict.WARN
    assert "Kafka does not tell the bytes of 1 topics" in finding.says
    assert "docs/security.md" in finding.mend
