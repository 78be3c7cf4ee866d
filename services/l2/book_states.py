"""The life of a book as a literal table: what may follow what, and why."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from libs.common.events import BookState

if TYPE_CHECKING:
    from collections.abc import Mapping


class Trigger(Enum):
    """What moves a book from one state to the next."""

    SYNC = "a snapshot is awaited"
    JOINED = "snapshot and stream are one"
    HOLE = "the venue's sequence has a hole, its book crossed, or a frame could not be read"
    MISMATCH = "the venue's checksum is not ours"
    SILENCE = "nothing came for too long"
    TOO_LARGE = "no keyframe can hold the book"
    REFUSED = "the venue refuses the symbol"
    CLOSED = "the socket ended"
    ONE_SIDED = "a side of the book is empty"
    TWO_SIDED = "both sides have levels again"
    HALTED = "the venue says that it does not match now"
    BLOCKED = "the venue serves nothing to this address"


_S: Final = BookState
_LOST: Final = {
    Trigger.SYNC: _S.SYNCING,
    Trigger.CLOSED: _S.DISCONNECTED,
    Trigger.HALTED: _S.HALTED,
    Trigger.REFUSED: _S.REFUSED,
    Trigger.BLOCKED: _S.BLOCKED,
}
_SYNCED: Final = {
    **_LOST,
    Trigger.HOLE: _S.GAP,
    Trigger.MISMATCH: _S.CHECKSUM_FAILED,
    Trigger.SILENCE: _S.STALE,
    Trigger.TOO_LARGE: _S.DISCONNECTED,
}
TRANSITIONS: Final[Mapping[BookState, Mapping[Trigger, BookState]]] = {
    _S.SYNCING: {**_SYNCED, Trigger.JOINED: _S.LIVE, Trigger.ONE_SIDED: _S.ONE_SIDED},
    _S.LIVE: {**_SYNCED, Trigger.ONE_SIDED: _S.ONE_SIDED},  # SYNC: the venue itself sent a new snapshot
    _S.ONE_SIDED: {**_SYNCED, Trigger.TWO_SIDED: _S.LIVE, Trigger.ONE_SIDED: _S.ONE_SIDED},
    _S.HALTED: {**_LOST, Trigger.SILENCE: _S.STALE},  # its line stays open until the venue matches again
    **dict.fromkeys((_S.DISCONNECTED, _S.GAP, _S.CHECKSUM_FAILED, _S.STALE, _S.REFUSED, _S.BLOCKED), _LOST),
}


def after(state: BookState, trigger: Trigger) -> BookState:
    """Return the state that follows; an absent entry is a broken invariant (`KeyError`)."""
    return TRANSITIONS[state][trigger]
