"""The volume of a day by 5-minute buckets (UTC), how much it varies, and what comes next.

======  ================================================  ===================
symbol  meaning                                           unit
======  ================================================  ===================
v_db    volume of bucket b on day d                       base units
n_b     days on which bucket b was seen                   days
cv      standard deviation over mean of v / day's mean    1
======  ================================================  ===================
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from libs.common.events import Candle

BUCKET_S: Final = 300
BUCKETS: Final = 288
DECAY: Final = 0.9  # weight of a day against the next one
FLAT_DAYS: Final = 5.0  # what the flat profile is worth
RECENT: Final = 12  # buckets of the last hour
PRIOR_CV: Final = 0.6
PRIOR_BUCKETS: Final = 60.0  # what the prior cv is worth
_BUCKET_NS: Final = BUCKET_S * NS_PER_S


class VolumeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's volume is expected to look like."""

    expected: tuple[float, ...]  # base units per 5-minute bucket of the UTC day, (288,)
    days: int  # UTC days that it rests on
    cv: float  # sd / mean of the bucket volumes
    cv_left: float  # the same after division by the profile of the days before
    rate: float | None  # base units per second expected next; None: the last hour's volume is unknown

    def weight_at(self, ts: int) -> float:
        """Return the expected volume of the bucket that holds `ts` (ns), base units."""
        return self.expected[ts // _BUCKET_NS % BUCKETS]


def profile_of(minutes: Sequence[Candle], now: int) -> VolumeProfile:
    """Return the profile of closed 1m candles; flat, at weight 1, without any.

    Parameters
    ----------
    minutes
        In any order; a bucket counts when it is over, at five times the mean of the minutes known.
    now
        Time of the plan, ns.

    Notes
    -----
    ``expected_b = (n_b v_b + 5 flat) / (n_b + 5)``, v_b the mean over days with weights ``.9^age``, flat
    their mean over b. The cv of a day's relative volumes is shrunk to .6, worth 60 buckets; that left by the
    profile is measured on days after the first, each against the profile of the days before it.
    """
    v = _by_day(minutes, now)  # (days, 288), NaN where unknown
    expected = _expected(v)
    cv = _cv([day / np.nanmean(day) for day in v if np.nansum(day) > 0], PRIOR_CV)
    left = [day / _expected(v[:at]) for at, day in enumerate(v) if at]
    cv_left = _cv([day / np.nanmean(day) for day in left if np.nansum(day) > 0], cv)
    return VolumeProfile(
        expected=tuple(expected.tolist()),
        days=len(v),
        cv=cv,
        cv_left=cv_left,
        rate=_rate(minutes, expected, now),
    )


def _by_bucket(minutes: Sequence[Candle], now: int) -> dict[int, float]:
    """Return volumes by bucket number since 1970, of buckets that are over."""
    known: dict[int, list[float]] = {}
    for candle in minutes:
        known.setdefault(candle.open_ts // _BUCKET_NS, []).append(candle.volume)
    over = now // _BUCKET_NS
    return {b: 5 * math.fsum(volumes) / len(volumes) for b, volumes in known.items() if b < over}


def _by_day(minutes: Sequence[Candle], now: int) -> NDArray[np.float64]:
    volumes = _by_bucket(minutes, now)
    days = sorted({bucket // BUCKETS for bucket in volumes})
    v = np.full((len(days), BUCKETS), np.nan)
    for bucket, volume in volumes.items():
        v[days.index(bucket // BUCKETS), bucket % BUCKETS] = volume
    return v


def _expected(v: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(v)
    if not np.nansum(v) > 0:
        return np.ones(BUCKETS)
    weights = known * DECAY ** np.arange(len(v))[::-1, None]
    total = weights.sum(axis=0)
    means = (weights * np.nan_to_num(v)).sum(axis=0) / np.where(total > 0, total, 1.0)
    flat = float(means[total > 0].mean())
    n = known.sum(axis=0)
    return np.asarray((n * means + FLAT_DAYS * flat) / (n + FLAT_DAYS))


def _cv(relative: list[NDArray[np.float64]], prior: float) -> float:
    """Return the cv of volumes relative to their day's mean, shrunk to the prior."""
    values = np.concatenate(relative) if relative else np.empty(0)
    values = values[np.isfinite(values)]
    squares = float(np.sum(np.square(values - 1.0)))
    return math.sqrt((PRIOR_BUCKETS * prior**2 + squares) / (PRIOR_BUCKETS + len(values)))


def _rate(minutes: Sequence[Candle], expected: NDArray[np.float64], now: int) -> float | None:
    """Return the expected volume of the bucket of `now` at the level of the last hour, per second."""
    over = now // _BUCKET_NS
    recent = {b: volume for b, volume in _by_bucket(minutes, now).items() if b >= over - RECENT}
    if not recent:
        return None
    level = math.fsum(recent.values()) / math.fsum(float(expected[b % BUCKETS]) for b in recent)
    return level * float(expected[over % BUCKETS]) / BUCKET_S
