"""Kraken's public REST routes: time, assets, pairs, candles, depth; their errors travel inside a 200.

What is about a pair is answered under the name by which the pair was asked for.

References
----------
docs.kraken.com/exchange, REST market data (Time, SystemStatus, Assets, AssetPairs, OHLC, Depth), as of
2026-08; the key of an answer as python-kraken-sdk 3.5.1 relies on it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from simulator.latent import NS_DAY, NS_MINUTE
from simulator.venues.venue import Digits, RestReply, decimals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.candles import Candle
    from simulator.venues.venue import Exchange, RestRequest

_INTERVALS: Final = {1: ("1m", NS_MINUTE), 1440: ("1d", NS_DAY)}  # minutes: interval, length
_MAX_CANDLES: Final = 720
_MAX_DEPTH: Final = 500
# The four letters that the first currencies have as an asset; their pairs with USDT are without them.
_ASSETS: Final = {"XBT": "XXBT", "ETH": "XETH"}
# The published limits of public routes are vague: about one a second, after a burst.
_BURST: Final = 15.0
_PER_S: Final = 1.0


class _QueryError(Exception):
    """A refusal; the text is Kraken's error code."""


class KrakenRest:
    """Answers requests under /0/public."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._names = {symbol: venue_of("kraken-v1").spell(symbol) for symbol in exchange.symbols}
        both = (self._names, exchange.spelling)
        self._symbols = {names[s].replace("/", ""): s for names in both for s in exchange.symbols}
        self._buckets: dict[str, tuple[float, int]] = {}  # per address: tokens, as of
        self._routes = {
            "/0/public/Time": self._time,
            "/0/public/SystemStatus": self._status,
            "/0/public/Assets": self._assets,
            "/0/public/AssetPairs": self._asset_pairs,
            "/0/public/OHLC": self._ohlc,
            "/0/public/Depth": self._depth,
        }

    def symbol_of(self, pair: str) -> str | None:
        """Return the canonical symbol of BTC/USDT, XBT/USDT, XBTUSDT or BTCUSDT; None if not served."""
        return self._symbols.get(pair.replace("/", ""))

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET."""
        route = self._routes.get(request.path)
        if route is None:
            return RestReply(json.dumps({"error": ["EGeneral:Unknown method"]}), 404)
        if not self._allowed(request.client, now_ns):
            return self.too_many(1)
        try:
            return RestReply(json.dumps({"error": [], "result": route(request.query, now_ns)}))
        except _QueryError as error:
            return RestReply(json.dumps({"error": [str(error)]}))

    def too_many(self, retry_after_s: int) -> RestReply:
        """Return 429 with the seconds to wait."""
        body = json.dumps({"error": ["EGeneral:Too many requests"]})
        return RestReply(body, 429, {"Retry-After": str(retry_after_s)})

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        error = "EService:Unavailable" if status == 503 else "EGeneral:Internal error"  # noqa: PLR2004 - HTTP
        return RestReply(json.dumps({"error": [error]}), status)

    def _allowed(self, client: str, now_ns: int) -> bool:
        tokens, as_of = self._buckets.get(client, (_BURST, now_ns))
        tokens = min(_BURST, tokens + (now_ns - as_of) / NS_PER_S * _PER_S)
        self._buckets[client] = (max(0.0, tokens - 1.0), now_ns)
        return tokens >= 1.0

    def _time(self, query: Mapping[str, str], now_ns: int) -> object:
        del query  # takes no parameter
        now_s = now_ns // NS_PER_S
        moment = datetime.fromtimestamp(now_s, UTC)
        return {"unixtime": now_s, "rfc1123": f"{moment:%a, %d %b %y %H:%M:%S} +0000"}

    def _status(self, query: Mapping[str, str], now_ns: int) -> object:
        del query
        moment = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
        return {"status": "online", "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}

    def _assets(self, query: Mapping[str, str], now_ns: int) -> object:
        del now_ns
        names = dict.fromkeys(asset for name in self._names.values() for asset in name.split("/"))
        listed = {_ASSETS.get(asset, asset): asset for asset in names}
        if wanted := query.get("asset"):
            by_name = {spelling: asset for asset, short in listed.items() for spelling in (asset, short)}
            by_name |= {"BTC": by_name["XBT"]} if "XBT" in by_name else {}
            if any(name not in by_name for name in wanted.split(",")):
                raise _QueryError("EQuery:Unknown asset")
            listed = {asset: listed[asset] for asset in (by_name[name] for name in wanted.split(","))}
        return {
            asset: {
                "aclass": "currency",
                "altname": short,
                "decimals": 10,
                "display_decimals": 5,
                "status": "enabled",
            }
            for asset, short in listed.items()
        }

    def _asset_pairs(self, query: Mapping[str, str], now_ns: int) -> object:
        del now_ns
        wanted = query.get("pair")
        names = wanted.split(",") if wanted else [self._key(symbol) for symbol in self._exchange.symbols]
        return {name: self._asset_pair(self._symbol(name)) for name in names}

    def _asset_pair(self, symbol: str) -> object:
        instrument, venue = self._exchange.instruments[symbol], venue_of("kraken")
        base, quote = self._names[symbol].split("/")
        return {
            "altname": self._key(symbol),
            "wsname": self._names[symbol],
            "aclass_base": "currency",
            "base": _ASSETS.get(base, base),
            "aclass_quote": "currency",
            "quote": _ASSETS.get(quote, quote),
            "lot": "unit",
            "cost_decimals": 5,
            "pair_decimals": decimals(instrument.tick),
            "lot_decimals": decimals(instrument.lot),
            "lot_multiplier": 1,
            "leverage_buy": [],
            "leverage_sell": [],
            "fees": [[0, venue.taker_bps / 100.0]],
            "fees_maker": [[0, venue.maker_bps / 100.0]],
            "fee_volume_currency": "ZUSD",
            "ordermin": str(instrument.min_qty),
            "costmin": str(instrument.min_notional),
            "tick_size": str(instrument.tick),
            "status": "online",
        }

    def _ohlc(self, query: Mapping[str, str], now_ns: int) -> object:
        symbol = self._symbol(query.get("pair", ""))
        interval, length = _INTERVALS.get(_integer(query, "interval", 1), ("", 0))
        if not interval:
            raise _QueryError("EGeneral:Invalid arguments")
        running_ns = now_ns // length * length
        since_ns = _integer(query, "since", 0) * NS_PER_S
        # Committed candles after `since`, and the running one whatever `since` says.
        first_ns = min(max(since_ns + 1, running_ns - (_MAX_CANDLES - 1) * length), running_ns)
        candles = self._exchange.candles(symbol, interval, first_ns, running_ns, now_ns)
        rows = [self._row(symbol, candle) for candle in candles]
        return {query["pair"]: rows, "last": (running_ns - length) // NS_PER_S}

    def _row(self, symbol: str, candle: Candle) -> list[object]:
        instrument = self._exchange.instruments[symbol]
        price, size = Digits.of(instrument.tick).text, Digits.of(instrument.lot).text
        vwap = price(round(candle.quote / candle.lots)) if candle.lots else price(0)
        prices = [price(tick) for tick in (candle.open, candle.high, candle.low, candle.close)]
        return [candle.open_ns // NS_PER_S, *prices, vwap, size(candle.lots), candle.trades]

    def _depth(self, query: Mapping[str, str], now_ns: int) -> object:
        symbol = self._symbol(query.get("pair", ""))
        count = _integer(query, "count", 100)
        if not 1 <= count <= _MAX_DEPTH:
            raise _QueryError("EGeneral:Invalid arguments")
        instrument, book = self._exchange.instruments[symbol], self._exchange.book(symbol)
        price, size = Digits.of(instrument.tick, 5).text, Digits.of(instrument.lot).text
        sides = {
            name: [[price(tick), size(lots), now_ns // NS_PER_S] for tick, lots in side.levels(count)]
            for name, side in (("asks", book.asks), ("bids", book.bids))
        }
        return {query["pair"]: sides}

    def _symbol(self, pair: str) -> str:
        symbol = self.symbol_of(pair)
        if symbol is None:
            raise _QueryError("EQuery:Unknown asset pair")
        return symbol

    def _key(self, symbol: str) -> str:
        return self._names[symbol].replace("/", "")


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise _QueryError(f"EGeneral:Invalid arguments:{name}")
    return int(text)
