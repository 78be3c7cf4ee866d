r"""sigmaHAR: the volatility of the next hour from minute closes of one venue, fraction per day; pure.

Realised variance is the mean square of all overlapping 5-minute log returns of a window, which is the mean of
the five offset 5-minute grids, times 288 (per day). A minute without a bar has the price of the last one, for
`STALE` minutes: in the mean such returns span 5 minutes of trading time too, so their variance is right; a
return beyond that is skipped. What it lacks is precision, so a target weighs by the share of its minutes that
have a bar, and where few have, β stays near β0.

========  ======================================================  ==============
symbol    meaning                                                 unit, shape
========  ======================================================  ==============
f         realised variance of the last 5 min, 1 h, 6 h, 24 h     per day, (4,)
y         realised variance of the next hour                      per day
β, β0     weights, and what they are shrunk towards               (4,)
g         β0ᵀf                                                    per day
z, u      f/g and min(y/g, 25)                                    1
w         share of the target's minutes that have a bar           1
G, h      discounted Σwzzᵀ and Σwzu                               (4, 4), (4,)
gamma     discount per 5 minutes                                  1
κ0        weight of β0                                            1
========  ======================================================  ==============

References
----------
Zhang, Mykland & Aït-Sahalia 2005 (offset grids); Corsi 2009 (the horizons, here intraday); Gençay, Dacorogna,
Müller, Olsen & Pictet 2001, section 3.2 (the last tick as a price between ticks).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from libs.common.time_units import MINUTE_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.signedinteger[Any]]]

STEP: Final = 5  # minutes of a return, and between two targets
HORIZONS: Final = (5, 60, 360, 1440)  # minutes
AHEAD: Final = 60  # minutes of the target
BETA0: Final[Floats] = np.array([0.1, 0.4, 0.3, 0.2])
DISCOUNT: Final = 0.999
KAPPA0: Final = 50.0
MOST_U: Final = 25.0
STEPS_PER_DAY: Final = 1440 // STEP
LEAST_BARS: Final = 5
STALE: Final = 15  # minutes that a price stands for; a longer silence is missing data
CALM: Final = 0.5  # a day's trend, in daily sigmas, below which it is sideways
WILD: Final = 4.0  # the last hour's variance over the last day's, above which it is volatile


class Forecast(NamedTuple):
    """What a series of minute closes says."""

    sigma: float  # sigmaHAR, fraction per day
    beta: Floats
    features: Floats  # f
    targets: int  # hours that beta is fitted to; 0: it is β0
    regime: str | None  # estimated; None below six hours of minutes


def forecast(open_ts: Sequence[int] | Integers, closes: Sequence[float] | Floats) -> Forecast | None:
    """Return the forecast at the end of the last bar.

    Parameters
    ----------
    open_ts
        Starts of the minutes, ns UTC, ascending; holes are allowed.
    closes
        Their closes, quote units, positive.

    Returns
    -------
    Forecast | None
        None below `LEAST_BARS` bars, or where no two are 5 minutes apart, or nothing ever moved.
    """
    if len(open_ts) < LEAST_BARS:
        return None
    minutes = (np.asarray(open_ts, dtype=np.int64) - open_ts[0]) // MINUTE_NS
    logs: Floats = np.full(int(minutes[-1]) + 1, np.nan)
    logs[minutes] = np.log(np.asarray(closes, dtype=np.float64))
    traded = np.concatenate(([0], np.cumsum(~np.isnan(logs))))
    logs = _last_known(logs)
    squares = np.full(len(logs), np.nan)  # of the return that ends with this minute
    squares[STEP:] = np.square(logs[STEP:] - logs[:-STEP])
    known = ~np.isnan(squares)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known, squares, 0.0))))
    counts = np.concatenate(([0], np.cumsum(known)))

    ends = np.arange(len(logs), 0, -STEP)[::-1]  # behind the last minute known at each step
    features = _features(sums, counts, ends)
    now = features[-1]
    if np.isnan(now).any() or not now.sum() > 0:
        return None
    targets = _targets(sums, counts, ends)
    beta, fitted = _fit(features, targets, _covered(traded, ends))
    variance = float(beta @ now)
    if not variance > 0:
        return None
    return Forecast(variance**0.5, beta, now, fitted, _regime(logs, now))


def _last_known(logs: Floats) -> Floats:
    """Return the log price of each minute, that of the last bar where it has none; NaN beyond `STALE`."""
    at = np.arange(len(logs))
    last = np.maximum.accumulate(np.where(np.isnan(logs), 0, at))  # the first minute has a bar
    return np.where(at - last <= STALE, logs[last], np.nan)


def _covered(traded: Integers, ends: Integers) -> Floats:
    """Return w per step."""
    after = np.minimum(ends + AHEAD, len(traded) - 1)
    return np.asarray((traded[after] - traded[ends]) / AHEAD)


def _rate(sums: Floats, counts: Integers, begins: Integers, ends: Integers) -> Floats:
    """Return the variance per day of the returns whose last minute lies in [begin, end); NaN without any."""
    found = counts[ends] - counts[begins]
    total = np.maximum(sums[ends] - sums[begins], 0.0)
    return np.where(found > 0, total / np.maximum(found, 1) * STEPS_PER_DAY, np.nan)


def _features(sums: Floats, counts: Integers, ends: Integers) -> Floats:
    """Return f per step, (n, 4); a horizon without returns takes the next longer one's variance."""
    columns: list[Floats] = []
    for horizon in reversed(HORIZONS):
        # A return belongs to the window if it begins in it, too.
        rate = _rate(sums, counts, np.clip(ends - horizon + STEP - 1, 0, ends), ends)
        columns.append(np.where(np.isnan(rate), columns[-1], rate) if columns else rate)
    return np.stack(columns[::-1], axis=1)


def _targets(sums: Floats, counts: Integers, ends: Integers) -> Floats:
    """Return y per step; NaN until its hour is over, or where half of its returns are missing."""
    over = ends + AHEAD < len(sums)
    after = np.minimum(ends + AHEAD, len(sums) - 1)
    begins = np.minimum(ends + STEP - 1, after)
    complete = over & (counts[after] - counts[begins] >= (AHEAD - STEP) // 2)
    return np.where(complete, _rate(sums, counts, begins, after), np.nan)


def _fit(features: Floats, targets: Floats, covered: Floats) -> tuple[Floats, int]:
    """Return β and to how many targets it is fitted."""
    g = features @ BETA0
    usable = ~np.isnan(g) & ~np.isnan(targets) & (g > 0)
    if not usable.any():
        return BETA0, 0
    z = features[usable] / g[usable, None]
    u = np.minimum(targets[usable] / g[usable], MOST_U)
    # G ← gamma·G + w·zzᵀ per step, h ← gamma·h + w·zu
    weights = (covered * _discounts(len(targets)))[usable]
    G = (z * weights[:, None]).T @ z
    h = z.T @ (weights * u)
    beta = non_negative_minimiser(G + KAPPA0 * np.eye(len(BETA0)), h + KAPPA0 * BETA0)
    return beta, int(usable.sum())


@lru_cache(maxsize=64)
def _discounts(steps: int) -> Floats:
    found = np.asarray(DISCOUNT ** np.arange(steps)[::-1], dtype=np.float64)
    found.flags.writeable = False
    return found


def non_negative_minimiser(Q: Floats, c: Floats) -> Floats:
    """Return the β ≥ 0 at which ½βᵀQβ - cᵀβ is least.

    Parameters
    ----------
    Q
        Positive definite, (n, n), of few rows: every subset of weights is tried.
    c
        (n,).

    Notes
    -----
    The minimiser solves ``Q_SS β_S = c_S`` on its support S, where the value is ``-½ c_Sᵀβ_S``; so it is the
    best of the solutions that are not negative.
    """
    everywhere = np.linalg.solve(Q, c)
    if (everywhere >= 0).all():
        return np.asarray(everywhere)
    best, least = np.zeros(len(c)), 0.0
    for size in range(1, len(c)):
        for support in combinations(range(len(c)), size):
            S = np.array(support)
            found = np.linalg.solve(Q[np.ix_(S, S)], c[S])
            value = -0.5 * float(c[S] @ found)
            if value < least and (found >= 0).all():
                best, least = np.zeros(len(c)), value
                best[S] = found
    return best


def _regime(logs: Floats, now: Floats) -> str | None:
    """Return the regime that the last day's trend and the last hour's variance suggest."""
    known = np.flatnonzero(~np.isnan(logs[-1440:]))
    window = logs[-1440:][known]
    elapsed = int(known[-1] - known[0])  # minutes
    if elapsed < HORIZONS[2]:
        return None
    if now[1] > WILD * now[3]:
        return "volatile"
    sigma = (now[3] * elapsed / 1440) ** 0.5
    trend = float(window[-1] - window[0])
    if abs(trend) <= CALM * sigma:
        return "sideways"
    return "bull" if trend > 0 else "bear"
