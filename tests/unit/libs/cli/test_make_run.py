import socket

import pytest

from libs.cli import ready, supervision

LIVE = {"venue": "binance", "symbol": "BTC-USDT", "state": "LIVE"}
SYNCING = {"venue": "kraken", "symbol": "BTC-USDT", "state": "SYNCING"}


def test_ready_means_every_expected_book_is_live() -> None:
    assert ready.unfinished([LIVE], ["binance:BTC-USDT"]) == []
    assert ready.unfinished([LIVE, SYNCING], []) == ["kraken:BTC-USDT SYNCING"]
    assert ready.unfinished([LIVE], ["binance:BTC-USDT", "kraken:ETH-USDT"]) == ["kraken:ETH-USDT unknown"]


def test_a_system_without_books_is_not_ready() -> None:
    assert ready.unfinished([], []) == ["no book yet"]


def test_a_gateway_that_is_not_there_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ready.NotReadyError, match=f"the gateway on 127.0.0.1:{port}"):
        ready.check("127.0.0.1", port, [])


def test_a_death_is_news_and_an_asked_for_stop_is_not() -> None:
    assert supervision.is_news("exited: l2 (terminated by SIGKILL; not expected)")
    assert not supervision.is_news("stopped: l2 (exit status 0)")
    assert not supervision.is_news("received SIGINT indicating exit request")
