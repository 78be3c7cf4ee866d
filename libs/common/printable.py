r"""Make text from outside safe to show: on a terminal, in a line of a log, on a page.

What a venue, a record on Kafka or a caller says may hold escape sequences, line ends and characters that turn
or hide what stands around them. Each of these is shown as Python writes it (``\x1b``, ``\n``, ``\u202e``), so
nothing acts and nothing is hidden; letters, digits and signs of any script stay as they are.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 4096  # characters of one text that are shown
_SPACES: Final = frozenset(
    "\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
# Letters and signs by their category, but without a shape: fillers, and what joins or begins nothing to see.
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def printable(text: str, most: int | None = LONGEST) -> str:
    """Return the text as one line that does nothing but be read; None in `most` shows all of it.

    Shown as escapes: control characters (C0, C1, DEL), line and paragraph separators, format characters
    (overrides and isolates of direction, zero width), surrogates, private and unassigned characters.
    """
    shown = text if most is None or len(text) <= most else text[:most]
    if not is_printable(shown):
        shown = "".join([char if is_printable(char) else _escape(char) for char in shown])
    return (
        shown
        if len(text) == len(shown) or most is None or len(text) <= most
        else f"{shown}… ({len(text)} characters)"
    )


def printable_lines(text: str) -> str:
    """Return a text that is meant to have several lines, each of them `printable`."""
    return "\n".join([printable(line, None) for line in text.split("\n")])


def indented_lines(text: str) -> str:
    """Return a text of several lines, each `printable`, and indented after the first: as one entry."""
    first, *more = printable_lines(text).split("\n")
    return "\n".join([first, *(line if not line or line[0] == " " else f"  {line}" for line in more)])


def printable_json(text: str) -> str:
    """Return a JSON document that means the same, with what `printable` escapes written as JSON's escapes."""
    if is_printable(text):
        return text
    return "".join([char if char == "\n" or is_printable(char) else _json_escape(char) for char in text])


def is_printable(text: str) -> bool:
    """Whether the text can be shown as it is."""
    if text.isascii():
        return text.isprintable()
    if not _INVISIBLE.isdisjoint(text):
        return False
    return text.isprintable() or all(char in _SPACES or char.isprintable() for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
