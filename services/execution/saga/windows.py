"""The window in which a decision is paid: how it began and how it was closed; state, without behaviour."""

from __future__ import annotations

from decimal import Decimal  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import Literal, TypeAlias

import msgspec

from services.execution.decide.marks import Mark  # noqa: TC001 -- msgspec resolves annotations at run time

Closed: TypeAlias = Literal["next decision", "horizon"]


class WindowEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a window was closed."""

    ts: int  # ns
    closed: Closed
    mark: Mark
    traded: Decimal  # of the symbol within the window, whoever traded, base units, signed
    mid_cash: Decimal  # what these fills paid and got at the reference mid, quote units


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From the choice of a policy to the symbol's next one, or to the policy's horizon."""

    begin_ts: int  # ns
    mark: Mark  # at the begin
    held: Decimal  # before the decision, base units, signed
    equity: Decimal  # of the book at the decision, quote units; 0: unknown
    filled: Decimal  # the sum of the symbol's own fills until then, base units, signed
    mid_cash: Decimal  # of these fills, quote units
    fills: int
    end: WindowEnd | None = None
