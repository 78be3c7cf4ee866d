"""`Answers`: what was answered to the newest commands, so that a repeated one is answered again; pure.

A ring per partition: the answer to the command at offset n stands in slot n modulo `SLOTS`. So the newest
`SLOTS` commands of each partition are remembered, and the store is bounded without deletions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import CommandRejected, VenueScored  # noqa: TC001 -- msgspec resolves it at run time

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SLOTS: Final = 512


class Answer(msgspec.Struct, frozen=True):
    """One answer, as it was given."""

    event: VenueScored | CommandRejected

    @property
    def command_id(self) -> str:
        """Of the command."""
        return self.event.command_id


class Answers:
    """The remembered answers over a store that survives; the index by command id is rebuilt from it."""

    def __init__(self, store: MutableMapping[bytes, Answer]) -> None:
        self._store = store
        self._slots: dict[str, bytes] | None = None  # by command id; None: to be built

    def forget_index(self) -> None:
        """Say that the store was filled anew."""
        self._slots = None

    def to(self, command_id: str) -> VenueScored | CommandRejected | None:
        """Return the remembered answer to a command."""
        slot = self._index().get(command_id)
        return None if slot is None else self._store[slot].event

    def remember(self, partition: int, offset: int, event: VenueScored | CommandRejected) -> None:
        """Keep the answer to the command at this place; the one `SLOTS` commands before it is forgotten."""
        index = self._index()
        slot = f"{partition}/{offset % SLOTS}".encode()
        before = self._store.get(slot)
        if before is not None and index.get(before.command_id) == slot:
            del index[before.command_id]
        self._store[slot] = Answer(event)
        index[event.command_id] = slot

    def _index(self) -> dict[str, bytes]:
        if self._slots is None:
            self._slots = {answer.command_id: slot for slot, answer in self._store.items()}
        return self._slots
