"""What the last fills of a venue and symbol have taught about costs, as the state keeps it; pure.

Each filled child has a record of its own in a ring of `KEEP`, so that to learn from one writes one, and not
all that are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from libs.common.events import Event
from services.execution.decide.calibration import KEEP, CostHistory, CostObservation, fit
from services.execution.decide.cost import PRIOR, CostFit

if TYPE_CHECKING:
    from libs.common.handling import State


class CostCurve(Event, frozen=True, kw_only=True):
    """What the fills at one venue and symbol have taught about costs; state."""

    fit: CostFit
    seen: int = 0  # filled children, since ever
    history: CostHistory = CostHistory()  # of versions that kept all of them here; today's keep none


class CostSeen(Event, frozen=True, kw_only=True):
    """What one filled child has taught; state."""

    observation: CostObservation


def curve_key(venue: str, symbol: str) -> bytes:
    """Return the state's key of a cost curve."""
    return f"curve/{venue}:{symbol}".encode()


def seen_key(curve: bytes, n: int) -> bytes:
    """Return the state's key of what the n-th filled child of a curve has taught: its place in the ring."""
    return b"%b/%d" % (curve, n % KEEP)


def cost_fit(state: State[Any], venue: str, symbol: str) -> CostFit:
    """Return what is known of the costs at a venue; without a fill the prior."""
    curve = state.get(curve_key(venue, symbol))
    return curve.fit if isinstance(curve, CostCurve) else PRIOR


def learn(state: State[Any], venue: str, symbol: str, observation: CostObservation) -> None:
    """Fit the curve anew, now that one more child is filled."""
    key = curve_key(venue, symbol)
    curve = state.get(key)
    n = curve.seen if isinstance(curve, CostCurve) else 0
    state.put(seen_key(key, n), CostSeen(observation=observation))
    last = range(max(0, n + 1 - KEEP), n + 1)
    history = [state[seen_key(key, each)].observation for each in last]
    state.put(key, CostCurve(fit=fit(history), seen=n + 1))


def migrate_curves(state: State[Any]) -> None:
    """Give each child that older versions have learnt from a record of its own."""
    for key, curve in list(state.items()):
        if not isinstance(curve, CostCurve) or not curve.history.observations:
            continue
        seen, known = curve.history.observations, curve.fit
        for n, observation in enumerate(seen):
            state.put(seen_key(key, n), CostSeen(observation=observation))
        if known.x_most is None:  # fitted by a version that did not keep the sizes
            x = [each.x for each in seen]
            known = replace(known, x_least=min(x), x_most=max(x))
        state.put(key, CostCurve(fit=known, seen=len(seen)))
