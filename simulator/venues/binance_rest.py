"""Binance spot's REST routes for market data, with request weights and their headers.

References
----------
github.com/binance/binance-spot-api-docs, rest-api.md and errors.md, as of 2026-07-21.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import MINUTE_NS, NS_PER_MS, NS_PER_S
from simulator.candles import INTERVALS
from simulator.venues.venue import Digits, RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simulator.candles import Candle
    from simulator.venues.venue import Exchange, RestRequest

_WIDTH: Final = 8  # decimal places of every price and quantity
_WEIGHT_LIMIT: Final = 6000  # per address and minute
_DEPTH_WEIGHTS: Final = ((100, 5), (500, 25), (1000, 50), (5000, 250))  # up to this limit: weight
_MAX_DEPTH: Final = 5000
_MAX_KLINES: Final = 1000
_INTEGER: Final = re.compile(r"[0-9]{1,20}")

_Handler: TypeAlias = "Callable[[Mapping[str, str], int], object]"
_Weigh: TypeAlias = "Callable[[Mapping[str, str]], int]"


class RequestError(Exception):
    """An answer in the shape of the venue's errors."""

    def __init__(
        self, status: int, code: int, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reply = RestReply(json.dumps({"code": code, "msg": message}), status, headers or {})


class RequestWeights:
    """Weight used by each address in the current minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._used: dict[str, int] = {}

    def add(self, client: str, weight: int, now_ns: int) -> tuple[int, int]:
        """Count a request; return the weight used and the seconds until it is forgotten."""
        minute, rest = divmod(now_ns, MINUTE_NS)
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        self._used[client] = used = self._used.get(client, 0) + weight
        return used, 60 - rest // NS_PER_S


class BinanceRest:
    """Answers requests under /api/v3."""

    def __init__(self, exchange: Exchange, symbol_of: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._symbol_of = symbol_of
        self._weights = RequestWeights()
        self._routes: dict[str, tuple[_Handler, _Weigh]] = {
            "/api/v3/ping": (self._ping, lambda _: 1),
            "/api/v3/time": (self._time, lambda _: 1),
            "/api/v3/depth": (self._depth, _depth_weight),
            "/api/v3/klines": (self._klines, lambda _: 2),
            "/api/v3/exchangeInfo": (self._exchange_info, lambda _: 20),
        }

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET; every answer counts and carries the weight used."""
        route = self._routes.get(request.path)
        if route is None:
            return RestReply(json.dumps({"code": -1000, "msg": "Path not found"}), 404)
        handler, weigh = route
        try:
            used, left_s = self._weights.add(request.client, weigh(request.query), now_ns)
            headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
            if used > _WEIGHT_LIMIT:
                limited = self.too_many(left_s)
                return RestReply(limited.body, limited.status, {**limited.headers, **headers})
            return RestReply(json.dumps(handler(request.query, now_ns), separators=(",", ":")), 200, headers)
        except RequestError as error:
            return error.reply

    def too_many(self, retry_after_s: int) -> RestReply:
        """Return 429 and -1003."""
        message = (
            f"Too much request weight used; current limit is {_WEIGHT_LIMIT} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return RequestError(429, -1003, message, {"Retry-After": str(retry_after_s)}).reply

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        return RequestError(
            status, -1001, "Internal error; unable to process your request. Please try again."
        ).reply

    def _ping(self, query: Mapping[str, str], now_ns: int) -> object:
        del query, now_ns  # the answer is always the same
        return {}

    def _time(self, query: Mapping[str, str], now_ns: int) -> object:
        del query  # takes no parameter
        return {"serverTime": now_ns // NS_PER_MS}

    def _depth(self, query: Mapping[str, str], now_ns: int) -> object:
        del now_ns  # the book is as of now
        book, limit = self._exchange.book(self._symbol(query)), _depth_limit(query)
        price, size = self._digits(book.symbol)
        return {
            "lastUpdateId": book.update_id,
            "bids": [[price.text(tick), size.text(lots)] for tick, lots in book.bids.levels(limit)],
            "asks": [[price.text(tick), size.text(lots)] for tick, lots in book.asks.levels(limit)],
        }

    def _klines(self, query: Mapping[str, str], now_ns: int) -> object:
        symbol, interval = self._symbol(query), query.get("interval")
        if interval is None:
            raise _missing("interval")
        if interval not in INTERVALS:
            raise RequestError(400, -1120, "Invalid interval.")
        limit = min(_integer(query, "limit", 500), _MAX_KLINES)
        if not limit:
            raise RequestError(400, -1128, "Combination of optional parameters invalid.")
        length = INTERVALS[interval]
        end_ns = min(_integer(query, "endTime", now_ns // NS_PER_MS) * NS_PER_MS, now_ns)
        if "startTime" in query:
            start_ns = _integer(query, "startTime", 0) * NS_PER_MS
            first_open = -(-start_ns // length) * length
            end_ns = min(end_ns, max(first_open, self._exchange.earliest_ns) + (limit - 1) * length)
        else:
            start_ns = (end_ns // length - limit + 1) * length
        candles = self._exchange.candles(symbol, interval, start_ns, end_ns, now_ns)
        return [self._kline(symbol, candle, length) for candle in candles]

    def _kline(self, symbol: str, candle: Candle, length_ns: int) -> list[object]:
        price, size = self._digits(symbol)
        instrument = self._exchange.instruments[symbol]
        quote = Digits.of(instrument.tick * instrument.lot).text
        return [
            candle.open_ns // NS_PER_MS,
            price.text(candle.open),
            price.text(candle.high),
            price.text(candle.low),
            price.text(candle.close),
            size.text(candle.lots),
            (candle.open_ns + length_ns) // NS_PER_MS - 1,
            _to_width(quote(candle.quote)),
            candle.trades,
            size.text(candle.taker_lots),
            _to_width(quote(candle.taker_quote)),
            "0",
        ]

    def _exchange_info(self, query: Mapping[str, str], now_ns: int) -> object:
        symbols = self._wanted(query)
        return {
            "timezone": "UTC",
            "serverTime": now_ns // NS_PER_MS,
            "rateLimits": [
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": _WEIGHT_LIMIT,
                },
                {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
            ],
            "exchangeFilters": [],
            "symbols": [self._symbol_info(symbol) for symbol in symbols],
        }

    def _wanted(self, query: Mapping[str, str]) -> Sequence[str]:
        """Return the symbols that are asked for: one, those of a JSON array, or all."""
        if "symbols" not in query:
            return (self._symbol(query),) if "symbol" in query else self._exchange.symbols
        if "symbol" in query:
            raise RequestError(400, -1128, "Combination of optional parameters invalid.")
        try:
            names = json.loads(query["symbols"])
        except ValueError:
            names = None
        if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
            raise RequestError(400, -1100, "Illegal characters found in parameter 'symbols'.")
        return [self._symbol({"symbol": name}) for name in names]

    def _symbol_info(self, symbol: str) -> object:
        instrument, (base, quote) = self._exchange.instruments[symbol], symbol.split("-")
        tick, lot = f"{instrument.tick:.{_WIDTH}f}", f"{instrument.lot:.{_WIDTH}f}"
        return {
            "symbol": self._exchange.spelling[symbol],
            "status": "TRADING",
            "baseAsset": base,
            "baseAssetPrecision": _WIDTH,
            "quoteAsset": quote,
            "quotePrecision": _WIDTH,
            "quoteAssetPrecision": _WIDTH,
            "baseCommissionPrecision": _WIDTH,
            "quoteCommissionPrecision": _WIDTH,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "amendAllowed": False,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": tick,
                    "maxPrice": "1000000.00000000",
                    "tickSize": tick,
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": f"{instrument.min_qty:.{_WIDTH}f}",
                    "maxQty": "90000.00000000",
                    "stepSize": lot,
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": f"{instrument.min_notional:.{_WIDTH}f}",
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00000000",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": ["NONE"],
        }

    def _symbol(self, query: Mapping[str, str]) -> str:
        name = query.get("symbol")
        if name is None:
            raise _missing("symbol")
        if name not in self._symbol_of:
            raise RequestError(400, -1121, "Invalid symbol.")
        return self._symbol_of[name]

    def _digits(self, symbol: str) -> tuple[Digits, Digits]:
        instrument = self._exchange.instruments[symbol]
        return Digits.of(instrument.tick, _WIDTH), Digits.of(instrument.lot, _WIDTH)


def _missing(name: str) -> RequestError:
    return RequestError(
        400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _INTEGER.fullmatch(text):
        message = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        raise RequestError(400, -1100, message)
    return int(text)


def _depth_limit(query: Mapping[str, str]) -> int:
    limit = _integer(query, "limit", 100)
    if not limit:
        raise RequestError(400, -1128, "Combination of optional parameters invalid.")
    return min(limit, _MAX_DEPTH)


def _depth_weight(query: Mapping[str, str]) -> int:
    limit = _depth_limit(query)
    return next(weight for up_to, weight in _DEPTH_WEIGHTS if limit <= up_to)


def _to_width(text: str) -> str:
    """Cut or pad a decimal text to the venue's number of places."""
    whole, _, places = text.partition(".")
    return f"{whole}.{places[:_WIDTH]:0<{_WIDTH}}"
