"""What a soak makes of the samples: made-up processes, lags and logs."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console

from libs.common.budgets import STATED, budget_of
from libs.common.topics import TOPICS
from tests.soak.__main__ import GROWS, OPEN, one_line, verdict
from tests.soak.run import FAULT_GAP_S, KILLED, faults_of, kills_of
from tests.soak.samples import BEHIND, FILES, LATE, MIB, RSS, TOPIC, Sample, lags_in, of_files
from tests.soak.verdict import rows, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.soak.verdict import Row

MINUTES = 60
PARTITIONS = STATED.partitions


def samples(
    value: Callable[[float], float], what: str = RSS, whose: str = "l2", killed_s: tuple[float, ...] = ()
) -> list[Sample]:
    """Return looks, ten seconds apart, at one thing with a noise of a tenth; it is killed at some times."""
    random = np.random.Generator(np.random.Philox(key=5))
    found = []
    for number in range(MINUTES * 6):
        at_s = number * 10.0
        lives = sum(at_s >= each for each in killed_s)
        noisy = value(at_s) + 0.1 * float(random.standard_normal())
        found.append(Sample(at_s, {"l2": 100 + lives}, [(what, whose, noisy)]))
    return found


def judged(found: list[Sample]) -> Row:
    (row,) = rows(found, PARTITIONS)
    return row


def test_memory_that_stays_is_flat() -> None:
    row = judged(samples(lambda _: 80.0))
    assert row.judgement == "flat"
    assert row.lower is not None
    assert row.upper is not None
    assert row.lower <= 0 <= row.upper


def test_memory_that_leaks_a_mebibyte_each_five_minutes_grows() -> None:
    row = judged(samples(lambda at_s: 80 + at_s / 300))
    assert row.judgement == "grows"
    assert row.slope == pytest.approx(12, rel=0.1)


def test_a_leak_that_kills_hide_is_found() -> None:
    """The last value is under the first: only within lives does it rise."""
    killed_s = (1200.0, 2400.0)
    row = judged(samples(lambda at_s: 80 + at_s % 1200 / 60 - at_s / 120, killed_s=killed_s))
    assert row.last < row.first
    assert row.judgement == "grows"


def test_what_a_process_fills_in_its_first_minutes_is_no_leak() -> None:
    killed_s = tuple(number * 400.0 for number in range(1, 9))
    row = judged(samples(lambda at_s: 80 + min(at_s % 400, 170) / 5, killed_s=killed_s))
    assert row.judgement == "flat"


def test_a_run_that_is_too_short_says_so() -> None:
    assert judged(samples(lambda _: 80.0)[:6]).judgement == "open"


def test_a_log_is_judged_by_its_budget_and_kafka_s_own_are_told() -> None:
    name = "l2.book-tops.v1"
    budget = budget_of(TOPICS[name]).bytes / MIB
    assert judged(samples(lambda _: budget * 0.9, TOPIC, name)).judgement == "within its budget"
    assert judged(samples(lambda at_s: budget * at_s / 1800, TOPIC, name)).judgement == "over its budget"
    assert judged(samples(lambda at_s: at_s, TOPIC, "__consumer_offsets")).judgement == "told"


def test_what_the_topics_take_an_hour_is_told() -> None:
    names = ("l2.trades.v1", "l2.book-tops.v1")
    found = [judged(samples(lambda at_s: 1 + at_s / 90, TOPIC, name)) for name in names]
    found.append(judged(samples(lambda _: 5.0, TOPIC, "__consumer_offsets")))
    written = io.StringIO()
    show(found, Console(file=written, width=200))
    told = re.search(r"disk: \+(\S+) MiB an hour in topics, most in (\S+) \+(\S+),", written.getvalue())
    assert told is not None
    assert float(told[1]) == pytest.approx(80, rel=0.02)
    assert told[2] in names
    assert float(told[3]) == pytest.approx(40, rel=0.02)


def test_the_exit_code_says_whether_anything_grows_or_nothing_is_known() -> None:
    flat, leak = judged(samples(lambda _: 80.0)), judged(samples(lambda at_s: 80 + at_s / 300))
    short = judged(samples(lambda _: 80.0)[:6])
    assert verdict([flat], [])[1] == 0
    assert verdict([flat, short], [])[1] == OPEN
    assert verdict([flat, short, leak], [])[1] == GROWS
    assert verdict([flat], ["l2 ended by itself"])[1] == GROWS


def test_on_a_terminal_the_progress_stays_on_one_line() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=20)
    say = one_line(console)
    say("one that is longer than the terminal is wide")
    say("0.2 of 60 min")
    assert written.getvalue() == "\r\x1b[Kone that is longer \r\x1b[K0.2 of 60 min"


def test_lags_are_summed_in_messages_and_the_worst_in_seconds() -> None:
    text = (
        'bookrunner_processor_input_lag_messages{service="router",topic="a"} 3.0\n'
        'bookrunner_processor_input_lag_messages{service="router",topic="b"} 4.0\n'
        'bookrunner_venues_input_age_seconds{topic="a"} 0.5\n'
        'bookrunner_venues_input_age_seconds{topic="b"} 0.25\n'
        "bookrunner_venues_restore_seconds 9.0\n"
    )
    assert lags_in(text) == {BEHIND: 7.0, LATE: 0.5}


def test_a_folder_that_goes_while_sizes_are_looked_at_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("kafka/l2.trades.v1-0", "kafka/gone-delete"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "kafka/l2.trades.v1-0/0.log").write_bytes(bytes(MIB))
    (tmp_path / "kafka/l2.trades.v1-0/0.index").write_bytes(bytes(MIB))
    (tmp_path / "run.log").write_bytes(bytes(MIB))
    scandir = os.scandir

    def removed_first(folder: str) -> object:
        if os.fspath(folder).endswith("gone-delete"):
            Path(folder).rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", removed_first)
    assert set(of_files(tmp_path)) == {(FILES, "RUN_DIR", 1.0), (TOPIC, "l2.trades.v1", 1.0)}


def test_each_service_is_killed_once_and_faults_come_at_a_low_rate() -> None:
    kills = list(kills_of(1, 3600))
    assert sorted(name for _, name in kills) == sorted(KILLED)
    assert all(0 < at_s < 3600 for at_s, _ in kills)
    faults = list(faults_of(1, 3600, [("kraken", "BTC-USDT"), ("okx", "ETH-USDT")]))
    assert len(faults) == pytest.approx(3600 / FAULT_GAP_S, rel=0.35)
    assert max(at_s for at_s, _ in faults) < 3600
