"""Causes and moments as data."""

from __future__ import annotations

from typing import Any

from services.gateway.alerts.cause import Cause, Moment

S = 1_000_000_000
NOW = 1_767_225_600 * S


def a_cause(place: str = "all", kind: str = "trading-halted", **changes: Any) -> Cause:
    fields: dict[str, Any] = {"kind": kind, "place": place, "what": f"trading is halted for {place}"}
    fields["over"] = f"trading for {place} goes on"
    return Cause(**fields | changes)


def at(seconds: float) -> Moment:
    """Return the moment so many seconds after the beginning, by both clocks."""
    return Moment(NOW + round(seconds * S), 77 * S + round(seconds * S))
