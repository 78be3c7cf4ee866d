"""What stands on execution.controls.v1, with its halts found without a search; pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from libs.common.events import Event, LimitsUsed, TradingHalted
from libs.common.topics import EXECUTION_CONTROLS
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Mapping


class Controls(View[Event]):
    """The view of halts and limits; changes in place as its records are folded."""

    def __init__(self) -> None:
        super().__init__(EXECUTION_CONTROLS)
        self._halts: dict[bytes, TradingHalted] = {}
        self.halts: Mapping[bytes, TradingHalted] = MappingProxyType(self._halts)  # those that stand
        self.version = 0  # rises with each change of a halt or a limit

    def fold(self, partition: int, offset: int, key: bytes, event: Event | None) -> None:
        """Apply one record; see `View.fold`."""
        super().fold(partition, offset, key, event)
        if isinstance(event, LimitsUsed):
            return
        self.version += 1
        if isinstance(event, TradingHalted):
            self._halts[key] = event
        else:
            self._halts.pop(key, None)
