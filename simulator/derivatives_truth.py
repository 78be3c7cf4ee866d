"""The true smile and funding, without a protocol between: GET /control/options and /control/funding.

Deltas are of the forward, without interest and not adjusted for the premium: N(d1) of a call, as Deribit's.
Volatilities are a year's, as fractions of one; the risk reversal is the call's less the put's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS
from simulator.latent import NS_DAY
from simulator.options import YEAR_NS, expiries

if TYPE_CHECKING:
    from simulator.funding import Perpetual
    from simulator.options import Options, Surface

_DELTA: Final = 0.25


def options_truth(options: Options, coin: str, ts_ns: int, days: float) -> dict[str, object]:
    """Return a coin's smile at a time: of each listed expiry, and of a constant time to expiry."""
    surface = options.surface(coin, ts_ns)
    smile = surface.smile
    listed = {contract.expiry_ns: contract.series for contract in options.listing(coin, ts_ns).values()}
    return {
        "currency": coin,
        "ts": ts_ns // NS_PER_MS,
        "index": surface.index,
        "carry": surface.carry,
        "smile": {
            "rho": smile.rho,
            "eta": smile.eta,
            "shortVariance": smile.short_variance,
            "longVariance": smile.long_variance,
            "pull": smile.pull,
        },
        "constant": {"days": days, **_of_expiry(surface, days * NS_DAY / YEAR_NS)},
        "expiries": [
            {
                "name": listed[expiry_ns],
                "expiry": expiry_ns // NS_PER_MS,
                "forward": surface.forward(expiry_ns),
                **_of_expiry(surface, surface.years(expiry_ns)),
            }
            for expiry_ns in expiries(ts_ns)
            if expiry_ns in listed
        ],
    }


def _of_expiry(surface: Surface, years: float) -> dict[str, float]:
    smile = surface.smile
    call, put = (smile.strike_of_delta(side * _DELTA, years) for side in (1, -1))
    call_vol, put_vol = smile.volatility(call, years), smile.volatility(put, years)
    atm = smile.volatility(0.0, years)
    return {
        "years": years,
        "atmVol": atm,
        "callLogStrike25": call,  # log(K / F)
        "putLogStrike25": put,
        "rr25": call_vol - put_vol,
        "bf25": 0.5 * (call_vol + put_vol) - atm,
    }


def funding_truth(perpetual: Perpetual) -> dict[str, object]:
    """Return a perpetual at a time; rates and premiums as fractions, of one funding interval."""
    return {
        "venue": perpetual.venue,
        "symbol": perpetual.symbol,
        "ts": perpetual.ts_ns // NS_PER_MS,
        "index": perpetual.index,
        "mark": perpetual.mark,
        "basisBps": perpetual.basis_bps,
        "premium": perpetual.premium,
        "averagePremium": perpetual.average_premium,
        "fundingRate": perpetual.rate,
        "settledRate": perpetual.settled_rate,
        "nextFundingTime": perpetual.next_ns // NS_PER_MS,
    }
