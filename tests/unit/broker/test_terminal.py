import json
import re
from collections.abc import Callable

import pytest

from broker.terminal import as_json, line, prefixed
from tests.hostile_texts import HOSTILE_TEXTS, obeyed


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


@pytest.mark.parametrize("shape", [prefixed, as_json])
@pytest.mark.parametrize("name", sorted(HOSTILE_TEXTS.keys() - {"surrogate"}))  # which no decoded output has
def test_what_java_says_of_a_client_does_nothing_and_begins_no_line(
    name: str, shape: Callable[[str, str, float], str]
) -> None:
    text = HOSTILE_TEXTS[name]
    said = shape("kafka", text, 1_700_049_784.123)
    assert obeyed(said) == ""
    assert all(more.startswith("  ") for more in said.split("\n")[1:])
    if shape is as_json:
        assert json.loads(said)["event"] == text
