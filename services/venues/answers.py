"""`Answers`: what was answered to the newest commands, so that a repeated one is answered again; pure.

A ring per partition: the answer to the command at offset n stands in slot n modulo `SLOTS`. So the newest
`SLOTS` commands of each partition are remembered, and the store is bounded without deletions.

A refusal is the answer to the command of its offset only, should Kafka tell that again: nothing was done, so
whoever sends the same command later may be answered otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from libs.common.events import CommandRejected, VenueScored

if TYPE_CHECKING:
    from collections.abc import MutableMapping

SLOTS: Final = 512


class Answer(msgspec.Struct, frozen=True):
    """One answer, as it was given."""

    event: VenueScored | CommandRejected
    offset: int = -1  # of the command; -1: of a store that did not keep it

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

    def to(self, command_id: str, offset: int) -> VenueScored | CommandRejected | None:
        """Return the remembered answer to a command that stands at this offset now."""
        slot = self._index().get(command_id)
        if slot is None:
            return None
        answer = self._store[slot]
        if isinstance(answer.event, CommandRejected) and answer.offset != offset:
            return None
        return answer.event

    def remember(self, partition: int, offset: int, event: VenueScored | CommandRejected) -> None:
        """Keep the answer to the command at this place; the one `SLOTS` commands before it is forgotten."""
        index = self._index()
        slot = f"{partition}/{offset % SLOTS}".encode()
        before = self._store.get(slot)
        if before is not None and index.get(before.command_id) == slot:
            del index[before.command_id]
        self._store[slot] = Answer(event, offset)
        index[event.command_id] = slot

    def _index(self) -> dict[str, bytes]:
        if self._slots is None:
            # A command refused and sent again has two answers: the later one counts.
            ascending = sorted(self._store.items(), key=lambda item: item[1].offset)
            self._slots = {answer.command_id: slot for slot, answer in ascending}
        return self._slots
