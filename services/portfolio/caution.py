"""How much more than it seems an optimised portfolio may lose, by cross-validation.

======  =======================================================================  ================
symbol  meaning                                                                  unit
======  =======================================================================  ================
w_k     weights that are best on the days outside fold k                         1
C_k     CVaR of w_k on these days, as the mode counts it                         fraction per day
r       what ``w_k / C_k`` returned on the days of fold k, for all folds         CVaRs per day
kappa   caution: CVaR of r, not below that of a normal law; at least 1           1
======  =======================================================================  ================

The weights that look best on T days are fitted to them, more so the more symbols there are to choose among,
and their CVaR on the same days is too low. What they do on days left out is not fitted. The budget counts
kappa times the CVaR that the days show, so it is B for the portfolio as it would do on days it has not seen.

References
----------
.. [1] Stone (1974), Cross-validatory choice and assessment of statistical predictions.
.. [2] Kan & Zhou (2007), Optimal portfolio choice with parameter uncertainty: with n symbols and T normal
   days the variance of the fitted minimum is (1 - n/T) of the true one, and outside it is 1 / (1 - n/T).
.. [3] Hastie, Tibshirani & Friedman (2009), The elements of statistical learning, 7.10.1: cross-validation
   over-estimates the error by what the smaller training set costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from services.portfolio.estimates import cost_of, estimated, solved
from services.portfolio.measures import cvar, effective_days, normal_cvar

if TYPE_CHECKING:
    from services.portfolio.certificate import Limits
    from services.portfolio.estimates import Mode, Table

FOLDS: Final = 5
ROUNDS: Final = 2  # the second corrects the first, a third changes nothing in the median
LEAST_COST: Final = 1e-9  # fraction per day: weights that cost no more are none


class Caution(NamedTuple):
    """The factor of the CVaR, and why it is so."""

    kappa: float
    why: str


def caution(mode: Mode, table: Table, beta: float, limits: Limits) -> Caution:
    """Return kappa, and from what it was estimated [1]_.

    Notes
    -----
    A tighter budget makes other weights, that may be fitted more closely; so kappa is judged at B, and again
    at the B / kappa that it leads to, and the larger counts.
    """
    kappa = 1.0
    for _ in range(ROUNDS):
        tightened = limits._replace(budget=limits.budget / kappa)
        found = _lost_outside(mode, table, beta, tightened)
        if found <= kappa:
            break
        kappa = found
    return Caution(
        kappa,
        f"weights fitted to four fifths of the days lost {kappa:.2f} times their CVaR on the fifth left out, "
        f"or as a normal law of their volatility does if that is more, and 1 at least; symbols: "
        f"{table.R.shape[1]}; days: {len(table.days)}, which weigh as {effective_days(table.p):.0f}",
    )


def _lost_outside(mode: Mode, table: Table, beta: float, limits: Limits) -> float:
    """Return the CVaR of r, not below a normal law's of its volatility; 0 where no fold has any weights.

    Notes
    -----
    Fold k has the days whose number is k modulo 5, so tomorrow's day changes one fold. Weights fitted to four
    fifths of the days lose rather more outside than those fitted to all [3]_: there is no further caution.
    """
    fold = np.mod(table.days, FOLDS)
    outside, weights = [], []
    for k in range(FOLDS):
        left_out = fold == k
        if not left_out.any() or left_out.all():
            continue
        inside = table.of(~left_out)
        known = estimated(inside, beta)
        w = solved(mode, known, inside, beta, limits).w
        cost = cost_of(mode, known, inside, beta, w)
        if cost > LEAST_COST:
            outside.append(table.F[left_out] @ w / cost)
            weights.append(table.p[left_out])
    if not outside:
        return 0.0
    r, p = np.concatenate(outside), np.concatenate(weights)
    r, p = r[:, None], p / p.sum()
    return float(max(cvar(r, p, beta)[0], normal_cvar(r, p, beta)[0]))
