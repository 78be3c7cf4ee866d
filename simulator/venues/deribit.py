"""Deribit's options, by HTTP alone: summaries, instruments, index price and ticker as JSON-RPC.

References
----------
docs.deribit.com, JSON-RPC overview, rate limits, public/get_book_summary_by_currency, public/get_instruments,
public/get_index_price and public/ticker, as read in 2026-11. BTC and ETH have options that are paid in the
coin; the other currencies that Deribit knows have none here. Futures are not simulated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from libs.common.time_units import NS_PER_MS
from libs.common.token_bucket import AddressBuckets, Rate
from simulator.options import COINS
from simulator.venues.deribit_rows import instrument, summary, ticker
from simulator.venues.venue import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.derivatives import Derivatives
    from simulator.venues.venue import RestRequest

_PREFIX: Final = "/api/v2/"
_CURRENCIES: Final = (*COINS, "SOL", "USDC", "USDT", "EURR")
_KINDS: Final = frozenset({"future", "option", "spot", "future_combo", "option_combo"})
_BOOLEANS: Final = frozenset({"true", "false"})
# In requests: 500 credits each of a pool of 50,000, 10,000 back a second; of instruments 10,000 of 500,000.
_RATE: Final = Rate(20, 100)
_INSTRUMENTS_RATE: Final = Rate(1, 50)
_ADDRESSES: Final = 1000

_Handler: TypeAlias = "Callable[[Mapping[str, str], int], object]"


class _RpcError(Exception):
    """An error object: code, message and, unless empty, the reason and the parameter."""

    def __init__(self, code: int, message: str, reason: str = "", parameter: str = "") -> None:
        super().__init__(message)
        data = {"data": {"reason": reason, "param": parameter}} if reason else {}
        self.error = {"message": message, **data, "code": code}


_TOO_MANY: Final = _RpcError(10028, "too_many_requests")


class Deribit:
    """Answers GETs under /api/v2/public."""

    def __init__(self, derivatives: Derivatives) -> None:
        self._options = derivatives.options
        self._indices = {f"{coin.lower()}_usd": coin for coin in self._options.coins}
        self._buckets = AddressBuckets(_RATE, _ADDRESSES)
        self._instrument_buckets = AddressBuckets(_INSTRUMENTS_RATE, _ADDRESSES)
        self._methods: dict[str, _Handler] = {
            "public/get_time": lambda _query, now_ns: now_ns // NS_PER_MS,
            "public/get_book_summary_by_currency": self._summaries,
            "public/get_instruments": self._instruments,
            "public/get_index_price": self._index_price,
            "public/ticker": self._ticker,
        }

    def rest(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET."""
        method = request.path.removeprefix(_PREFIX)
        handler = self._methods.get(method) if request.path.startswith(_PREFIX) else None
        if handler is None:
            unknown = _RpcError(-32601, "Method not found")
            return _said({"error": unknown.error}, 400, request.query, now_ns)
        buckets = self._instrument_buckets if method == "public/get_instruments" else self._buckets
        if buckets.take(request.client, now_ns):
            return _said({"error": _TOO_MANY.error}, 429, request.query, now_ns)
        try:
            result = handler(request.query, request.data_ns(now_ns))
        except _RpcError as error:
            return _said({"error": error.error}, 400, request.query, now_ns)
        return _said({"result": result}, 200, request.query, now_ns)

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about, if it is about one."""
        query = request.query
        coin = query.get("currency") or query.get("instrument_name", "").partition("-")[0]
        coin = coin or self._indices.get(query.get("index_name", ""), "")
        return f"{coin}-USDT" if coin in self._options.coins else None

    def rate_limited(self, retry_after_s: int) -> RestReply:
        """Return 10028; when to come again is not told."""
        del retry_after_s
        return _said({"error": _TOO_MANY.error}, 429, {}, 0)

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        code, text = (13028, "temporarily_unavailable") if status == 503 else (11094, "internal_server_error")  # noqa: PLR2004
        return _said({"error": _RpcError(code, text).error}, status, {}, 0)

    def _summaries(self, query: Mapping[str, str], now_ns: int) -> object:
        coin = _currency(query)
        if not self._has_options(coin, query):
            return []
        index = self._options.index(coin, now_ns)
        before = self._options.values_before(coin, now_ns)
        return [
            summary(option, index, before[option.contract.name], now_ns)
            for option in self._options.chain(coin, now_ns)
        ]

    def _instruments(self, query: Mapping[str, str], now_ns: int) -> object:
        coin = _currency(query)
        expired = query.get("expired", "false")
        if expired not in _BOOLEANS:
            raise _RpcError(-32602, "Invalid params", "must be a boolean", "expired")
        if expired == "true" or not self._has_options(coin, query):
            return []
        return [instrument(contract) for contract in self._options.listing(coin, now_ns).values()]

    def _index_price(self, query: Mapping[str, str], now_ns: int) -> object:
        name = _given(query, "index_name")
        coin = self._indices.get(name)
        if coin is None:
            raise _RpcError(-32602, "Invalid params", "invalid index_name", "index_name")
        index = round(self._options.index(coin, now_ns), 2)
        return {"index_price": index, "estimated_delivery_price": index}

    def _ticker(self, query: Mapping[str, str], now_ns: int) -> object:
        name = _given(query, "instrument_name")
        coin = name.partition("-")[0]
        if coin in self._options.coins:
            contract = self._options.listing(coin, now_ns).get(name)
            if contract is not None:
                option = self._options.option(contract, now_ns)
                before = self._options.value_before(contract, now_ns)
                return ticker(option, self._options.index(coin, now_ns), before, now_ns)
        raise _RpcError(-32602, "Invalid params", "instrument not found", "instrument_name")

    def _has_options(self, coin: str, query: Mapping[str, str]) -> bool:
        kind = query.get("kind", "option")
        if kind not in _KINDS:
            raise _RpcError(-32602, "Invalid params", "invalid kind", "kind")
        return kind == "option" and coin in self._options.coins


def _currency(query: Mapping[str, str]) -> str:
    currency = _given(query, "currency")
    if currency not in _CURRENCIES:
        raise _RpcError(-32602, "Invalid params", "invalid currency", "currency")
    return currency


def _given(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise _RpcError(-32602, "Invalid params", "value is required", name)
    return query[name]


def _said(outcome: Mapping[str, object], status: int, query: Mapping[str, str], now_ns: int) -> RestReply:
    number = query.get("id", "")
    id_ = {"id": int(number)} if number.isascii() and number.isdigit() and len(number) < 16 else {}  # noqa: PLR2004
    us = now_ns // 1000
    said = {"jsonrpc": "2.0", **id_, **outcome, "usIn": us, "usOut": us, "usDiff": 0, "testnet": False}
    return RestReply(msgspec.json.encode(said).decode(), status)
