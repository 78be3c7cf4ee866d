"""An operator's word that a service is to go on without some of its records: what it says, where it stands.

The word is a record of the service's own state log, under a key that no handler can write; pure.
"""

from __future__ import annotations

from typing import Final

import msgspec

from libs.common.events import Event
from libs.common.handling import RESERVED

SKIP_KEY: Final = RESERVED + b"skip"


class Skip(Event, frozen=True, kw_only=True):
    """An operator's word that what lies before these offsets is to be left out, by topic name."""

    offsets: dict[str, int]
    ticks: tuple[bytes, ...] = ()  # and these, by their keys in the state's log
    reason: str  # in the operator's words
    ts: int


def merged(before: Skip | None, word: Skip) -> Skip:
    """Return what two words of an operator say together."""
    if before is None:
        return word
    names = before.offsets.keys() | word.offsets.keys()
    offsets = {name: max(before.offsets.get(name, 0), word.offsets.get(name, 0)) for name in names}
    return msgspec.structs.replace(word, offsets=offsets, ticks=(*before.ticks, *word.ticks))
