"""Binance's perpetuals: the protocol of its spot market, but events are chained by ``pu``.

``binance-usdm`` is margined in USDT, and ``BTC-USDT`` is its ``BTCUSDT``, sized in base units.
``binance-coinm`` is margined in the coin, and ``BTC-USD`` is its inverse perpetual ``BTCUSD_PERP``. Prices
are in USD, sizes in contracts (of 100 USD for BTC, of 10 USD for others): in books, trades and candles.

Source: developers.binance.com/docs/derivatives, USDS-margined and COIN-margined futures, websocket market
streams and REST market data, as read in 2026-11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Raw, field

from libs.common.time_units import NS_PER_MS
from services.l2.feeds.binance import BinanceFeed, of_another_symbol
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import Changes, EpochMs, FrameDecoder, Id, Size, bad_frame
from services.l2.feeds.venue_messages import Heartbeat, VenueDelta, VenueSnapshot, VenueTrade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.l2.feeds.venue_messages import VenueMessage

_FAMILY: Final = "binance"
_MARKET: Final = "MARKET"  # the order type of a trade between two orders of the book


class _Trade(msgspec.Struct, frozen=True, gc=False):
    event: Literal["trade"] = field(name="e")
    symbol: str = field(name="s")
    trade_id: Id = field(name="t")
    price: Size = field(name="p")  # 0 where it was no trade of the market
    size: Size = field(name="q")
    trade_ms: EpochMs = field(name="T")
    buyer_is_maker: bool = field(name="m")
    kind: str = field(name="X", default=_MARKET)


class _Snapshot(msgspec.Struct, frozen=True, gc=False):
    last_update_id: Id = field(name="lastUpdateId")
    transaction_ms: EpochMs = field(name="T")
    bids: Changes
    asks: Changes


_trade: Final = FrameDecoder[_Trade](_FAMILY, _Trade)
_snapshot: Final = FrameDecoder[_Snapshot](_FAMILY, _Snapshot)


class BinanceFuturesFeed(BinanceFeed):
    """One of Binance's two futures markets; what is not said here is as it is on spot.

    Parameters
    ----------
    venue
        ``binance-usdm`` or ``binance-coinm``.
    rest_path
        Where the market's REST routes are.
    """

    instrument_url = Feed.instrument_url  # no order is priced on these books
    parse_instrument = Feed.parse_instrument
    contiguous_trades = False  # some ids are those of trades outside the market
    snapshot_limit = 1000  # levels a side, the most there is; weighs 20 of 2400 a minute

    def __init__(self, venue: str, rest_path: str) -> None:
        self.venue = venue
        self.rest_path = rest_path

    def checked(self, delta: VenueDelta, raw: bytes | Raw) -> VenueDelta:
        """Return the delta if it says which one it follows."""
        if delta.previous is None:
            raise bad_frame(_FAMILY, "an event of a futures market without pu", raw)
        return delta

    def step(self, position: int | None, delta: VenueDelta) -> Step:
        """Place a delta after the book's id, be that of a snapshot or of the delta before.

        Notes
        -----
        "Drop any event where u is < lastUpdateId in the snapshot. The first processed event should have
        U <= lastUpdateId AND u >= lastUpdateId. While listening to the stream, each new event's pu should be
        equal to the previous event's u, otherwise initialize the process from step 3." Ids between ``pu`` and
        ``U`` are other symbols', so a snapshot is never of one. An event that contains the book's id repeats
        levels, which are absolute; one that ends at it adds nothing.

        References
        ----------
        "How to manage a local order book correctly", the same for both markets, as read in 2026-11.
        """
        if position is None or delta.first is None or delta.last is None:
            return Step.GAP
        if delta.last <= position:
            return Step.OLD
        return Step.APPLY if delta.previous == position or delta.first <= position else Step.GAP

    def trades(self, data: Raw, spelled: str) -> Sequence[VenueMessage]:
        """Return what the stream of trades says, without those of the insurance fund and the like."""
        trade = _trade.decode(data)
        if trade.symbol != spelled:
            raise of_another_symbol(spelled, data)
        if trade.kind != _MARKET:
            return (Heartbeat(),)
        if not trade.price:
            raise bad_frame(_FAMILY, "a trade for nothing", data)
        return (
            VenueTrade(
                trade_id=str(trade.trade_id),
                price=trade.price,
                size=trade.size,
                side="sell" if trade.buyer_is_maker else "buy",
                venue_ts=trade.trade_ms * NS_PER_MS,
            ),
        )

    def parse_snapshot(self, body: bytes) -> VenueSnapshot:
        """Return the snapshot of a REST reply."""
        reply = _snapshot.decode(body)
        return VenueSnapshot(
            bids=reply.bids,
            asks=reply.asks,
            sequence=reply.last_update_id,
            venue_ts=reply.transaction_ms * NS_PER_MS,
            limit=self.snapshot_limit,
        )
