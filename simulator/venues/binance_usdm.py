"""Binance's USD-margined perpetuals: mark price and funding, and how many accounts are long.

Their books are not simulated, so everything else is an unknown path.

References
----------
developers.binance.com, derivatives, USDS-margined futures, REST market data (mark price, funding info,
long/short ratio) and the error codes, as read in 2026-11.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.venues import venue_of
from simulator.funding import CAP, INTEREST, INTERVAL_HOURS
from simulator.latent import NS_DAY
from simulator.venues.binance_rest import RequestError, RequestWeights
from simulator.venues.venue import RestReply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulator.derivatives import Derivatives
    from simulator.funding import Perpetual
    from simulator.venues.venue import RestRequest

_VENUE: Final = "binance-usdm"
_WEIGHT_LIMIT: Final = 2400  # per address and minute
_PERIODS_S: Final = {
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14_400,
    "6h": 21_600,
    "12h": 43_200,
    "1d": 86_400,
}
_MAX_RATIOS: Final = 500
_DEFAULT_RATIOS: Final = 30
_RATIO_DAYS: Final = 30  # no older ones are told
_INTEGER: Final = re.compile(r"[0-9]{1,14}")

_Handler: TypeAlias = "Callable[[Mapping[str, str], int], object]"


class BinanceUsdm:
    """Answers requests under /fapi/v1 and /futures/data."""

    def __init__(self, derivatives: Derivatives) -> None:
        self._perpetuals = derivatives.perpetuals
        spell = venue_of(_VENUE).spell
        self._spelling = {symbol: spell(symbol) for symbol in derivatives.symbols}
        self._symbol_of = {name: symbol for symbol, name in self._spelling.items()}
        self._weights = RequestWeights()
        self._routes: dict[str, tuple[_Handler, Callable[[Mapping[str, str]], int]]] = {
            "/fapi/v1/ping": (lambda _query, _now: {}, lambda _: 1),
            "/fapi/v1/time": (lambda _query, now_ns: {"serverTime": now_ns // NS_PER_MS}, lambda _: 1),
            "/fapi/v1/premiumIndex": (self._premium_index, lambda query: 1 if "symbol" in query else 10),
            "/fapi/v1/fundingInfo": (self._funding_info, lambda _: 0),
            "/futures/data/globalLongShortAccountRatio": (self._ratios, lambda _: 0),
        }

    def rest(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET; every answer counts and carries the weight used."""
        route = self._routes.get(request.path)
        if route is None:
            return RestReply(json.dumps({"code": -5000, "msg": f"Path {request.path[:80]} is invalid"}), 404)
        handler, weigh = route
        used, left_s = self._weights.add(request.client, weigh(request.query), now_ns)
        headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
        if used > _WEIGHT_LIMIT:
            limited = self.rate_limited(left_s)
            return RestReply(limited.body, limited.status, {**limited.headers, **headers})
        try:
            answer = handler(request.query, request.data_ns(now_ns))
        except RequestError as error:
            return error.reply
        return RestReply(json.dumps(answer, separators=(",", ":")), 200, headers)

    def rest_symbol(self, request: RestRequest) -> str | None:
        """Return the canonical symbol a request is about, if it is about one."""
        return self._symbol_of.get(request.query.get("symbol", ""))

    def rate_limited(self, retry_after_s: int) -> RestReply:
        """Return 429 and -1003."""
        text = (
            f"Too many requests; current limit of IP is {_WEIGHT_LIMIT} requests per minute. Please use the "
            "websocket for live updates to avoid polling the API."
        )
        return RequestError(429, -1003, text, {"Retry-After": str(retry_after_s)}).reply

    def failed(self, status: int) -> RestReply:
        """Return the answer of a server in trouble."""
        text = "Internal error; unable to process your request. Please try again."
        return RequestError(status, -1001, text).reply

    def _premium_index(self, query: Mapping[str, str], now_ns: int) -> object:
        if "symbol" in query:
            return self._premium(self._perpetuals.at(_VENUE, self._symbol(query), now_ns))
        return [self._premium(self._perpetuals.at(_VENUE, symbol, now_ns)) for symbol in self._spelling]

    def _premium(self, perpetual: Perpetual) -> dict[str, object]:
        return {
            "symbol": self._spelling[perpetual.symbol],
            "markPrice": f"{perpetual.mark:.8f}",
            "indexPrice": f"{perpetual.index:.8f}",
            "estimatedSettlePrice": f"{perpetual.index:.8f}",  # of use before a delivery only
            "lastFundingRate": f"{perpetual.rate:.8f}",
            "interestRate": f"{INTEREST:.8f}",
            "nextFundingTime": perpetual.next_ns // NS_PER_MS,
            "time": perpetual.ts_ns // NS_PER_MS,
        }

    def _funding_info(self, query: Mapping[str, str], now_ns: int) -> object:
        del query, now_ns  # takes no parameter, and never changes
        return [
            {
                "symbol": name,
                "adjustedFundingRateCap": f"{CAP:.8f}",
                "adjustedFundingRateFloor": f"{-CAP:.8f}",
                "fundingIntervalHours": INTERVAL_HOURS,
                "disclaimer": False,
            }
            for name in self._symbol_of
        ]

    def _ratios(self, query: Mapping[str, str], now_ns: int) -> object:
        """Return rows oldest first; of more than fit the newest are told."""
        symbol, period = self._symbol(query), query.get("period")
        if not period:
            raise _missing("period")
        if period not in _PERIODS_S:
            raise _invalid("period")
        length = _PERIODS_S[period] * NS_PER_S
        limit = _integer(query, "limit", _DEFAULT_RATIOS)
        if not 1 <= limit <= _MAX_RATIOS:
            raise _invalid("limit")
        start_ns = _integer(query, "startTime", 0) * NS_PER_MS
        end_ns = min(now_ns, _integer(query, "endTime", now_ns // NS_PER_MS) * NS_PER_MS)
        oldest_ns = max(start_ns, now_ns - _RATIO_DAYS * NS_DAY)
        last = end_ns // length
        first = max(last - limit + 1, -(-oldest_ns // length))
        return [self._ratio(symbol, number * length) for number in range(first, last + 1)]

    def _ratio(self, symbol: str, ts_ns: int) -> dict[str, object]:
        longs = round(self._perpetuals.longs(symbol, ts_ns), 4)
        return {
            "symbol": self._spelling[symbol],
            "longAccount": f"{longs:.4f}",
            "longShortRatio": f"{longs / (1.0 - longs):.4f}",
            "shortAccount": f"{1.0 - longs:.4f}",
            "timestamp": ts_ns // NS_PER_MS,
        }

    def _symbol(self, query: Mapping[str, str]) -> str:
        name = query.get("symbol", "")
        if not name:
            raise _missing("symbol")
        symbol = self._symbol_of.get(name)
        if symbol is None:
            raise RequestError(400, -1121, "Invalid symbol.")
        return symbol


def _missing(name: str) -> RequestError:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return RequestError(400, -1102, text)


def _invalid(name: str) -> RequestError:
    return RequestError(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if _INTEGER.fullmatch(text) is None:
        raise _invalid(name)
    return int(text)
