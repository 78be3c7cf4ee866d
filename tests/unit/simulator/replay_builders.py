"""Builders of recorded frames and of what clients ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from simulator.recordings import Frame, RestReply
from simulator.replay_venue import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

Levels: TypeAlias = "Sequence[tuple[str, str]]"

BINANCE_URL = "wss://stream.binance.com:9443/stream"
KRAKEN_V1_URL = "wss://ws.kraken.com"
KRAKEN_V2_URL = "wss://ws.kraken.com/v2"


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def a_binance_diff(first: int, last: int, bids: Levels = (), asks: Levels = (), ts: int = 0) -> Frame:
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return Frame(ts, "1", BINANCE_URL, text({"stream": "btcusdt@depth@100ms", "data": data}))


def a_binance_snapshot(last: int, bids: Levels = (), asks: Levels = (), ts: int = 0) -> RestReply:
    url = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    return RestReply(ts, url, text({"lastUpdateId": last, "bids": bids, "asks": asks}))


def a_kraken_v1_frame(payload: object, ts: int = 0) -> Frame:
    return Frame(ts, "1", KRAKEN_V1_URL, text([464, payload, "book-10", "XBT/CHF"]))


def a_kraken_v2_book(kind: str, bids: Levels = (), asks: Levels = (), ts: int = 0) -> Frame:
    sides = (",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in side) for side in (bids, asks))
    book = '"bids":[{}],"asks":[{}],"checksum":0,"timestamp":"2026-08-24T22:21:58.343688Z"'.format(*sides)
    return Frame(
        ts, "1", KRAKEN_V2_URL, f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD",{book}}}]}}'
    )


def a_session() -> Session:
    return Session(number=7)
