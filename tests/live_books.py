"""The l2 core with its real sockets and requests, and without Kafka: a run of `FEED=live` in one process."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from libs.common.events import BookHealth, BookState
from services.l2.app import policy_of
from services.l2.connection import fetch, open_http, run_socket
from services.l2.feeds import FEEDS
from services.l2.handlers import State, handle
from services.l2.messages import (
    BookWanted,
    CandlesKnown,
    CloseSocket,
    Fetch,
    FrameReceived,
    OpenSocket,
    Tick,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from libs.common.proxies import Proxies
    from services.l2.messages import L2Message
    from services.l2.settings import L2Settings


class LiveBooks:
    """Every book of the settings, and what is said of each."""

    def __init__(self, settings: L2Settings, proxies: Proxies) -> None:
        self.health: dict[str, BookHealth] = {}  # newest by venue:symbol
        self.frames = 0
        self.attempts: list[str] = []  # addresses of sockets and requests, as they were asked for
        self._settings = settings
        self._proxies = proxies
        self._state = State(FEEDS, settings.bases, policy_of(settings))
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Keep the books until cancelled."""
        async with open_http(self._proxies) as http, asyncio.TaskGroup() as tasks:
            self._http, self._tasks, self._sockets = http, tasks, dict[str, asyncio.Task[None]]()
            for venue, symbol in self._settings.books():
                await self.report(BookWanted(venue, symbol))
                await self.report(CandlesKnown(f"{venue}:{symbol}", ()))
            while True:
                await asyncio.sleep(0.025)
                await self.report(Tick())

    async def report(self, message: L2Message) -> None:
        self.frames += isinstance(message, FrameReceived)
        for output in handle(self._state, message, time.time_ns()):
            match output:
                case BookHealth():
                    self.health[f"{output.venue}:{output.symbol}"] = output
                    self._changed.set()
                case OpenSocket():
                    self.attempts.append(output.url)
                    limit = self._settings.max_frame_bytes
                    self._sockets[output.key] = self._start(
                        run_socket(output, self.report, limit, self._proxies)
                    )
                case CloseSocket():
                    if socket := self._sockets.pop(output.key, None):
                        socket.cancel()
                case Fetch():
                    self.attempts.append(output.url)
                    self._start(fetch(output, self.report, self._http))
                case _:
                    pass

    def states(self) -> dict[str, BookState]:
        return {key: health.state for key, health in self.health.items()}

    async def until(self, holds: Callable[[LiveBooks], bool]) -> None:
        """Wait until the healths are as they should be; the test's own time ends what never is."""
        while not holds(self):
            self._changed.clear()
            await self._changed.wait()

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._tasks.create_task(work)


@asynccontextmanager
async def live_books(settings: L2Settings, proxies: Proxies) -> AsyncIterator[LiveBooks]:
    """Run the books in the background; their failure is the test's."""
    books = LiveBooks(settings, proxies)
    running = asyncio.create_task(books.run())
    try:
        yield books
    finally:
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
        if not isinstance(ended, asyncio.CancelledError):
            assert ended is None, ended
