"""ccxt.pro's `watch_order_book`, with its option `checksum` on."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import ccxt
import ccxt.pro

from tests.peers.child import SYMBOLS, Tally, answer_for

DEPTHS: Final = {"binance": 1000, "bybit": 50, "coinbase": None, "kraken": 10, "okx": None}
SEQUENCES: Final = frozenset({"binance", "okx"})


async def main(venue: str) -> None:
    tally = Tally(ccxt.__version__)
    options = {
        "watchOrderBook": {"checksum": venue != "kraken"},
        "fetchMarkets": {"types": ["spot"]},
        "defaultType": "spot",
    }
    base: Any = getattr(ccxt.pro, venue)

    class Counted(base):  # type: ignore[misc]  # of a package without types
        """The same client, counting its book messages."""

        def handle_order_book(self, client: Any, message: Any) -> Any:
            tally.messages += 1
            done = super().handle_order_book(client, message)
            tally.sequences += venue in SEQUENCES
            return done

    exchange = Counted({"options": options, "enableRateLimit": True})
    answer_for(tally, lambda symbol: _tops(exchange, symbol))
    await asyncio.gather(
        _ask(exchange, tally), *(_watch(exchange, symbol, DEPTHS[venue], tally) for symbol in SYMBOLS)
    )


async def _watch(exchange: Any, symbol: str, depth: int | None, tally: Tally) -> None:
    while True:
        try:
            await exchange.watch_order_book(symbol.replace("-", "/"), depth)
        except Exception as error:  # noqa: BLE001 -- a client's own errors are its answer to a bad book
            tally.resyncs += 1
            tally.complain(error)
            await asyncio.sleep(1.0)


async def _ask(exchange: Any, tally: Tally) -> None:
    if exchange.id == "kraken":
        try:
            exchange.format_number(45757.7)
        except AttributeError as error:  # the check would end every book with it: see known_faults
            tally.complain(error)
    try:
        markets = await exchange.load_markets()
        if all(symbol.replace("-", "/") in markets for symbol in SYMBOLS):
            tally.rest.append("load_markets")
        else:
            tally.complain(f"load_markets knows {sorted(markets)[:10]}")
        book = await exchange.fetch_order_book("BTC/USDT", 20)
        if book["bids"][0][0] < book["asks"][0][0]:
            tally.rest.append("fetch_order_book")
        time_ms = await exchange.fetch_time()
        if abs(time_ms - exchange.milliseconds()) < 10_000:
            tally.rest.append("fetch_time")
        else:
            tally.complain(f"fetch_time answers {time_ms}")
    except Exception as error:  # noqa: BLE001 -- it is reported
        tally.complain(error)


def _tops(exchange: Any, symbol: str) -> tuple[Any, Any]:
    book = exchange.orderbooks[symbol.replace("-", "/")]
    return [level[:2] for level in book["bids"]], [level[:2] for level in book["asks"]]


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
