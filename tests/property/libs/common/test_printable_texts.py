"""Whatever a text holds, what is shown of it does nothing, and a program still reads what was said."""

from __future__ import annotations

import json
import logging
import sys

from hypothesis import given
from hypothesis import strategies as st

from libs.common.log import create_handler
from libs.common.printable import LONGEST, printable, printable_json, printable_lines
from tests.hostile_texts import HOSTILE_TEXTS, obeyed

ANY_TEXT = st.one_of(
    st.text(alphabet=st.characters(codec=None, categories=None), max_size=60),  # surrogates too
    st.lists(st.sampled_from([*HOSTILE_TEXTS.values(), "=", '"', "\\", " ", "\n"]), max_size=6).map("".join),
)


@given(ANY_TEXT)
def test_a_printable_text_is_one_line_and_obeyed_by_nothing(text: str) -> None:
    shown = printable(text)
    assert obeyed(shown) == ""
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 10 * LONGEST + 40
    assert printable(shown) == shown
    assert obeyed(printable_lines(text)) == ""


@given(st.recursive(st.none() | st.floats(allow_nan=False) | ANY_TEXT, st.lists, max_leaves=5))
def test_json_means_the_same_to_a_program(value: object) -> None:
    document = json.dumps(value, ensure_ascii=False)
    assert json.loads(printable_json(document)) == json.loads(document)
    assert obeyed(printable_json(document)) == ""


@given(event=ANY_TEXT, fact=ANY_TEXT)
def test_a_record_of_the_log_is_one_line_whatever_it_holds(event: str, fact: str) -> None:
    record = logging.makeLogRecord({"name": "aiohttp.web", "msg": event, "reason": fact})
    text = create_handler("l2", "json", sys.stderr).format(record)
    assert obeyed(text) == ""
    assert "\n" not in text
    line = json.loads(text)
    assert line.keys() == {"ts", "level", "service", "logger", "event", "reason"}
    assert line["reason"] == fact.encode("utf-8", "backslashreplace").decode()
    text = create_handler("l2", "console", sys.stderr).format(record)
    assert obeyed(text) == ""
    assert all(line.startswith("    ") for line in text.split("\n")[1:])
