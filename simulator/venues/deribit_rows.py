"""What Deribit writes of an option: a row of a summary, an instrument, a ticker. Prices are in the coin.

References
----------
docs.deribit.com, as in `simulator.venues.deribit`; tick sizes and fees of inverse options: "Inverse Options"
(support pages, as read in 2026-11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

from libs.common.time_units import NS_PER_MS
from simulator.options import down, up

if TYPE_CHECKING:
    from simulator.options import Contract, Option

_FUTURES: Final = frozenset({"month"})  # series that have a future, whose price then is the underlying
_MARK_PLACES: Final = 6
_CENTS: Final = 2
_BAND: Final = 0.04  # a day's price limits about the mark, coins
_FINE: Final = 0.0001
_FINE_BELOW: Final = 0.005
_TICK: Final = 0.0005


def summary(option: Option, index: float, before: float, now_ns: int) -> dict[str, object]:
    """Return a row of public/get_book_summary_by_currency.

    Parameters
    ----------
    before
        What the option would have been worth a day ago, in coins.
    """
    value, bid, ask = option.quote.value, option.bid, option.ask
    last, low, high = _traded(option, before)
    return {
        "volume_usd": round(option.volume * value * index, _CENTS),
        "volume": option.volume,
        "underlying_price": round(option.forward, 4),
        "underlying_index": _underlying(option.contract),
        "quote_currency": option.contract.coin,
        "price_change": _change(last, before),
        "open_interest": option.open_interest,
        "mid_price": None if bid is None else round((bid + ask) / 2.0, _MARK_PLACES),
        "mark_price": round(value, _MARK_PLACES),
        "mark_iv": round(option.sigma * 100.0, _CENTS),
        "low": low,
        "last": last,
        "interest_rate": 0.0,
        "instrument_name": option.contract.name,
        "high": high,
        "estimated_delivery_price": round(index, _CENTS),
        "creation_timestamp": now_ns // NS_PER_MS,
        "bid_price": bid,
        "base_currency": option.contract.coin,
        "ask_price": ask,
    }


def instrument(contract: Contract) -> dict[str, object]:
    """Return an entry of public/get_instruments."""
    coin = contract.coin
    return {
        "tick_size": _FINE,
        "tick_size_steps": [{"above_price": _FINE_BELOW, "tick_size": _TICK}],
        "taker_commission": 0.0003,
        "strike": contract.strike,
        "settlement_period": contract.period,
        "settlement_currency": coin,
        "rfq": False,
        "quote_currency": coin,
        "price_index": f"{coin.lower()}_usd",
        "option_type": "call" if contract.is_call else "put",
        "min_trade_amount": 0.1 if coin == "BTC" else 1.0,
        "maker_commission": 0.0003,
        "kind": "option",
        "is_active": True,
        "instrument_type": "reversed",
        "instrument_name": contract.name,
        "instrument_id": crc32(contract.name.encode()),
        "expiration_timestamp": contract.expiry_ns // NS_PER_MS,
        "creation_timestamp": contract.listed_ns // NS_PER_MS,
        "counter_currency": "USD",
        "contract_size": 1.0,
        "block_trade_tick_size": _FINE,
        "block_trade_min_trade_amount": 25 if coin == "BTC" else 250,
        "block_trade_commission": 0.0003,
        "base_currency": coin,
        "state": "open",
    }


def ticker(option: Option, index: float, before: float, now_ns: int) -> dict[str, object]:
    """Return the result of public/ticker; a side that nobody quotes has price, size and volatility 0."""
    value, quote = option.quote.value, option.quote
    last, low, high = _traded(option, before)
    size = max(0.1, round(option.open_interest * 0.05, 1))
    return {
        "underlying_price": round(option.forward, 4),
        "underlying_index": _underlying(option.contract),
        "timestamp": now_ns // NS_PER_MS,
        "stats": {
            "volume_usd": round(option.volume * value * index, _CENTS),
            "volume": option.volume,
            "price_change": _change(last, before),
            "low": low,
            "high": high,
        },
        "state": "open",
        "settlement_price": round(before, _MARK_PLACES),
        "open_interest": option.open_interest,
        "min_price": max(_FINE, down(value - _BAND)),
        "max_price": up(value + _BAND),
        "mark_price": round(value, _MARK_PLACES),
        "mark_iv": round(option.sigma * 100.0, _CENTS),
        "last_price": last,
        "interest_rate": 0.0,
        "instrument_name": option.contract.name,
        "index_price": round(index, _CENTS),
        "greeks": {
            "vega": round(quote.vega, 5),
            "theta": round(quote.theta, 5),
            "rho": round(quote.rho, 5),
            "gamma": round(quote.gamma, 8),
            "delta": round(quote.delta, 5),
        },
        "estimated_delivery_price": round(index, _CENTS),
        "bid_iv": round(option.implied(option.bid) * 100.0, _CENTS),
        "best_bid_price": option.bid or 0.0,
        "best_bid_amount": size if option.bid else 0.0,
        "best_ask_price": option.ask,
        "best_ask_amount": size,
        "ask_iv": round(option.implied(option.ask) * 100.0, _CENTS),
    }


def _underlying(contract: Contract) -> str:
    return contract.series if contract.period in _FUTURES else f"SYN.{contract.series}"


def _traded(option: Option, before: float) -> tuple[float | None, float | None, float | None]:
    """Return last, lowest and highest price of the last day; none of what was not traded."""
    if not option.volume:
        return None, None, None
    last, first = _price(option.quote.value), _price(before)
    return last, min(first, last), max(first, last)


def _change(last: float | None, before: float) -> float | None:
    """Return a day's change in per cent."""
    return None if last is None else round((last / _price(before) - 1.0) * 100.0, 4)


def _price(value: float) -> float:
    """Return what an option of a value is traded at, coins: at least a tick."""
    return max(_FINE, up(value))
