from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from datetime import UTC
from typing import Any

import pytest

from libs.common import log
from libs.common.log import RateLimit, correlated, create_handler, merged, render_console, render_json
from libs.common.settings import PermanentError
from tests.hostile_texts import HOSTILE_TEXTS, obeyed

NOON = 1_700_049_784.123  # 2023-11-15 12:03:04.123 UTC


def a_record(message: str = "book_live", **changes: Any) -> logging.LogRecord:
    record = logging.LogRecord("services.l2.app", logging.INFO, "app.py", 1, message, (), None)
    record.created = NOON
    vars(record).update(changes)
    return record


def written(*records: logging.LogRecord, log_format: str = "json") -> str:
    stream = io.StringIO()
    handler = create_handler("l2", log_format, stream)
    for record in records:
        handler.handle(record)
    return stream.getvalue()


def a_failure() -> Any:
    try:
        dict[str, int]()["book"]
    except KeyError:
        return sys.exc_info()


def caught(error: Exception) -> Any:
    try:
        raise error
    except type(error):
        return sys.exc_info()


def test_a_json_line_is_one_object_with_the_event_and_its_facts() -> None:
    line = written(a_record(venue="binance", seq=7))
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "ts": "2023-11-15T12:03:04.123Z",
        "level": "INFO",
        "service": "l2",
        "event": "book_live",
        "venue": "binance",
        "seq": 7,
    }


def test_a_fact_cannot_replace_what_every_line_has() -> None:
    line = json.loads(written(a_record(service="mine", event="mine", level="mine")))
    assert (line["service"], line["service_"], line["event"], line["level"]) == (
        "l2",
        "mine",
        "book_live",
        "INFO",
    )


def test_a_foreign_logger_is_named_and_its_arguments_filled_in() -> None:
    line = json.loads(written(a_record("lost %s", name="aiohttp.web", args=("x",))))
    assert (line["logger"], line["event"]) == ("aiohttp.web", "lost x")


def test_any_value_can_be_logged() -> None:
    line = json.loads(written(a_record(key=b"\xffk", error=ValueError("v"), ratio=float("nan"), kinds={1})))
    assert line["key"] == "\\xffk"
    assert line["error"] == "v"


def test_a_traceback_stays_inside_its_json_line() -> None:
    text = written(a_record(exc_info=a_failure()))
    assert text.count("\n") == 1
    assert "KeyError: 'book'" in json.loads(text)["traceback"]


def test_the_correlation_id_is_on_every_line_inside_and_on_none_outside() -> None:
    with correlated("c-1"):
        inside = json.loads(written(a_record()))
    assert inside["correlation_id"] == "c-1"
    assert "correlation_id" not in json.loads(written(a_record()))


def console(**facts: Any) -> str:
    fixed = {"ts": NOON, "level": "INFO", "service": "l2", "event": "book_live"}
    return render_console(fixed | facts, UTC)


def test_a_console_line_is_for_people() -> None:
    line = console(venue="binance", symbol="BTC-USDT")
    assert line == "12:03:04.123 l2       book_live venue=binance symbol=BTC-USDT"


def test_a_level_is_shown_from_warning_on() -> None:
    assert console(level="WARNING") == "12:03:04.123 l2       WARNING book_live"
    assert "DEBUG" not in console(level="DEBUG")


def test_values_with_spaces_are_quoted_and_floats_short() -> None:
    assert console(reason="no data", left="", lag_s=0.123456789).endswith(
        'reason="no data" left="" lag_s=0.123457'
    )


def test_a_traceback_follows_its_console_line_indented() -> None:
    lines = written(a_record(exc_info=a_failure()), log_format="console").splitlines()
    assert lines[1].startswith("    Traceback")
    assert lines[-1] == "    KeyError: 'book'"


def test_a_line_about_the_past_bears_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("services.past")
    monkeypatch.setattr(logger, "handlers", [log.create_handler("router", "json", stream)])
    monkeypatch.setattr(logger, "propagate", False)
    logger.setLevel(logging.INFO)
    log.tell(logger, "policy_chosen", {"policy": "p_sma"}, 1_700_000_000_250_000_000)
    line = json.loads(stream.getvalue())
    assert (line["ts"], line["event"], line["policy"]) == (
        "2023-11-14T22:13:20.250Z",
        "policy_chosen",
        "p_sma",
    )
    logger.setLevel(logging.WARNING)
    log.tell(logger, "policy_chosen", {}, 0)
    assert stream.getvalue().count("\n") == 1


def test_the_console_shows_correlation_ids() -> None:
    assert console(correlation_id="c-1").endswith("correlation_id=c-1")


def passed(limit: RateLimit, *moments: float, **changes: Any) -> list[bool]:
    records = [a_record("no broker %s", **{"name": "aiokafka.conn", "created": m} | changes) for m in moments]
    return [limit.filter(record) for record in records]


def test_a_chatty_logger_says_each_thing_once_an_interval() -> None:
    limit = RateLimit(("aiokafka",), 5.0)
    assert passed(limit, 0.0, 0.1, 4.9, 5.0, 5.1) == [True, False, False, True, False]


def test_the_next_line_says_how_many_were_hidden() -> None:
    stream = io.StringIO()
    handler = create_handler("l2", "json", stream)
    for moment in (0.0, 1.0, 2.0, 6.0, 12.0):
        handler.handle(a_record("no broker", name="aiokafka.conn", created=moment))
    assert [json.loads(line).get("suppressed") for line in stream.getvalue().splitlines()] == [None, 2, None]


def test_patterns_levels_and_loggers_are_limited_apart() -> None:
    limit = RateLimit(("aiokafka",), 5.0)
    assert passed(limit, 0.0) == [True]
    assert passed(limit, 0.0, args=("another broker",)) == [False]
    assert passed(limit, 0.0, levelno=logging.ERROR) == [True]
    assert passed(limit, 0.0, name="aiokafka.client") == [True]


def test_our_own_lines_are_never_hidden() -> None:
    assert passed(RateLimit(("aiokafka",), 5.0), 0.0, 0.0, 0.0, name="services.l2.app") == [True] * 3
    assert passed(RateLimit(("aiokafka",), 5.0), 0.0, 0.0, name="aiokafkaesque") == [True] * 2


def test_merging_changes_neither_side() -> None:
    fixed, extra = {"event": "a"}, {"event": "b", "x": 1}
    assert merged(fixed, extra) == {"event": "a", "event_": "b", "x": 1}
    assert (fixed, extra) == ({"event": "a"}, {"event": "b", "x": 1})


def test_rendering_keeps_unknown_types_as_text() -> None:
    assert json.loads(render_json({"ts": 0.0, "what": object}))["what"] == "<class 'object'>"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_configured_process_logs_warnings_and_its_own_crash(log_format: str) -> None:
    program = (
        "import logging, warnings\n"
        "from libs.common import log\n"
        "from libs.common.settings import ServiceSettings\n"
        f"log.configure('l2', ServiceSettings(log_format={log_format!r}))\n"
        "logging.getLogger('services.l2').info('began', extra={'books': 3})\n"
        "logging.getLogger('services.l2').debug('unseen')\n"
        "logging.getLogger('aiokafka').info('unseen')\n"
        "warnings.warn('careful')\n"
        "raise ArithmeticError('broken')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not done.stdout
    assert "unseen" not in done.stderr
    for expected in ("began", "careful", "crashed", "ArithmeticError: broken"):
        assert expected in done.stderr
    if log_format == "json":
        assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == [
            "INFO",
            "WARNING",
            "CRITICAL",
        ]


def test_no_line_of_a_configured_process_is_looked_for_in_the_code() -> None:
    program = (
        "import logging\n"
        "from libs.common import log\n"
        "from libs.common.settings import ServiceSettings\n"
        "log.configure('l2', ServiceSettings())\n"
        "def looked(*_given, **_named):\n"
        "    raise AssertionError('a record asks who wrote it')\n"
        "logging.Logger.findCaller = looked\n"
        "logging.getLogger('services.l2').info('began')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, "began" in done.stderr) == (0, True)


def test_a_routine_line_is_left_out_of_the_console_and_kept_in_json() -> None:
    routine = a_record(routine=True)
    assert written(routine, log_format="console") == ""
    assert json.loads(written(routine)).keys() == {"ts", "level", "service", "event"}
    trouble = a_record(routine=True, levelno=logging.WARNING, levelname="WARNING")
    assert "WARNING book_live" in written(trouble, log_format="console")


def test_what_clients_say_while_kafka_makes_its_own_topics_is_not_written() -> None:
    said = "Group Coordinator Request failed: %s"
    for code, silent in (("[Error 15] GroupCoordinatorNotAvailableError", True), ("[Error 16]", False)):
        record = a_record(said, args=(code,), name="aiokafka.consumer.group_coordinator")
        assert (written(record) == "") is silent


def test_a_permanent_error_is_found_in_a_group_and_nothing_else_is_one() -> None:
    wrong = PermanentError("set TOPIC_PARTITIONS to 8")
    assert log.permanent_cause(ExceptionGroup("tasks", [ValueError(), ExceptionGroup("more", [wrong])])) == (
        "set TOPIC_PARTITIONS to 8"
    )
    assert log.permanent_cause(ExceptionGroup("tasks", [ValueError()])) is None


def test_an_uncaught_permanent_error_is_one_line_and_an_exit_code_of_its_own() -> None:
    script = (
        "from libs.common import log; from libs.common.settings import PermanentError, ServiceSettings\n"
        "log.configure('l2', ServiceSettings()); raise PermanentError('set X to 1')"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == os.EX_CONFIG
    assert json.loads(ended.stderr)["event"] == "cannot run: set X to 1"


def test_a_message_of_several_lines_is_one_entry_of_the_console() -> None:
    first, second = written(a_record("one\nmore"), log_format="console").splitlines()
    assert first.endswith(" one")
    assert second == "    more"


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_no_text_leaves_its_place_in_a_line(name: str, log_format: str) -> None:
    text = HOSTILE_TEXTS[name]
    line = written(
        a_record(
            reason=text, raw=text.encode("utf-8", "replace"), nested={text: [text]}, error=ValueError(text)
        ),
        log_format=log_format,
    )
    assert obeyed(line) == ""
    assert len(line.splitlines()) == 1
    if log_format == "json":
        assert list(json.loads(line)) == [
            "ts",
            "level",
            "service",
            "event",
            "reason",
            "raw",
            "nested",
            "error",
        ]
        assert json.loads(line)["reason"] == text.replace("\ud800", "\\ud800")
    else:
        outside_quotes = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert re.findall(r"(\w+)=", outside_quotes) == ["reason", "raw", "nested", "error"]


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_no_message_of_another_logger_begins_a_line_or_a_fact(name: str, log_format: str) -> None:
    text = written(a_record("lost %s", name="aiokafka", args=(HOSTILE_TEXTS[name],)), log_format=log_format)
    assert obeyed(text) == ""
    first, *more = text.removesuffix("\n").split("\n")
    assert all(line.startswith("    ") for line in more)
    assert "=" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", first) or log_format == "json"


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_an_exception_and_its_traceback_stay_in_their_record(name: str, log_format: str) -> None:
    text = written(a_record(exc_info=caught(ValueError(HOSTILE_TEXTS[name]))), log_format=log_format)
    assert obeyed(text) == ""
    _, *more = text.removesuffix("\n").split("\n")
    assert all(line.startswith("    ") for line in more)
    assert bool(more) is (log_format == "console")
    assert "ValueError" in text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_text_makes_a_line_without_end(log_format: str) -> None:
    error = caught(ValueError("y" * 1_000_000))
    text = written(a_record("z" * 1_000_000, reason="x" * 1_000_000, exc_info=error), log_format=log_format)
    assert len(text) < 30_000
    assert "Traceback" in text


def test_a_number_that_json_does_not_hold_is_still_told() -> None:
    assert json.loads(written(a_record(stamp=10**30)))["stamp"] in {10**30, str(10**30)}


def test_patterns_of_a_chatty_logger_do_not_fill_the_memory() -> None:
    limit = RateLimit(("aiokafka",), 5.0)
    for number in range(5000):
        limit.filter(a_record(f"lost {number}", name="aiokafka.conn"))
    assert len(vars(limit)["_patterns"]) <= log.MOST_PATTERNS
