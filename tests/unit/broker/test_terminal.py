import json
import re

import pytest

from broker.terminal import as_json, line, prefixed


def test_a_line_has_clock_speaker_and_text_in_columns() -> None:
    assert re.fullmatch(r"\d\d:\d\d:05\.250 kafka    ready", prefixed("kafka", "ready", 65.25))


def test_a_json_line_is_one_object_like_those_of_the_services() -> None:
    assert json.loads(as_json("kafka", "WARN LogManager - slow\ndisk", 65.25)) == {
        "ts": "1970-01-01T00:01:05.250Z",
        "level": "WARNING",
        "service": "kafka",
        "event": "LogManager - slow\ndisk",
    }
    assert "\n" not in as_json("kafka", "a\nb", 0.0)
    assert json.loads(as_json("kafka", "ready", 0.0))["level"] == "INFO"


def test_the_format_is_the_one_of_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    assert json.loads(line("run", "news"))["event"] == "news"
    monkeypatch.setenv("LOG_FORMAT", "console")
    assert line("run", "news").endswith("run      news")
