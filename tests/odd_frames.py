"""Frames of each venue that are no book's: what a feed does not know, and trades that cannot be read."""

from __future__ import annotations

STRANGE = {
    "binance": (
        b'{"stream":"btcusdt@kline_1m","data":{"e":"kline"}}',
        b'{"stream":"something","data":{}}',
        b'{"e":"something"}',
        b'{"something":1}',
        b"[]",
        b'{"stream":"btcusdt@bookTicker","data":{"u":1100,"s":"BTCUSDT","b":"0","B":"0","a":"1.0","A":"1"}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":1100,"s":"BTCUSDT","b":"1.0","B":"1","a":"0.00000000","A":"0"}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":1100,"s":"BTCUSDT","b":"","B":"","a":"1.0","A":"1"}}',
        b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":7,"p":"1","q":"0","T":1789999999000,"m":true}}',
    ),
    "coinbase": (b'{"type":"something"}', b'{"type":"something","message":"x"}', b'{"something":1}', b"[]"),
    "okx": (
        b'{"event":"something"}',
        b'{"event":"notice","code":"1","msg":"x"}',
        b'{"arg":{"channel":"something","instId":"BTC-USDT"},"data":[{}]}',
        b'{"something":1}',
        b"[]",
    ),
    "bybit": (b'{"topic":"something","data":{}}', b'{"op":"something"}', b'{"something":1}', b"[]"),
    "kraken": (b'{"channel":"something","data":[]}', b'{"method":"something"}', b'{"something":1}', b"[]"),
}
UNREADABLE = {
    "binance": b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":"x"}}',
    "okx": b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"px":"-1"}]}',
    "bybit": b'{"topic":"publicTrade.BTCUSDT","data":[{"p":"-1"}]}',
    "kraken": b'{"channel":"trade","type":"update","data":[{"price":-1}]}',
}
