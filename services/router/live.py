"""Live values of a symbol: what fills a context that names one; pure.

From the reference venue's book, while it is LIVE and fresh; from its minute candles; from the perpetual's
book, for the basis; and what these do not say from `context.inputs.v1`, of the symbol or else of all symbols.
What is too old, out of its range, or not there, stays missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from libs.common.candle_view import Candles
from libs.common.context_fields import BY_NAME, FIELDS, in_range
from libs.common.instruments import canonical_symbol
from libs.common.live_books import usable
from libs.common.time_units import MINUTE_NS
from libs.common.told import EVERY_SYMBOL, STUB, input_fault
from libs.common.topics import CONTEXT_INPUTS, L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES, book_key, input_key
from libs.common.views import BoundedView, View
from services.router.columns import columns_of
from services.router.har import forecast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libs.common.context_fields import ContextField, Declared
    from libs.common.events import BookHealth, BookTop, ContextInput, DeclaredFeature, Features
    from libs.common.live_books import Patience
    from services.router.columns import Columns
    from services.router.har import Forecast

LATEST_CANDLE_NS: Final = 5 * MINUTE_NS  # a series that ended earlier forecasts nothing
UNSAID: Final = "unsaid"  # source of inputs that name none
LONGEST_SOURCE: Final = 64  # characters that a decision repeats


class Filled(NamedTuple):
    """What was added to a context."""

    names: tuple[str, ...]
    unfitted: tuple[str, ...]  # of these, by a model that rests on its prior weights alone
    sources: dict[str, str]  # who said it, by name


class _Kept(NamedTuple):
    columns: Columns
    said: Forecast | None


@dataclass(slots=True)
class LiveInputs:
    """The views that hold live values, and where to look in them."""

    reference_venue: str
    basis_venue: str
    patience: Patience  # with a book
    tops: View[BookTop] = field(default_factory=lambda: View(L2_BOOK_TOPS))
    healths: View[BookHealth] = field(default_factory=lambda: View(L2_BOOK_HEALTH))
    inputs: View[ContextInput] = field(default_factory=lambda: BoundedView(CONTEXT_INPUTS))
    candles: Candles = field(init=False)
    _forecasts: dict[str, _Kept] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Of the candles only the closed minutes of the reference venue are of use."""
        self.candles = Candles(topics=(L2_CANDLES,), venue=self.reference_venue)

    @property
    def views(self) -> tuple[View[Any], ...]:
        """All of them."""
        return (self.tops, self.healths, self.inputs, *self.candles.views)

    def fill(self, context: dict[str, float | str], now: int, declared: Declared = ()) -> Filled:
        """Add to `context` what it lacks and is known of its symbol; return what was added.

        Parameters
        ----------
        now
            ns UTC.
        declared
            What the scope has beside the fields of all.
        """
        if "symbol" not in context:
            return Filled((), (), {})
        symbol = canonical_symbol(str(context["symbol"]))
        said, sources = self.forecast_of(symbol, now), dict[str, str]()
        for source, values in self._measured(symbol, said, now):
            for name, value in values.items():
                if value is not None and name not in context and _in_range(name, value):
                    context[name], sources[name] = value, source
        unfitted = ("sigmaHAR",) if said and not said.targets and "sigmaHAR" in sources else ()
        named: tuple[ContextField | DeclaredFeature, ...] = (*FIELDS, *declared)
        for each in named:
            if each.name not in context and (told := self._input(symbol, each, now)) is not None:
                context[each.name] = told.value
                sources[each.name] = told.source[:LONGEST_SOURCE] or UNSAID
        return Filled(tuple(sources), unfitted, sources)

    def _measured(
        self, symbol: str, said: Forecast | None, now: int
    ) -> Iterator[tuple[str, Mapping[str, float | str | None]]]:
        """Yield what books and candles say, each with whose they are."""
        venue = self.reference_venue
        features = self._features(venue, symbol, now)
        if features is not None:
            yield f"{venue} book", _book(features)
            perpetual = self._features(self.basis_venue, symbol, now)
            if perpetual is not None:
                yield f"{self.basis_venue} book", {"basisBps": 1e4 * (perpetual.mid / features.mid - 1)}
        if said is not None:
            yield f"{venue} candles", {"sigmaHAR": said.sigma, "regime": said.regime}

    def _input(self, symbol: str, named: ContextField | DeclaredFeature, now: int) -> ContextInput | None:
        """Return an input of this name that may be used: a stub's last, the symbol's before that of all."""
        usable = []
        for whose in (symbol, EVERY_SYMBOL):
            told = self.inputs.items.get(input_key(whose, named.name))
            if told is None or (told.symbol, told.name) != (whose, named.name):
                continue  # who wrote another's key says nothing
            if not input_fault(told, now) and in_range(told.value, named):
                usable.append(told)
        return min(usable, key=lambda told: told.source == STUB, default=None)

    def _features(self, venue: str, symbol: str, now: int) -> Features | None:
        key = book_key(venue, symbol)
        top, health = self.tops.items.get(key), self.healths.items.get(key)
        return top.features if top and usable(top, health, now, self.patience) is None else None

    def forecast_of(self, symbol: str, now: int) -> Forecast | None:
        """Return what the minutes of a symbol say, computed once for each of them; None where they ended."""
        bars = self.candles.window(self.reference_venue, symbol, "1m")
        if not bars or now - (bars[-1].open_ts + MINUTE_NS) > LATEST_CANDLE_NS:
            return None
        kept = self._forecasts.get(symbol)
        if kept is None or kept.columns.bars is not bars:
            columns = columns_of(bars, None if kept is None else kept.columns)
            kept = _Kept(columns, forecast(columns.open_ts, columns.closes))
            self._forecasts[symbol] = kept
        return kept.said


def _book(features: Features) -> dict[str, float | str | None]:
    return {
        "obi": features.obi,
        "micropriceBps": 1e4 * (features.microprice - features.mid) / features.mid,
        "tradeImbalance": features.trade_imbalance,
        "spreadBps": features.spread_bps,
        "depthBid": features.depth_bid,
        "depthAsk": features.depth_ask,
    }


def _in_range(name: str, value: float | str) -> bool:
    declared = BY_NAME.get(name)
    return declared is None or in_range(value, declared)
