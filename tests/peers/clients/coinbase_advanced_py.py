"""coinbase-advanced-py's `WSClient`; it keeps no book, so one is kept here, and the count is checked."""

from __future__ import annotations

import json
import threading
from importlib.metadata import version
from typing import Any

from coinbase.rest import RESTClient
from coinbase.websocket import WSClient

from tests.peers.child import SYMBOLS, Tally, answer_for, check


def main() -> None:
    tally = Tally(version("coinbase-advanced-py"))
    books: dict[str, Any] = {}
    last = -1

    def on_message(text: str) -> None:
        nonlocal last
        message = json.loads(text)
        if message.get("type") == "error":
            tally.complain(text)
            return
        tally.sequences += 1
        if message["sequence_num"] != last + 1:
            tally.complain(f"sequence_num {message['sequence_num']} follows {last}")
        last = message["sequence_num"]
        if message["channel"] == "l2_data":
            tally.messages += 1
            for event in message["events"]:
                _take(books, event)

    answer_for(tally, lambda symbol: _tops(books[symbol]))
    _ask(tally)
    client = WSClient(on_message=on_message)
    client.open()
    client.level2(product_ids=list(SYMBOLS))
    client.heartbeats()
    threading.Event().wait()


def _take(books: dict[str, Any], event: Any) -> None:
    if event["type"] == "snapshot":
        books[event["product_id"]] = {"bid": {}, "offer": {}}
    book = books[event["product_id"]]
    for update in event["updates"]:
        if update["new_quantity"] == "0":
            book[update["side"]].pop(update["price_level"], None)
        else:
            book[update["side"]][update["price_level"]] = update["new_quantity"]


def _ask(tally: Tally) -> None:
    client = RESTClient()
    check(tally, "time", client.get_unix_time, holds=lambda a: a["epoch_millis"])
    check(tally, "products", client.get_public_products, holds=lambda a: len(a["products"]) >= len(SYMBOLS))
    check(
        tally,
        "product",
        lambda: client.get_public_product("BTC-USDT"),
        holds=lambda a: a["product_id"] == "BTC-USDT",
    )
    check(
        tally,
        "product_book",
        lambda: client.get_public_product_book("BTC-USDT", limit=5),
        holds=lambda a: len(a["pricebook"]["bids"]) == 5,
    )


def _tops(book: Any) -> tuple[Any, Any]:
    return (
        sorted(book["bid"].items(), key=lambda level: -float(level[0])),
        sorted(book["offer"].items(), key=lambda level: float(level[0])),
    )


if __name__ == "__main__":
    main()
