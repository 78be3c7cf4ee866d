"""Bybit's public REST routes: time, instruments, book, candles; a refusal travels inside a 200, with a code.

References
----------
bybit-exchange/docs, `v5/market/{time,instrument,orderbook,kline}.mdx`, `v5/rate-limit.mdx` and
`v5/error.mdx`, as of 2026-07-24.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.latent import NS_DAY, NS_MINUTE
from simulator.venues.bybit_tickers import TICKERS, BybitQueryError, BybitTickers, bybit_said
from simulator.venues.venue import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.candles import Candle
    from simulator.venues.bybit_book import BookFrame, BybitPair
    from simulator.venues.venue import Exchange, RestRequest

_INTERVALS: Final = {"1": ("1m", NS_MINUTE), "D": ("1d", NS_DAY)}  # Bybit's name: interval, length
_MAX_CANDLES: Final = 1000
_DEFAULT_CANDLES: Final = 200
_MAX_DEPTH: Final = 1000
_REQUESTS: Final = 600  # per address and window
_WINDOW_NS: Final = 5 * NS_PER_S
_MAX_MS: Final = 10_000_000_000_000  # year 2286
_PARAMS_ERROR: Final = 10001
_CATEGORIES: Final = frozenset({"spot", "linear", "inverse", "option"})

_Handler: TypeAlias = "Callable[[Mapping[str, str], int], Mapping[str, object]]"


class BybitRest:
    """Answers requests under /v5/market.

    Parameters
    ----------
    deepest
        Returns the snapshot of the stream of 1,000 levels, whose `u` the REST book carries.
    """

    def __init__(
        self, exchange: Exchange, pairs: Mapping[str, BybitPair], deepest: Callable[[str, int], BookFrame]
    ) -> None:
        self._exchange = exchange
        self._pairs = pairs
        self._deepest = deepest
        self._tickers = BybitTickers(exchange.derivatives)
        self._symbol_of = {pair.name: symbol for symbol, pair in pairs.items()}
        self._routes: dict[str, _Handler] = {
            "/v5/market/time": self._time,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/orderbook": self._book,
            "/v5/market/kline": self._candles,
            TICKERS: self._spot_tickers,
        }
        self._used: dict[str, tuple[int, int]] = {}  # by address: window, requests

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET."""
        handler = self._routes.get(request.path)
        if handler is None:
            return RestReply(bybit_said(404, "Not Found", {}, now_ns), 404)
        if not self._allowed(request.client, now_ns):
            return RestReply(bybit_said(10018, "access too frequent", {}, now_ns), 403)
        if request.path == TICKERS and request.query.get("category") != "spot":
            return self._tickers.answer(request, now_ns)
        try:
            result = handler(request.query, now_ns)
        except BybitQueryError as error:
            return RestReply(bybit_said(_PARAMS_ERROR, str(error), {}, now_ns))
        return RestReply(bybit_said(0, "OK", result, now_ns))

    def too_many(self, retry_after_s: int) -> RestReply:
        """Return 429 and 10429, with the seconds to wait."""
        body = bybit_said(10429, "System level frequency protection", {}, 0)
        return RestReply(body, 429, {"Retry-After": str(retry_after_s)})

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        return RestReply(bybit_said(10016, "Internal server error.", {}, 0), status)

    def _allowed(self, client: str, now_ns: int) -> bool:
        window = now_ns // _WINDOW_NS
        at, used = self._used.get(client, (window, 0))
        used = used + 1 if at == window else 1
        self._used[client] = (window, used)
        return used <= _REQUESTS

    def _time(self, query: Mapping[str, str], now_ns: int) -> Mapping[str, object]:
        del query  # takes no parameter
        return {"timeSecond": str(now_ns // NS_PER_S), "timeNano": str(now_ns)}

    def _instruments(self, query: Mapping[str, str], now_ns: int) -> Mapping[str, object]:
        del now_ns
        category = query.get("category", "")
        if category not in _CATEGORIES:
            raise BybitQueryError("params error: Category is invalid")
        listed = self._exchange.symbols if category == "spot" else ()  # no contracts here
        if "symbol" in query:
            listed = tuple(symbol for symbol in listed if self._pairs[symbol].name == query["symbol"])
        instruments = [self._instrument(symbol) for symbol in listed]
        page = {} if category == "spot" else {"nextPageCursor": ""}  # spot is told whole
        return {"category": category, "list": instruments, **page}

    def _instrument(self, symbol: str) -> dict[str, object]:
        instrument, (base, quote) = self._exchange.instruments[symbol], symbol.split("-")
        return {
            "symbol": self._pairs[symbol].name,
            "baseCoin": base,
            "quoteCoin": quote,
            "innovation": "0",
            "status": "Trading",
            "marginTrading": "none",
            "stTag": "0",
            "lotSizeFilter": {
                "basePrecision": f"{instrument.lot:f}",
                "quotePrecision": f"{instrument.tick * instrument.lot:f}",
                "minOrderQty": f"{instrument.min_qty:f}",
                "minOrderAmt": f"{instrument.min_notional:f}",
            },
            "priceFilter": {"tickSize": f"{instrument.tick:f}"},
        }

    def _book(self, query: Mapping[str, str], now_ns: int) -> Mapping[str, object]:
        _check_category(query)
        symbol, depth = self._symbol(query), _integer(query, "limit", 1)
        if not 1 <= depth <= _MAX_DEPTH:
            raise BybitQueryError("params error: limit invalid")
        pair, shown = self._pairs[symbol], self._deepest(symbol, now_ns)
        return {
            "s": pair.name,
            "b": json.loads(pair.levels(shown.bids[:depth])),
            "a": json.loads(pair.levels(shown.asks[:depth])),
            "ts": shown.sent_ns // NS_PER_MS,
            "u": shown.update_id,
            "seq": shown.cross_id,
            "cts": shown.matched_ns // NS_PER_MS,
        }

    def _spot_tickers(self, query: Mapping[str, str], now_ns: int) -> Mapping[str, object]:
        listed = [self._symbol(query)] if "symbol" in query else list(self._exchange.symbols)
        return {"category": "spot", "list": [self._spot_ticker(symbol, now_ns) for symbol in listed]}

    def _spot_ticker(self, symbol: str, now_ns: int) -> dict[str, str]:
        """Return the best prices, empty on a side that has none, and what the minutes of a day traded."""
        book, pair = self._exchange.book(symbol), self._pairs[symbol]
        first_ns = now_ns // NS_MINUTE * NS_MINUTE - NS_DAY + NS_MINUTE
        day = self._exchange.candles(symbol, "1m", first_ns, now_ns, now_ns)
        bid, ask = (next(iter(side.levels(1)), None) for side in (book.bids, book.asks))
        instrument = self._exchange.instruments[symbol]
        turnover = sum(candle.quote for candle in day) * instrument.tick * instrument.lot
        return {
            "symbol": pair.name,
            "bid1Price": pair.price_text(bid[0]) if bid else "",
            "bid1Size": pair.size_text(bid[1]) if bid else "",
            "ask1Price": pair.price_text(ask[0]) if ask else "",
            "ask1Size": pair.size_text(ask[1]) if ask else "",
            "lastPrice": pair.price_text(day[-1].close),
            "prevPrice24h": pair.price_text(day[0].open),
            "price24hPcnt": f"{day[-1].close / day[0].open - 1.0:.4f}",
            "highPrice24h": pair.price_text(max(candle.high for candle in day)),
            "lowPrice24h": pair.price_text(min(candle.low for candle in day)),
            "turnover24h": f"{turnover:f}",
            "volume24h": pair.size_text(sum(candle.lots for candle in day)),
        }

    def _candles(self, query: Mapping[str, str], now_ns: int) -> Mapping[str, object]:
        """Return rows newest first; both bounds are included, and of more than fit the newest are told."""
        _check_category(query)
        symbol = self._symbol(query)
        interval, length = _INTERVALS.get(query.get("interval", ""), ("", 0))
        limit = _integer(query, "limit", _DEFAULT_CANDLES)
        if not interval or not 1 <= limit <= _MAX_CANDLES:
            raise BybitQueryError("params error: interval or limit invalid")
        start_ns, end_ns = (
            _integer(query, name, default) * NS_PER_MS for name, default in (("start", 0), ("end", _MAX_MS))
        )
        last_ns = min(now_ns, end_ns) // length * length
        first_ns = max(start_ns, last_ns - (limit - 1) * length)
        candles = self._exchange.candles(symbol, interval, first_ns, last_ns, now_ns)
        rows = [self._row(symbol, candle) for candle in reversed(candles)]
        return {"category": "spot", "symbol": self._pairs[symbol].name, "list": rows}

    def _row(self, symbol: str, candle: Candle) -> list[str]:
        instrument, pair = self._exchange.instruments[symbol], self._pairs[symbol]
        ticks = (candle.open, candle.high, candle.low, candle.close)
        turnover = f"{candle.quote * instrument.tick * instrument.lot:f}"
        prices = [pair.price_text(tick) for tick in ticks]
        return [str(candle.open_ns // NS_PER_MS), *prices, pair.size_text(candle.lots), turnover]

    def _symbol(self, query: Mapping[str, str]) -> str:
        symbol = self._symbol_of.get(query.get("symbol", ""))
        if symbol is None:
            raise BybitQueryError("Not supported symbols")
        return symbol


def _check_category(query: Mapping[str, str]) -> None:
    if query.get("category") != "spot":
        raise BybitQueryError("params error: Category is invalid")


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_MS))):
        raise BybitQueryError(f"params error: {name} invalid")
    return int(text)
