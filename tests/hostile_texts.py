"""Texts as only a stranger writes them: what terminals obey, what forges lines, and what hides."""

from __future__ import annotations

import unicodedata
from typing import Final

HOSTILE_TEXTS: Final = {
    "title": "\x1b]0;pwned\x07",
    "colour": "\x1b[31mred\x1b[0m",
    "clear": "\x1b[2J\x1b[H",
    "clipboard": "\x1b]52;c;cm0gLXJm\x1b\\",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "c1": "\x9b31m\x9d0;pwned\x9c",
    "line": "calm\r\n12:03:04.123 l2       all_books_live books=9",
    "json line": 'calm\n{"ts":"2026-01-01T00:00:00.000Z","level":"INFO","service":"l2","event":"forged"}',
    "field": 'calm" level=INFO forged="yes',
    "backslash": "calm here\\",
    "return": "bad\rgood",
    "backspace": "bad\b\b\bgood",
    "separators": "one\x85two\u2028three\u2029four\x0bfive\x0csix\x1cseven",
    "bidi": "\u202egnp.exe\u202c \u2066isolated\u2069",
    "zero width": "bit\u200bcoin\u200d\u2060\ufeff\u00ad",
    "invisible": "a\u3164\u115f\u034f\u2800b",
    "tags": "plain\U000e0041\U000e0042",
    "surrogate": "half\ud800",
    "unassigned": "\U000e0fff\ue000\ufffe",
    "null": "a\x00b\x7f",
    "markup": "[/x]",
    "style": "[red]danger[/red] [bold",
    "rich link": "[link=http://evil.example]here[/link]",
    "emoji code": ":boom: [@click=app.bell]x[/]",
}


def obeyed(text: str) -> str:
    """Return the characters of an output that a terminal would do something for, but for its line ends."""
    return "".join(
        char
        for char in text
        if char != "\n" and not char.isprintable() and unicodedata.category(char) != "Zs"
    )
