"""Implied volatilities of one instant as a surface without static arbitrage, and the prices it gives.

Symbols
-------
F, K : forward and strike, quote units
T : time to expiry, years
k : log(K / F)
w : total implied variance, sigma^2 T
theta : w at the money, k = 0
rho, eta : slope and size of the smile
c, p : call and put, units of the coin

References
----------
J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14 (2014):
SSVI is equation (4.1), its power law the last example of section 4, free of static arbitrage if
eta (1 + abs(rho)) <= 2 (remark 4.4).
F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, log, pi, sqrt
from typing import Final

_MOST: Final = 2.0  # of eta (1 + |rho|)
_MOST_SIGMA: Final = 10.0  # a year's
_STEPS: Final = 80  # of a bisection: more than a float's bits


@dataclass(frozen=True, slots=True)
class Smile:
    """The surface of one coin at one instant.

    Raises
    ------
    ValueError
        If some portfolio of its options could only win.
    """

    short_variance: float  # a year's, of what expires at once
    long_variance: float  # a year's, of what expires never
    pull: float  # per year: how fast the one becomes the other
    rho: float  # in (-1, 1); below zero puts are dearer than calls
    eta: float

    def __post_init__(self) -> None:
        if min(self.short_variance, self.long_variance, self.pull, self.eta) <= 0.0:
            raise ValueError("variances, pull and eta are above zero")
        if self.eta * (1.0 + abs(self.rho)) > _MOST:
            raise ValueError(f"eta (1 + |rho|) is {self.eta * (1.0 + abs(self.rho)):.3f}; at most {_MOST}")

    def theta(self, years: float) -> float:
        """Return the total variance at the money; it grows with T."""
        excess = self.short_variance - self.long_variance
        return self.long_variance * years + excess * (1.0 - exp(-self.pull * years)) / self.pull

    def variance(self, k: float, theta: float) -> float:
        """Return w at a log strike, equation (4.1) with the power law phi = eta / sqrt(theta (1 + theta))."""
        x = self.eta / sqrt(theta * (1.0 + theta)) * k
        return 0.5 * theta * (1.0 + self.rho * x + sqrt((x + self.rho) ** 2 + 1.0 - self.rho**2))

    def volatility(self, k: float, years: float) -> float:
        """Return sigma, a year's, as a fraction."""
        return sqrt(self.variance(k, self.theta(years)) / years)

    def strike_of_delta(self, delta: float, years: float) -> float:
        """Return k of the out-of-the-money call (delta above zero) or put (below) of this forward delta."""
        theta = self.theta(years)
        sign = 1.0 if delta > 0.0 else -1.0
        near, far = 0.0, sign * 10.0 * sqrt(theta)
        for _ in range(_STEPS):
            k = 0.5 * (near + far)
            d1 = _d1(k, self.variance(k, theta))
            if _phi(sign * d1) > abs(delta):
                near = k
            else:
                far = k
        return 0.5 * (near + far)

    def risk_reversal(self, delta: float, years: float) -> float:
        """Return the volatility of the call less that of the put of the same delta, fraction of one."""
        call, put = (self.volatility(self.strike_of_delta(side * delta, years), years) for side in (1, -1))
        return call - put


@dataclass(frozen=True, slots=True)
class Quote:
    """One option's value and what it is sensitive to.

    The value is in coins; the others are of the value in quote units, as Deribit tells them: vega of one
    point (0.01) of volatility, theta of one day, rho of one point of interest.
    """

    value: float
    delta: float  # per unit of F
    gamma: float  # per unit of F, twice
    vega: float
    theta: float
    rho: float


def black_76(forward: float, strike: float, years: float, sigma: float, *, is_call: bool) -> Quote:
    """Return an option on a forward, without interest, of one coin.

    Notes
    -----
    In coins a call is c = N(d1) - K/F N(d2) and a put p = K/F N(-d2) - N(-d1), so c - p = 1 - K/F.
    """
    root = sigma * sqrt(years)
    d1 = _d1(log(strike / forward), root * root)
    d2, ratio = d1 - root, strike / forward
    sign = 1.0 if is_call else -1.0
    value = sign * (_phi(sign * d1) - ratio * _phi(sign * d2))
    density = exp(-0.5 * d1 * d1) / sqrt(2.0 * pi)
    return Quote(
        max(0.0, value),
        sign * _phi(sign * d1),
        density / (forward * root),
        forward * density * sqrt(years) / 100.0,
        -0.5 * forward * density * sigma / sqrt(years) / 365.0,
        sign * strike * years * _phi(sign * d2) / 100.0,
    )


def implied_volatility(value: float, forward: float, strike: float, years: float, *, is_call: bool) -> float:
    """Return the sigma that gives a value in coins; 0 where the payoff at the forward is as much."""
    payoff = 1.0 - strike / forward if is_call else strike / forward - 1.0
    if value <= max(0.0, payoff):
        return 0.0
    low, high = 0.0, _MOST_SIGMA
    for _ in range(_STEPS):
        sigma = 0.5 * (low + high)
        if black_76(forward, strike, years, sigma, is_call=is_call).value < value:
            low = sigma
        else:
            high = sigma
    return 0.5 * (low + high)


def _d1(k: float, variance: float) -> float:
    root = sqrt(variance)
    return -k / root + 0.5 * root


def _phi(x: float) -> float:
    """Return the standard normal distribution."""
    return 0.5 * erfc(-x / sqrt(2.0))
