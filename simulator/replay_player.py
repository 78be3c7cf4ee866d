"""Plays a catalogue to its clients: each record at its time, and nobody faster than he reads."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from libs.common.time_units import NS_PER_S
from simulator.replay_clock import ReplayClock
from simulator.replay_hub import Waiting
from simulator.replay_venue import Awaiting, Delivery, HttpReply, Released

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.replay_catalogue import Catalogue
    from simulator.replay_clients import Client
    from simulator.replay_hub import Hub
    from simulator.replay_venue import Answer, ReplayVenue
    from simulator.settings import SimulatorSettings

PATIENCE_S: Final = 10.0  # a client that reads nothing for so long is disconnected, so that the others go on
PROGRESS_S: Final = 5.0
HEARTBEAT_S: Final = 1.0  # Kraken's: docs.kraken.com, heartbeat
TURN_RECORDS: Final = 64  # played in one go, before sockets are served

ENDED: Final = HttpReply(503, '{"code":-1001,"msg":"The replay ended before this book was known."}')

_log = logging.getLogger(__name__)

State = Literal["waiting", "settling", "playing", "paused", "finished", "failed"]


class Position(msgspec.Struct, rename="camel"):
    """How far a replay is; seconds are the recording's."""

    state: State
    finished: bool
    position_s: float
    duration_s: float
    speed: float  # asked for; 0: as fast as clients read
    records: int
    records_played: int
    frames_sent: int  # to all clients together
    clients: int
    books: list[str]
    error: str | None = None


class Player:
    """The clockwork: waits for the first subscriber, plays to the end, and answers where it is."""

    def __init__(self, catalogue: Catalogue, settings: SimulatorSettings, hub: Hub[Client]) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._hub = hub
        self._clock = ReplayClock(settings.replay_speed)
        self._state: State = "waiting"
        self._error: str | None = None
        self._started_s = 0.0  # monotonic
        self._position = 0
        self._played = 0
        self._sent = 0
        self._subscribed = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._waiting: Waiting[asyncio.Future[str | None]] = Waiting()

    async def run(self) -> None:
        """Play everything once, then report."""
        if self._settings.replay_start == "first-subscriber":
            await self._subscribed.wait()
        self._state = "settling"
        await asyncio.sleep(self._settings.replay_settle_s)
        self._state = "playing"
        self._started_s = time.monotonic()
        self._clock.start(time.monotonic_ns())
        _log.info(
            "replay_started", extra={"records": self._catalogue.records, "books": self._catalogue.books()}
        )
        for position, record in self._catalogue.records_in_order():
            await self._until(position)
            self._position = position
            played = self._catalogue.play(record)
            self._played += 1
            match played:
                case (venue, Delivery() as delivery):
                    await self._deliver(venue, delivery)
                case (venue, Released() as released):
                    self._release(venue, released)
                case _:
                    pass  # of the recorder's own session, or of a venue that is not replayed
        self._state = "finished"
        self._give_up_waiting()
        wall_s = time.monotonic() - self._started_s
        _log.info("replay_finished", extra={**self._facts(), "wall_s": round(wall_s, 3)})

    def failed(self, error: BaseException) -> None:
        """Note why the replay cannot go on."""
        self._state = "failed"
        self._error = f"{type(error).__name__}: {error}"
        self._give_up_waiting()
        _log.error("replay_failed", extra=self._facts(), exc_info=error)

    async def report(self) -> None:
        """Log how far it is, every few seconds until the end."""
        before, at = 0, time.monotonic()
        while self._state not in {"finished", "failed"}:
            await asyncio.sleep(PROGRESS_S)
            now = time.monotonic()
            if self._state == "playing":
                speed = (self._position - before) / NS_PER_S / (now - max(at, self._started_s))
                _log.info("replay_progress", extra={**self._facts(), "achieved_speed": round(speed, 2)})
            before, at = self._position, now

    async def beat(self) -> None:
        """Send the venues' heartbeats on sockets that are otherwise silent."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._hub.heartbeat()

    def answer(self, client: Client, answer: Answer) -> None:
        """Give a client its answer; the first to follow a book starts the replay."""
        self._hub.follow(client, answer)
        if any(client.venue.is_book(topic) for topic in answer.subscribed):
            self._subscribed.set()

    async def rest(self, venue: ReplayVenue, path: str, query: Mapping[str, str]) -> HttpReply:
        """Return the answer to ``GET path``, if need be when the recorded one's time has come."""
        answer = venue.rest(path, query, time.time_ns())
        if isinstance(answer, Awaiting):
            future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self._waiting.add(venue.venue, answer, future)
            if self._state == "failed":
                self._give_up_waiting()
            body = await future
            return ENDED if body is None else HttpReply(200, body)
        return answer

    def pause(self) -> None:
        """Hold the recording; sockets stay open."""
        self._running.clear()
        self._clock.pause(time.monotonic_ns())

    def resume(self) -> None:
        """Let the recording go on where it was held."""
        self._clock.resume(time.monotonic_ns())
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether the recording is held."""
        return self._clock.paused

    def position(self) -> Position:
        """Return how far it is."""
        return Position(
            state="paused" if self.paused and self._state == "playing" else self._state,
            finished=self._state == "finished",
            position_s=self._position / NS_PER_S,
            duration_s=self._catalogue.duration / NS_PER_S,
            speed=self._settings.replay_speed,
            records=self._catalogue.records,
            records_played=self._played,
            frames_sent=self._sent,
            clients=len(self._hub.clients),
            books=self._catalogue.books(),
            error=self._error,
        )

    def _facts(self) -> dict[str, object]:
        share = self._position / self._catalogue.duration if self._catalogue.duration else 1.0
        return {
            "percent": round(100 * share, 1),
            "records_played": self._played,
            "frames_sent": self._sent,
            "clients": len(self._hub.clients),
        }

    async def _until(self, position: int) -> None:
        """Wait until `position` is due, and on the way let the sockets be served now and then."""
        if self._played % TURN_RECORDS == 0:
            await asyncio.sleep(0)
        while True:
            await self._running.wait()
            wait_ns = self._clock.due(position) - time.monotonic_ns()
            if wait_ns <= 0:
                return
            await asyncio.sleep(wait_ns / NS_PER_S)

    async def _deliver(self, venue: ReplayVenue, delivery: Delivery) -> None:
        clients = self._hub.deliver(venue.venue, delivery)
        self._sent += len(clients)
        for client in clients:
            if client.full:
                await self._wait_for(client)

    async def _wait_for(self, client: Client) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await client.room()
        except TimeoutError:
            _log.warning(
                "replay_client_too_slow", extra={"venue": client.venue.venue, "patience_s": PATIENCE_S}
            )
            self._hub.leave(client)
            client.abort()

    def _give_up_waiting(self) -> None:
        for future in self._waiting.give_up():
            if not future.done():
                future.set_result(None)

    def _release(self, venue: ReplayVenue, released: Released) -> None:
        for future in self._waiting.released(venue.venue, released):
            if not future.done():
                future.set_result(released.body)
