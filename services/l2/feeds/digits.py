"""The digits a checksum is made of, kept beside a book whose venue sends checksums.

A float forgets trailing zeros and how many decimals a venue writes; the checksum is of the text. So the text
of each level is kept here, by price, for venues with a checksum only.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final

from libs.common.order_book import MANY_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Level
    from services.l2.feeds.venue_messages import VenueDelta, VenueSnapshot


_KRAKEN_CHECKED: Final = 10  # whatever the depth


def digits_of(text: str) -> str:
    """Return a decimal text without its point and leading zeros: ``0.00005100`` becomes ``5100``."""
    return text.replace(".", "").lstrip("0")


class DigitBook:
    """Digits of the levels of both sides, truncated like the book itself.

    Parameters
    ----------
    depth
        Levels a side that the venue maintains; None: all.
    checked
        Levels a side under the venue's checksum.
    """

    def __init__(self, depth: int | None, checked: int = _KRAKEN_CHECKED) -> None:
        self._checked = checked
        self._bids = _DigitSide(depth)
        self._asks = _DigitSide(depth)

    def load(self, snapshot: VenueSnapshot) -> None:
        """Start over from a snapshot."""
        self._bids.clear()
        self._asks.clear()
        self.apply(snapshot)

    def apply(self, message: VenueDelta | VenueSnapshot) -> None:
        """Apply a whole message, then truncate."""
        self._bids.apply(message.bids, message.bid_digits, sign=1)
        self._asks.apply(message.asks, message.ask_digits, sign=-1)

    def bids(self, n: int | None = None) -> tuple[str, ...]:
        """Return the digits of the best `n` bids, best first; by default of those under the checksum."""
        return self._bids.top(self._checked if n is None else n)

    def asks(self, n: int | None = None) -> tuple[str, ...]:
        """Return the digits of the best `n` asks, best first; by default of those under the checksum."""
        return self._asks.top(self._checked if n is None else n)


class _DigitSide:
    """One side: signed prices with the best last, and the digits by price."""

    def __init__(self, depth: int | None) -> None:
        self._depth = depth
        self._keys: list[float] = []
        self._digits: dict[float, str] = {}

    def clear(self) -> None:
        self._keys.clear()
        self._digits.clear()

    def apply(self, levels: Sequence[Level], digits: Sequence[str], sign: int) -> None:
        keys, held, many = self._keys, self._digits, len(levels) > MANY_LEVELS
        for (price, size), text in zip(levels, digits, strict=True):
            key = sign * price
            if size:
                if not many and key not in held:
                    insort(keys, key)
                held[key] = text
            elif held.pop(key, None) is not None and not many:
                del keys[bisect_left(keys, key)]
        if many:
            keys[:] = sorted(held)
        if self._depth is not None and len(keys) > self._depth:
            for key in keys[: -self._depth]:
                del held[key]
            del keys[: -self._depth]

    def top(self, n: int) -> tuple[str, ...]:
        return tuple(map(self._digits.__getitem__, self._keys[: -n - 1 : -1]))
