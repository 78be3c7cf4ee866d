"""Schedules of a parent order as a cone programme: the best shares there are, to judge the planner by."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any, Final

from msgspec.structs import replace

from services.execution.decide.cost import PRIOR

K: Final = 5.0  # bps: a flat book of 50 within 10 bps costs exactly 5 x
DEPTH: Final = 50.0  # base units
SIGMA_DAY: Final = 0.025
MID: Final = 60_000.0
FLAT: Final = replace(PRIOR, kappa=math.log(K), alpha=1.0)
FLAT_LEVELS: Final = tuple((MID * (1 + 5e-6 * (at - 0.5)), 0.25) for at in range(1, 4201))
"""1,050 units, .05 bps apart: the flat book itself, so that walking it costs what the curve says."""
CHILDREN: Final = 240  # of the hour, each 15 s
INTERVAL_S: Final = 15.0


def optimum_bps(quantity: float, urgency: float) -> float:
    """Return the least ``E + lambda_u R`` of any shares on the grid of 15 s within the hour.

    Almgren & Chriss (2001), with the standard deviation in place of the variance: a second-order cone
    programme, solved by CLARABEL.
    """
    cp: Any = import_module("cvxpy")  # a second to import, and its types miss what it exports
    shares = cp.Variable(CHILDREN, nonneg=True)
    left = 1 - cp.cumsum(shares)[:-1]
    E = K * quantity / DEPTH * cp.sum_squares(shares)
    R = 1e4 * SIGMA_DAY * math.sqrt(INTERVAL_S / 86_400) * cp.norm(left)
    objective = cp.Minimize(E + 0.3 * urgency / (1 - urgency) * R)
    return float(cp.Problem(objective, [cp.sum(shares) == 1]).solve(solver=cp.CLARABEL))
