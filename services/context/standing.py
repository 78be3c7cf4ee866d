"""What stands on `context.inputs.v1`, and what others than this service said there; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.common.events import ContextInput
from libs.common.told import input_fault
from libs.common.topics import CONTEXT_INPUTS, input_key
from libs.common.views import BoundedView
from services.context.source import RANGES

if TYPE_CHECKING:
    from collections.abc import Collection

UNBOUNDED: Final = (-math.inf, math.inf)  # of a scope's own feature, whose range the router knows


class Standing(BoundedView[ContextInput]):
    """The view of the topic, which keeps what others said though this service wrote over it.

    Parameters
    ----------
    own
        Names of this service's sources; whatever another source says is somebody else's.
    """

    def __init__(self, own: Collection[str]) -> None:
        super().__init__(CONTEXT_INPUTS)
        self._own = frozenset(own)
        self._others: dict[bytes, ContextInput] = {}

    def fold(self, partition: int, offset: int, key: bytes, event: ContextInput | None) -> None:
        """Apply one record; see `View.fold`."""
        if event is None:
            self._others.pop(key, None)
        elif event.source not in self._own:
            self._others[key] = event
        super().fold(partition, offset, key, event)

    def forgotten(self, key: bytes) -> None:
        """Take note of a key that is kept no more; see `BoundedView.forgotten`."""
        self._others.pop(key, None)

    def here(self, symbol: str, name: str) -> ContextInput | None:
        """Return what stands under a key, whoever wrote it."""
        return self.items.get(input_key(symbol, name))

    def of_others(self, symbol: str, name: str, now: int) -> ContextInput | None:
        """Return what somebody else said last, while it may be used at `now` (ns UTC)."""
        said = self._others.get(input_key(symbol, name))
        if said is None or (said.symbol, said.name) != (symbol, name) or input_fault(said, now):
            return None
        low, high = RANGES.get(name, UNBOUNDED)
        return said if low <= said.value <= high else None

    def is_own(self, said: ContextInput) -> bool:
        """Tell whether a source of this service said it."""
        return said.source in self._own
