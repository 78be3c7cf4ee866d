"""Bybit's tickers: linear perpetuals with funding, mark and index price.

References
----------
bybit-exchange/docs, `v5/market/tickers.mdx`, as of 2026-07-24. Of an inverse contract or an option there is
none here.
"""

from __future__ import annotations

import json
from math import ceil, floor
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from simulator.funding import CAP, INTERVAL_HOURS
from simulator.latent import MINUTES, NS_DAY, NS_MINUTE
from simulator.profiles import VENUES, instrument_at, symbol_profile
from simulator.venues.venue import RestReply, decimals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.derivatives import Derivatives
    from simulator.venues.venue import RestRequest

TICKERS: Final = "/v5/market/tickers"
_VENUE: Final = "bybit"
_PARAMS_ERROR: Final = 10001
_HOUR_NS: Final = 60 * NS_MINUTE
_OPEN_DAYS: Final = 0.3  # open contracts, in days of trading
_EMPTY: Final = frozenset({"inverse", "option", "spot"})  # known categories, spot where there is no market


class BybitQueryError(Exception):
    """A refusal in Bybit's words; its code is that of a wrong parameter."""


def bybit_said(code: int, text: str, result: Mapping[str, object], now_ns: int) -> str:
    """Return the envelope of every answer."""
    said = {
        "retCode": code,
        "retMsg": text,
        "result": result,
        "retExtInfo": {},
        "time": now_ns // NS_PER_MS,
    }
    return json.dumps(said, separators=(",", ":"))


class BybitTickers:
    """Answers /v5/market/tickers, but for spot."""

    def __init__(self, derivatives: Derivatives) -> None:
        self._perpetuals = derivatives.perpetuals
        spell = venue_of(_VENUE).spell
        self._symbol_of = {spell(symbol): symbol for symbol in derivatives.symbols}

    def answer(self, request: RestRequest, now_ns: int) -> RestReply:
        """Answer a GET."""
        data_ns = request.data_ns(now_ns)
        try:
            result = self._tickers(request.query, data_ns)
        except BybitQueryError as error:
            return RestReply(bybit_said(_PARAMS_ERROR, str(error), {}, now_ns))
        return RestReply(bybit_said(0, "OK", result, data_ns))

    def _tickers(self, query: Mapping[str, str], now_ns: int) -> Mapping[str, object]:
        category, name = query.get("category", ""), query.get("symbol")
        if category != "linear" and category not in _EMPTY:
            raise BybitQueryError("params error: Category is invalid")
        listed = self._symbol_of if category == "linear" else {}
        if name is not None:
            if name not in listed:
                raise BybitQueryError("Not supported symbols")
            listed = {name: listed[name]}
        rows = [self._ticker(spelled, symbol, now_ns) for spelled, symbol in listed.items()]
        return {"category": category, "list": rows}

    def _ticker(self, name: str, symbol: str, now_ns: int) -> dict[str, str]:
        perpetual, profile = self._perpetuals.at(_VENUE, symbol, now_ns), symbol_profile(symbol)
        instrument = instrument_at(_VENUE, symbol)
        tick, places, lots = float(instrument.tick), decimals(instrument.tick), decimals(instrument.lot)
        _, low, high = self._perpetuals.day_range(symbol, now_ns)
        day_ago, hour_ago = (
            self._perpetuals.at(_VENUE, symbol, now_ns - span).mark for span in (NS_DAY, _HOUR_NS)
        )
        mark, premium = perpetual.mark, 1.0 + perpetual.premium
        half = max(0.5 * tick, mark * VENUES[_VENUE].spread_bps * 0.5e-4)
        turnover = profile.minute_notional * MINUTES * VENUES[_VENUE].volume_share
        size = f"{VENUES[_VENUE].level_notional * profile.depth / mark:.{lots}f}"
        return {
            "symbol": name,
            "lastPrice": f"{mark:.{places}f}",
            "indexPrice": f"{perpetual.index:.{places}f}",
            "markPrice": f"{mark:.{places}f}",
            "prevPrice24h": f"{day_ago:.{places}f}",
            "price24hPcnt": f"{mark / day_ago - 1.0:.6f}",
            "highPrice24h": f"{max(high * premium, mark, day_ago):.{places}f}",
            "lowPrice24h": f"{min(low * premium, mark, day_ago):.{places}f}",
            "prevPrice1h": f"{hour_ago:.{places}f}",
            "openInterest": f"{turnover * _OPEN_DAYS / mark:.{lots}f}",
            "openInterestValue": f"{turnover * _OPEN_DAYS:.2f}",
            "turnover24h": f"{turnover:.4f}",
            "volume24h": f"{turnover / mark:.{lots}f}",
            "fundingRate": f"{perpetual.rate:.8f}",
            "nextFundingTime": str(perpetual.next_ns // NS_PER_MS),
            "predictedDeliveryPrice": "",
            "basisRate": "",
            "deliveryFeeRate": "",
            "deliveryTime": "0",
            "ask1Size": size,
            "bid1Price": f"{floor((mark - half) / tick) * tick:.{places}f}",
            "ask1Price": f"{ceil((mark + half) / tick) * tick:.{places}f}",
            "bid1Size": size,
            "basis": "",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
            "fundingIntervalHour": str(INTERVAL_HOURS),
            "basisRateYear": "",
            "fundingCap": f"{CAP:.3f}",
        }
