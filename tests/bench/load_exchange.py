"""``python -m tests.bench.load_exchange PORT RATE SECONDS LOG``: two exchanges that speak at a steady rate.

Binance spot (REST snapshot, diffs of about 20 levels) and Kraken v2 (depth 10, checksums), three books each,
on the addresses of the simulator. When all six are subscribed, message k is due at ``start + k / RATE``
seconds, whatever became of those before it (open loop), and that time is also its venue time. A reader
downstream thus knows each message by its venue time; LOG names the start and the ns at which each was really
sent. RATE divides 1000, since Binance's times are whole milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from libs.common.time_units import NS_PER_MS, NS_PER_S
from tests.bench.depth_stream import Market
from tests.model_exchange import KrakenModel

if TYPE_CHECKING:
    from collections.abc import Callable

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
SETTLE_S: Final = 2.0  # after the last subscription: Binance's snapshot is asked for within one second
BINANCE_STAMP: Final = b"EVENT_TIME_MS"
KRAKEN_STAMP: Final = b"2026-08-24T22:21:57.000000Z"  # as the model of the tests writes it


class SendLog(msgspec.Struct, frozen=True):
    """When messages were due and sent, ns UTC."""

    start_ts: int
    interval_ns: int
    sent_ts: list[int]


class Book:
    """One book: its snapshot, its frames to come, and the socket that wants them."""

    def __init__(self, snapshot: bytes, frames: deque[bytes], stamp: Callable[[bytes, int], bytes]) -> None:
        self.snapshot = snapshot
        self.subscriber: web.WebSocketResponse | None = None
        self._frames = frames
        self._stamp = stamp

    async def speak(self, venue_ms: int) -> None:
        """Send the next frame under its venue time."""
        if self.subscriber is None:
            raise RuntimeError("a subscriber has left; the run is void")
        frame = self._stamp(self._frames.popleft(), venue_ms)
        await self.subscriber.send_frame(frame, aiohttp.WSMsgType.TEXT)


class LoadExchange:
    """The web application, and the loop that speaks."""

    def __init__(self, frames: int) -> None:
        self.binance = {symbol: _binance(seed, symbol, frames) for seed, symbol in enumerate(SYMBOLS)}
        self.kraken = {symbol: _kraken(seed, symbol, frames) for seed, symbol in enumerate(SYMBOLS)}
        self._all_wanted = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_get("/binance/api/v3/depth", self._depth)
        self.app.router.add_get("/binance/stream", self._binance_stream)
        self.app.router.add_get("/kraken/v2", self._kraken_stream)

    @property
    def books(self) -> list[Book]:
        """All books, the venues in turn."""
        return [venue[symbol] for symbol in SYMBOLS for venue in (self.binance, self.kraken)]

    async def speak(self, rate: int, messages: int) -> SendLog:
        """Send at `rate` a second once all books are wanted; return when that was."""
        await self._all_wanted.wait()
        await asyncio.sleep(SETTLE_S)
        books, interval_ns = self.books, NS_PER_S // rate
        start = (time.time_ns() // NS_PER_MS + 10) * NS_PER_MS
        sent: list[int] = []
        for at in range(messages):
            due = start + at * interval_ns
            if (wait_ns := due - time.time_ns()) > 0:
                await asyncio.sleep(wait_ns / NS_PER_S)
            sent.append(time.time_ns())
            await books[at % len(books)].speak(due // NS_PER_MS)
        return SendLog(start, interval_ns, sent)

    async def _depth(self, request: web.Request) -> web.Response:
        book = self.binance[_canonical(request.query["symbol"])]
        return web.Response(body=book.snapshot, content_type="application/json")

    async def _binance_stream(self, request: web.Request) -> web.WebSocketResponse:
        book = self.binance[_canonical(request.query["streams"].partition("@")[0])]
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._subscribe(book, socket)
        async for _ in socket:
            pass
        book.subscriber = None
        return socket

    async def _kraken_stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        book: Book | None = None
        async for message in socket:
            asked = msgspec.json.decode(message.data)
            if asked["method"] != "subscribe":
                continue
            pair = asked["params"]["symbol"][0]
            channel = asked["params"]["channel"]
            answer = {"method": "subscribe", "success": True, "result": {"channel": channel, "symbol": pair}}
            await socket.send_str(msgspec.json.encode(answer).decode())
            if channel == "book":
                book = self.kraken[pair.replace("/", "-")]
                await socket.send_str(book.snapshot.decode())
                self._subscribe(book, socket)
        if book is not None:
            book.subscriber = None
        return socket

    def _subscribe(self, book: Book, socket: web.WebSocketResponse) -> None:
        book.subscriber = socket
        if all(each.subscriber for each in self.books):
            self._all_wanted.set()


def _canonical(spelled: str) -> str:
    return f"{spelled.upper().removesuffix('USDT')}-USDT"


def _binance(seed: int, symbol: str, frames: int) -> Book:
    market = Market(seed, symbol)
    snapshot = market.snapshot()
    made = deque(market.frame(BINANCE_STAMP) for _ in range(frames))
    return Book(snapshot, made, lambda frame, ms: frame.replace(BINANCE_STAMP, b"%d" % ms, 1))


def _kraken(seed: int, symbol: str, frames: int) -> Book:
    model = KrakenModel(seed)
    pair = symbol.replace("-", "/").encode()
    snapshot = model.snapshot_frame().replace(b"BTC/USDT", pair, 1)
    made = deque(model.next_frame().replace(b"BTC/USDT", pair, 1) for _ in range(frames))
    return Book(snapshot, made, lambda frame, ms: frame.replace(KRAKEN_STAMP, _rfc3339(ms), 1))


def _rfc3339(ms: int) -> bytes:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000))
    return f"{moment}.{ms % 1000:03d}000Z".encode()


def read_log(path: Path) -> SendLog:
    """Return what an exchange left behind."""
    return msgspec.json.decode(path.read_bytes(), type=SendLog)


async def main(port: int, rate: int, seconds: int, log: Path) -> None:
    """Serve until everything is said, then leave the log."""
    messages = rate * seconds
    exchange = LoadExchange(messages // (2 * len(SYMBOLS)) + 1)
    runner = web.AppRunner(exchange.app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sent = await exchange.speak(rate, messages)
    unfinished = log.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.encode(sent))
    unfinished.rename(log)
    await asyncio.Event().wait()  # until it is stopped: a socket that closed now would be a fault to l2


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
