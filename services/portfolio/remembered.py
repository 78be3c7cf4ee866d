"""What was done under which id, so that it is not done again: the newest N of each kind.

An id is forgotten when N others of its kind have come after it. Kinds: the fills of a symbol, and the
commands of this partition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from libs.common import answered
from libs.common.events import PortfolioRemembered, PortfolioSlot

if TYPE_CHECKING:
    from libs.common.events import Event, PortfolioOptimized
    from libs.common.handling import State

KEEP_FILLS: Final = 10_000  # per symbol
KEEP_ANSWERS: Final = 200  # per partition; the largest, of 100 symbols, has about 105 KB
COMMANDS: Final = "commands"


def recall(state: State[Event], kind: str, identifier: str) -> PortfolioRemembered | None:
    """Return what is known of an id."""
    found = state.get(_key(kind, identifier))
    return found if isinstance(found, PortfolioRemembered) else None


def remember(
    state: State[Event], kind: str, identifier: str, keep: int, answer: PortfolioOptimized | None = None
) -> None:
    """Keep an id that is new, and forget the one that came `keep` before it; changes `state`."""
    answered.remember(state, _key(kind, identifier), PortfolioRemembered(answer=answer, among=kind))
    answered.forget(state, kind, most=keep)


def migrate(state: State[Event]) -> None:
    """Let ids hold their own places, which older versions kept beside them, in the same order."""
    slots = [(kept.count, key, kept) for key, kept in state.items() if isinstance(kept, PortfolioSlot)]
    for _, key, slot in sorted(slots, key=lambda found: found[:2]):
        kind = key.decode(errors="replace").partition("/")[2]
        if key.startswith(b"slot/"):  # KIND/N; the newest is once more under newest/KIND
            kind = kind.rpartition("/")[0]
        kept = recall(state, kind, slot.remembered)
        if kept is not None and not kept.among:
            answered.remember(state, _key(kind, slot.remembered), replace(kept, among=kind))
        state.remove(key)


def _key(kind: str, identifier: str) -> bytes:
    return f"done/{kind}/{identifier}".encode()
