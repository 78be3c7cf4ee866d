"""``python -m tests.flood_exchange PORT``: two exchanges that speak as fast as they are told, for as long.

Binance spot (REST snapshot, diffs of about 20 levels) and Kraken v2 (depth 10, checksums), three books each,
on the addresses of the simulator. ``POST /flood {rate, seconds}`` starts an open loop: message k of a book is
due at a fixed time, which is also its venue time, whatever became of those before it. A socket that is not
read holds up its own book only, and nothing is dropped: the debt is in the lag. What is said is a cycle:
its last frame brings the book back to where the first one began, so that a long flood needs little memory
and no time to make. ``GET /truth/VENUE/SYMBOL`` folds what was said into plain dicts.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, TypeAlias

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from libs.common.time_units import NS_PER_MS, NS_PER_S
from tests.bench.depth_stream import Market
from tests.model_exchange import KrakenModel, book_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.model_exchange import Book, Side

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
BOOKS: Final = 2 * len(SYMBOLS)
CYCLE: Final = 2_000  # frames, the one that leads back included
PAUSE_S: Final = 0.001  # between looks at what is due
HEARTBEAT_S: Final = 1.0  # between signs of life while nothing else is said
SIGNS_OF_LIFE: Final = {"binance": '{"result":null,"id":1}', "kraken": '{"channel":"heartbeat"}'}
DEPTH: Final = 10  # of Kraken's window
STAMP: Final = b"2026-08-24T22:21:57.000000Z"  # as the model of the tests writes it

Sides: TypeAlias = "tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]]"


class Flood(msgspec.Struct, frozen=True):
    """What is asked for."""

    rate: int  # messages a second, all books together
    seconds: float


class BinanceBook:
    """Frames as templates of venue time, first and last id, since ids go on where the cycle begins anew."""

    def __init__(self, seed: int, symbol: str) -> None:
        market = Market(seed, symbol)
        self._begun = json.loads(market.snapshot())
        self._first_id: int = self._begun["lastUpdateId"]
        before = market.book()
        frames = [market.frame(b"0") for _ in range(CYCLE - 1)]
        self._said = [json.loads(frame)["data"] for frame in frames]
        last = self._said[-1]["u"]
        bids, asks = (_texts(side) for side in _difference(market.book(), before))
        home = {**self._said[-1], "U": last + 1, "u": last + 1, "b": bids, "a": asks}
        self._said.append(home)
        name = f"{symbol.replace('-', '').lower()}@depth@100ms"
        stream = json.dumps({"stream": name, "data": home}, separators=(",", ":"))
        frames.append(stream.encode())
        self._templates = [
            re.sub(rb'"E":\d+(.*)"U":\d+,"u":\d+', rb'"E":%d\1"U":%d,"u":%d', frame) for frame in frames
        ]
        self._span = last + 1 - self._first_id  # ids of a cycle

    def frame(self, at: int, venue_ms: int) -> bytes:
        """Return message `at` of this book."""
        cycle, place = divmod(at, CYCLE)
        said, shift = self._said[place], cycle * self._span
        return self._templates[place] % (venue_ms, said["U"] + shift, said["u"] + shift)

    def snapshot_after(self, said: int) -> bytes:
        """Return the REST reply after so many messages."""
        bids, asks = self.truth(said)
        cycle, place = divmod(said, CYCLE)
        last = self._said[place - 1]["u"] if place else self._first_id
        reply = {"lastUpdateId": last + cycle * self._span, "bids": _texts(bids), "asks": _texts(asks)}
        return json.dumps(reply).encode()

    def truth(self, said: int) -> Book:
        """Return the book after so many messages."""
        frames = [(self._begun["bids"], self._begun["asks"])]
        frames += [(each["b"], each["a"]) for each in self._said[: said % CYCLE]]
        return _folded(((_levels(bids), _levels(asks)) for bids, asks in frames), None)


class KrakenBook:
    """Frames whose time is stamped anew; checksums of a cycle hold in the next one too."""

    def __init__(self, seed: int, symbol: str) -> None:
        model = KrakenModel(seed)
        pair = symbol.replace("-", "/").encode()
        begun = model.snapshot_frame()
        before = model.now
        frames = [model.next_frame() for _ in range(CYCLE - 1)]
        bids, asks = (_kraken_texts(side) for side in _difference(model.now, before))
        checksum = json.loads(begun)["data"][0]["checksum"]
        frames.append(
            b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","bids":[%b],"asks":[%b],'
            b'"checksum":%d,"timestamp":"%b"}]}' % (bids, asks, checksum, STAMP)
        )
        self._begun, *self._frames = (frame.replace(b"BTC/USDT", pair, 1) for frame in (begun, *frames))

    def frame(self, at: int, venue_ms: int) -> bytes:
        """Return message `at` of this book."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(venue_ms // 1000))
        stamp = f"{moment}.{venue_ms % 1000:03d}000Z".encode()
        return self._frames[at % CYCLE].replace(STAMP, stamp, 1)

    def snapshot_after(self, said: int) -> bytes:
        """Return the first frame of a subscription made after so many messages."""
        last = (self._begun, *self._frames)[said % CYCLE]
        bids, asks = (_kraken_texts(side) for side in self.truth(said))
        (update,) = json.loads(last)["data"]
        return (
            b'{"channel":"book","type":"snapshot","data":[{"symbol":"%b","bids":[%b],"asks":[%b],'
            b'"checksum":%d,"timestamp":"%b"}]}'
            % (update["symbol"].encode(), bids, asks, update["checksum"], STAMP)
        )

    def truth(self, said: int) -> Book:
        """Return the window of ten levels after so many messages."""
        frames = (json.loads(frame)["data"][0] for frame in (self._begun, *self._frames[: said % CYCLE]))
        return _folded(((_quantities(frame["bids"]), _quantities(frame["asks"])) for frame in frames), DEPTH)


class Speaker:
    """One book and the socket that wants it."""

    def __init__(self, book: BinanceBook | KrakenBook) -> None:
        self.book = book
        self.subscriber: web.WebSocketResponse | None = None
        self.said = 0
        self.behind_ns = 0  # of the last message, sent after it was due

    async def speak(self, rate: float, seconds: float, offset_s: float) -> None:
        """Send ``rate x seconds`` messages, each when due or as soon after as the socket takes it."""
        start = time.time_ns() + int(offset_s * NS_PER_S)
        interval_ns = NS_PER_S / rate
        messages, sent = round(rate * seconds), 0
        while sent < messages:
            due = min(messages, int((time.time_ns() - start) / interval_ns) + 1)
            while sent < due:
                due_ts = start + int(sent * interval_ns)
                frame = self.book.frame(self.said, due_ts // NS_PER_MS)
                self.said += 1
                sent += 1
                await self._send(frame)
                self.behind_ns = time.time_ns() - due_ts
            await asyncio.sleep(PAUSE_S)

    async def live(self, sign_of_life: str) -> None:
        """Say now and then that the connection is alive, where no flood says it."""
        while True:
            said = self.said
            await asyncio.sleep(HEARTBEAT_S)
            if self.said == said:
                await self._send(sign_of_life.encode())

    async def _send(self, frame: bytes) -> None:
        if self.subscriber is None:
            return  # an exchange goes on without its subscriber, who will ask for a snapshot
        try:
            await self.subscriber.send_frame(frame, aiohttp.WSMsgType.TEXT)
        except ConnectionError:
            self.subscriber = None


class FloodExchange:
    """The web application."""

    def __init__(self) -> None:
        self.speakers: dict[str, Speaker] = {}
        for seed, symbol in enumerate(SYMBOLS):
            self.speakers[f"binance:{symbol}"] = Speaker(BinanceBook(seed, symbol))
            self.speakers[f"kraken:{symbol}"] = Speaker(KrakenBook(seed, symbol))
        self._floods: list[asyncio.Task[None]] = []
        self._lives = [
            asyncio.create_task(speaker.live(SIGNS_OF_LIFE[key.partition(":")[0]]))
            for key, speaker in self.speakers.items()
        ]
        self.app = web.Application()
        self.app.router.add_get("/binance/api/v3/depth", self._depth)
        self.app.router.add_get("/binance/stream", self._binance_stream)
        self.app.router.add_get("/kraken/v2", self._kraken_stream)
        self.app.router.add_post("/flood", self._flood)
        self.app.router.add_get("/said", self._said)
        self.app.router.add_get("/truth/{venue}/{symbol}", self._truth)

    async def _flood(self, request: web.Request) -> web.Response:
        """Speak, and answer at once; a flood that still runs is refused, so that rates never add up."""
        if any(not task.done() for task in self._floods):
            return web.Response(status=409, text="the last flood is not over")
        flood = msgspec.json.decode(await request.read(), type=Flood)
        each = flood.rate / BOOKS
        self._floods = [
            asyncio.create_task(speaker.speak(each, flood.seconds, at / flood.rate))
            for at, speaker in enumerate(self.speakers.values())
        ]
        return web.Response(status=202)

    async def _said(self, _request: web.Request) -> web.Response:
        for task in self._floods:
            if task.done():
                task.result()
        answer = {
            "said": {key: speaker.said for key, speaker in self.speakers.items()},
            "behind_ns": max(speaker.behind_ns for speaker in self.speakers.values()),
            "flooding": any(not task.done() for task in self._floods),
        }
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _truth(self, request: web.Request) -> web.Response:
        speaker = self.speakers["{venue}:{symbol}".format(**request.match_info)]
        bids, asks = speaker.book.truth(speaker.said)
        answer = {"said": speaker.said, "bids": bids, "asks": asks}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _depth(self, request: web.Request) -> web.Response:
        """Answer with the book of this moment, which a resync in mid-flood needs."""
        speaker = self.speakers[f"binance:{request.query['symbol'].removesuffix('USDT')}-USDT"]
        assert isinstance(speaker.book, BinanceBook)
        return web.Response(body=speaker.book.snapshot_after(speaker.said), content_type="application/json")

    async def _binance_stream(self, request: web.Request) -> web.WebSocketResponse:
        base = request.query["streams"].partition("@")[0].upper().removesuffix("USDT")
        speaker = self.speakers[f"binance:{base}-USDT"]
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        speaker.subscriber = socket
        async for _ in socket:
            pass
        return socket

    async def _kraken_stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            asked = msgspec.json.decode(message.data)
            if asked["method"] != "subscribe":
                continue
            pair = asked["params"]["symbol"][0]
            channel = asked["params"]["channel"]
            answer = {"method": "subscribe", "success": True, "result": {"channel": channel, "symbol": pair}}
            await socket.send_str(msgspec.json.encode(answer).decode())
            if channel == "book":
                speaker = self.speakers[f"kraken:{pair.replace('/', '-')}"]
                assert isinstance(speaker.book, KrakenBook)
                speaker.subscriber = socket
                await socket.send_str(speaker.book.snapshot_after(speaker.said).decode())
        return socket


def _difference(now: Book, then: Book) -> Sides:
    """Return the levels that lead back, a size of 0.0 deleting, of bids and of asks."""
    bids, asks = (
        [*((price, 0.0) for price in dict(here).keys() - dict(there).keys())]
        + [level for level in there if level not in set(here)]
        for here, there in zip(now, then, strict=True)
    )
    return bids, asks


def _folded(frames: Iterable[Sides], depth: int | None) -> Book:
    sides: tuple[Side, Side] = ({}, {})
    for frame in frames:
        for side, levels in zip(sides, frame, strict=True):
            for price, size in levels:
                side[price] = size
                if size == 0:
                    del side[price]
        if depth is not None:
            bids, asks = book_of(*sides, depth)
            sides = dict(bids), dict(asks)
    return book_of(*sides)


def _texts(levels: Iterable[tuple[float, float]]) -> list[list[str]]:
    return [[f"{price:.2f}", f"{size:.3f}"] for price, size in levels]


def _kraken_texts(levels: Iterable[tuple[float, float]]) -> bytes:
    return ",".join(f'{{"price":{price:.1f},"qty":{size:.8f}}}' for price, size in levels).encode()


def _levels(texts: Iterable[Sequence[str]]) -> list[tuple[float, float]]:
    return [(float(price), float(size)) for price, size in texts]


def _quantities(levels: Iterable[dict[str, float]]) -> list[tuple[float, float]]:
    return [(level["price"], level["qty"]) for level in levels]


async def main(port: int) -> None:
    """Serve until stopped."""
    runner = web.AppRunner(FloodExchange().app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
