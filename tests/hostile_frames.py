"""Frames as only a hostile venue writes them: honest ones, cut, or with values replaced by absurd ones."""

from __future__ import annotations

import json

from hypothesis import strategies as st

INT64 = 2**63
NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "0",
    "-0.0",
    "1e308",
    "1e309",
    "1e-320",
    "1e12",
    str(INT64),
    "9" * 60,
]
WORDS = [
    "null",
    "true",
    '""',
    '"NaN"',
    '"-1"',
    '"1e400"',
    '"\\ud800"',
    '"\\u0000"',
    "[]",
    "{}",
    "[" * 50_000,
    '{"a":' * 50_000,
]


def tokens(text: str) -> list[tuple[int, int]]:
    """Return the span of each value-like run between punctuation, with its quotes."""
    spans, start = [], None
    for at, char in enumerate(text):
        if char in "{}[],:":
            if start is not None:
                spans.append((start, at))
            start = None
        elif start is None:
            start = at
    return spans


@st.composite
def mutated(draw: st.DrawFn, honest: bytes) -> bytes:
    """Return a frame with some of its values replaced, bytes changed, and perhaps cut."""
    text = honest.decode()
    for _ in range(draw(st.integers(1, 3))):
        spans = tokens(text)
        if not spans:
            break
        start, end = draw(st.sampled_from(spans))
        values = st.one_of(
            st.sampled_from(NUMBERS),
            st.sampled_from(NUMBERS).map(json.dumps),
            st.sampled_from(WORDS),
            st.floats().map(repr),
            st.integers().map(str),
            st.text(max_size=5).map(json.dumps),
        )
        text = text[:start] + draw(values) + text[end:]
    raw = bytearray(text.encode())
    for _ in range(draw(st.integers(0, 2))):
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.none() | st.integers(0, len(raw)))
    return bytes(raw[:cut])
