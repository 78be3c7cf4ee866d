"""pybit's `orderbook_stream`, which keeps the book itself."""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Any

from pybit.unified_trading import HTTP, WebSocket

from tests.peers.child import SYMBOLS, Tally, answer_for, check

DEPTH = 50


def main() -> None:
    tally, books = Tally(version("pybit")), dict[str, Any]()
    names = [symbol.replace("-", "") for symbol in SYMBOLS]

    def on_book(message: Any) -> None:
        data = message["data"]
        before = books.get(data["s"])
        tally.messages += 1
        if before is not None:  # pybit counts nothing: its `u` is held against the one before here
            tally.sequences += 1
            if data["u"] not in {before["u"] + 1, 1}:
                tally.complain(f"u {data['u']} follows {before['u']}")
        books[data["s"]] = {"u": data["u"], "b": list(data["b"]), "a": list(data["a"])}

    answer_for(tally, lambda symbol: _tops(books[symbol.replace("-", "")]))
    _ask(tally)
    socket = WebSocket(channel_type="spot", testnet=False)
    socket.orderbook_stream(DEPTH, names, on_book)
    threading.Event().wait()


def _ask(tally: Tally) -> None:
    http = HTTP(testnet=False)
    spot = {"category": "spot"}
    check(tally, "time", http.get_server_time, holds=lambda a: a["result"]["timeNano"])
    check(
        tally,
        "instruments-info",
        lambda: http.get_instruments_info(**spot, symbol="BTCUSDT"),
        holds=lambda a: a["result"]["list"][0]["symbol"] == "BTCUSDT",
    )
    check(
        tally,
        "instruments-info of an unlisted symbol",
        lambda: http.get_instruments_info(**spot, symbol="NOSUCHUSDT"),
        holds=lambda a: a["result"]["list"] == [],
    )
    check(
        tally,
        "orderbook",
        lambda: http.get_orderbook(**spot, symbol="BTCUSDT", limit=50),
        holds=lambda a: len(a["result"]["b"]) == 50,
    )


def _tops(book: Any) -> tuple[Any, Any]:
    return (
        sorted(book["b"], key=lambda level: -float(level[0])),
        sorted(book["a"], key=lambda level: float(level[0])),
    )


if __name__ == "__main__":
    main()
