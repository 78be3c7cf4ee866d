"""python-binance's `DepthCacheManager`, at 100 ms."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from binance import AsyncClient, Client, DepthCacheManager

from tests.peers.child import SYMBOLS, Tally, answer_for, check

DEPTH = 1000


async def main() -> None:
    tally, caches = Tally(version("python-binance")), dict[str, Any]()
    answer_for(tally, lambda symbol: (caches[symbol].get_bids(), caches[symbol].get_asks()))
    await asyncio.to_thread(_ask, tally)
    client = await AsyncClient.create()
    await asyncio.gather(*(_watch(client, symbol, caches, tally) for symbol in SYMBOLS))


async def _watch(client: Any, symbol: str, caches: dict[str, Any], tally: Tally) -> None:
    class Counted(DepthCacheManager):  # type: ignore[misc]  # of a package without types
        """The same manager, counting how often it fetches a snapshot."""

        async def _init_cache(self) -> None:
            tally.resyncs += symbol in caches
            await super()._init_cache()

    async with Counted(client, symbol.replace("-", ""), limit=DEPTH, ws_interval=100) as manager:
        while True:
            cache = await manager.recv()
            if isinstance(cache, dict):
                tally.complain(cache)
                continue
            tally.messages += 1
            tally.sequences += 1
            caches[symbol] = cache


def _ask(tally: Tally) -> None:
    client = Client()  # pings
    check(tally, "time", client.get_server_time, holds=lambda a: a["serverTime"])
    check(tally, "exchangeInfo", client.get_exchange_info, holds=lambda a: len(a["symbols"]) == len(SYMBOLS))
    check(
        tally,
        "exchangeInfo of a symbol",
        lambda: client.get_symbol_info("BTCUSDT"),
        holds=lambda a: a["symbol"] == "BTCUSDT",
    )
    check(
        tally,
        "depth",
        lambda: client.get_order_book(symbol="BTCUSDT", limit=5),
        holds=lambda a: len(a["bids"]) == 5,
    )


if __name__ == "__main__":
    asyncio.run(main())
