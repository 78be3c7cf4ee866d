"""What each venue demands of an order, read from the answer of its public endpoint of instruments.

A number is taken as it is written. What is no answer to the question, in whatever HTTP status, fails as
unreadable: it says nothing of the symbol.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, field

from libs.common.asked_instruments import LEAST_STEP, MOST
from libs.common.events import InstrumentTerms
from services.l2.feeds.frames import FrameDecoder, bad_frame
from services.l2.feeds.venue_messages import Unlisted

# msgspec has no bounds for Decimal, and Decimal takes "NaN", "1_0" and the digits of other scripts.
Digits: TypeAlias = Annotated[str, Meta(max_length=40, pattern=r"^[0-9]+(\.[0-9]+)?([eE]-?[0-9]{1,2})?\Z")]
Places: TypeAlias = Annotated[int, Meta(ge=0, le=15)]  # decimals
SAID_CHARS: Final = 200  # of a venue's own words
ZERO: Final = Decimal(0)

_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400


class _Answer(msgspec.Struct, frozen=True):
    """A part of a venue's answer."""


# Binance spot: rest-api.md, enums.md and filters.md of binance-spot-api-docs, 2026-07; errors.md, -1121.
class _Filter(_Answer, frozen=True):
    kind: str = field(name="filterType")
    tick: Digits | None = field(name="tickSize", default=None)
    lot: Digits | None = field(name="stepSize", default=None)
    min_qty: Digits | None = field(name="minQty", default=None)
    min_notional: Digits | None = field(name="minNotional", default=None)


class _BinanceSymbol(_Answer, frozen=True):
    symbol: str
    status: Literal[
        "TRADING",
        "END_OF_DAY",
        "HALT",
        "BREAK",
        "CANCEL_ONLY",  # since 2026-07
        "PRE_TRADING",  # the next three were documented before 2025
        "POST_TRADING",
        "AUCTION_MATCH",
    ]
    filters: tuple[_Filter, ...]


class _BinanceReply(_Answer, frozen=True):
    symbols: tuple[_BinanceSymbol, ...] = ()
    code: int = 0
    said: str = field(name="msg", default="")


_binance: Final = FrameDecoder[_BinanceReply]("binance", _BinanceReply)
_NO_SYMBOL: Final = -1121


def of_binance(body: bytes, spelled: str, status: int) -> InstrumentTerms | Unlisted:
    """Return what `/api/v3/exchangeInfo?symbol=` says; HTTP 400 and -1121 of a symbol it does not list."""
    reply = _binance.decode(body)
    if status == _BAD_REQUEST and reply.code == _NO_SYMBOL:
        return Unlisted(f"{reply.code} {reply.said[:SAID_CHARS]}")
    found = next((each for each in reply.symbols if each.symbol == spelled), None)
    if found is None:
        raise bad_frame("binance", f"HTTP {status} without the symbol {spelled}", body)
    if found.status != "TRADING":
        return Unlisted(f"status {found.status}")
    filters = {each.kind: each for each in found.filters}
    price, size = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    value = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")  # a symbol has one of them
    if price is None or size is None:
        raise bad_frame("binance", "no PRICE_FILTER or no LOT_SIZE", body)
    return _terms(
        "binance", body, price.tick, size.lot, size.min_qty, "0" if value is None else value.min_notional
    )


# Bybit: v5/market/instrument.mdx of bybit-exchange/docs, 2026-07: "Spot has `Trading` only", so a symbol that
# is not traded is not there: HTTP 200 and an empty list (measured in 2026-09), or, as elsewhere in v5, 10001
# with words of the symbol.
class _BybitLot(_Answer, frozen=True):
    lot: Digits = field(name="basePrecision")
    min_notional: Digits = field(name="minOrderAmt")


class _BybitPrice(_Answer, frozen=True):
    tick: Digits = field(name="tickSize")


class _BybitSymbol(_Answer, frozen=True):
    symbol: str
    status: Literal["PreLaunch", "Trading", "Settling", "Delivering", "Closed"]
    size: _BybitLot = field(name="lotSizeFilter")
    price: _BybitPrice = field(name="priceFilter")


class _BybitList(_Answer, frozen=True):
    category: str
    symbols: tuple[_BybitSymbol, ...] = field(name="list")


class _BybitReply(_Answer, frozen=True):
    code: int = field(name="retCode")
    said: str = field(name="retMsg", default="")
    result: msgspec.Raw = msgspec.Raw(b"{}")


_bybit: Final = FrameDecoder[_BybitReply]("bybit", _BybitReply)
_bybit_list: Final = FrameDecoder[_BybitList]("bybit", _BybitList)
_PARAMETER: Final = 10001


def of_bybit(body: bytes, spelled: str, status: int) -> InstrumentTerms | Unlisted:
    """Return what `/v5/market/instruments-info?category=spot&symbol=` says.

    The least order is one of a value: "minOrderQty: deprecated, no longer check minOrderQty".
    """
    reply = _bybit.decode(body)
    if reply.code == _PARAMETER and "symbol" in reply.said.lower():
        return Unlisted(f"{reply.code} {reply.said[:SAID_CHARS]}")
    if reply.code != 0:
        raise bad_frame("bybit", f"HTTP {status}, {reply.code} {reply.said[:SAID_CHARS]}", body)
    result = _bybit_list.decode(reply.result)
    if result.category != "spot":
        raise bad_frame("bybit", f"instruments of {result.category[:40]!r}, not of spot", body)
    found = next((each for each in result.symbols if each.symbol == spelled), None)
    if found is None and result.symbols:
        raise bad_frame("bybit", f"other symbols than {spelled}", body)
    if found is None:
        return Unlisted(f"no instrument {spelled} is trading")
    if found.status != "Trading":
        return Unlisted(f"status {found.status}")
    size = found.size
    return _terms("bybit", body, found.price.tick, size.lot, size.lot, size.min_notional)


# Coinbase: docs.cdp.coinbase.com, "Get Public Product", 2026-11. One that was never listed: HTTP 404
# {"error":"NOT_FOUND","error_details":"valid product_id is required"} (measured in 2026-09), or 400
# INVALID_ARGUMENT, "ProductID is invalid" (2026-01). `view_only` is of an account, not of the market.
class _Product(_Answer, frozen=True):
    product_id: str
    tick: Digits = field(name="price_increment")
    lot: Digits = field(name="base_increment")
    min_qty: Digits = field(name="base_min_size")
    min_notional: Digits = field(name="quote_min_size")
    status: str = ""
    is_disabled: bool = False
    trading_disabled: bool = False
    cancel_only: bool = False
    limit_only: bool = False
    post_only: bool = False
    auction_mode: bool = False


class _CoinbaseError(_Answer, frozen=True):
    error: str
    details: str = field(name="error_details", default="")


_product: Final = FrameDecoder[_Product]("coinbase", _Product)
_coinbase_error: Final = FrameDecoder[_CoinbaseError]("coinbase", _CoinbaseError)
_FLAGS: Final = ("is_disabled", "trading_disabled", "cancel_only", "limit_only", "post_only", "auction_mode")
_NO_PRODUCT: Final = frozenset({"NOT_FOUND", "INVALID_ARGUMENT"})  # the product is all that is asked with


def of_coinbase(body: bytes, spelled: str, status: int) -> InstrumentTerms | Unlisted:
    """Return what `/api/v3/brokerage/market/products/{id}` says."""
    if status in (_BAD_REQUEST, _NOT_FOUND):
        said = _coinbase_error.decode(body)
        if said.error in _NO_PRODUCT:
            return Unlisted(f"{said.error} {said.details[:SAID_CHARS]}".strip())
        raise bad_frame("coinbase", f"HTTP {status}", body)
    found = _product.decode(body)
    if found.product_id != spelled:
        raise bad_frame("coinbase", f"another product than {spelled}", body)
    closed = [flag for flag in _FLAGS if getattr(found, flag)]
    if found.status not in ("", "online"):
        closed.append(f"status {found.status[:SAID_CHARS]}")
    if closed:
        return Unlisted(", ".join(closed))
    return _terms("coinbase", body, found.tick, found.lot, found.min_qty, found.min_notional)


# Kraken: docs.kraken.com, Spot REST, "Get Tradable Asset Pairs", 2026-11. One that it does not list: HTTP 200
# {"error":["EQuery:Unknown asset pair"]}.
class _Pair(_Answer, frozen=True):
    tick: Digits = field(name="tick_size")
    lot_decimals: Places
    min_qty: Digits = field(name="ordermin")
    min_notional: Digits = field(name="costmin", default="0")
    status: Literal[
        "online", "cancel_only", "post_only", "limit_only", "reduce_only", "maintenance", "delisted", "hidden"
    ] = "online"


class _KrakenReply(_Answer, frozen=True):
    error: tuple[str, ...]
    result: dict[str, _Pair] = {}


_kraken: Final = FrameDecoder[_KrakenReply]("kraken", _KrakenReply)
_UNKNOWN_PAIR: Final = "EQuery:Unknown asset pair"


def of_kraken(body: bytes, spelled: str, status: int) -> InstrumentTerms | Unlisted:
    """Return what `/0/public/AssetPairs?pair=` says of the one pair, however it spells that."""
    reply = _kraken.decode(body)
    if unknown := next((each for each in reply.error if each.startswith(_UNKNOWN_PAIR)), None):
        return Unlisted(unknown[:SAID_CHARS])
    if reply.error or len(reply.result) != 1:
        said = "; ".join(reply.error)[:SAID_CHARS] or f"{len(reply.result)} pairs, not {spelled} alone"
        raise bad_frame("kraken", f"HTTP {status}: {said}", body)
    (found,) = reply.result.values()
    if found.status != "online":
        return Unlisted(f"status {found.status}")
    return _terms("kraken", body, found.tick, _step(found.lot_decimals), found.min_qty, found.min_notional)


# OKX: okx.com/docs-v5/en, "Get instruments", 2026-11; 51001 of an id that it does not list, HTTP 200
# (measured in 2026-09). Spot has a least size and no least value.
class _OkxInstrument(_Answer, frozen=True):
    inst_id: str = field(name="instId")
    state: Literal["live", "suspend", "rebase", "post_only", "preopen", "test", "expired"]
    tick: str = field(name="tickSz")  # may be empty before it opens
    lot: str = field(name="lotSz")
    min_qty: str = field(name="minSz")


class _OkxReply(_Answer, frozen=True):
    code: str
    said: str = field(name="msg", default="")
    data: tuple[_OkxInstrument, ...] = ()


_okx: Final = FrameDecoder[_OkxReply]("okx", _OkxReply)
_NO_INSTRUMENT: Final = "51001"


def of_okx(body: bytes, spelled: str, status: int) -> InstrumentTerms | Unlisted:
    """Return what `/api/v5/public/instruments?instType=SPOT&instId=` says."""
    reply = _okx.decode(body)
    if reply.code == _NO_INSTRUMENT:
        return Unlisted(f"{reply.code} {reply.said[:SAID_CHARS]}".strip())
    found = next((each for each in reply.data if each.inst_id == spelled), None)
    if reply.code != "0" or found is None:
        said = f"{reply.code} {reply.said[:SAID_CHARS]}".strip()
        raise bad_frame("okx", f"HTTP {status}, {said}, without {spelled}", body)
    if found.state != "live":
        return Unlisted(f"state {found.state}")
    return _terms("okx", body, found.tick, found.lot, found.min_qty, "0")


# Bitstamp: bitstamp.net/api, "Markets", 2026-11: of all markets at once, as there is no route of one.
class _Market(_Answer, frozen=True):
    symbol: str = field(name="market_symbol")
    base_decimals: Places
    counter_decimals: Places
    trading: Literal["Enabled", "Disabled"]
    min_qty: Digits | None = field(name="minimum_order_amount", default=None)
    min_notional: Digits | None = field(name="minimum_order_value", default=None)


_markets: Final = FrameDecoder[tuple[_Market, ...]]("bitstamp", tuple[_Market, ...])


def of_bitstamp(body: bytes, spelled: str, status: int) -> InstrumentTerms | Unlisted:
    """Return what `/api/v2/markets/` says of one of them."""
    markets = _markets.decode(body)
    if not markets:
        raise bad_frame("bitstamp", f"HTTP {status}: no market at all", body)
    found = next((each for each in markets if each.symbol == spelled), None)
    if found is None:
        return Unlisted(f"none of its {len(markets)} markets is {spelled}")
    if found.trading != "Enabled":
        return Unlisted(f"trading {found.trading}")
    lot = _step(found.base_decimals)
    least = found.min_qty or lot, found.min_notional or "0"
    return _terms("bitstamp", body, _step(found.counter_decimals), lot, *least)


def _step(decimals: int) -> str:
    return f"1e-{decimals}"


def _terms(venue: str, body: bytes, *texts: str | None) -> InstrumentTerms:
    """Return tick, lot, least quantity and least value; a step of nothing is none."""
    try:
        numbers = [Decimal(msgspec.convert(text, Digits)).normalize() for text in texts]
    except msgspec.ValidationError as error:
        raise bad_frame(venue, f"tick, lot and minima are {texts}: {error}", body) from error
    tick, lot, min_qty, min_notional = numbers
    steps = all(LEAST_STEP <= step <= MOST for step in (tick, lot))
    if not steps or not all(ZERO <= least <= MOST for least in (min_qty, min_notional)):
        raise bad_frame(venue, f"tick, lot and minima are {texts}", body)
    return InstrumentTerms(tick=tick, lot=lot, min_qty=min_qty, min_notional=min_notional)
