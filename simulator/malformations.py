"""What a broken sender may write: the shapes of a malformed book message and of a malformed answer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.venues.venue import RestReply

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

# The numbers of an answer about perpetuals and options that somebody may act on, quoted where they are texts.
_NUMBERS: Final = re.compile(
    r'"(markPrice|indexPrice|lastFundingRate|longShortRatio|longAccount|adjustedFundingRateCap|fundingRate|'
    r'markPx|idxPx|mark_price|mark_iv|index_price|underlying_price|strike)":("?)-?[\d.]+(?:e-?\d+)?"?'
)


def _cut_short(reply: RestReply) -> RestReply:
    return replace(reply, body=_truncated(reply.body))


def _page(reply: RestReply) -> RestReply:
    title = "Bad gateway"
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return replace(reply, body=body, content_type="text/html")


def _with_numbers(value: str, *, bare: bool = False) -> Callable[[RestReply], RestReply]:
    """Return a function that replaces the numbers of an answer, in quotes where the venue has them."""

    def spoil(reply: RestReply) -> RestReply:
        def spoilt(match: re.Match[str]) -> str:
            quote = "" if bare else match[2]
            return f'"{match[1]}":{quote}{value}{quote}'

        return replace(reply, body=_NUMBERS.sub(spoilt, reply.body))

    return spoil


SPOILT_ANSWERS: Final = (
    _cut_short,
    _page,
    _with_numbers('{"value":true}', bare=True),
    _with_numbers("NaN"),
    _with_numbers("-1.5"),
)
