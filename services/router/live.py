"""Live values of a symbol: what fills a context that names one; pure.

From the reference venue's book, while it is LIVE and fresh; from its minute candles; from the perpetual's
book, for the basis; and from the providers. What is too old, or not there, stays missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from libs.common.candle_view import Candles
from libs.common.context_fields import BY_NAME
from libs.common.instruments import canonical_symbol
from libs.common.live_books import usable
from libs.common.time_units import MINUTE_NS
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES, book_key
from libs.common.views import View
from services.router.har import forecast
from services.router.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import BookHealth, BookTop, Candle, Features
    from libs.common.live_books import Patience
    from services.router.har import Forecast

LATEST_CANDLE_NS: Final = 5 * MINUTE_NS  # a series that ended earlier forecasts nothing


class Filled(NamedTuple):
    """What was added to a context."""

    names: tuple[str, ...]
    unfitted: tuple[str, ...]  # of these, by a model that rests on its prior weights alone


@dataclass(slots=True)
class LiveInputs:
    """The views that hold live values, and where to look in them."""

    reference_venue: str
    basis_venue: str
    patience: Patience  # with a book
    tops: View[BookTop] = field(default_factory=lambda: View(L2_BOOK_TOPS))
    healths: View[BookHealth] = field(default_factory=lambda: View(L2_BOOK_HEALTH))
    candles: Candles = field(init=False)
    _forecasts: dict[str, tuple[Sequence[Candle], Forecast | None]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Of the candles only the closed minutes of the reference venue are of use."""
        self.candles = Candles(topics=(L2_CANDLES,), venue=self.reference_venue)

    @property
    def views(self) -> tuple[View[Any], ...]:
        """All of them."""
        return (self.tops, self.healths, *self.candles.views)

    def fill(self, context: dict[str, float | str], now: int) -> Filled:
        """Add to `context` what it lacks and is known of its symbol; return what was added."""
        if "symbol" not in context:
            return Filled((), ())
        symbol = canonical_symbol(str(context["symbol"]))
        said = self.forecast_of(symbol, now)
        found: dict[str, float | str | None] = {
            **self._book(symbol, now),
            "sigmaHAR": said and said.sigma,
            "regime": said and said.regime,
            **{provider.name: provider.value(symbol, now) for provider in PROVIDERS},
        }
        filled = []
        for name, value in found.items():
            if value is not None and name not in context and _in_range(name, value):
                context[name] = value
                filled.append(name)
        unfitted = ("sigmaHAR",) if said and not said.targets and "sigmaHAR" in filled else ()
        return Filled(tuple(filled), unfitted)

    def _book(self, symbol: str, now: int) -> dict[str, float | str | None]:
        features = self._features(self.reference_venue, symbol, now)
        if features is None:
            return {}
        perpetual = self._features(self.basis_venue, symbol, now)
        return {
            "obi": features.obi,
            "micropriceBps": 1e4 * (features.microprice - features.mid) / features.mid,
            "tradeImbalance": features.trade_imbalance,
            "spreadBps": features.spread_bps,
            "depthBid": features.depth_bid,
            "depthAsk": features.depth_ask,
            "basisBps": None if perpetual is None else 1e4 * (perpetual.mid / features.mid - 1),
        }

    def _features(self, venue: str, symbol: str, now: int) -> Features | None:
        key = book_key(venue, symbol)
        top, health = self.tops.items.get(key), self.healths.items.get(key)
        return top.features if top and usable(top, health, now, self.patience) is None else None

    def forecast_of(self, symbol: str, now: int) -> Forecast | None:
        """Return what the minutes of a symbol say, computed once for each of them; None where they ended."""
        bars = self.candles.window(self.reference_venue, symbol, "1m")
        if not bars or now - (bars[-1].open_ts + MINUTE_NS) > LATEST_CANDLE_NS:
            return None
        before, said = self._forecasts.get(symbol, (None, None))
        if before is not bars:
            said = forecast([bar.open_ts for bar in bars], [bar.close for bar in bars])
            self._forecasts[symbol] = (bars, said)
        return said


def _in_range(name: str, value: float | str) -> bool:
    declared = BY_NAME.get(name)
    return declared is None or (not isinstance(value, str) and declared.low <= value <= declared.high)
