"""cryptofeed's feeds, with `checksum_validation` and `cross_check` on."""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes
from cryptofeed.defines import L2_BOOK
from cryptofeed.exchanges import OKX, Binance, Bybit, Coinbase, Kraken

from tests.peers.child import SYMBOLS, TOP, Tally, answer_for

if TYPE_CHECKING:
    from collections.abc import Mapping

FEEDS: Final[Mapping[str, Any]] = {
    "binance": Binance,
    "bybit": Bybit,
    "coinbase": Coinbase,
    "kraken": Kraken,
    "okx": OKX,
}
CHECKSUMS: Final = frozenset({"kraken"})  # OKX's is 0 since 2026-06-23 (venue's changelog): see known_faults
SEQUENCES: Final = frozenset({"binance"})
# It signs what it asks Coinbase even for public channels; the simulator reads no signature.
KEYS: Final = {"coinbase": {"key_id": "key", "key_secret": "secret"}}
Coinbase.rest_endpoints = [  # the public route of the same list: the other is for accounts
    RestEndpoint("https://api.coinbase.com/api/v3/brokerage", routes=Routes("/market/products"))
]


class Complaints(logging.Handler):
    """Keeps what the client logs as wrong."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.WARNING)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        self._tally.complain(text[:300])
        self._tally.resyncs += record.levelno >= logging.ERROR


def main(venue: str) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    tally, books = Tally(version("cryptofeed")), dict[str, Any]()
    logging.getLogger("feedhandler").addHandler(Complaints(tally))

    async def on_book(book: Any, _received: float) -> None:
        tally.messages += 1
        tally.checksums += venue in CHECKSUMS and book.checksum is not None
        tally.sequences += venue in SEQUENCES and book.sequence_number is not None
        books[book.symbol] = book.book

    answer_for(tally, lambda symbol: _tops(books[symbol]))
    handler = FeedHandler(config={"uvloop": False, "log": {"disabled": True}, **KEYS})
    feed = FEEDS[venue](
        symbols=list(SYMBOLS),
        channels=[L2_BOOK],
        callbacks={L2_BOOK: on_book},
        checksum_validation=venue in CHECKSUMS,
        cross_check=True,
        retries=-1,
        config=handler.config,
    )
    tally.rest.append("symbol_mapping")
    handler.add_feed(feed)
    handler.run(install_signal_handlers=False)


def _tops(book: Any) -> tuple[Any, Any]:
    return _best(book.bids), _best(book.asks)


def _best(side: Any) -> list[Any]:
    return [side.index(place) for place in range(min(TOP, len(side)))]


if __name__ == "__main__":
    main(sys.argv[1])
