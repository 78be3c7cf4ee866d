"""What the gateway counts of its alerts; zeros where there is no webhook. Pure."""

from __future__ import annotations

from typing import NamedTuple


class AlertTotals(NamedTuple):
    """Since the start, but for `waiting`, which is now."""

    sent: int = 0
    failed: int = 0
    suppressed: int = 0
    replaced: int = 0
    dropped: int = 0
    errors: int = 0
    waiting: int = 0
