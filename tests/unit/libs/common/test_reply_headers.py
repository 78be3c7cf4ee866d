from __future__ import annotations

from email.utils import formatdate

import pytest

from libs.common.reply_headers import LONGEST_PAUSE_S, not_followed, pause_of

NOW_S = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("007", 7.0),
        (" 120 ", 120.0),
        ("000000000000000000000000000000000000005", 5.0),
        ("259200", LONGEST_PAUSE_S),
        ("259201", LONGEST_PAUSE_S),
        ("9" * 10_000, LONGEST_PAUSE_S),
        (formatdate(NOW_S + 90, usegmt=True), 90.0),
        (formatdate(NOW_S - 90, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE_S),
    ],
)
def test_seconds_and_dates_are_pauses_within_the_longest(text: str, pause_s: float) -> None:
    assert pause_of(text, NOW_S) == pause_s


@pytest.mark.parametrize(
    "text",
    [
        *("", "1_0", "1.5", "1e3", "+5", "-5", "nan", "inf", "0x10", "5 seconds", "5\x00"),
        *("\u00b2", "\u0661\u0662", "\uff15"),  # digits to Python, not to HTTP
        "Fri, 99 Dec 1999 23:59:59 GMT",
        "Fri, 31 Foo 1999 23:59:59 GMT",
        "Fri, 31 Dec 1999 99:59:59 GMT",
        "Fri, 31 Dec 0000 23:59:59 GMT",
        "Fri, \uff131 Dec 1999 23:59:59 GMT",
        "Fri, 31 Dec 1999 23:59:59 +0000",
    ],
)
def test_anything_else_is_no_pause(text: str) -> None:
    assert pause_of(text, NOW_S) is None


def test_an_address_is_told_as_one_short_line() -> None:
    assert not_followed("https://evil.example/x") == "redirected to https://evil.example/x, not followed"
    assert not_followed("") == "redirected to nowhere, not followed"
    assert "\x1b" not in not_followed("\x1b[2J\n")
    assert len(not_followed("\x1b" * 10_000)) < 1000
