"""python-okx's `WsPublicAsync`; it keeps no book, so one is kept here and its chain of ids checked."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from typing import Any

from okx.MarketData import MarketAPI
from okx.PublicData import PublicAPI
from okx.websocket.WsPublicAsync import WsPublicAsync

from tests.peers.child import SYMBOLS, Tally, answer_for, check

URL = "wss://ws.okx.com:8443/ws/v5/public"
PING_S = 20.0  # the client sends none


async def main() -> None:
    tally, books = Tally(version("python-okx")), dict[str, Any]()

    def on_message(text: str) -> None:
        if text == "pong":
            return
        message = json.loads(text)
        if message.get("event") == "error":
            tally.complain(text)
        if "data" in message:
            _take(books, tally, message)

    answer_for(tally, lambda symbol: _tops(books[symbol]))
    _ask(tally)
    client = WsPublicAsync(url=URL)
    await client.start()
    await client.subscribe([{"channel": "books", "instId": symbol} for symbol in SYMBOLS], on_message)
    while True:
        await asyncio.sleep(PING_S)
        await client.websocket.send("ping")


def _take(books: dict[str, Any], tally: Tally, message: Any) -> None:
    symbol, (data,) = message["arg"]["instId"], message["data"]
    tally.messages += 1
    if message["action"] == "snapshot":
        books[symbol] = {"bids": {}, "asks": {}, "seqId": -1}
    else:
        tally.sequences += 1
        if data["prevSeqId"] != books[symbol]["seqId"]:
            tally.complain(f"prevSeqId {data['prevSeqId']} follows {books[symbol]['seqId']}")
    for side in ("bids", "asks"):
        for price, size, *_ in data[side]:
            if size == "0":
                books[symbol][side].pop(price, None)
            else:
                books[symbol][side][price] = size
    books[symbol]["seqId"] = data["seqId"]


def _ask(tally: Tally) -> None:
    public, market = PublicAPI(flag="0"), MarketAPI(flag="0")
    check(tally, "time", public.get_system_time, holds=lambda a: a["data"][0]["ts"])
    check(
        tally,
        "instruments",
        lambda: public.get_instruments(instType="SPOT", instId="BTC-USDT"),
        holds=lambda a: a["data"][0]["state"] == "live",
    )
    check(
        tally,
        "instruments of an unlisted one",
        lambda: public.get_instruments(instType="SPOT", instId="NOSUCH-USDT"),
        holds=lambda a: a["code"] == "51001",
    )
    check(
        tally,
        "books",
        lambda: market.get_orderbook(instId="BTC-USDT", sz="20"),
        holds=lambda a: a["data"][0]["seqId"],
    )


def _tops(book: Any) -> tuple[Any, Any]:
    return (
        sorted(book["bids"].items(), key=lambda level: -float(level[0])),
        sorted(book["asks"].items(), key=lambda level: float(level[0])),
    )


if __name__ == "__main__":
    asyncio.run(main())
