"""Implementation shortfall (Perold) of a finished parent order, exact in Decimal."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time

import msgspec

from libs.common.events import TakerSide  # noqa: TC001 -- msgspec resolves annotations at run time


class ShortfallFill(msgspec.Struct, frozen=True, kw_only=True):
    """A fill and the book that its child was submitted on."""

    qty: Decimal  # base units
    px: Decimal  # quote units, as are the others
    mid_px: Decimal  # M_i
    best_px: Decimal  # O_i: best price of the taken side


class ShortfallDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What impact is made of, quote units; sums to it exactly."""

    timing: Decimal
    spread: Decimal
    walk: Decimal


class Shortfall(msgspec.Struct, frozen=True, kw_only=True):
    """Quote units; a cost is positive."""

    delay: Decimal
    impact: Decimal
    opportunity: Decimal
    fees: Decimal
    total: Decimal
    detail: ShortfallDetail
    delay_bps: float
    impact_bps: float
    opportunity_bps: float
    fees_bps: float
    total_bps: float  # of Q P_d
    timing_bps: float
    spread_bps: float
    walk_bps: float


class ShortfallInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What happened; prices in quote units."""

    side: TakerSide
    quantity: Decimal  # Q, base units
    decision_px: Decimal  # P_d: mid at the decision
    arrival_px: Decimal  # P_a: mid at the first child
    end_px: Decimal  # P_e: mid at the end
    fills: tuple[ShortfallFill, ...]
    fees: Decimal  # quote units


def shortfall(inputs: ShortfallInputs) -> Shortfall:
    """Return the decomposition."""
    raise NotImplementedError
