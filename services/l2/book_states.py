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


_S: Final = BookState
_LOST: Final = {
    Trigger.SYNC: _S.SYNCING,
    Trigger.CLOSED: _S.DISCONNECTED,
}
TRANSITIONS: Final[Mapping[BookState, Mapping[Trigger, BookState]]] = {
    _S.DISCONNECTED: {Trigger.SYNC: _S.SYNCING, Trigger.CLOSED: _S.DISCONNECTED},
    _S.SYNCING: {
        Trigger.SYNC: _S.SYNCING,
        Trigger.JOINED: _S.LIVE,
        Trigger.HOLE: _S.GAP,
        Trigger.MISMATCH: _S.CHECKSUM_FAILED,
        Trigger.SILENCE: _S.STALE,
        Trigger.CLOSED: _S.DISCONNECTED,
        Trigger.TOO_LARGE: _S.DISCONNECTED,
        Trigger.REFUSED: _S.DISCONNECTED,
    },
    _S.LIVE: {
        Trigger.SYNC: _S.SYNCING,  # the venue itself sent a new snapshot
        Trigger.HOLE: _S.GAP,
        Trigger.MISMATCH: _S.CHECKSUM_FAILED,
        Trigger.SILENCE: _S.STALE,
        Trigger.CLOSED: _S.DISCONNECTED,
        Trigger.TOO_LARGE: _S.DISCONNECTED,
        Trigger.REFUSED: _S.DISCONNECTED,
    },
    _S.GAP: _LOST,
    _S.CHECKSUM_FAILED: _LOST,
    _S.STALE: _LOST,
}


def after(state: BookState, trigger: Trigger) -> BookState:
    """Return the state that follows; an absent entry is a broken invariant (`KeyError`)."""
    return TRANSITIONS[state][trigger]
