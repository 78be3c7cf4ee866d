import re

from broker.terminal import prefixed


def test_a_line_has_clock_speaker_and_text_in_columns() -> None:
    assert re.fullmatch(r"\d\d:\d\d:05\.250 kafka    ready", prefixed("kafka", "ready", 65.25))
