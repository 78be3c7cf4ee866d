from pathlib import Path

import pytest

from broker import java_log
from broker.java_log import LogFile, Throttle, errors_in, notable

WARNING = "2026-01-01 00:00:00.000 [WARN] LogManager - slow disk"


def test_only_warnings_and_errors_are_notable() -> None:
    assert notable(WARNING) == "WARN LogManager - slow disk"
    assert notable("2026-01-01 00:00:00.000 [ERROR] Broker - lost") == "ERROR Broker - lost"
    assert notable("2026-01-01 00:00:00.000 [INFO] LogManager - [WARN] quoted") is None
    assert notable("\tat kafka.Kafka.main(Kafka.scala)") is None


@pytest.mark.parametrize(
    "line",
    [
        "[WARN] QuorumController - Performing controller activation. The metadata log",
        "[WARN] Auto topic creation failed for __consumer_offsets with error 'TOPIC_ALREADY_EXISTS': Topic",
        "[ERROR] ReplicationControlManager - controller event queue overloaded. Timed out heartbeat from 1.",
        "[ERROR] C - Unexpected error handling request RequestHeader(apiKey=CONTROLLER_REGISTRATION",
        "[ERROR] EventPerformanceMonitor - Exceptionally slow controller event createTopics(1) took 2514 ms.",
    ],
)
def test_what_every_first_start_and_each_busy_moment_brings_is_routine(line: str) -> None:
    assert notable(f"2026-01-01 00:00:00.000 {line}") is None


def test_a_flood_is_cut_and_counted() -> None:
    throttle = Throttle(burst=2, window_s=10.0)
    shown = [throttle.lines(f"line {i}", now=100.0 + i) for i in range(5)]
    assert shown == [["line 0"], ["line 1"], [], [], []]
    assert throttle.lines("later", now=110.0) == ["3 more lines like these are in the log file", "later"]


def test_the_last_words_are_the_errors_if_there_are_any() -> None:
    assert errors_in(["a", WARNING, "b"]) == "WARN LogManager - slow disk"
    assert errors_in(["a", "", "Error: no main class"]) == "a\n  Error: no main class"


def test_the_log_file_stays_small_and_keeps_the_newest_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java_log, "_FILE_BYTES", 100)
    log = LogFile(tmp_path / "server.log")
    for i in range(50):
        log.write(f"line {i:04d}")
    log.close()
    kept = [path.read_text(encoding="utf-8") for path in sorted(tmp_path.iterdir(), reverse=True)]
    assert sum(map(len, kept)) < 250
    assert "".join(kept).endswith("line 0048\nline 0049\n")
    assert log.tail()[-1] == "line 0049"
