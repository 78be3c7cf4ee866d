"""The volume of a day by 5-minute buckets (UTC), how much it varies, and what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle


class VolumeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's volume is expected to look like."""

    expected: tuple[float, ...]  # base units per 5-minute bucket of the UTC day, (288,)
    days: int  # n, that it rests on
    cv: float  # sd / mean of the bucket volumes
    cv_left: float  # the same after division by the profile of the days before
    rate: float | None  # base units per second expected next; None: no recent volume is known

    def weight_at(self, ts: int) -> float:
        """Return the expected volume of the bucket that holds `ts` (ns), base units."""
        raise NotImplementedError


def profile_of(minutes: Sequence[Candle], now: int) -> VolumeProfile:
    """Return the profile of closed 1m candles, oldest first; flat without any."""
    raise NotImplementedError
