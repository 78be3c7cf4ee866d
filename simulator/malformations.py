"""What a broken sender may write: the four shapes of a malformed book message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# The first level's size, at any venue.
_SIZE: Final = re.compile(r'"qty":([\d.]+)|(?:\["[\d.]+",|"new_quantity":)("[\d.]+")')


def _truncated(text: str) -> str:
    return text[: len(text) * 2 // 3]


def _with_first_size(value: str, *, bare: bool = False) -> Callable[[str], str]:
    """Return a function that replaces the first level's size, in quotes where the venue has them."""

    def spoil(text: str) -> str:
        match = _SIZE.search(text)
        if match is None:
            return _truncated(text)
        group = 1 if match[1] is not None else 2
        token = f'"{value}"' if group == 2 and not bare else value  # noqa: PLR2004 - the quoted alternative
        return text[: match.start(group)] + token + text[match.end(group) :]

    return spoil


MALFORMATIONS: Final = (
    _truncated,
    _with_first_size('{"size":true}', bare=True),
    _with_first_size("NaN"),
    _with_first_size("-1.5"),
)
