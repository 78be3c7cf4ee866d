"""A replay behind real sockets: what clients receive is what was recorded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSCloseCode, WSMsgType
from aiohttp.test_utils import TestServer

from libs.cli.record import RecordingWriter
from simulator import replay_player
from simulator.recordings import Frame, RecordingError, RestReply, open_recording
from simulator.replay import create_replay_app, list_books
from simulator.settings import SimulatorSettings
from tests import recordings
from tests.recordings import needs_recordings
from tests.unit.simulator.replay_builders import (
    BINANCE_URL,
    KRAKEN_V2_URL,
    a_binance_diff,
    a_binance_snapshot,
    a_kraken_v2_book,
    text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


STREAMS = "btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"
SUBSCRIBE_V2 = text(
    {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 10}}
)


class Replay:
    """A replay that serves, and a session to ask it."""

    def __init__(self, server: TestServer, http: ClientSession) -> None:
        self.server = server
        self.http = http

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[ClientWebSocketResponse]:
        async with self.http.ws_connect(self.server.make_url(path), max_msg_size=0) as socket:
            yield socket

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.server.make_url(path)) as reply:
            return reply.status, await reply.text()

    async def position(self) -> dict[str, Any]:
        position: dict[str, Any] = msgspec.json.decode((await self.get("/control/replay"))[1])
        return position

    async def post(self, path: str) -> None:
        async with self.http.post(self.server.make_url(path)) as reply:
            assert reply.status == 200

    async def until(self, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while not met(position := await self.position()):  # noqa: ASYNC110 -- it is told over HTTP only
                await asyncio.sleep(0.01)
        return position


@asynccontextmanager
async def replaying(*paths: Path, **settings: Any) -> AsyncIterator[Replay]:
    chosen = {"replay_speed": 0.0, "replay_settle_s": 0.0} | settings
    feed = "replay:" + ",".join(map(str, paths))
    server = TestServer(create_replay_app(SimulatorSettings(feed=feed, **chosen)))
    async with server, ClientSession() as http:
        yield Replay(server, http)


async def take(socket: ClientWebSocketResponse, count: int) -> list[str]:
    """Return the next frames, without the heartbeats between them."""
    frames: list[str] = []
    async with asyncio.timeout(60):
        while len(frames) < count:
            frame = await socket.receive_str()
            if frame not in {'{"channel":"heartbeat"}', '{"event":"heartbeat"}'}:
                frames.append(frame)
    return frames


def a_recording(path: Path, *records: Frame | RestReply) -> Path:
    with RecordingWriter(path, "TEST") as writer:
        for conn in {record.url: record.conn for record in records if isinstance(record, Frame)}.items():
            writer.connected(conn[1], 0, conn[0])
        for record in records:
            if isinstance(record, Frame):
                writer.received(record.conn, record.ts, record.text)
            else:
                writer.replied("http", record.ts, record.url, record.text)
    return path


def a_binance_recording(path: Path, *, diffs: int, spacing_ns: int) -> Path:
    reply = a_binance_snapshot(10, [("100", "1")], [("101", "1")], ts=1)
    frames = [
        a_binance_diff(10 * n + 1, 10 * n + 10, [(f"{99 - n % 7}", f"{n}")], ts=1 + n * spacing_ns)
        for n in range(1, diffs + 1)
    ]
    return a_recording(path, reply, *frames)


@needs_recordings
async def test_a_client_receives_the_recorded_frames_and_reply_and_nothing_else() -> None:
    records = [record for path in recordings.BINANCE_SPOT for record in open_recording(path).records()]
    frames = [record.text for record in records if isinstance(record, Frame)]
    (reply,) = (record.text for record in records if isinstance(record, RestReply))
    async with replaying(*recordings.BINANCE_SPOT, replay_settle_s=0.5) as replay:
        assert (await replay.position())["state"] == "waiting"
        snapshot = asyncio.create_task(replay.get("/binance/api/v3/depth?symbol=BTCUSDT&limit=5000"))
        async with replay.socket(f"/binance/stream?streams={STREAMS}") as socket:
            assert await take(socket, len(frames)) == frames
            assert await snapshot == (200, reply)
            position = await replay.until(lambda position: position["finished"])
            assert position["recordsPlayed"] == position["records"] == 99_574
            assert position["framesSent"] == len(frames)
            await socket.send_str(
                '{"method":"LIST_SUBSCRIPTIONS","id":1}'
            )  # the socket outlives the recording
            assert await take(socket, 1) == [f'{{"result":{text(STREAMS.split("/"))},"id":1}}']


@needs_recordings
async def test_every_kraken_v1_client_receives_its_own_pair() -> None:
    recorded = [
        record.text
        for record in open_recording(recordings.KRAKEN_V1).records()
        if ',"book-1000","' in record.text
    ]
    recorded = [frame for frame in recorded if frame.startswith("[")]
    pairs = Counter(msgspec.json.decode(frame)[-1] for frame in recorded)

    async def follow(replay: Replay, pair: str) -> list[str]:
        async with replay.socket("/kraken/v1") as socket:
            subscription = {"name": "book", "depth": 1000}
            await socket.send_str(text({"event": "subscribe", "pair": [pair], "subscription": subscription}))
            status, acknowledgement, *frames = await take(socket, 2 + pairs[pair])
            assert '"status":"online"' in status
            assert '"status":"subscribed"' in acknowledgement
            return frames

    async with replaying(recordings.KRAKEN_V1, replay_settle_s=0.5) as replay:
        followed = await asyncio.gather(*(follow(replay, pair) for pair in pairs))
    assert sum(map(len, followed)) == 4_279
    for pair, frames in zip(pairs, followed, strict=True):
        assert frames == [frame for frame in recorded if frame.endswith(f'"{pair}"]')]


@needs_recordings
async def test_two_recordings_of_different_venues_play_one_after_the_other() -> None:
    books = ["binance:BLZ-ETH", "binance:LRC-BTC", "binance:NKN-USDT", "binance:RUNE-EUR", "kraken:BTC-USD"]
    paths = (recordings.KRAKEN_V2, recordings.BINANCE_2021)
    assert list_books(SimulatorSettings(feed="replay:" + ",".join(map(str, paths)))) == books
    async with replaying(*paths, replay_start="at-once") as replay:
        position = await replay.until(lambda position: position["finished"])
    assert position["books"] == books
    assert position["recordsPlayed"] == 8 + 265 + 4


@pytest.mark.parametrize(
    ("path", "wrapped"), [("/binance/ws/btcusdt@depth@100ms", False), ("/binance/stream", True)]
)
async def test_a_client_gets_the_envelope_it_asked_for(tmp_path: Path, path: str, *, wrapped: bool) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl", diffs=3, spacing_ns=1)
    async with replaying(recording) as replay, replay.socket(path) as socket:
        if wrapped:
            await socket.send_str(text({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 1}))
            assert await take(socket, 1) == ['{"result":null,"id":1}']
        events = [msgspec.json.decode(frame) for frame in await take(socket, 3)]
    assert [(event["data"] if wrapped else event)["u"] for event in events] == [20, 30, 40]


async def test_nothing_flows_before_a_book_is_followed_and_others_may_join_while_it_settles(
    tmp_path: Path,
) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl", diffs=5, spacing_ns=1)
    async with (
        replaying(recording, replay_settle_s=1.0) as replay,
        replay.socket("/binance/ws/btcusdt@trade") as trades,
    ):
        await trades.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await take(trades, 1)
        assert (await replay.position())["state"] == "waiting"
        async with replay.socket("/binance/ws/btcusdt@depth@100ms") as first:
            await replay.until(lambda position: position["state"] == "settling")
            async with replay.socket("/binance/ws/btcusdt@depth@100ms") as second:
                assert await take(first, 5) == await take(second, 5)


async def test_frames_are_not_sent_before_their_time(tmp_path: Path) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl", diffs=6, spacing_ns=100_000_000)
    async with (
        replaying(recording, replay_speed=2.0) as replay,
        replay.socket("/binance/ws/btcusdt@depth@100ms") as socket,
    ):
        arrivals = []
        for _ in range(6):
            await take(socket, 1)
            arrivals.append(time.monotonic())
    # 500 ms at double speed; on a busy machine the first frame may be late by more than a timer's tick.
    assert arrivals[-1] - arrivals[0] > 0.15


async def test_pause_holds_the_recording_and_who_joins_then_ends_with_the_same_book(tmp_path: Path) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl", diffs=40, spacing_ns=20_000_000)
    async with (
        replaying(recording, replay_speed=1.0) as replay,
        replay.socket("/binance/ws/btcusdt@depth@100ms") as early,
    ):
        await take(early, 5)
        await replay.post("/control/pause")
        held = await replay.until(lambda position: position["state"] == "paused")
        async with replay.socket("/binance/ws/btcusdt@depth@100ms") as late:
            snapshot = msgspec.json.decode((await replay.get("/binance/api/v3/depth?symbol=BTCUSDT"))[1])
            assert (await replay.position())["recordsPlayed"] == held["recordsPlayed"]
            await replay.post("/control/resume")
            await replay.until(lambda position: position["finished"])
            left = 40 - (snapshot["lastUpdateId"] // 10 - 1)
            book = {float(price): float(size) for price, size in snapshot["bids"]}
            for frame in await take(late, left):
                event = msgspec.json.decode(frame)
                book |= {float(price): float(size) for price, size in event["b"]}
        truth = msgspec.json.decode((await replay.get("/control/books/binance/BTC-USDT"))[1])
    assert sorted(book.items(), reverse=True) == [tuple(level) for level in truth["bids"]]
    assert truth["venueSeq"] == 410


async def test_a_replay_that_is_held_before_it_starts_plays_nothing_until_it_is_resumed(
    tmp_path: Path,
) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl", diffs=40, spacing_ns=1)
    async with replaying(recording) as replay:
        await replay.post("/control/pause")
        async with replay.socket("/binance/ws/btcusdt@depth@100ms") as socket:
            held = await replay.until(lambda position: position["state"] in {"paused", "finished"})
            assert held["recordsPlayed"] == 0
            await replay.post("/control/resume")
            assert len(await take(socket, 40)) == 40


@pytest.mark.parametrize(("gap_s", "status"), [(5, 200), (600, 503)])
async def test_a_book_lives_on_only_in_a_recording_that_goes_on(
    tmp_path: Path, gap_s: int, status: int
) -> None:
    first = a_binance_recording(tmp_path / "1.jsonl", diffs=2, spacing_ns=1)
    second = a_recording(tmp_path / "2.jsonl", a_binance_diff(31, 40, ts=gap_s * 1_000_000_000))
    async with replaying(first, second, replay_start="at-once") as replay:
        await replay.until(lambda position: position["finished"])
        assert (await replay.get("/control/books/binance/BTC-USDT"))[0] == status


async def test_a_kraken_client_that_comes_late_gets_a_snapshot_and_hears_heartbeats(tmp_path: Path) -> None:
    frames = [
        a_kraken_v2_book("snapshot", [("100.0", "1.00")], [("101.0", "1.00")], ts=1),
        a_kraken_v2_book("update", [("99.0", "2.00")], ts=2),
    ]
    recording = a_recording(tmp_path / "r.jsonl", *frames)
    async with replaying(recording, replay_start="at-once") as replay:
        await replay.until(lambda position: position["finished"])
        async with replay.socket("/kraken/v2") as socket:
            await socket.send_str(SUBSCRIBE_V2)
            _, acknowledgement, snapshot = await take(socket, 3)
            assert '"success":true' in acknowledgement
            assert '"bids":[{"price":100.0,"qty":1.00},{"price":99.0,"qty":2.00}]' in snapshot
            async with asyncio.timeout(10):
                assert await socket.receive_str() == '{"channel":"heartbeat"}'


@needs_recordings
async def test_a_client_that_stops_reading_is_cut_off_and_holds_nobody_else_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay_player, "PATIENCE_S", 0.3)
    async with replaying(*recordings.BINANCE_SPOT, replay_settle_s=0.5) as replay:
        assert replay.server.port is not None
        unread, stuck = await asyncio.open_connection("127.0.0.1", replay.server.port)
        stuck.write(
            f"GET /binance/stream?streams={STREAMS} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await stuck.drain()
        async with replay.socket(f"/binance/stream?streams={STREAMS}") as reading:
            await replay.until(lambda position: position["clients"] == 2)
            assert len(await take(reading, 99_573)) == 99_573
            await replay.until(lambda position: position["clients"] == 1)
            async with asyncio.timeout(10):  # sooner than for pings that it does not answer
                with suppress(ConnectionError):  # a reset is an end too
                    while await unread.read(1 << 20):
                        pass
        stuck.transport.abort()


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/control/books/binance/ETHUSDT", 404, "it has binance:BTC-USDT"),
        ("/control/books/nowhere/BTCUSDT", 404, "no venue 'nowhere'"),
        ("/control/books/binance/BTCUSDT", 503, "has not come to this book's snapshot"),
        ("/control/books", 200, '[{"venue":"binance","symbol":"BTC-USDT","venueSeq":null}]'),
        ("/binance/api/v3/depth?symbol=FOOBAR", 400, '{"code":-1121,"msg":"Invalid symbol."}'),
        ("/binance/api/v3/klines?symbol=BTCUSDT", 200, "[]"),
    ],
)
async def test_questions_before_the_start_are_answered(
    tmp_path: Path, path: str, status: int, told: str
) -> None:
    async with replaying(a_binance_recording(tmp_path / "r.jsonl", diffs=1, spacing_ns=1)) as replay:
        got, body = await replay.get(path)
    assert got == status
    assert told in body


async def test_a_frame_that_is_no_message_of_its_venue_stops_the_replay_and_is_told(tmp_path: Path) -> None:
    bad = Frame(5, "1", BINANCE_URL, '{"stream":"btcusdt@depth@100ms","data":{"U":"eleven"}}')
    missing = RestReply(9, "https://api.binance.com/api/v3/depth?symbol=BTCUSDT", a_binance_snapshot(99).text)
    recording = a_recording(tmp_path / "r.jsonl", a_binance_diff(1, 2, ts=1), bad, missing)
    async with (
        replaying(recording) as replay,
        replay.socket("/binance/ws/btcusdt@depth@100ms") as socket,
    ):
        waiting = asyncio.create_task(replay.get("/binance/api/v3/depth?symbol=BTCUSDT"))
        position = await replay.until(lambda position: position["state"] == "failed")
        assert "ValidationError" in position["error"]
        assert (await waiting)[0] == 503
        assert (await replay.get("/binance/api/v3/depth?symbol=BTCUSDT"))[0] == 503
        assert (await take(socket, 1))[0].startswith('{"e":"depthUpdate"')


def test_a_feed_without_a_book_is_refused_at_the_start(tmp_path: Path) -> None:
    recording = a_recording(tmp_path / "r.jsonl", Frame(1, "1", "wss://example.org", "{}"))
    with pytest.raises(RecordingError, match=r"holds no book .* it has wss://example\.org"):
        create_replay_app(SimulatorSettings(feed=f"replay:{recording}"))


def test_a_frame_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    recording = a_recording(tmp_path / "r.jsonl", Frame(1, "1", KRAKEN_V2_URL, "not JSON"))
    with pytest.raises(RecordingError, match="is no message of kraken"):
        list_books(SimulatorSettings(feed=f"replay:{recording}"))


async def test_the_end_of_the_process_is_told_to_clients(tmp_path: Path) -> None:
    recording = a_binance_recording(tmp_path / "r.jsonl", diffs=1, spacing_ns=1)
    async with ClientSession() as http:
        server = TestServer(create_replay_app(SimulatorSettings(feed=f"replay:{recording}")))
        await server.start_server()
        async with http.ws_connect(server.make_url("/binance/stream")) as socket:
            closing: Awaitable[None] = asyncio.create_task(server.close())
            message = await socket.receive()
            assert message.type is WSMsgType.CLOSE
            assert message.data == WSCloseCode.GOING_AWAY
            await socket.close()
            await closing
