"""The cost curve refitted from the last fills of a venue and symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.execution.cost import CostFit

KEEP: Final = 500


class CostObservation(msgspec.Struct, frozen=True, array_like=True):
    """One filled child."""

    x: float  # child quantity / D
    paid_bps: float  # over half the spread, may be negative
    predicted_bps: float  # the same as predicted when planned


class CostHistory(msgspec.Struct, frozen=True):
    """The last 500 filled children of one venue and symbol, oldest first; the whole state of the fit."""

    observations: tuple[CostObservation, ...] = ()

    def and_then(self, observation: CostObservation) -> CostHistory:
        """Return the history with one more, without the oldest beyond 500."""
        return CostHistory((*self.observations, observation)[-KEEP:])


def fit(observations: Sequence[CostObservation]) -> CostFit:
    """Return the posterior; of no observations the prior."""
    raise NotImplementedError
