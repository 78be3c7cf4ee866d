from __future__ import annotations

import json
import unicodedata

import pytest

from libs.common.printable import LONGEST, is_printable, printable, printable_json, printable_lines
from tests.hostile_texts import HOSTILE_TEXTS, obeyed

ORDINARY = (
    'plain text, 1 < 2 & "quotes" \\ [x] {y} ~',
    "Ünïcödé: größer, naïve, œuvre, prix 12\u00a0€",
    "中文 日本語\u3000テキスト 한국어",
    "Русский Ελληνικά עברית العربية हिन्दी ไทย",
    "… → ✓ ✗ █ ░ ─ │",
    "🚀",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert printable_json(text) == text


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_nothing_that_a_terminal_obeys_is_left(name: str) -> None:
    shown = printable(HOSTILE_TEXTS[name])
    assert obeyed(shown) == ""
    assert "\n" not in shown
    assert len(shown.splitlines()) == 1
    assert printable(shown) == shown, "what is printable is printed as it is"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;t\x07", "\\x1b]0;t\\x07"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eabc", "\\u202eabc"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("\u3164", "\\u3164"),
    ],
)
def test_what_is_escaped_is_seen(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_every_character_that_has_no_shape_is_escaped() -> None:
    kinds = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char) in kinds:
            assert not is_printable(char), f"{code:#x}"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 5000) == "x" * LONGEST + "… (5000 characters)"
    assert printable("\x1b" * 5, 2) == "\\x1b\\x1b… (5 characters)"
    assert printable("x" * 5000, None) == "x" * 5000


def test_lines_that_are_meant_stay_lines() -> None:
    assert printable_lines("one\r\ntwo\u2028\x1b[1m\n") == "one\\r\ntwo\\u2028\\x1b[1m\n"


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_a_json_document_means_the_same_and_is_safe_to_show(name: str) -> None:
    value = {HOSTILE_TEXTS[name]: [HOSTILE_TEXTS[name], 1.5]}
    shown = printable_json(json.dumps(value, ensure_ascii=False))
    assert obeyed(shown) == ""
    assert json.loads(shown) == value
