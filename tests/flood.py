"""An l2 under a flood: its process and the exchange's, what its metrics say, and what it left on Kafka."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import msgspec

from libs.common.events import BookDelta, BookSnapshot, BookTop
from libs.common.kafka import Undecodable, read
from libs.common.order_book import OrderBook
from libs.common.settings import ServiceSettings
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_TOPS
from tests.e2e.system import System, free_port, until
from tests.flood_exchange import BOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.events import Event
    from libs.common.topics import Topic

EXCHANGE = "tests.flood_exchange"
L2 = "services.l2"
STARTS_S = 60.0


class Said(msgspec.Struct, frozen=True):
    """What the exchange says of its flood."""

    said: dict[str, int]  # messages, by book
    behind_ns: int  # of the message that was last sent, after it was due
    flooding: bool

    @property
    def total(self) -> int:
        return sum(self.said.values())


@dataclass
class Gauges:
    """What l2 says of itself."""

    messages: int  # of books, accepted
    queued: int  # records without Kafka's acknowledgement
    publish_lag_s: float  # age of the oldest of them
    book_lag_s: float  # receipt minus venue time of the last message, the worst book's
    live: int  # books
    resyncs: int


@dataclass
class Rebuilt:
    """One book as its topic gives it to a late reader."""

    book: OrderBook = field(default_factory=OrderBook)
    deltas: int = 0
    epochs: set[int] = field(default_factory=set)
    lags_ns: list[tuple[int, int]] = field(default_factory=list)  # receipt, and how long after venue time


class Flooded(System):
    """An exchange that floods, and the l2 that keeps its six books; no gateway takes CPU."""

    def __init__(self, kafka: str, folder: Path, **environment: str) -> None:
        self.metrics = f"http://127.0.0.1:{(port := free_port())}/metrics"
        settings = {"METRICS_PORT": str(port), "L2_HISTORY_DAYS": "0", "L2_HISTORY_MINUTES": "0"}
        books = ",".join(f"{v}:{s}-USDT" for v in ("binance", "kraken") for s in ("BTC", "ETH", "SOL"))
        settings |= {"L2_BOOKS": books, "FEED": "simulator", "LOG_LEVEL": "INFO"}
        super().__init__(kafka, folder, **settings, **environment)

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession()
        self._start_exchange()
        await until("the exchange listens", lambda: self.get("/said", self.simulator), STARTS_S)
        self.start(L2)
        await self.until_gauges("six books are LIVE", lambda gauges: gauges.live == BOOKS)
        return self

    def _start_exchange(self) -> None:
        command = [sys.executable, "-m", EXCHANGE, self.environment["SIMULATOR_PORT"]]
        with (self.folder / f"{EXCHANGE}.log").open("ab") as log:
            self.processes[EXCHANGE] = subprocess.Popen(command, stdout=log, stderr=log)

    def pid(self, module: str) -> int:
        return self.processes[module].pid

    async def flood(self, rate: int, seconds: float) -> None:
        """Begin a flood, once the last one is over."""
        body = msgspec.json.encode({"rate": rate, "seconds": seconds})
        async with self.http.post(f"{self.simulator}/flood", data=body) as reply:
            assert reply.status == 202, await reply.text()

    async def said(self) -> Said:
        async with self.http.get(f"{self.simulator}/said") as reply:
            assert reply.status == 200, await reply.text()
            return msgspec.json.decode(await reply.read(), type=Said)

    async def truth(self, key: str) -> tuple[Any, Any]:
        answer = await self.get(f"/truth/{key.replace(':', '/')}", self.simulator)
        return _levels(answer["bids"]), _levels(answer["asks"])

    async def gauges(self) -> Gauges | None:
        try:
            async with self.http.get(self.metrics) as reply:
                text = await reply.text()
        except aiohttp.ClientConnectionError:
            assert self.processes[L2].poll() is None, self.log(L2)[-3000:]
            return None  # it has not started yet
        return Gauges(
            messages=int(sum(_values(text, "messages_total"))),
            queued=int(sum(_values(text, "queued_outputs"))),
            publish_lag_s=max(_values(text, "publish_lag_seconds")),
            book_lag_s=max(_values(text, "book_lag_seconds"), default=0.0),
            live=int(sum(_values(text, "book_state", 'state="LIVE"'))),
            resyncs=int(sum(_values(text, "resyncs_total"))),
        )

    async def until_gauges(self, what: str, holds: Any, patience_s: float = STARTS_S) -> Gauges:
        async def held() -> Gauges | None:
            gauges = await self.gauges()
            return gauges if gauges is not None and holds(gauges) else None

        found: Gauges = await until(what, held, patience_s)
        return found

    async def rebuilt(self) -> dict[str, Rebuilt]:
        """Rebuild all books from their topic; `OrderBook.follow` raises where a delta is missing."""
        books: dict[str, Rebuilt] = {}
        async for event in events_on(self.kafka, L2_BOOK_DELTAS):
            assert isinstance(event, BookSnapshot | BookDelta)
            rebuilt = books.setdefault(f"{event.venue}:{event.symbol}", Rebuilt())
            rebuilt.book.follow(event)
            rebuilt.epochs.add(event.epoch)
            if isinstance(event, BookDelta):
                rebuilt.deltas += 1
                if event.venue_ts is not None:
                    rebuilt.lags_ns.append((event.received_ts, event.received_ts - event.venue_ts))
        return books

    async def tops(self) -> dict[str, list[BookTop]]:
        tops: dict[str, list[BookTop]] = {}
        async for event in events_on(self.kafka, L2_BOOK_TOPS):
            if isinstance(event, BookTop):
                tops.setdefault(f"{event.venue}:{event.symbol}", []).append(event)
        return tops


async def events_on(kafka: str, topic: Topic) -> AsyncIterator[Event]:
    """Yield all that a topic holds."""

    async def refuse(record: Undecodable) -> None:
        raise AssertionError(record)

    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    async with aclosing(read(settings, [topic], on_undecodable=refuse, stop_at_end=True)) as batches:
        async for records in batches:
            for record in records:
                if record.event is not None:
                    yield record.event


def rss_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None, status
    return int(found[1]) / 1024


def _values(text: str, name: str, label: str = "") -> list[float]:
    found = re.findall(rf"^bookrunner_l2_{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return [float(value) for labels, value in found if label in labels]


def _levels(pairs: list[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple((price, size) for price, size in pairs)
