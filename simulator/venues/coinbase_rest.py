"""Coinbase's public REST routes: time, products, book, trades, candles.

References
----------
docs.cdp.coinbase.com, Advanced Trade REST, public endpoints, and Coinbase App, time, currencies and exchange
rates (which need no key), as of 2026-08.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.latent import NS_DAY, NS_MINUTE
from simulator.venues.coinbase_frames import maker_side, moment, plain
from simulator.venues.venue import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from simulator.candles import Candle
    from simulator.exchange_book import Level, Print
    from simulator.venues.venue import Exchange, Pair, RestRequest

_PREFIX: Final = "/api/v3/brokerage"
_PRODUCT_PATH: Final = re.compile(rf"{_PREFIX}/market/products/([A-Z0-9-]{{1,30}})(/candles|/ticker)?")
_GRANULARITIES: Final = {"ONE_MINUTE": ("1m", NS_MINUTE), "ONE_DAY": ("1d", NS_DAY)}
_MAX_CANDLES: Final = 350
_MAX_TRADES: Final = 100
_MICROSECONDS: Final = 6
_PRODUCT_TYPES: Final = (None, "UNKNOWN_PRODUCT_TYPE", "SPOT", "FUTURE")
_NAMES: Final = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "USDT": "Tether"}
# Public routes allow about ten requests a second and address.
_BURST: Final = 10.0
_PER_S: Final = 10.0

_Handler: TypeAlias = "Callable[[Pair, Mapping[str, str], int], object]"


class _QueryError(Exception):
    """A refusal in the shape of the venue's errors."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.reply = _refusal(status, error, message)


def _refusal(status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> RestReply:
    body = {"error": error, "error_details": message, "message": message}
    return RestReply(json.dumps(body), status, headers or {})


class CoinbaseRest:
    """Answers requests under /api/v3/brokerage and /v2.

    Parameters
    ----------
    told
        The latest trades of each symbol, oldest first.
    """

    def __init__(
        self, exchange: Exchange, products: Mapping[str, Pair], told: Mapping[str, Sequence[Print]]
    ) -> None:
        self._exchange = exchange
        self._products = {product.name: product for product in products.values()}
        self._told = told
        self._buckets: dict[str, tuple[float, int]] = {}  # per address: tokens, as of
        self._routes: dict[str | None, _Handler] = {
            None: self._product,
            "/candles": self._candles,
            "/ticker": self._ticker,
        }

    def symbol_of(self, request: RestRequest) -> str | None:
        """Return the canonical symbol of the product a request names in its path or query, if any."""
        match = _PRODUCT_PATH.fullmatch(request.path)
        product = self._products.get(match[1] if match else request.query.get("product_id", ""))
        return product.symbol if product else None

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET."""
        if not self._allowed(request.client, now_ns):
            return self.too_many(1)
        try:
            return RestReply(json.dumps(self._answer(request, now_ns), separators=(",", ":")))
        except _QueryError as error:
            return error.reply

    def too_many(self, retry_after_s: int) -> RestReply:
        """Return 429 with the seconds to wait."""
        return _refusal(429, "RATE_LIMIT_EXCEEDED", "Too many requests", {"Retry-After": str(retry_after_s)})

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        error = "UNAVAILABLE" if status == 503 else "INTERNAL"  # noqa: PLR2004 - HTTP
        return _refusal(status, error, "Something went wrong")

    def _allowed(self, client: str, now_ns: int) -> bool:
        tokens, as_of = self._buckets.get(client, (_BURST, now_ns))
        tokens = min(_BURST, tokens + (now_ns - as_of) / NS_PER_S * _PER_S)
        self._buckets[client] = (max(0.0, tokens - 1.0), now_ns)
        return tokens >= 1.0

    def _answer(self, request: RestRequest, now_ns: int) -> object:
        match request.path.removeprefix(_PREFIX):
            case "/time":
                seconds, milliseconds = now_ns // NS_PER_S, now_ns // NS_PER_MS
                iso = moment(now_ns, _MICROSECONDS)
                return {"iso": iso, "epochSeconds": str(seconds), "epochMillis": str(milliseconds)}
            case "/market/products":
                products = [self._product(product, {}, now_ns) for product in self._listed(request.query)]
                return {"products": products, "num_products": len(products)}
            case "/v2/time":
                return {"data": {"iso": moment(now_ns, 0).replace(".Z", "Z"), "epoch": now_ns // NS_PER_S}}
            case "/v2/currencies":
                return {"data": []}  # of governments, which this market does not trade
            case "/v2/currencies/crypto":
                return {"data": self._assets()}
            case "/v2/exchange-rates":
                return {"data": self._rates(request.query.get("currency", "USD"))}
            case "/market/product_book":
                return self._book(self._named(request.query.get("product_id", "")), request.query, now_ns)
        path = _PRODUCT_PATH.fullmatch(request.path)
        if path is None:
            raise _QueryError(404, "NOT_FOUND", "route not found")
        return self._routes[path[2]](self._named(path[1]), request.query, now_ns)

    def _listed(self, query: Mapping[str, str]) -> list[Pair]:
        """Return the page of products that is asked for; all of them are spot."""
        kind, (limit, offset) = (
            query.get("product_type"),
            (_integer(query, name, 0) for name in ("limit", "offset")),
        )
        if kind not in _PRODUCT_TYPES:
            raise _QueryError(400, "INVALID_ARGUMENT", "product_type is UNKNOWN_PRODUCT_TYPE, SPOT or FUTURE")
        found = list(self._products.values()) if kind in {None, "SPOT", "UNKNOWN_PRODUCT_TYPE"} else []
        return found[offset : offset + limit if limit else None]

    def _assets(self) -> list[dict[str, object]]:
        codes = dict.fromkeys(asset for symbol in self._exchange.symbols for asset in symbol.split("-"))
        return [
            {
                "code": code,
                "name": _NAMES.get(code, code),
                "exponent": 8,
                "type": "crypto",
                "sort_index": index,
            }
            for index, code in enumerate(codes, 100)
        ]

    def _rates(self, currency: str) -> object:
        """Return what one unit of a currency is worth in those it trades against here."""
        rates = {currency: "1.0"}
        for product in self._products.values():
            last, (base, quote) = self._exchange.book(product.symbol).last_print, product.symbol.split("-")
            if last is None or currency not in {base, quote}:
                continue
            price = self._exchange.instruments[product.symbol].tick * last.tick
            rates |= {quote: f"{price:f}"} if currency == base else {base: f"{1 / price:.12f}"}
        return {"currency": currency, "rates": rates}

    def _product(self, product: Pair, query: Mapping[str, str], now_ns: int) -> object:
        del query, now_ns  # the same at all times
        instrument = self._exchange.instruments[product.symbol]
        last = self._exchange.book(product.symbol).last_print
        base, quote = product.symbol.split("-")
        return {
            "product_id": product.name,
            "price": plain(product.price, last.tick) if last else "",
            "base_increment": f"{instrument.lot:f}",
            "quote_increment": f"{instrument.tick:f}",
            "price_increment": f"{instrument.tick:f}",
            "base_min_size": f"{instrument.min_qty:f}",
            "quote_min_size": f"{instrument.min_notional:f}",
            "base_currency_id": base,
            "quote_currency_id": quote,
            "base_name": _NAMES.get(base, base),
            "quote_name": _NAMES.get(quote, quote),
            "base_display_symbol": base,
            "quote_display_symbol": quote,
            "display_name": product.name,
            "status": "online",
            "product_type": "SPOT",
            "product_venue": "CBE",
            "watched": False,
            "new": False,
            "view_only": False,
            "is_disabled": False,
            "trading_disabled": False,
            "cancel_only": False,
            "limit_only": False,
            "post_only": False,
            "auction_mode": False,
            "alias": "",
            "alias_to": [],
        }

    def _book(self, product: Pair, query: Mapping[str, str], now_ns: int) -> object:
        book = self._exchange.book(product.symbol)
        depth = _integer(query, "limit", 0) or None
        sides = {
            name: self._levels(product, list(side.levels(depth)))
            for name, side in (("bids", book.bids), ("asks", book.asks))
        }
        return {"pricebook": {"product_id": product.name, **sides, "time": moment(now_ns, _MICROSECONDS)}}

    def _levels(self, product: Pair, levels: list[Level]) -> list[dict[str, str]]:
        return [
            {"price": plain(product.price, tick), "size": plain(product.size, lots)} for tick, lots in levels
        ]

    def _ticker(self, product: Pair, query: Mapping[str, str], now_ns: int) -> object:
        del now_ns
        limit = min(_integer(query, "limit", _MAX_TRADES), _MAX_TRADES)
        trades = list(reversed(self._told[product.symbol]))[:limit]
        book = self._exchange.book(product.symbol)
        return {
            "trades": [
                {
                    "trade_id": str(trade.trade_id),
                    "product_id": product.name,
                    "price": plain(product.price, trade.tick),
                    "size": plain(product.size, trade.lots),
                    "time": moment(trade.ts_ns, _MICROSECONDS),
                    "side": maker_side(trade),
                }
                for trade in trades
            ],
            "best_bid": plain(product.price, book.bids.best) if book.bids.keys else "",
            "best_ask": plain(product.price, book.asks.best) if book.asks.keys else "",
        }

    def _candles(self, product: Pair, query: Mapping[str, str], now_ns: int) -> object:
        """Return the candles that open from start to end, both counted, the newest first."""
        if query.get("granularity") not in _GRANULARITIES:
            raise _QueryError(400, "INVALID_ARGUMENT", f"granularity is one of {', '.join(_GRANULARITIES)}")
        interval, length = _GRANULARITIES[query["granularity"]]
        first_ns, last_ns = (_integer(query, name, -1) * NS_PER_S for name in ("start", "end"))
        if not 0 <= first_ns <= last_ns:
            raise _QueryError(400, "INVALID_ARGUMENT", "start and end are UNIX times, start before end")
        if last_ns - first_ns >= _MAX_CANDLES * length:
            reason = f"number of candles requested should be less than {_MAX_CANDLES}"
            raise _QueryError(400, "INVALID_ARGUMENT", f"start and end argument is invalid - {reason}")
        candles = self._exchange.candles(product.symbol, interval, first_ns, min(last_ns, now_ns), now_ns)
        return {"candles": [self._candle(product, candle) for candle in reversed(candles) if candle.trades]}

    def _candle(self, product: Pair, candle: Candle) -> dict[str, str]:
        prices = {"low": candle.low, "high": candle.high, "open": candle.open, "close": candle.close}
        return {
            "start": str(candle.open_ns // NS_PER_S),
            **{name: plain(product.price, tick) for name, tick in prices.items()},
            "volume": plain(product.size, candle.lots),
        }

    def _named(self, name: str) -> Pair:
        if name not in self._products:
            raise _QueryError(404, "NOT_FOUND", "valid product_id is required")
        return self._products[name]


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if text == str(default):
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12):  # noqa: PLR2004 - of any UNIX time
        raise _QueryError(400, "INVALID_ARGUMENT", f"{name} is a number")
    return int(text)
