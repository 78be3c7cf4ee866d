from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator, Philox
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from libs.common.confidence import radius, tightest


@pytest.mark.parametrize("alpha", [0.05, 0.0083])
@pytest.mark.parametrize(("variance", "rho"), [(1.0, 0.3), (50.0, 7.0), (3e-6, 1e-5)])
def test_the_boundary_is_where_the_mixture_of_exponential_martingales_reaches_one_over_alpha(
    variance: float, rho: float, alpha: float
) -> None:
    at = float(radius(np.array(variance), np.array(rho), alpha))
    wide = 1 / np.sqrt(rho + variance)

    def mixed(u: float) -> float:
        lam = at / (variance + rho) + u * wide  # around the integrand's peak
        density = np.sqrt(rho / (2 * np.pi)) * np.exp(-rho * lam * lam / 2)
        return float(density * np.exp(lam * at - lam * lam * variance / 2) * wide)

    assert quad(mixed, -12, 12)[0] == pytest.approx(1 / alpha, rel=1e-6)


def test_nothing_that_varied_leaves_no_room() -> None:
    assert radius(np.zeros(2), np.zeros(2), 0.05).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_rho_is_within_a_thousandth_of_the_tightest(alpha: float) -> None:
    found = minimize_scalar(
        lambda log: float(radius(np.array(1.0), np.array(np.exp(log)), alpha)),
        bounds=(-6, 2),
        method="bounded",
    )
    ours = float(radius(np.array(1.0), tightest(np.array(1.0), alpha), alpha))
    assert ours == pytest.approx(found.fun, rel=1e-3)


@pytest.mark.parametrize("kind", ["normal", "cauchy", "clustered"])
def test_symmetric_terms_of_any_tail_cross_it_with_alpha_at_most(kind: str) -> None:
    """4,000 walks of 500; crossing in over 6.5 % has probability 1e-5 where it is 5 % exactly."""
    random = Generator(Philox(key=3))
    terms = random.standard_cauchy((4000, 500)) if kind == "cauchy" else random.normal(size=(4000, 500))
    if kind == "clustered":
        terms[:, 1:] *= 1 + 3 * np.abs(terms[:, :-1])  # each size known from the past
    walks, variance = terms.cumsum(1), (terms**2).cumsum(1)
    crossed = (np.abs(walks) > radius(variance, np.full_like(variance, 5.0), 0.05)).any(1)
    assert crossed.mean() <= 0.065


@pytest.mark.parametrize("variance", [5e-324, 1e-320])
def test_what_varies_by_less_than_doubles_hold_has_not_varied(variance: float) -> None:
    found = np.array([variance])
    assert radius(found, tightest(found, 1e-4), 1e-4).tolist() == [0.0]
