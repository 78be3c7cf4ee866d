from __future__ import annotations

import pytest
from scipy.special import chdtri

from services.portfolio.chi_squared import upper_quantile


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9, 0.95])
def test_quantiles_are_those_of_an_independent_library(p: float) -> None:
    for nu in (*range(1, 120), 250, 500):
        assert upper_quantile(p, nu) == pytest.approx(float(chdtri(nu, p)), rel=1e-13)
