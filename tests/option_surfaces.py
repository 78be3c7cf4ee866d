"""Option surfaces made by other means than the service's own, and their answers as Deribit writes them."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scipy.integrate import quad
from scipy.optimize import brentq

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 1_000_000_000
EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)
FAR = datetime(2026, 4, 24, 8, tzinfo=UTC)
YEAR = timedelta(days=365)


def payoff_price(phi: int, F: float, K: float, T: float, sigma: float, r: float = 0.0) -> float:
    """Integrate the payoff over the lognormal density of the underlying: no formula of Black's is in it."""
    root = sigma * math.sqrt(T)
    kink = (math.log(K / F) + root * root / 2) / root

    def weighed(z: float) -> float:
        S = F * math.exp(root * z - root * root / 2)
        return phi * (S - K) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    low, high = (kink, max(kink, root) + 12) if phi > 0 else (min(kink, root) - 12, kink)
    return math.exp(-r * T) * float(quad(weighed, low, high, epsabs=1e-10, epsrel=1e-11, limit=200)[0])


def bumped_delta(phi: int, F: float, K: float, T: float, sigma: float) -> float:
    """Return the forward delta by finite differences of the integrated, undiscounted value."""
    h = F * 1e-4
    return (payoff_price(phi, F + h, K, T, sigma) - payoff_price(phi, F - h, K, T, sigma)) / (2 * h)


def strike_of_delta(phi: int, delta: float, F: float, T: float, smile: Callable[[float], float]) -> float:
    """Find the strike whose bumped delta is `delta`, under a smile of strikes."""
    return float(brentq(lambda K: bumped_delta(phi, F, K, T, smile(K)) - delta, F / 3, F * 3, xtol=1e-6 * F))


def years(expiry: datetime, now: datetime = NOW) -> float:
    return (expiry - now) / YEAR


def option_name(currency: str, expiry: datetime, K: float, kind: str) -> str:
    return f"{currency}-{expiry.day}{MONTHS[expiry.month - 1]}{expiry.year % 100:02}-{K:.0f}-{kind}"


def summaries(
    smile: Callable[[float], float],
    strikes: Sequence[float],
    F: float = 60_000.0,
    expiry: datetime = EXPIRY,
    currency: str = "BTC",
    said: datetime = NOW,
) -> list[dict[str, Any]]:
    """Return the rows of one expiry: both kinds at each strike, with the prices that put-call parity ties."""
    T, rows = years(expiry), []
    for K in strikes:
        for kind, phi in (("C", 1), ("P", -1)):
            mark = payoff_price(phi, F, K, T, smile(K)) / F
            rows.append(
                {
                    "instrument_name": option_name(currency, expiry, K, kind),
                    "underlying_price": F,
                    "underlying_index": f"SYN.{currency}",
                    "interest_rate": 0.0,
                    "mark_iv": 100 * smile(K),
                    "mark_price": mark,
                    "bid_price": max(mark - 0.0005, 0.0) or None,
                    "ask_price": mark + 0.0005,
                    "mid_price": mark,
                    "last": None,
                    "open_interest": 12.5,
                    "volume": 0.0,
                    "base_currency": currency,
                    "quote_currency": currency,
                    "creation_timestamp": int(said.timestamp() * 1000),
                }
            )
    return rows


def answer(rows: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "result": rows, "usIn": 1, "usOut": 2, "testnet": False}).encode()
