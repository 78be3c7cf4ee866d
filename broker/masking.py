"""Keeps secret values out of the lines that Java writes."""

import re
from collections.abc import Iterable

MASK = "**********"
_SHORTEST = 4  # characters: to hide "1" wherever it stands would hide the log
_WORDS = frozenset({"true", "false", "none", "required"})
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')  # a password inside of a JAAS entry
_REFUSED = re.compile(r"(Invalid value ).*?( for configuration )")


class Mask:
    """Replaces these values, and what stands in quotes inside of them, and what Kafka says is invalid."""

    def __init__(self, values: Iterable[str]) -> None:
        parts = {part for value in values for part in (value, *_quoted(value))}
        hidden = sorted(filter(_is_telling, parts), key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, hidden))) if hidden else None

    def __call__(self, line: str) -> str:
        """Return the line without them."""
        line = _REFUSED.sub(rf"\1{MASK}\2", line)
        return line if self._values is None else self._values.sub(MASK, line)


def _quoted(value: str) -> list[str]:
    found = _QUOTED.findall(value)
    return found + [re.sub(r"\\(.)", r"\1", text) for text in found]


def _is_telling(part: str) -> bool:
    return len(part) >= _SHORTEST and part.lower() not in _WORDS
