"""OKX's perpetuals (SWAP) and index prices, by REST alone: funding rate, mark price, index tickers.

References
----------
okx.com/docs-v5/en, public data (funding rate, mark price), market data (index tickers) and the REST error
codes, as of 2026-07-07.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from simulator.funding import CAP, INTEREST, INTERVAL_NS
from simulator.latent import NS_DAY, NS_MINUTE
from simulator.profiles import instrument_at
from simulator.venues.venue import RestReply, decimals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.derivatives import Derivatives
    from simulator.funding import Perpetual
    from simulator.venues.venue import RestRequest

_VENUE: Final = "okx"
_DERIVATIVES: Final = frozenset({"MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS"})  # of mark prices
_CHINA_NS: Final = 8 * 60 * NS_MINUTE  # UTC+8, whose midnight is told too

_Handler: TypeAlias = "Callable[[Mapping[str, str], int], object]"


class OkxQueryError(Exception):
    """A refusal: OKX's code and text."""


def okx_refusal(code: str, text: str) -> str:
    """Return the envelope of a refusal."""
    return json.dumps({"code": code, "msg": text, "data": []}, separators=(",", ":"))


def okx_data(data: object) -> str:
    """Return the envelope of an answer."""
    return json.dumps({"code": "0", "msg": "", "data": data}, separators=(",", ":"))


class OkxSwaps:
    """Answers what concerns perpetuals under /api/v5.

    Attributes
    ----------
    limits
        Requests in two seconds, by path; of an address, and where one is named, of a contract.
    """

    limits: Final[Mapping[str, int]] = {
        "/api/v5/public/funding-rate": 10,
        "/api/v5/public/mark-price": 10,
        "/api/v5/market/index-tickers": 20,
    }

    def __init__(self, derivatives: Derivatives) -> None:
        self._perpetuals = derivatives.perpetuals
        spell = venue_of(_VENUE).spell
        self._pair_of = {spell(symbol): symbol for symbol in derivatives.symbols}
        self._swap_of = {f"{name}-SWAP": symbol for name, symbol in self._pair_of.items()}
        self._places = {
            symbol: decimals(instrument_at(_VENUE, symbol).tick) for symbol in derivatives.symbols
        }
        self._routes: dict[str, _Handler] = {
            "/api/v5/public/funding-rate": self._funding_rates,
            "/api/v5/public/mark-price": self._mark_prices,
            "/api/v5/market/index-tickers": self._index_tickers,
        }

    def counted(self, request: RestRequest) -> str:
        """Return what a request counts towards: its path, with the contract that it names."""
        name = request.query.get("instId", "")
        return f"{request.path}?{name}" if name in self._swap_of else request.path

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET to one of the paths in `limits`."""
        try:
            data = self._routes[request.path](request.query, request.data_ns(now_ns))
        except OkxQueryError as error:
            return RestReply(okx_refusal(*error.args))
        return RestReply(okx_data(data))

    def _funding_rates(self, query: Mapping[str, str], now_ns: int) -> object:
        name = query.get("instId", "")
        if not name:
            raise OkxQueryError("50014", "Parameter instId can not be empty.")
        wanted = self._swap_of if name == "ANY" else {name: self._symbol(self._swap_of, name)}
        return [
            self._funding_rate(swap, self._perpetuals.at(_VENUE, symbol, now_ns))
            for swap, symbol in wanted.items()
        ]

    def _funding_rate(self, name: str, perpetual: Perpetual) -> dict[str, str]:
        next_ns = perpetual.next_ns
        return {
            "formulaType": "withRate",
            "fundingRate": f"{perpetual.rate:.16f}",
            "fundingTime": str(next_ns // NS_PER_MS),
            "impactValue": "20000.0000000000000000",
            "instId": name,
            "instType": "SWAP",
            "interestRate": f"{INTEREST:.16f}",
            "maxFundingRate": f"{CAP:.16f}",
            "method": "current_period",
            "minFundingRate": f"{-CAP:.16f}",
            "nextFundingRate": "",
            "nextFundingTime": str((next_ns + INTERVAL_NS) // NS_PER_MS),
            "premium": f"{perpetual.premium:.16f}",
            "prevFundingTime": str((next_ns - INTERVAL_NS) // NS_PER_MS),
            "settFundingRate": f"{perpetual.settled_rate:.16f}",
            "settState": "settled",
            "ts": str(perpetual.ts_ns // NS_PER_MS),
        }

    def _mark_prices(self, query: Mapping[str, str], now_ns: int) -> object:
        name = query.get("instId", "")
        kind = query.get("instType", "SWAP" if name else "")  # clients leave it out with a name, and get it
        if kind not in _DERIVATIVES:
            raise OkxQueryError("51000", "Parameter instType error")
        wanted = {name: self._symbol(self._swap_of, name)} if name else self._swap_of
        return [
            {
                "instId": swap,
                "instType": "SWAP",
                "markPx": self._price(symbol, self._perpetuals.at(_VENUE, symbol, now_ns).mark),
                "ts": str(now_ns // NS_PER_MS),
            }
            for swap, symbol in wanted.items()
            if kind == "SWAP"
        ]

    def _index_tickers(self, query: Mapping[str, str], now_ns: int) -> object:
        name, quote = query.get("instId", ""), query.get("quoteCcy", "")
        if name:
            return [self._index_ticker(name, self._symbol(self._pair_of, name), now_ns)]
        if not quote:
            raise OkxQueryError("50014", "Parameter quoteCcy or instId can not be empty.")
        return [
            self._index_ticker(pair, symbol, now_ns)
            for pair, symbol in self._pair_of.items()
            if symbol.endswith(f"-{quote}")
        ]

    def _index_ticker(self, name: str, symbol: str, now_ns: int) -> dict[str, str]:
        index, low, high = self._perpetuals.day_range(symbol, now_ns)
        midnight_ns = now_ns // NS_DAY * NS_DAY
        china_ns = (now_ns + _CHINA_NS) // NS_DAY * NS_DAY - _CHINA_NS
        return {
            "instId": name,
            "idxPx": self._price(symbol, index),
            "high24h": self._price(symbol, high),
            "sodUtc0": self._price(symbol, self._perpetuals.index(symbol, midnight_ns)),
            "open24h": self._price(symbol, self._perpetuals.index(symbol, now_ns - NS_DAY)),
            "low24h": self._price(symbol, low),
            "sodUtc8": self._price(symbol, self._perpetuals.index(symbol, china_ns)),
            "ts": str(now_ns // NS_PER_MS),
        }

    def _price(self, symbol: str, price: float) -> str:
        return f"{price:.{self._places[symbol]}f}"

    def _symbol(self, names: Mapping[str, str], name: str) -> str:
        symbol = names.get(name)
        if symbol is None:
            raise OkxQueryError("51001", "Instrument ID or Spread ID doesn't exist.")
        return symbol
