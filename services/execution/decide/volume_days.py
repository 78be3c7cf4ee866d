"""The 5-minute volumes of the days that are over, kept in the state, so that a start has them again; pure.

Candles are read from two days back when the service starts, as a month of minutes would take seconds to
read. What an execution's plan sees of the days before is kept: 1.2 kB a day, 35 kB a book in 30 days, written
once a day. A day that was over before a start, and for which no execution was planned until more than two
days later, is not known; `days` of the profile says on how many it rests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from libs.common.events import Event
from libs.common.time_units import DAY_NS
from services.execution.decide.profile import BUCKETS, by_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from libs.common.handling import State
    from services.execution.market_data import MarketData

DTYPE: Final = np.dtype("<f4")


class VolumeDays(Event, frozen=True, kw_only=True):
    """What was traded at one venue and symbol on the days that are over; state."""

    first_day: int  # since 1970
    days: tuple[bytes, ...]  # from it on, (288,) of DTYPE each, base units; empty: nobody told the day


def days_key(venue: str, symbol: str) -> bytes:
    """Return the state's key of a book's days."""
    return f"volumes/{venue}:{symbol}".encode()


def volume_days(
    state: State[Any], market: MarketData, venue: str, symbol: str, now: int
) -> NDArray[np.float64]:
    """Return the volumes of the days up to `now`, (days, 288), as `profile_of` takes them.

    What the state holds of a bucket counts: at the edge of what is read after a start a bucket lacks minutes.
    """
    recent = by_bucket(market.candles.volumes.since(venue, symbol, now), now)
    today = now // DAY_NS
    oldest = today - market.candles.volumes.days
    kept = _kept(state, venue, symbol)
    known = {day: np.frombuffer(raw, DTYPE) for day, raw in kept.items() if oldest < day < today}
    first = min([*known, today + 1 - len(recent)])
    v = np.full((today + 1 - first, BUCKETS), np.nan)
    for day, volumes in known.items():
        v[day - first] = volumes
    tail = v[len(v) - len(recent) :]
    np.copyto(tail, recent, where=np.isnan(tail))
    return v


def keep_days(state: State[Any], market: MarketData, venue: str, symbol: str, now: int) -> None:
    """Let the state hold the days that are over."""
    v = volume_days(state, market, venue, symbol, now)
    first = now // DAY_NS + 1 - len(v)
    over = {
        first + at: row.astype(DTYPE).tobytes() for at, row in enumerate(v[:-1]) if np.isfinite(row).any()
    }
    if over and over != _kept(state, venue, symbol):
        first = min(over)
        days = tuple(over.get(day, b"") for day in range(first, max(over) + 1))
        state.put(days_key(venue, symbol), VolumeDays(first_day=first, days=days))


def _kept(state: State[Any], venue: str, symbol: str) -> Mapping[int, bytes]:
    held = state.get(days_key(venue, symbol))
    if not isinstance(held, VolumeDays):
        return {}
    return {held.first_day + at: raw for at, raw in enumerate(held.days) if raw}
