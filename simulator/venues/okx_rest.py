"""OKX's public REST routes: time, instruments, book, candles; a refusal travels inside a 200, with a code.

References
----------
okx.com/docs-v5/en, REST market data (books, candles, history-candles), public data (time, instruments) and
the REST error codes, as of 2026-07-07.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.latent import NS_DAY, NS_MINUTE
from simulator.venues.okx_book import OkxPair, plain
from simulator.venues.okx_swaps import OkxQueryError, OkxSwaps, okx_data, okx_refusal
from simulator.venues.venue import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.candles import Candle
    from simulator.venues.venue import Exchange, RestRequest

_BARS: Final = {"1m": ("1m", NS_MINUTE), "1Dutc": ("1d", NS_DAY)}  # OKX's name: interval, length
_MAX_CANDLES: Final = 300
_DEFAULT_CANDLES: Final = 100
_MAX_DEPTH: Final = 400
_TYPES: Final = frozenset({"SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"})
_FAILURES: Final = {500: ("50026", "System error"), 503: ("50001", "Service temporarily unavailable")}
_WINDOW_NS: Final = 2 * NS_PER_S  # of every rate limit
_MAX_MS: Final = 10_000_000_000_000  # year 2286

_Handler: TypeAlias = "Callable[[Mapping[str, str], int], object]"


class OkxRest:
    """Answers requests under /api/v5.

    Parameters
    ----------
    seq_id
        Returns the `seqId` of a symbol's book as it is now, in the count of the channel books.
    """

    def __init__(
        self, exchange: Exchange, symbol_of: Mapping[str, str], seq_id: Callable[[str], int]
    ) -> None:
        self._exchange = exchange
        self._symbol_of = symbol_of
        self._seq_id = seq_id
        self._pairs = OkxPair.all_of(exchange)
        self._swaps = OkxSwaps(exchange.derivatives)
        self._routes: dict[str, tuple[_Handler, int]] = {  # and requests in 2 s per address
            "/api/v5/public/time": (self._time, 10),
            "/api/v5/public/instruments": (self._instruments, 20),
            "/api/v5/market/books": (self._books, 40),
            "/api/v5/market/candles": (self._candles, 40),
            "/api/v5/market/history-candles": (self._candles, 20),
        }
        self._used: dict[
            tuple[str, str], tuple[int, int]
        ] = {}  # by address and what is counted: window, requests

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET."""
        if request.path in self._swaps.limits:
            limit, counted = self._swaps.limits[request.path], self._swaps.counted(request)
            allowed = self._allowed(request.client, counted, limit, now_ns)
            return self._swaps.answer(request, now_ns) if allowed else self.too_many(1)
        route = self._routes.get(request.path)
        if route is None:
            return RestReply(okx_refusal("404", "Not Found"), 404)
        handler, limit = route
        if not self._allowed(request.client, request.path, limit, now_ns):
            return self.too_many(1)
        try:
            data = handler(request.query, now_ns)
        except OkxQueryError as error:
            return RestReply(okx_refusal(*error.args))
        return RestReply(okx_data(data))

    def too_many(self, retry_after_s: int) -> RestReply:
        """Return 429 and 50011, with the seconds to wait."""
        text = "Rate limit reached. Please refer to API documentation and throttle requests accordingly"
        return RestReply(okx_refusal("50011", text), 429, {"Retry-After": str(retry_after_s)})

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        code, text = _FAILURES.get(status, _FAILURES[500])
        return RestReply(okx_refusal(code, f"{text}. Please try again later."), status)

    def _allowed(self, client: str, counted: str, limit: int, now_ns: int) -> bool:
        key, window = (client, counted), now_ns // _WINDOW_NS
        at, used = self._used.get(key, (window, 0))
        used = used + 1 if at == window else 1
        self._used[key] = (window, used)
        return used <= limit

    def _time(self, query: Mapping[str, str], now_ns: int) -> object:
        del query  # takes no parameter
        return [{"ts": str(now_ns // NS_PER_MS)}]

    def _instruments(self, query: Mapping[str, str], now_ns: int) -> object:
        del now_ns
        if query.get("instType") not in _TYPES:
            raise OkxQueryError("51000", "Parameter instType error")
        if query["instType"] != "SPOT" and not query.get("instId"):
            return []  # no contracts here
        wanted = [self._symbol(query)] if query.get("instId") else self._exchange.symbols
        return [self._instrument(symbol) for symbol in wanted]

    def _instrument(self, symbol: str) -> dict[str, str]:
        instrument, (base, quote) = self._exchange.instruments[symbol], symbol.split("-")
        return {
            "instType": "SPOT",
            "instId": self._exchange.spelling[symbol],
            "uly": "",
            "instFamily": "",
            "baseCcy": base,
            "quoteCcy": quote,
            "settleCcy": "",
            "ctVal": "",
            "ctMult": "",
            "ctValCcy": "",
            "optType": "",
            "stk": "",
            "listTime": str(self._exchange.earliest_ns // NS_PER_MS),
            "expTime": "",
            "lever": "",
            "tickSz": f"{instrument.tick:f}",
            "lotSz": f"{instrument.lot:f}",
            "minSz": f"{instrument.min_qty:f}",
            "ctType": "",
            "state": "live",
            "ruleType": "normal",
        }

    def _books(self, query: Mapping[str, str], now_ns: int) -> object:
        symbol, depth = self._symbol(query), _integer(query, "sz", 1)
        if not 1 <= depth <= _MAX_DEPTH:
            raise OkxQueryError("51000", "Parameter sz error")
        book, pair = self._exchange.book(symbol), self._pairs[symbol]
        asks, bids = pair.levels(book.asks.levels(depth)), pair.levels(book.bids.levels(depth))
        sides = {"asks": json.loads(asks), "bids": json.loads(bids)}
        return [{**sides, "ts": str(now_ns // NS_PER_MS), "seqId": self._seq_id(symbol)}]

    def _candles(self, query: Mapping[str, str], now_ns: int) -> object:
        """Return rows newest first; both bounds are excluded, and of more than fit the newest are told."""
        symbol = self._symbol(query)
        interval, length = _BARS.get(query.get("bar", "1m"), ("", 0))
        if not interval:
            raise OkxQueryError("51000", "Parameter bar error")
        limit = min(_integer(query, "limit", _DEFAULT_CANDLES), _MAX_CANDLES)
        running_ns = now_ns // length * length
        before_ns, after_ns = _integer(query, "before", -1), _integer(query, "after", _MAX_MS)
        last_ns = min(running_ns, (after_ns * NS_PER_MS - 1) // length * length)
        first_ns = max(before_ns * NS_PER_MS + 1, last_ns - (limit - 1) * length)
        candles = self._exchange.candles(symbol, interval, first_ns, last_ns, now_ns)
        return [self._row(symbol, candle, closed=candle.open_ns < running_ns) for candle in reversed(candles)]

    def _row(self, symbol: str, candle: Candle, *, closed: bool) -> list[str]:
        instrument, pair = self._exchange.instruments[symbol], self._pairs[symbol]
        ticks = (candle.open, candle.high, candle.low, candle.close)
        quote = f"{candle.quote * instrument.tick * instrument.lot:f}"
        volumes = [plain(pair.size.text(candle.lots)), plain(quote), plain(quote)]
        prices = [plain(pair.price.text(tick)) for tick in ticks]
        return [str(candle.open_ns // NS_PER_MS), *prices, *volumes, str(int(closed))]

    def _symbol(self, query: Mapping[str, str]) -> str:
        symbol = self._symbol_of.get(query.get("instId", ""))
        if symbol is None:
            raise OkxQueryError("51001", "Instrument ID or Spread ID doesn't exist.")
        return symbol


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.removeprefix("-").isdigit() and text.isascii() and len(text) <= len(str(_MAX_MS))):
        raise OkxQueryError("51000", f"Parameter {name} error")
    return int(text)
