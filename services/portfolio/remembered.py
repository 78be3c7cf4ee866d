"""What was done under which id, so that it is not done again: the newest N of each kind.

An id is forgotten when N others of its kind have come after it. Kinds: the fills of a symbol, and the
commands of this partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.events import PortfolioRemembered, PortfolioSlot

if TYPE_CHECKING:
    from libs.common.events import Event, PortfolioOptimized
    from libs.common.handling import State

KEEP_FILLS: Final = 10_000  # per symbol
KEEP_ANSWERS: Final = 200  # per partition; the largest, of 100 symbols, has 90 KB
COMMANDS: Final = "commands"


def recall(state: State[Event], kind: str, identifier: str) -> PortfolioRemembered | None:
    """Return what is known of an id."""
    found = state.get(_key(kind, identifier))
    return found if isinstance(found, PortfolioRemembered) else None


def remember(
    state: State[Event], kind: str, identifier: str, keep: int, answer: PortfolioOptimized | None = None
) -> None:
    """Keep an id that is new, and forget the one that came `keep` before it; changes `state`."""
    newest = f"newest/{kind}".encode()
    counted = state.get(newest)
    count = counted.count + 1 if isinstance(counted, PortfolioSlot) else 0
    place = f"slot/{kind}/{count % keep}".encode()
    oldest = state.get(place)
    if isinstance(oldest, PortfolioSlot):
        state.remove(_key(kind, oldest.remembered))
    slot = PortfolioSlot(remembered=identifier, count=count)
    state.put(place, slot)
    state.put(newest, slot)
    state.put(_key(kind, identifier), PortfolioRemembered(answer=answer))


def _key(kind: str, identifier: str) -> bytes:
    return f"done/{kind}/{identifier}".encode()
