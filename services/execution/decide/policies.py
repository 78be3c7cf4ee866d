"""The trading policies among which the router chooses; each a pure function of a market to a signal.

===========  ========================================================  ==============================
policy       value                                                     source
===========  ========================================================  ==============================
p_sma        tanh of the moving averages' distance in its standard     [1]_, scaled by volatility [2]_
             deviations; 10 and 60 minutes
p_breakout   +1 after a close above the highs of 20 days until one     Donchian's channel [3]_
             below the lows of 10; -1 the other way round
p_meanrev    minus half the z-score of the log price over 30 minutes   [4]_
p_obi        the imbalance of the LIVE book's top five sizes           [5]_
p_flat       0
===========  ========================================================  ==============================

What a policy decided is its own until the symbol's next decision, or for its horizon. That is a day for each
of these: none closes by itself what it opened, so it answers for what is held until somebody decides anew. A
window that ended sooner would leave what is held after it to nobody, and no reward would add up to equity.

References
----------
.. [1] Brock, Lakonishok & LeBaron (1992), Simple technical trading rules and the stochastic properties of
   stock returns.
.. [2] Moskowitz, Ooi & Pedersen (2012), Time series momentum.
.. [3] Faith (2003), The original turtle trading rules, system 1.
.. [4] Gatev, Goetzmann & Rouwenhorst (2006), Pairs trading; two standard deviations are a full position.
.. [5] Gould & Bonart (2016), Queue imbalance as a one-tick-ahead price predictor in a limit order book.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.events import PolicySignal
from libs.common.policy import Market, Policy
from libs.common.same import Same
from libs.common.time_units import DAY_S, MINUTE_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from libs.common.events import Candle, PolicyRegistered

FAST: Final = 10  # minutes
SLOW: Final = 60
CHANNEL_IN: Final = 20  # days
CHANNEL_OUT: Final = 10
REVERSION: Final = 30  # minutes
FULL_Z: Final = 2.0  # standard deviations for a full position
HOLES: Final = 1.1  # n candles may span this many times n minutes


class UnknownPolicyError(ValueError):
    """An id that names no policy."""


def signal_of(policy_id: str, market: Market) -> PolicySignal:
    """Return what the policy wants of this market.

    Raises
    ------
    UnknownPolicyError
        If there is no such policy; the message lists those there are.
    """
    try:
        policy = POLICIES[policy_id]
    except KeyError:
        raise UnknownPolicyError(f"{policy_id[:40]!r} is no policy; known: {', '.join(POLICIES)}") from None
    return policy.signal(market)


def horizon_of(policy_id: str, most_s: float, registered: PolicyRegistered | None = None) -> float:
    """Return for how long a decision of the policy is its own, seconds, and no longer than `most_s`.

    Of one that is not built in it is the `horizon_s` of its registered parameters; a day where it has none.
    """
    policy = POLICIES.get(policy_id)
    if policy is not None:
        return min(most_s, policy.horizon_s)
    told = None if registered is None else registered.parameters.get("horizon_s")
    if not isinstance(told, int | float) or isinstance(told, bool) or not isfinite(told) or told <= 0:
        return min(most_s, DAY_S)
    return min(most_s, told)


def sma(market: Market) -> PolicySignal:
    """Follow the crossover of two moving averages of the log price, F of 10 and S of 60 minutes.

    Notes
    -----
    ``tanh(z)``, ``z = (F - S) / (sigma sqrt(sum_j c_j^2))``: the distance over its standard deviation for a
    random walk with minutes of volatility sigma. The return j minutes old enters F - S with the weight
    ``c_j = max(0, S-1-j) / S - max(0, F-1-j) / F`` (lengths of the averages).
    """
    closes = _log_closes(market, SLOW)
    if closes is None:
        return PolicySignal(0.0, _too_little(market, SLOW))
    sigma = float(np.sqrt(np.mean(np.square(np.diff(closes)))))
    if sigma == 0.0:
        return PolicySignal(0.0, f"the price has not moved in {SLOW} minutes")
    distance = float(np.mean(closes[-FAST:]) - np.mean(closes))
    z = distance / (sigma * _norm())
    return PolicySignal(float(np.tanh(z)), f"averages of {FAST} and {SLOW} minutes are {z:+.2f} sd apart")


@cache
def _norm() -> float:
    """Return ``sqrt(sum_j c_j^2)`` of `sma`."""
    lags = np.arange(SLOW)
    weights = np.maximum(0, SLOW - 1 - lags) / SLOW - np.maximum(0, FAST - 1 - lags) / FAST
    return float(np.sqrt(weights @ weights))


def breakout(market: Market) -> PolicySignal:
    """Hold the side on which the price last left its 20-day channel, until it crosses the 10-day one.

    Notes
    -----
    The channels of a close are those of the days before it. The newest closed minute counts as the close of
    the day that is not over.
    """
    days = market.days
    if len(days) <= CHANNEL_IN:
        return PolicySignal(0.0, f"{len(days)} closed days, {CHANNEL_IN + 1} are needed")
    held = _held_after(Same(days))
    for minute in market.minutes[-1:]:
        held = _closed(held, days[-CHANNEL_IN:], minute.close)
    return held


@lru_cache(maxsize=64)
def _held_after(days: Same[tuple[Candle, ...]]) -> PolicySignal:
    """Return what is held after the last of these days."""
    held = PolicySignal(0.0, f"no close outside the channel of {CHANNEL_IN} days")
    for at in range(CHANNEL_IN, len(days.it)):
        held = _closed(held, days.it[at - CHANNEL_IN : at], days.it[at].close)
    return held


def _closed(held: PolicySignal, channel: Sequence[Candle], close: float) -> PolicySignal:
    """Return what is held after a close, given the days before it."""
    highs, lows = [day.high for day in channel], [day.low for day in channel]
    if close > max(highs):
        return PolicySignal(1.0, f"{close:g} closed above the highs of {CHANNEL_IN} days")
    if close < min(lows):
        return PolicySignal(-1.0, f"{close:g} closed below the lows of {CHANNEL_IN} days")
    value = held.value
    if (value > 0 and close < min(lows[-CHANNEL_OUT:])) or (value < 0 and close > max(highs[-CHANNEL_OUT:])):
        return PolicySignal(0.0, f"{close:g} crossed the channel of {CHANNEL_OUT} days back")
    return held


def mean_reversion(market: Market) -> PolicySignal:
    """Bet against the distance of the log price from its 30-minute mean.

    Notes
    -----
    ``-clip(z / 2, -1, 1)``, ``z = (x - mean) / sd`` over the window, the newest minute included.
    """
    closes = _log_closes(market, REVERSION)
    if closes is None:
        return PolicySignal(0.0, _too_little(market, REVERSION))
    sd = float(np.std(closes, ddof=1))
    if sd == 0.0:
        return PolicySignal(0.0, f"the price has not moved in {REVERSION} minutes")
    z = float(closes[-1] - np.mean(closes)) / sd
    return PolicySignal(
        float(np.clip(-z / FULL_Z, -1.0, 1.0)), f"{z:+.2f} sd from the mean of {REVERSION} minutes"
    )


def order_book_imbalance(market: Market) -> PolicySignal:
    """Lean as the book leans: its imbalance is the value."""
    if market.features is None:
        return PolicySignal(0.0, "there is no LIVE two-sided book")
    obi = market.features.obi
    return PolicySignal(obi, f"order-book imbalance {obi:+.2f}")


def flat(_market: Market) -> PolicySignal:
    """Hold nothing."""
    return PolicySignal(0.0, "this policy holds nothing")


POLICIES: Final[Mapping[str, Policy]] = {
    "p_sma": Policy(
        sma,
        "follows the crossover of two moving averages of the price",
        {"fast_minutes": FAST, "slow_minutes": SLOW, "most_span_ratio": HOLES},
    ),
    "p_breakout": Policy(
        breakout,
        "holds the side on which the price left a channel, until it crosses a shorter one back",
        {"in_days": CHANNEL_IN, "out_days": CHANNEL_OUT},
    ),
    "p_meanrev": Policy(
        mean_reversion,
        "bets against the distance of the price from its mean",
        {"window_minutes": REVERSION, "full_position_sd": FULL_Z, "most_span_ratio": HOLES},
    ),
    "p_obi": Policy(order_book_imbalance, "leans as the LIVE book leans: its imbalance is the signal"),
    "p_flat": Policy(flat, "holds nothing"),
}


def _log_closes(market: Market, n: int) -> NDArray[np.float64] | None:
    window = market.minutes[-n:]
    if len(window) < n or _span(window) > HOLES * n:
        return None
    return np.log([candle.close for candle in window])


def _too_little(market: Market, n: int) -> str:
    window = market.minutes[-n:]
    if len(window) < n:
        return f"{len(window)} closed minutes, {n} are needed"
    return f"the last {n} closed minutes span {_span(window)} minutes: too many holes"


def _span(window: tuple[Candle, ...]) -> int:
    return 1 + (window[-1].open_ts - window[0].open_ts) // MINUTE_NS
