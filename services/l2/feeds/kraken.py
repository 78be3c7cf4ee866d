"""Kraken WebSocket v2: snapshot in band, no sequence, a CRC32 of the top ten levels with every message.

Source: docs.kraken.com/exchange, `book.md`, `trade.md`, `status.md` and the guide
`book-checksum-v2`, 2026-08.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias
from zlib import crc32

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from services.l2.feeds.digits import DigitBook, digits_of
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import (
    Count,
    FrameDecoder,
    Id,
    Price,
    Size,
    bad_frame,
    ignored,
    levels_of_text,
    opened,
    spared,
)
from services.l2.feeds.instruments import of_kraken
from services.l2.feeds.moments import Moment, ns_of
from services.l2.feeds.ohlc import candles_of
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueStatus,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval, Level
    from services.l2.feeds.venue_messages import Unlisted, VenueMessage

_VENUE: Final = "kraken"
DEPTHS: Final = (10, 25, 100, 500, 1000)
OHLC_MINUTES: Final = {"1m": 1, "1d": 1440}
_WORD: Final = 60  # characters of a status that we do not know
_ONLINE: Final = "online"
_CLOSED: Final[Mapping[str, str]] = {  # `status.md` and the REST reference, 2026-08
    "maintenance": "markets are offline",
    "cancel_only": "orders can only be cancelled, and nothing is matched",
    "post_only": "only orders that make are taken, and nothing is matched",
    "limit_only": "only limit orders are taken",
}
_HEARTBEAT: Final = (Heartbeat(),)
_BOOK_BEGIN: Final = b'{"channel":"book"'

Crc32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class _Subscription(msgspec.Struct, frozen=True):
    symbol: str | UnsetType = UNSET


class _Frame(msgspec.Struct, frozen=True):
    """Any frame: a channel's data, or the answer to a method."""

    channel: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


class _Answer(msgspec.Struct, frozen=True):
    method: str | UnsetType = UNSET
    success: bool | UnsetType = UNSET
    error: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    result: _Subscription | UnsetType = UNSET


class _Status(msgspec.Struct, frozen=True):
    system: str


class _Level(msgspec.Struct, frozen=True, gc=False):
    """Raw numbers, since the checksum is of their text."""

    price: Raw
    qty: Raw


class _Book(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    checksum: Crc32
    bids: tuple[_Level, ...] = ()
    asks: tuple[_Level, ...] = ()
    timestamp: Moment | None = None


class _BookFrame(msgspec.Struct, frozen=True, gc=False):
    """The frame that comes most, for one decoding instead of two."""

    channel: Literal["book"]
    type: Literal["snapshot", "update"]
    data: tuple[_Book, ...]


class _Trade(msgspec.Struct, frozen=True):
    symbol: str
    side: Literal["buy", "sell"]  # "the taker order's"
    price: Price
    qty: Size
    trade_id: Id
    timestamp: Moment


class _OhlcRow(msgspec.Struct, frozen=True, array_like=True):
    open_s: Annotated[int, Meta(ge=0, le=9_000_000_000)]
    open: Price
    high: Price
    low: Price
    close: Price
    vwap: float
    volume: Size
    trades: Count


class _OhlcReply(msgspec.Struct, frozen=True):
    error: tuple[str, ...]
    result: dict[str, tuple[_OhlcRow, ...] | int] = {}


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame, lax=False)
_answer: Final = FrameDecoder[_Answer](_VENUE, _Answer, lax=False)
_statuses: Final = FrameDecoder[tuple[_Status, ...]](_VENUE, tuple[_Status, ...], lax=False)
_book_frame: Final = FrameDecoder[_BookFrame](_VENUE, _BookFrame, lax=False)
_trades: Final = FrameDecoder[tuple[_Trade, ...]](_VENUE, tuple[_Trade, ...], lax=False)
_ohlc: Final = FrameDecoder[_OhlcReply](_VENUE, _OhlcReply)


class KrakenFeed(Feed):
    """Kraken v2, spot.

    Parameters
    ----------
    depth
        Levels a side. The checksum covers ten, so a change lost below them stays unseen.
    """

    venue = _VENUE
    # The snapshot comes in band: the REST book has neither id nor checksum to join it by.
    silence_s = 5.0  # a heartbeat comes about every second when nothing else does (heartbeat.md, 2026-08)
    ping_interval_s: float | None = 30.0
    contiguous_trades = True  # "unique per book", rising by 1

    def __init__(self, depth: int = 10) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"{self.venue} offers the depths {DEPTHS}, not {depth}")
        self.depth: int | None = depth

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address for all symbols
        """Return the address of the v2 protocol."""
        return f"{base}/v2"

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the subscriptions to book and trades."""
        pair = [_spelled(symbol)]
        channels = (
            {"channel": "book", "symbol": pair, "depth": self.depth, "snapshot": True},
            {"channel": "trade", "symbol": pair, "snapshot": False},
        )
        return tuple(_json({"method": "subscribe", "params": params}) for params in channels)

    def ping(self) -> str:
        """Return the application's ping."""
        return _json({"method": "ping"})

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`."""
        spelled = _spelled(symbol)
        if raw.startswith(_BOOK_BEGIN):
            return _books_of(_book_frame.decode(raw), spelled)
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        match frame.channel:
            case "book":
                return _books_of(_book_frame.decode(raw), spelled)
            case "trade":
                return spared(raw, lambda: _trades_of(frame, raw, spelled), trades=True)
            case "status":
                return spared(raw, lambda: _status_of(_statuses.decode(_data(frame, raw))))
            case "heartbeat":
                return _HEARTBEAT
            case str():
                return ignored("a channel", frame.channel)
            case _:
                if frame.data is not UNSET:
                    raise bad_frame(_VENUE, "data without their channel, which may be the book's", raw)
                return spared(raw, lambda: _answered(_answer.decode(raw), spelled))

    def step(self, position: int | None, delta: VenueDelta) -> Step:  # noqa: ARG002 -- there are no ids
        """Accept every delta: the protocol has no sequence, so the checksum after it is the only proof."""
        return Step.APPLY

    def checksum(self, bids: Sequence[str], asks: Sequence[str]) -> int:
        """Return the CRC32 of the ten best levels, asks first.

        Notes
        -----
        Per level the text of price and then quantity, each without the decimal point and leading zeros; asks
        from low to high, then bids from high to low. A side with fewer than ten levels gives what it has.

        References
        ----------
        docs.kraken.com/exchange/guides/websockets/book-checksum-v2, 2026-08.
        """
        return checksum_of(bids, asks)

    def new_digit_book(self) -> DigitBook:
        """Return the digits that belong beside an empty book."""
        return DigitBook(self.depth)

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of at most 720 candles from `since_ts` (ns) on; `since` itself is excluded."""
        pair, since_s = venue_of(self.venue).spell(symbol), since_ts // NS_PER_S - 1
        return f"{base}/0/public/OHLC?pair={pair}&interval={OHLC_MINUTES[interval]}&since={since_s}"

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a reply, its pair spelled in any of Kraken's ways; the last is open."""
        reply = _ohlc.decode(body)
        series = [rows for rows in reply.result.values() if isinstance(rows, tuple)]
        if reply.error or len(series) != 1:
            raise bad_frame(
                self.venue, "; ".join(reply.error) or f"{len(series)} series of candles, not one", body
            )
        rows = [(row.open_s * NS_PER_S, row, row.trades) for row in series[0]]
        return candles_of(self.venue, symbol, interval, rows)

    def instrument_url(self, base: str, symbol: str) -> str | None:
        """Return the address of the pair."""
        return f"{base}/0/public/AssetPairs?pair={_spelled(symbol)}"

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what the reply says of the symbol."""
        return of_kraken(body, _spelled(symbol), status)


def checksum_of(bids: Sequence[str], asks: Sequence[str]) -> int:
    """Return the CRC32 of digits, asks first; the rule is quoted at `KrakenFeed.checksum`."""
    return crc32(("".join(asks) + "".join(bids)).encode())


@lru_cache
def _spelled(symbol: str) -> str:
    return venue_of(_VENUE).spell(symbol)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def status_of(system: str) -> VenueStatus:
    """Return what the status of Kraken's trading engine means for its books; an unknown one is not open."""
    if system == _ONLINE:
        return VenueStatus(open=True, reason=_ONLINE)
    word = system[:_WORD]
    return VenueStatus(open=False, reason=f"{word}: {_CLOSED.get(system, 'whether it matches is not known')}")


def _status_of(statuses: tuple[_Status, ...]) -> Sequence[VenueMessage]:
    return [status_of(status.system) for status in statuses]


def _data(frame: _Frame, raw: bytes) -> Raw:
    if frame.data is UNSET or frame.type not in {"snapshot", "update"}:
        raise bad_frame(_VENUE, f"{frame.channel} without data, or neither snapshot nor update", raw)
    return frame.data


def _trades_of(frame: _Frame, raw: bytes, spelled: str) -> Sequence[VenueMessage]:
    data = _data(frame, raw)
    if frame.type == "snapshot":
        return ()  # the last trades before we came: not asked for, and said before
    return [_trade_of(trade) for trade in _trades.decode(data) if trade.symbol == spelled]


def _answered(answer: _Answer, spelled: str) -> Sequence[VenueMessage]:
    if answer.method == "pong":
        return _HEARTBEAT
    named = answer.symbol
    if named is UNSET and answer.result is not UNSET:
        named = answer.result.symbol
    if named is not UNSET and named != spelled:
        return ()
    if answer.success is False or answer.error is not UNSET:
        return (Refused(answer.error if answer.error is not UNSET else "without a reason"),)
    if answer.method == "subscribe":
        return (Acknowledged(),)
    if answer.method is not UNSET:
        return ignored("an answer to", answer.method)
    return ignored("neither a channel's data nor an answer")


def _books_of(frame: _BookFrame, spelled: str) -> Sequence[VenueMessage]:
    kind = VenueSnapshot if frame.type == "snapshot" else VenueDelta
    return [_message_of(kind, book) for book in frame.data if book.symbol == spelled]


def _side_of(levels: tuple[_Level, ...]) -> tuple[tuple[Level, ...], tuple[str, ...]]:
    """Return the numbers of a side, and per level its digits."""
    if not levels:
        return (), ()
    # Latin-1 cannot fail, and whatever is no number fails as one.
    texts = [(str(level.price, "latin-1"), str(level.qty, "latin-1")) for level in levels]
    digits = [digits_of(price) + digits_of(qty) for price, qty in texts]
    return levels_of_text(_VENUE, texts), tuple(digits)


def _message_of(kind: type[VenueSnapshot | VenueDelta], book: _Book) -> VenueSnapshot | VenueDelta:
    bids, bid_digits = _side_of(book.bids)
    asks, ask_digits = _side_of(book.asks)
    return kind(
        bids=bids,
        asks=asks,
        checksum=book.checksum,
        bid_digits=bid_digits,
        ask_digits=ask_digits,
        venue_ts=None if book.timestamp is None else ns_of(book.timestamp),
    )


def _trade_of(trade: _Trade) -> VenueTrade:
    return VenueTrade(
        trade_id=str(trade.trade_id),
        price=trade.price,
        size=trade.qty,
        side=trade.side,
        venue_ts=ns_of(trade.timestamp),
    )
