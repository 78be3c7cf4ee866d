r"""The volume of a day by 5-minute buckets (UTC), how much it varies, and what comes next.

======  ==================================================================  ==========
symbol  meaning                                                             unit
======  ==================================================================  ==========
v_db    volume of bucket b on day d                                         base units
L_d     mean volume of a bucket at the level of day d                       base units
p_b     share of bucket b: its volume over the day's mean one               1
r_db    v_db / L_d, so p_b and the noise of the day                         1
w_d     weight of a day, .9^age                                             1
n_b     days that bucket b rests on, ``(Σ w_d)^2 / Σ w_d^2``                days
s^2     variance of r_db from day to day                                    1
τ^2     variance of p_b from bucket to bucket                               1
Z_b     credibility of what was seen of bucket b                            1
cv      standard deviation over mean of v / day's mean                      1
======  ==================================================================  ==========

References
----------
.. [1] Bühlmann & Straub (1970), Glaubwürdigkeit für Schadensätze: the best linear estimate of many means,
   and s^2 and τ^2 from the data; also Bühlmann & Gisler (2005), A Course in Credibility Theory, ch. 4.
.. [2] Białkowski, Darolles & Le Fol (2008), Improving VWAP strategies: volume as a level of the day times an
   intraday share.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKET_S: Final = 300
BUCKETS: Final = 288
MINUTES: Final = 5  # of a bucket
DECAY: Final = 0.9  # weight of a day against the next one
LEAST_BUCKETS: Final = 12  # of a day that has a level
PASSES: Final = 4  # between levels and shares, of which each needs the other
RECENT: Final = 12  # buckets of the last hour
PROVEN_DAYS: Final = 7  # newest days on which the profile is tried
PRIOR_CV: Final = 0.6
PRIOR_BUCKETS: Final = 60.0  # what the prior cv is worth
_BUCKET_NS: Final = BUCKET_S * NS_PER_S


class VolumeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's volume is expected to look like."""

    expected: tuple[float, ...]  # base units per 5-minute bucket of the UTC day, (288,)
    days: int  # UTC days that it rests on; 0: `expected` is weights and no volumes
    cv: float  # sd / mean of the bucket volumes
    cv_left: float  # the same after division by the profile of the days before
    rate: float | None  # base units per second expected next; None: the last hour's volume is unknown

    def weight_at(self, ts: int) -> float:
        """Return the expected volume of the bucket that holds `ts` (ns), base units."""
        return self.expected[ts // _BUCKET_NS % BUCKETS]

    def weights_at(self, ts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `weight_at` of many times."""
        return np.array(self.expected)[ts // _BUCKET_NS % BUCKETS]


class Shares(NamedTuple):
    """What is seen of the shares of a day's buckets, and how much it says."""

    level: float  # base units of a mean bucket
    p: NDArray[np.float64]  # (288,), 1 where nothing is known
    n: NDArray[np.float64]  # (288,), 0 there
    noise: float  # s^2
    spread: float  # τ^2

    def expected(self) -> NDArray[np.float64]:
        """Return the volumes expected of a day at that level, (288,), base units."""
        return self.level * (1 + credibility(self.n, self.noise, self.spread) * (self.p - 1))


def profile_of(v: NDArray[np.float64], now: int) -> VolumeProfile:
    """Return the profile of days of volumes; flat, at weight 1, without any.

    Parameters
    ----------
    v
        Base units by bucket, NaN where unknown, (days, 288), the last row of the day of `now`.
    now
        Time of the plan, ns.

    Notes
    -----
    ``expected_b = L (1 + Z_b (p_b - 1))``, see `shares_of`. The cv of a day's relative volumes is shrunk to
    .6, worth 60 buckets; that left by the profile is measured on the newest seven days after the first, each
    against the profile of the days before it.
    """
    return _profile_of(v.tobytes(), now // _BUCKET_NS % BUCKETS)


@lru_cache(maxsize=32)
def _profile_of(raw: bytes, here: int) -> VolumeProfile:
    """Return the profile of days at a bucket: the same until the next one, which plans of 5 minutes share."""
    v = np.frombuffer(raw).reshape(-1, BUCKETS)
    expected = shares_of(v).expected()
    known = np.flatnonzero(np.nansum(v, axis=1) > 0).tolist()
    cv = _cv(v[known], PRIOR_CV)
    days = tuple(day.tobytes() for day in v)
    left = [v[at] / _expected_after(days[:at]) for at in known[1:][-PROVEN_DAYS:]]
    return VolumeProfile(
        expected=tuple(expected.tolist()),
        days=int((np.isfinite(v[known]).sum(axis=1) >= LEAST_BUCKETS).sum()),
        cv=cv,
        cv_left=_cv(np.reshape(left, (-1, BUCKETS)), cv),
        rate=_rate(v, expected, here),
    )


@lru_cache(maxsize=256)
def _expected_after(days: tuple[bytes, ...]) -> NDArray[np.float64]:
    """Return the volumes expected after days that are over: the same until the next one is."""
    return shares_of(np.frombuffer(b"".join(days)).reshape(-1, BUCKETS)).expected()


def credibility(n: NDArray[np.float64], noise: float, spread: float) -> NDArray[np.float64]:
    """Return ``Z_b = τ^2 / (τ^2 + s^2 / n_b)`` [1]_; 0 where nothing was seen."""
    return np.asarray(spread * n / (spread * n + noise))


def shares_of(v: NDArray[np.float64]) -> Shares:
    """Return the shares of days by bucket (days, 288), NaN where unknown, newest last.

    Notes
    -----
    ``v_db = L_d p_b`` times noise [2]_: levels and shares are found in turn, each as the weighted mean given
    the other, the mean of p being 1. ``s^2`` is the pooled variance of r_db around its bucket's mean, with a
    prior, a cv of .6 about the shares, worth 60 degrees of freedom: ``.36 mean p^2 / (1 + .36/n)``, as the
    shares seen have that noise themselves. ``τ^2 = mean (p_b - 1)^2 - mean s^2/n_b``, at least 0 [1]_.
    A day of which fewer than 12 buckets are known has no level, and counts for nothing.
    """
    known = np.isfinite(v) & (np.isfinite(v).sum(axis=1) >= LEAST_BUCKETS)[:, None]
    v = np.where(known, v, 0.0)
    weights = known * DECAY ** np.arange(len(v))[::-1, None]
    total = weights.sum(axis=0)
    p = np.ones(BUCKETS)
    for _ in range(PASSES):
        sums = v.sum(axis=1)
        levels = np.divide(sums, known @ p, out=np.zeros(len(v)), where=sums > 0)
        weights = weights * (levels > 0)[:, None]
        total = weights.sum(axis=0)
        if not total.any():
            return Shares(1.0, np.ones(BUCKETS), np.zeros(BUCKETS), PRIOR_CV**2, 0.0)
        r = v / np.where(levels > 0, levels, 1.0)[:, None]
        p = np.divide((weights * r).sum(axis=0), total, out=np.ones(BUCKETS), where=total > 0)
        p = np.where(total > 0, p / p[total > 0].mean(), 1.0)
    seen = total > 0
    n = np.divide(np.square(total), np.square(weights).sum(axis=0), out=np.zeros(BUCKETS), where=seen)
    noise = _noise(r, weights > 0, float(np.square(p[seen]).mean() / (1 + PRIOR_CV**2 / n[seen].mean())))
    spread = float(np.mean(np.square(p[seen] - 1)) - np.mean(noise / n[seen]))
    by_day = weights.max(axis=1)
    level = float(by_day @ levels / by_day.sum())
    return Shares(level, p, n, noise, max(0.0, spread))


def _noise(r: NDArray[np.float64], known: NDArray[np.bool_], square: float) -> float:
    """Return s^2, `square` being the mean of the squared shares."""
    counts = known.sum(axis=0)
    means = (known * r).sum(axis=0) / np.maximum(counts, 1)
    squares = float(np.square(known * (r - means)).sum())
    freedom = float(np.maximum(counts - 1, 0).sum())
    return (PRIOR_BUCKETS * PRIOR_CV**2 * square + squares) / (PRIOR_BUCKETS + freedom)


def by_bucket(minutes: NDArray[np.float64], now: int) -> NDArray[np.float64]:
    """Return volumes by bucket, (days, 288), NaN where unknown or not over.

    Parameters
    ----------
    minutes
        Base units, NaN where unknown, (days, 1440), the last row of the day of `now`. A bucket counts at five
        times the mean of the minutes known.
    """
    split = minutes.reshape(-1, BUCKETS, MINUTES)
    known = np.isfinite(split)
    told = np.where(known, split, 0.0)
    counts = np.sum([known[..., at] for at in range(MINUTES)], axis=0)
    sums = told[..., 0].copy()
    for at in range(1, MINUTES):
        sums += told[..., at]
    v = np.divide(MINUTES * sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    v[-1:, now // _BUCKET_NS % BUCKETS :] = np.nan
    return np.asarray(v)


def _cv(days: NDArray[np.float64], prior: float) -> float:
    """Return the cv of volumes (days, 288) relative to their day's mean, shrunk to the prior."""
    values = days / np.nanmean(days, axis=1, keepdims=True)
    values = values[np.isfinite(values)]
    squares = float(np.sum(np.square(values - 1.0)))
    return math.sqrt((PRIOR_BUCKETS * prior**2 + squares) / (PRIOR_BUCKETS + len(values)))


def _rate(v: NDArray[np.float64], expected: NDArray[np.float64], here: int) -> float | None:
    """Return the expected volume of the bucket `here` at the level of the last hour, per second."""
    over = max(0, len(v) - 1) * BUCKETS + here
    recent = np.arange(max(0, over - RECENT), over if len(v) else 0)
    recent = recent[np.isfinite(v.ravel()[recent])]
    if not len(recent):
        return None
    level = math.fsum(v.ravel()[recent]) / math.fsum(expected[recent % BUCKETS])
    return level * float(expected[here]) / BUCKET_S
