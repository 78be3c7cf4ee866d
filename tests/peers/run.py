"""One run: a simulator of its own, every client against it, and the top of every book at held moments."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tests.peers.child import SYMBOLS, TOP
from tests.peers.door import Door
from tests.peers.environments import ROOT
from tests.peers.peer import Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

PEERS: Final = (  # client, venues, environment
    ("ccxt.pro", ("binance", "bybit", "coinbase", "kraken", "okx"), "clients"),
    ("cryptofeed", ("binance", "bybit", "coinbase", "kraken", "okx"), "clients"),
    ("python-kraken-sdk", ("kraken",), "clients"),
    ("pybit", ("bybit",), "clients"),
    ("python-okx", ("okx",), "clients"),
    ("python-binance", ("binance",), "clients"),
    ("coinbase-advanced-py", ("coinbase",), "coinbase"),
)
START_S: Final = 120.0  # for every client to have its books, or not
HOLD_EVERY_S: Final = 5.0
SETTLE_S: Final = 5.0  # for a client to have taken all that was sent before the market was held
POLL_S: Final = 0.5
STOP_S: Final = 10.0


@dataclass
class Result:
    """What became of a client at a venue."""

    client: str
    venue: str
    equal: int = 0  # tops of a book at a held moment that were the simulator's
    differ: list[str] = field(default_factory=list)
    tally: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def simulator(folder: Path, rate: float) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Serve a market on a free port while entered."""
    with socket.create_server(("127.0.0.1", 0)) as drawn:
        port = int(drawn.getsockname()[1])
    environment = os.environ | {
        "SIMULATOR_PORT": str(port),
        "SIMULATOR_OUTAGES": "0",
        "SIMULATOR_RATE": str(rate),
        "SIMULATOR_SYMBOLS": ",".join(SYMBOLS),
        "FEED": "simulator",
    }
    with (folder / "simulator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulator", cwd=ROOT, env=environment, stderr=log
        )
        try:
            yield port, process
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(STOP_S):
                await process.wait()


class Run:
    """Compares; `say` takes a line for people."""

    def __init__(self, session: aiohttp.ClientSession, base: str, say: Callable[[str], None]) -> None:
        self._session = session
        self._base = base
        self._say = say

    async def control(self, method: str, path: str) -> Any:
        """Ask the simulator's own routes."""
        async with self._session.request(method, f"{self._base}/control/{path}") as answer:
            answer.raise_for_status()
            return await answer.json()

    async def until_served(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the simulator."""
        deadline = time.monotonic() + START_S
        while True:
            try:
                await self.control("GET", "books")
            except aiohttp.ClientError:
                if process.returncode is not None or time.monotonic() > deadline:
                    raise RuntimeError("the simulator does not serve: see simulator.log") from None
                await asyncio.sleep(POLL_S)
            else:
                return

    async def until_filled(self, peers: Sequence[Peer]) -> None:
        """Wait until every client has every book, but not for ever."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            answers = await asyncio.gather(*(peer.ask() for peer in peers))
            if all(answer and all(map(all, answer["books"].values())) for answer in answers):
                return
            await asyncio.sleep(POLL_S)
        self._say(f"some clients have no book after {START_S:g} s")

    async def compare(self, peers: Sequence[Peer], results: Sequence[Result]) -> None:
        """Hold the market and hold every client's top against the truth."""
        await self.control("POST", "pause")
        truths = {}
        for venue in {peer.venue for peer in peers}:
            for symbol in SYMBOLS:
                said = await self.control("GET", f"books/{venue}/{symbol}")
                truths[venue, symbol] = [said["bids"][:TOP], said["asks"][:TOP]]
        await asyncio.gather(
            *(self._compare(peer, result, truths) for peer, result in zip(peers, results, strict=True))
        )
        await self.control("POST", "resume")

    async def _compare(self, peer: Peer, result: Result, truths: dict[tuple[str, str], Any]) -> None:
        deadline = time.monotonic() + SETTLE_S
        left = set(SYMBOLS)
        while True:
            answer = await peer.ask()
            books = answer.get("books", {})
            same = {symbol for symbol in left if books.get(symbol) == truths[peer.venue, symbol]}
            result.equal += len(same)
            left -= same
            if not left or time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
        for symbol in sorted(left):
            result.differ.append(f"{symbol}: {difference(books.get(symbol), truths[peer.venue, symbol])}")


def difference(book: Any, truth: Any) -> str:
    """Return the first thing by which a client's top is not the truth."""
    if not book or not any(book):
        return "no book"
    for name, mine, true in zip(("bid", "ask"), book, truth, strict=True):
        if len(mine) < len(true):
            return f"{len(mine)} of {len(true)} {name}s"
        for level, (held, shown) in enumerate(zip(mine, true, strict=False), 1):
            if held != shown:
                return f"{name} {level} is {held}, the simulator's is {shown}"
    return "nothing"


async def run(
    folder: Path, *, seconds: float, rate: float, only: Sequence[str], say: Callable[[str], None]
) -> tuple[list[Result], dict[str, int]]:
    """Run every client, or those named in `only`; return results, and the requests refused."""
    peers = [
        Peer(client, venue, environment)
        for client, venues, environment in PEERS
        for venue in venues
        if not only or client in only or venue in only or f"{client}:{venue}" in only
    ]
    results = [Result(peer.client, peer.venue) for peer in peers]
    async with (
        simulator(folder, rate) as (port, process),
        aiohttp.ClientSession() as session,
        Door(port, folder) as door,
    ):
        this = Run(session, f"http://127.0.0.1:{port}", say)
        await this.until_served(process)
        try:
            for peer in peers:
                await peer.start(door, folder)
            await this.until_filled(peers)
            say(f"{len(peers)} clients run for {seconds:g} s")
            ends = time.monotonic() + seconds
            while (left := ends - time.monotonic()) > 0:
                await asyncio.sleep(min(HOLD_EVERY_S, left))
                await this.compare(peers, results)
            for peer, result in zip(peers, results, strict=True):
                await peer.ask()
                result.tally = peer.answer
        finally:
            await asyncio.gather(*(peer.stop() for peer in peers))
        return results, dict(door.refused)
