"""Which way the trades of a book lean.

======== ==================================== ===========
symbol   meaning                              unit
======== ==================================== ===========
B, S     decayed volume of buyers and sellers base
tau      60, decay time of B and S            s
======== ==================================== ===========
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.common.time_units import MINUTE_NS

if TYPE_CHECKING:
    from libs.common.events import TakerSide

TAU_NS: Final = MINUTE_NS
MIN_TRADES: Final = 10
FADED_NS: Final = 10 * TAU_NS  # a trade weighs exp(-10) of a new one


class TradeFlow:
    """Aggressor volumes that fade with age: ``X <- X exp(-dt / tau) + v``."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, since trades may have been missed."""
        self._bought = 0.0
        self._sold = 0.0
        self._trades = 0
        self._as_of = 0  # ns; both volumes are discounted to this moment

    def add(self, side: TakerSide, size: float, ts: int) -> None:
        """Count a trade of the aggressor `side` at `ts` (ns); a late one at its faded weight."""
        if ts > self._as_of:
            fade = math.exp((self._as_of - ts) / TAU_NS)
            self._bought *= fade
            self._sold *= fade
            self._as_of = ts
        weight = size * math.exp((ts - self._as_of) / TAU_NS)
        if side == "buy":
            self._bought += weight
        else:
            self._sold += weight
        self._trades += 1

    def imbalance(self, now: int) -> float | None:
        """Return ``(B - S) / (B + S)``, in [-1, 1].

        None below 10 trades, and when all have faded; in between the age cancels.
        """
        total = self._bought + self._sold
        if self._trades < MIN_TRADES or now - self._as_of > FADED_NS or total <= 0:
            return None
        return (self._bought - self._sold) / total
