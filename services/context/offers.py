"""Which source's number is told where several have one: the first in order whose number may be used; pure.

What somebody else says under the same key goes before all of them, while it may be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import ContextInput
    from services.context.standing import Standing


class Offers:
    """What each source offers now, by symbol and name.

    Parameters
    ----------
    order
        The sources, the preferred one first.
    standing
        What the topic says.
    """

    def __init__(self, order: Sequence[str], standing: Standing) -> None:
        self._standing = standing
        self._by_source: dict[str, dict[tuple[str, str], ContextInput]] = {name: {} for name in order}

    def renew(self, source: str, inputs: Sequence[ContextInput], now: int) -> list[ContextInput]:
        """Replace all that a source offered, and return what is to be told at `now` (ns UTC) because of it.

        That is what it offers and no source before it does; and of what it offers no longer, what the next
        one does.
        """
        before = self._by_source[source]
        offered = self._by_source[source] = {(each.symbol, each.name): each for each in inputs}
        told = []
        for key in sorted({*before, *offered}):
            winner = self._winner(key, now)
            if winner is None or self._standing.of_others(*key, now) is not None:
                continue
            if winner.source == source or key not in offered:
                told.append(winner)
        return told

    def amend(self, now: int) -> list[ContextInput]:
        """Return what is to be told at `now` (ns UTC) because of what others said, or say no more.

        That is what a source offers where another's number ended; and another's number over which this
        service wrote, as both were on their way at once.
        """
        told = []
        for key in sorted({key for offered in self._by_source.values() for key in offered}):
            here, others = self._standing.here(*key), self._standing.of_others(*key, now)
            if others is not None:
                if here is not others:
                    told.append(others)
            elif here is None or not self._standing.is_own(here):
                winner = self._winner(key, now)
                told += [] if winner is None else [winner]
        return told

    def _winner(self, key: tuple[str, str], now: int) -> ContextInput | None:
        offers = (offered.get(key) for offered in self._by_source.values())
        return next((each for each in offers if each is not None and each.valid_until_ts >= now), None)
