"""python-kraken-sdk's `SpotOrderBookClient`, which verifies every checksum."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from kraken.spot import Market, SpotOrderBookClient

from tests.peers.child import SYMBOLS, Tally, answer_for, check

DEPTH = 10


async def main() -> None:
    tally = Tally(version("python-kraken-sdk"))

    async def on_update(pair: str, message: Any) -> None:
        if "error" in message:
            tally.resyncs += 1
            tally.complain(message["error"])
            return
        tally.messages += 1
        tally.checksums += message["type"] == "update" and client.get(pair=pair)["valid"]

    client = SpotOrderBookClient(depth=DEPTH, callback=on_update)
    answer_for(tally, lambda symbol: _tops(client, symbol))
    _ask(tally)
    await client.start()
    await client.add_book(pairs=[symbol.replace("-", "/") for symbol in SYMBOLS])
    await asyncio.Event().wait()


def _ask(tally: Tally) -> None:
    market = Market()
    check(tally, "AssetPairs", lambda: market.get_asset_pairs(pair="BTC/USDT"), holds=lambda a: a["BTC/USDT"])
    check(tally, "Assets", lambda: market.get_assets(assets="XBT"), holds=lambda a: list(a) == ["XXBT"])
    check(
        tally, "Depth", lambda: market.get_order_book(pair="XBTUSDT", count=5), holds=lambda a: a["XBTUSDT"]
    )
    check(
        tally,
        "Time",
        lambda: market.request("GET", "/0/public/Time", auth=False),
        holds=lambda a: a["rfc1123"],
    )
    check(tally, "SystemStatus", market.get_system_status, holds=lambda a: a["status"] == "online")


def _tops(client: Any, symbol: str) -> tuple[Any, Any]:
    book = client.get(pair=symbol.replace("-", "/"))
    bids, asks = ([(price, size) for price, (size, _) in book[side].items()] for side in ("bid", "ask"))
    return bids, asks


if __name__ == "__main__":
    asyncio.run(main())
