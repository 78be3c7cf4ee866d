"""Bybit v5 spot: snapshot in band, then deltas counted by ``u`` within their topic.

Source: github.com/bybit-exchange/docs, `v5/websocket/public/{orderbook,trade}.mdx`, `v5/ws/connect.mdx` and
`v5/market/kline.mdx`, 2026-07-24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, field

from libs.common.time_units import NS_PER_MS
from libs.common.venues import venue_of
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import (
    Changes,
    EpochMs,
    FrameDecoder,
    Id,
    Price,
    Size,
    bad_frame,
    ignored,
    opened,
    spared,
)
from services.l2.feeds.instruments import of_bybit
from services.l2.feeds.ohlc import candles_of
from services.l2.feeds.venue_messages import (
    Acknowledged,
    Heartbeat,
    Refused,
    VenueDelta,
    VenueSnapshot,
    VenueTrade,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import Candle, InstrumentTerms, Interval, TakerSide
    from services.l2.feeds.venue_messages import Unlisted, VenueMessage

_VENUE: Final = "bybit"
_LIVE_DEPTH: Final = 50
_DEPTHS: Final = frozenset({50, 200, 1000})  # one level comes as snapshots only
_RESTARTED: Final = 1  # the `u` of a book after a restart of the service
_CANDLE_LIMIT: Final = 1000  # the most there is
_INTERVALS: Final = {"1m": ("1", 60_000), "1d": ("D", 86_400_000)}  # spelling, ms; days open at 00:00 UTC
_SIDES: Final[dict[str, TakerSide]] = {"Buy": "buy", "Sell": "sell"}
_PONGS: Final = frozenset({"ping", "pong"})  # spot answers with `ping`, other markets with `pong`
_HEARTBEAT: Final = (Heartbeat(),)


class _Frame(msgspec.Struct, frozen=True):
    """Any frame: a topic's data, or the answer to a request."""

    topic: str | UnsetType = UNSET
    op: str | UnsetType = UNSET
    data: Raw | UnsetType = UNSET


class _Answer(msgspec.Struct, frozen=True):
    op: str
    success: bool = True
    ret_msg: str = ""


class _Book(msgspec.Struct, frozen=True, gc=False):
    name: str = field(name="s")
    bids: Changes = field(name="b")
    asks: Changes = field(name="a")
    update_id: Id = field(name="u")


class _BookFrame(msgspec.Struct, frozen=True, gc=False):
    topic: str
    type: Literal["snapshot", "delta"]
    sent_ms: EpochMs = field(name="ts")
    data: _Book
    matched_ms: EpochMs | UnsetType = field(name="cts", default=UNSET)  # not there before 2024


class _Trade(msgspec.Struct, frozen=True, gc=False):
    name: str = field(name="s")
    trade_id: Annotated[str, Meta(min_length=1, max_length=64)] = field(name="i")
    matched_ms: EpochMs = field(name="T")
    price: Price = field(name="p")
    size: Size = field(name="v")
    side: Literal["Buy", "Sell"] = field(name="S")  # of the taker


class _Trades(msgspec.Struct, frozen=True):
    data: tuple[_Trade, ...]


class _CandleRow(msgspec.Struct, frozen=True, array_like=True):
    open_ms: EpochMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size  # base units, for spot


class _Candles(msgspec.Struct, frozen=True):
    rows: tuple[_CandleRow, ...] = field(name="list", default=())


class _CandleReply(msgspec.Struct, frozen=True):
    code: int = field(name="retCode")
    said: str = field(name="retMsg", default="")
    result: _Candles = _Candles()


_frame: Final = FrameDecoder[_Frame](_VENUE, _Frame)
_answer: Final = FrameDecoder[_Answer](_VENUE, _Answer)
_book_frame: Final = FrameDecoder[_BookFrame](_VENUE, _BookFrame)
_trades: Final = FrameDecoder[_Trades](_VENUE, _Trades)
_candles: Final = FrameDecoder[_CandleReply](_VENUE, _CandleReply)


class BybitFeed(Feed):
    """Bybit spot, the topics ``orderbook.<depth>`` and ``publicTrade``.

    The linear market has the same topics at another address, so that only the address tells them apart.

    Parameters
    ----------
    depth
        Levels a side: 50 (every 20 ms), 200 (100 ms) or 1000 (200 ms). Books of another depth than 50 are
        another topic with another counter, and so have a venue id of their own, like ``bybit-200``.

    Raises
    ------
    ValueError
        If the venue has no deltas of this depth.
    """

    # the REST book's id belongs to the topic of 1000 levels only
    # The venue wants a ping every 20 s (connect.mdx, 2026-07-24), and answers it; twice as often, so that one
    # slow answer is no silence.
    silence_s = 25.0
    ping_interval_s: float | None = 10.0

    def __init__(self, depth: int = _LIVE_DEPTH) -> None:
        if depth not in _DEPTHS:
            raise ValueError(f"bybit has no deltas of {depth} levels; there are {sorted(_DEPTHS)}")
        self.venue = _VENUE if depth == _LIVE_DEPTH else f"{_VENUE}-{depth}"
        self.depth: int | None = depth  # the server itself deletes what leaves the window
        self._book_topic = f"orderbook.{depth}."
        self._book_start = f'{{"topic":"{self._book_topic}'.encode()  # how the frame that comes most begins

    def stream_url(self, base: str, symbol: str) -> str:  # noqa: ARG002 -- one address for all symbols
        """Return the address of the spot market."""
        return f"{base}/v5/public/spot"

    def subscribe(self, symbol: str) -> tuple[str, ...]:
        """Return the subscription to book and trades; ten topics in one request are the most."""
        name = _spelled(symbol)
        args = [f"{self._book_topic}{name}", f"publicTrade.{name}"]
        return (msgspec.json.encode({"op": "subscribe", "args": args}).decode(),)

    def ping(self) -> str:
        """Return the JSON ping."""
        return '{"op":"ping"}'

    def parse(self, raw: bytes, symbol: str) -> Sequence[VenueMessage]:
        """Return what a frame says about `symbol`."""
        name = _spelled(symbol)
        if raw.startswith(self._book_start):
            return self._book_messages(raw, name)
        frame = opened(_frame, raw)
        if frame is None:
            return ignored("a frame that is no object")
        if frame.topic is UNSET:
            return _without_topic(frame, raw)
        if frame.topic.startswith(self._book_topic):
            return self._book_messages(raw, name)
        if frame.topic == f"publicTrade.{name}":
            return spared(raw, lambda: _trades_of(raw, name), trades=True)
        if frame.topic.startswith(("orderbook.", "publicTrade.")):
            return ()  # of another depth or symbol
        return ignored("a topic", frame.topic)

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Place a delta after the book's id.

        Notes
        -----
        "u: Update ID. Is a sequence. Occasionally, you'll receive "u"=1, which is a snapshot data due to the
        restart of the service. So please overwrite your local orderbook." `parse` makes snapshots of those;
        what remains rises by one with each message (measured on every recording).

        An id at or below the book's is a gap too. The count starts over with a restart, so where its snapshot
        was lost an id already seen does not prove that its message was applied. One loss stays unseen: of a
        restart and as many deltas as this book has had since its own restart, so that the ids meet.

        References
        ----------
        bybit-exchange/docs, `v5/websocket/public/orderbook.mdx`, 2026-07-24.
        """
        return Step.APPLY if position is not None and delta.last == position + 1 else Step.GAP

    def candles_url(self, base: str, symbol: str, interval: Interval, since_ts: int) -> str | None:
        """Return the address of the 1000 intervals from `since_ts` (ns) on; both bounds are included."""
        spelling, length_ms = _INTERVALS[interval]
        since_ms = since_ts // NS_PER_MS
        return (
            f"{base}/v5/market/kline?category=spot&symbol={_spelled(symbol)}&interval={spelling}"
            f"&start={since_ms}&end={since_ms + _CANDLE_LIMIT * length_ms - 1}&limit={_CANDLE_LIMIT}"
        )

    def parse_candles(self, body: bytes, symbol: str, interval: Interval) -> tuple[Candle, ...]:
        """Return the candles of a REST reply, oldest first; the venue sends them newest first."""
        reply = _candles.decode(body)
        if reply.code != 0:
            raise bad_frame(_VENUE, f"{reply.code} {reply.said}", body)
        rows = [
            (row.open_ms * NS_PER_MS, row, int(row.volume > 0))  # the venue counts none: 1 stands for some
            for row in reversed(reply.result.rows)
        ]
        return candles_of(self.venue, symbol, interval, rows)

    def instrument_url(self, base: str, symbol: str) -> str | None:
        """Return the address of the symbol's filters and status; None of recordings' depths."""
        if self.venue != _VENUE:
            return None  # no order is priced on them: they are the same venue's book again
        return f"{base}/v5/market/instruments-info?category=spot&symbol={_spelled(symbol)}"

    def parse_instrument(self, body: bytes, symbol: str, status: int) -> InstrumentTerms | Unlisted:
        """Return what the reply says of the symbol."""
        return of_bybit(body, _spelled(symbol), status)

    def _book_messages(self, raw: bytes, name: str) -> Sequence[VenueMessage]:
        frame = _book_frame.decode(raw)
        if frame.topic != f"{self._book_topic}{name}":
            return ()
        book = frame.data
        if book.name != name:
            raise bad_frame(_VENUE, f"a book of {book.name[:40]} under the topic of {name}", raw)
        at_ms = frame.sent_ms if frame.matched_ms is UNSET else frame.matched_ms
        if frame.type == "delta" and book.update_id != _RESTARTED:
            return (
                VenueDelta(
                    bids=book.bids,
                    asks=book.asks,
                    first=book.update_id,
                    last=book.update_id,
                    venue_ts=at_ms * NS_PER_MS,
                ),
            )
        return (
            VenueSnapshot(
                bids=book.bids, asks=book.asks, sequence=book.update_id, venue_ts=at_ms * NS_PER_MS
            ),
        )


def _spelled(symbol: str) -> str:
    return venue_of(_VENUE).spell(symbol)


def _without_topic(frame: _Frame, raw: bytes) -> Sequence[VenueMessage]:
    if frame.op is not UNSET:
        return spared(raw, lambda: _answered(raw))
    if frame.data is not UNSET:
        raise bad_frame(_VENUE, "data without their topic, which may be the book's", raw)
    return ignored("neither a topic's data nor an answer")


def _answered(raw: bytes) -> Sequence[VenueMessage]:
    answer = _answer.decode(raw)
    if not answer.success:
        return (Refused(answer.ret_msg or "without a reason"),)
    if answer.op == "subscribe":
        return (Acknowledged(),)
    return _HEARTBEAT if answer.op in _PONGS else ignored("an answer to", answer.op)


def _trades_of(raw: bytes, name: str) -> Sequence[VenueMessage]:
    return [_trade_of(trade) for trade in _trades.decode(raw).data if trade.name == name]


def _trade_of(trade: _Trade) -> VenueTrade:
    return VenueTrade(
        trade_id=trade.trade_id,
        price=trade.price,
        size=trade.size,
        side=_SIDES[trade.side],
        venue_ts=trade.matched_ms * NS_PER_MS,
    )
