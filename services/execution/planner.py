"""How to work a parent order: Immediate, TWAP, VWAP or POV, whichever costs least at this urgency."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from libs.common.events import Level, TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.cost import CostFit  # noqa: TC001 -- msgspec resolves annotations at run time
from services.execution.profile import VolumeProfile  # noqa: TC001 -- msgspec resolves annotations at run time

if TYPE_CHECKING:
    from numpy.random import Generator


class Style(StrEnum):
    """From the simplest on."""

    IMMEDIATE = "Immediate"
    TWAP = "TWAP"
    VWAP = "VWAP"
    POV = "POV"


class PlanInputs(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan depends on, its randomness apart."""

    venue: str
    side: TakerSide
    quantity: Decimal  # Q, base units, whole lots
    urgency: float  # u, in [0, 1]
    now: int  # ns
    levels: tuple[Level, ...]  # of the taken side of the LIVE book, best first
    mid: float  # quote units
    spread_bps: float
    depth: float  # D: 60 s median of the depth within 10 bps on the taken side, base units
    sigma_day: float  # fraction per day
    cost: CostFit
    volume: VolumeProfile
    tick: Decimal  # quote units
    lot: Decimal  # base units
    min_qty: Decimal  # base units
    min_notional: Decimal  # quote units
    deadline_s: float = 3600.0
    participation: float = 0.1  # rho of POV, at most .1
    protection_bps: float = 25.0  # limit beyond the best price


class Slice(msgspec.Struct, frozen=True):
    """One child order."""

    at_ts: int  # ns
    qty: Decimal  # base units
    limit_px: Decimal  # quote units


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """A way to work the order, as it was judged."""

    style: Style
    horizon_s: float
    children: int
    expected_bps: float | None = None  # E, fees apart; None where it is not possible
    risk_bps: float | None = None  # R, standard deviation of the cost from waiting
    objective_bps: float | None = None  # J = E + lambda R; None where not possible, or infinite at urgency 1
    why_not: str = ""  # empty: possible


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen way, its children, and all alternatives (the chosen one among them)."""

    style: Style
    venue: str
    horizon_s: float
    interval_s: float  # between children; 0 with one
    slices: tuple[Slice, ...]  # their quantities sum to the parent; of POV what is expected
    participation: (
        float | None
    )  # POV: each child is `pov_child` of the volume since the last; None: as sliced
    min_child: Decimal  # base units
    expected_bps: float
    risk_bps: float
    lambda_u: float | None  # weight of risk; None: infinite, at urgency 1
    alternatives: tuple[Alternative, ...]  # simplest first


class CannotPlanError(ValueError):
    """No style is possible; the message says why not, for each."""


def plan(inputs: PlanInputs, generator: Generator) -> Plan:
    """Return the plan with the least ``J = E + lambda_u R``.

    Raises
    ------
    CannotPlanError
        If the quantity is under the minimum, or no style is possible.
    """
    raise NotImplementedError


def pov_child(
    unscheduled: Decimal, volume_since_last: float, participation: float, lot: Decimal, min_child: Decimal
) -> Decimal:
    """Return the next child of a POV parent: ``rho`` times the volume since the last, 0 while below minimum."""
    raise NotImplementedError


def reschedule(
    unscheduled: Decimal, slices: tuple[Slice, ...], lot: Decimal, min_child: Decimal
) -> tuple[Slice, ...]:
    """Spread what is not at a venue over the slices still to come, in their proportions; sums exactly."""
    raise NotImplementedError
