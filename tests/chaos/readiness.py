"""`Readiness`: what ``/readyz`` says, asked all the time and kept for each fault that is there meanwhile."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.chaos.pending import Pending
    from tests.chaos.world import World

EVERY_S: Final = 0.25
MOST_CHARS: Final = 110
_BOOK: Final = re.compile(r"^book \S+ \S+ is (\w+).*")
_WAITED: Final = re.compile(r" \(waited for .*")
_NUMBER: Final = re.compile(r"\b\d[\d:.TZ-]*")


class Readiness:
    """Asks for ever.

    Attributes
    ----------
    status
        The last answer's; 0 where none came.
    lines
        What was missing or degraded then.
    """

    def __init__(self, world: World) -> None:
        self.status = 0
        self.lines: tuple[str, ...] = ()
        self._world = world

    @property
    def ready(self) -> bool:
        """Whether every route would do its work, and nothing is held up."""
        return self.status == 200 and not any("held up" in line for line in self.lines)

    def names(self, topic: str) -> bool:
        """Whether it says that an open transaction holds this topic up."""
        return any(topic in line and "held up" in line for line in self.lines)

    async def watch(self, pending: Iterable[Pending]) -> None:
        """Ask, and tell each fault that has not settled what was said."""
        while True:
            await self.ask()
            for each in tuple(pending):
                each.readyz.update(sayings(self.status, self.lines))
            await asyncio.sleep(EVERY_S)

    async def ask(self) -> None:
        """Ask once."""
        self.status, said = await self._world.readyz()
        self.lines = (*said.get("missing", ()), *said.get("degraded", ()))


def sayings(status: int, lines: Iterable[str]) -> set[str]:
    """Return the kinds of what was said, without names of books and numbers."""
    if status == 0:
        return {"no answer"}
    found = {
        _NUMBER.sub("#", _WAITED.sub("", _BOOK.sub(r"a book is \1", line)))[:MOST_CHARS] for line in lines
    }
    return {f"{status} {line}" for line in found} or {f"{status}"}
