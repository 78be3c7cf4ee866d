"""Schedules of children: what they are expected to cost, what waiting risks, and the best front-loaded one.

=========  ===========================================================  =========
symbol     meaning                                                      unit
=========  ===========================================================  =========
w_j, t_j   share of the parent in child j, its time from now, (N,)      1, s
W_j        share sent before child j; 1 - W_j is left when it is due    1
Q, V_day   the parent; the volume of a day                              base units
I          meta impact of the parent, the mean over its fills           bps
Y          1: the constant of the square-root law                       1
phi*       1e-3: the share of a day's volume below which it is linear   1
X          Q / D, the parent in depths                                  1
kappa      rate at which a front-loaded schedule sends what is left     1/s
=========  ===========================================================  =========

Notes
-----
A child pays half the spread, what it takes from the book itself (``k x^alpha``, `cost.py`), and the way that
the children before it have moved the mid. The latter is the square-root law along the parent's own
trajectory [2]_: at W the mid has moved by ``3/2 I sqrt(W)``, whose mean over a parent of many children is I,
whatever its schedule. The first child finds nothing moved: a parent of one child pays what it takes from the
book and no meta impact, one of two a part of it, and nothing is charged twice. What the child sent now takes
is read from the book that is known: the more is sent first, the closer the cost is to that of sending all.

References
----------
.. [1] Almgren & Chriss (2001), Optimal execution of portfolio transactions: eq. 5 for the variance, eq. 17
   and 18 for the trajectory.
.. [2] Donier & Bonart (2015), A million metaorder analysis of market impact on the Bitcoin: the law holds
   along the trajectory; Y is .9 there for the move at its end.
.. [3] Toth et al. (2011), Anomalous price impact and the critical nature of liquidity in financial markets,
   and Bouchaud, Bonart, Donier & Gould (2018), Trades, quotes and prices, chapter 12: Y of order 1; Almgren,
   Thum, Hauptmann & Li (2005), Direct estimation of equity market impact: exponent .600 +- .038.
.. [4] Grinold & Kahn (2000), Active portfolio management, chapter 16: to trade a day's volume costs a day's
   volatility, that is Y = 1 of the mean fill.
.. [5] Bucci, Benzaquen, Lillo & Bouchaud (2019), Crossover from linear to square-root market impact: below
   some 1e-3 of a day's volume the impact of a parent is proportional to its size.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from libs.common.time_units import DAY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Y: Final = 1.0  # [3]_, [4]_
CROSSOVER: Final = 1e-3  # phi* [5]_
MEAN_TO_PEAK: Final = 1.5  # of sqrt: 1 / int_0^1 sqrt(W) dW
KAPPA_LEAST_S: Final = 1e-5  # 1/s: over two hours nearly equal slices
KAPPA_MOST_DELTA: Final = 2.0  # of kappa Delta: the first of many children is 86 % then
KAPPAS: Final = 20  # of the first, coarse search
GOLDEN: Final = (math.sqrt(5) - 1) / 2
REFINEMENTS: Final = 14
CHILDREN: Final = (2, 3, 4, 6, 10, 20, 40, 80, 160, 240, 480)  # tried
SLACK: Final = 0.005  # of the objective, given for a shorter horizon


class Search(NamedTuple):
    """What a front-loaded schedule is sought for."""

    X: float
    k_bps: float  # with what fixed slices overpay
    alpha: float
    meta_bps: float  # I; 0 where no volume is known
    sigma_day: float
    weight: float  # lambda_u
    interval_s: float  # Delta
    book: KnownBook | None


class KnownBook(NamedTuple):
    """The taken side as it stands, in shares of the parent and bps beyond half the spread."""

    held: NDArray[np.float64]  # share held by the best n levels, from 0 of none, (n + 1,), rising
    paid: NDArray[np.float64]  # share times bps paid for it, (n + 1,)

    def taken_bps(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what taking so much of the parent now costs, bps of that; infinite beyond what is held."""
        paid = np.interp(share, self.held, self.paid) / share
        return np.where(share <= self.held[-1] * (1 + 1e-9), np.maximum(0.0, paid), math.inf)


class FrontLoaded(NamedTuple):
    """The schedule found."""

    children: int
    kappa: float  # 1/s


def meta_impact_bps(quantity: float, volume_day: float, sigma_day: float) -> float:
    """Return I, the mean over the fills of a parent.

    Notes
    -----
    ``1e4 Y sigma_day sqrt(phi)``, ``phi = Q / V_day`` [3]_; below phi* ``sqrt(phi / phi*)`` of that [5]_.
    """
    share = quantity / volume_day
    return 1e4 * Y * sigma_day * math.sqrt(share) * min(1.0, math.sqrt(share / CROSSOVER))


def moved(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of I the children pay for what those before them moved: ``3/2 sum w_j sqrt(W_j)``.

    Parameters
    ----------
    shares
        w, (..., N), each row summing to 1.
    """
    before = np.maximum(0.0, shares.cumsum(axis=-1) - shares)
    return np.asarray(MEAN_TO_PEAK * (shares * np.sqrt(before)).sum(axis=-1))


def taken_bps(
    shares: NDArray[np.float64], X: float, k_bps: float, alpha: float, book: KnownBook | None
) -> NDArray[np.float64]:
    """Return what the children take from the book, on average over the parent: ``k sum w_j (w_j X)^alpha``.

    Parameters
    ----------
    book
        Of which the first child takes its share; None: it meets the median book as the others do.
    """
    later = shares if book is None else shares[..., 1:]
    taken = np.asarray(k_bps * X**alpha * (later ** (1 + alpha)).sum(axis=-1))
    if book is None:
        return taken
    first = shares[..., 0]
    return np.asarray(taken + first * book.taken_bps(first))


def risk_bps(
    sigma_day: float, times_s: Sequence[float] | NDArray[np.floating[Any]], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the standard deviation of the cost of children at these times, from prices that wander.

    Parameters
    ----------
    times_s
        t, (N,), seconds from now, rising.
    shares
        w, (..., N).

    Notes
    -----
    ``1e4 sigma_day sqrt(sum_j (t_j - t_(j-1)) / 86400 x (1 - W_j)^2)``, ``t_(-1) = 0`` [1]_: the move of each
    step is paid by all that is left when it ends.
    """
    steps = np.diff(np.asarray(times_s, dtype=float), prepend=0.0) / DAY_S
    return np.asarray(1e4 * sigma_day * _wandered(steps, shares))


def _wandered(steps: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root of `risk_bps` of children that are so many days apart, (N,)."""
    left = shares[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return np.asarray(np.sqrt((steps * left**2).sum(axis=-1)))


def front_loaded(kappa: float | NDArray[np.float64], interval_s: float, children: int) -> NDArray[np.float64]:
    """Return the shares of ``sinh(kappa (T - t)) / sinh(kappa T)``, what is left at t, over T = N Delta [1]_.

    Equal ones at kappa 0; (N,), or (K, N) of K kappas.
    """
    T = children * interval_s
    t = np.arange(children + 1) * interval_s
    rate = np.asarray(kappa, dtype=float)[..., None]
    flat = rate <= 0
    falls = np.where(flat, 1.0, rate)
    left = (np.exp(-falls * t) - np.exp(-falls * (2 * T - t))) / -np.expm1(-2 * falls * T)
    left = np.where(flat, 1 - t / T, left)
    return np.asarray(left[..., :-1] - left[..., 1:])


def best_front_loaded(search: Search, fewest: int, most: int) -> FrontLoaded | None:
    """Return the front-loaded schedule of the least ``J = E + lambda_u R``; None if none is allowed.

    The shortest horizon whose J is within .5 % of the least; kappa by golden section between neighbours of a
    grid, as J may have a second minimum where nearly all is sent at once.
    """
    counts = sorted({n for n in (*CHILDREN, fewest, most) if max(2, fewest) <= n <= most})
    kappas = _kappas(search.interval_s)
    judged = [_objective(search, _shapes(search.interval_s, n)) for n in counts]
    least = min((float(J.min()) for J in judged), default=math.inf)
    if math.isinf(least):
        return None
    at = next(at for at, J in enumerate(judged) if float(J.min()) <= least * (1 + SLACK))
    best = int(np.argmin(judged[at]))
    n = counts[at]
    low, high = kappas[max(0, best - 1)], kappas[min(KAPPAS - 1, best + 1)]

    def of(value: float) -> float:
        return float(_objective(search, _shape(np.array([value]), search.interval_s, n))[0])

    kappa = _golden(of, low, high)
    refined = of(kappa) < float(judged[at][best])
    return FrontLoaded(n, float(kappa if refined else kappas[best]))


class _Shape(NamedTuple):
    """Of schedules at K kappas what depends on nothing else."""

    shares: NDArray[np.float64]  # (K, N)
    moved: NDArray[np.float64]  # (K,)
    wandered: NDArray[np.float64]  # the root in `risk_bps`, (K,)


def _shape(kappas: NDArray[np.float64], interval_s: float, children: int) -> _Shape:
    shares = front_loaded(kappas, interval_s, children)
    return _Shape(shares, moved(shares), _wandered(_steps(interval_s, children), shares))


@lru_cache(maxsize=64)
def _shapes(interval_s: float, children: int) -> _Shape:
    return _shape(_kappas(interval_s), interval_s, children)


@lru_cache(maxsize=8)
def _kappas(interval_s: float) -> NDArray[np.float64]:
    """Return the grid of the coarse search, (K,)."""
    rising = np.geomspace(KAPPA_LEAST_S, KAPPA_MOST_DELTA / interval_s, KAPPAS - 1)
    return np.concatenate(([0.0], rising))


def _objective(search: Search, shape: _Shape) -> NDArray[np.float64]:
    """Return J without the spread at each kappa, (K,); infinite where the book holds no such first child."""
    E = taken_bps(shape.shares, search.X, search.k_bps, search.alpha, search.book)
    E = E + search.meta_bps * shape.moved
    R = 1e4 * search.sigma_day * shape.wandered
    return np.asarray(E + search.weight * R)


@lru_cache(maxsize=64)
def _steps(interval_s: float, children: int) -> NDArray[np.float64]:
    """Return the days between children so far apart, the first of which is sent now."""
    return np.diff(np.arange(children) * interval_s, prepend=0.0) / DAY_S


def _golden(of: Callable[[float], float], low: float, high: float) -> float:
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    of_left, of_right = of(left), of(right)
    for _ in range(REFINEMENTS):
        if of_left <= of_right:
            high, right, of_right = right, left, of_left
            left = high - GOLDEN * (high - low)
            of_left = of(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + GOLDEN * (high - low)
            of_right = of(right)
    return (low + high) / 2
