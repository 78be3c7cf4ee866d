"""The system of one case of `scale`: so many books at such a rate, so many processes of each service."""

from __future__ import annotations

import asyncio
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import msgspec

from libs.common.settings import ServiceSettings
from libs.common.topic_usage import topic_usage
from libs.common.topics import TOPICS
from tests.bench.processes import ProcessEndedError, cpu_seconds, free_port, started, until
from tests.flood import rss_mib

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from broker.native import NativeBroker
    from tests.bench.processes import Process

# How many books of a venue are LIVE within a minute or two: l2 keeps to half of what venues allow an address.
SOON: Final[Mapping[str, int]] = {"binance": 24, "kraken": 75, "okx": 250, "coinbase": 250, "bybit": 250}
TRADED: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
SHARED: Final = ("l2", "venues", "router", "portfolio", "execution")  # of which there may be several
HISTORY_DAYS: Final = 40  # enough for a risk budget
START_S: Final = 900.0
RESTARTS: Final = 20
_SAMPLE: Final = re.compile(r"^(bookrunner_\w+?)(?:{(.*)})? (\S+)$", re.MULTILINE)


class Look(msgspec.Struct, frozen=True):
    """One moment of all processes, by their names."""

    cpu_s: dict[str, float]
    rss_mib: dict[str, float]
    messages: float  # of books that l2 accepted since its start
    tops: float  # read since its start by the venues process that read most: each reads all
    live: int  # books
    publish_lag_s: float  # of l2's oldest record, the worst process
    input_age_s: float  # of venues' newest message when its turn came
    behind: dict[str, float]  # messages, by service
    written: int  # offsets of all topics
    bytes: int  # of all topics


def books_of(count: int) -> tuple[tuple[str, str], ...]:
    """Return so many books, the traded symbols first, no venue beyond what it lets start soon."""
    found: list[tuple[str, str]] = []
    for symbol in symbols_of(max(SOON.values())):
        place = len(found)
        had = {venue: sum(name == venue for name, _ in found) for venue in SOON}
        found += [(venue, symbol) for venue in SOON if had[venue] < SOON[venue]]
        if len(found) >= count:
            return tuple(found[:count])
        if len(found) == place:
            break
    raise ValueError(f"{count} books are more than the {len(found)} that start soon")


def symbols_of(count: int) -> tuple[str, ...]:
    """Return so many markets of the simulator."""
    made_up = (f"S{number:03d}-USDT" for number in range(count - len(TRADED)))
    return (*TRADED, *made_up)[:count]


class Scaled:
    """Simulator, services and one gateway, beside a broker."""

    def __init__(
        self, broker: NativeBroker, folder: Path, books: Sequence[tuple[str, str]], rate: float, workers: int
    ) -> None:
        self.books = books
        self._broker = broker
        self._folder = folder
        self._workers = workers
        symbols = tuple(dict.fromkeys(symbol for _, symbol in books))
        self._gateway = f"http://127.0.0.1:{(gateway := free_port())}"
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "FEED": "simulator",
            "GATEWAY_PORT": str(gateway),
            "SIMULATOR_PORT": str(simulator := free_port()),
            "SIMULATOR_URL": f"http://127.0.0.1:{simulator}",
            "SIMULATOR_SYMBOLS": ",".join(symbols),
            # The rate is shared by all markets of all venues, those without a book too.
            "SIMULATOR_RATE": str(rate * len(symbols) * len(SOON)),
            "SIMULATOR_OUTAGES": "0",
            "SIMULATOR_HISTORY_DAYS": str(HISTORY_DAYS),
            "L2_BOOKS": ",".join(map(":".join, books)),
            "L2_HISTORY_DAYS": str(HISTORY_DAYS),
            "L2_HISTORY_MINUTES": "0",
            "OPENBLAS_NUM_THREADS": "1",
            "METRICS_TARGETS_DIR": str(folder / "metrics"),
            "METRICS_PORT": "0",
        }
        self.processes: dict[str, Process] = {}
        self._wanted: dict[str, tuple[str, dict[str, str]]] = {}
        self.restarts = 0
        self._stack = ExitStack()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        try:
            self._start("simulator", "simulator")
            for service in SHARED:
                for number in range(self._workers):
                    name = f"{service}-{number}" if self._workers > 1 else service
                    own = {"L2_INSTANCE": name, "GROUP_INSTANCE_ID": str(number)}
                    self._start(name, f"services.{service}", **own)
            self._start("gateway", "services.gateway")
            await until("all is LIVE and ready", self._ready, START_S)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_failure: object) -> None:
        await self._http.close()
        self._stack.close()

    def _start(self, name: str, module: str, **own: str) -> None:
        self._wanted[name] = (module, own)
        folder = self._folder / f"{name}.{self.restarts}"
        folder.mkdir(parents=True)
        environment = self._environment | own
        self.processes[name] = self._stack.enter_context(started(module, folder, **environment))

    def _restart(self) -> None:
        """Start what has ended again, as a supervisor would: a service ends where Kafka does not answer."""
        for name, process in tuple(self.processes.items()):
            try:
                process.require_running()
            except ProcessEndedError:
                if self.restarts == RESTARTS:
                    raise
                self.restarts += 1
                module, own = self._wanted[name]
                self._start(name, module, **own)

    async def _ready(self) -> bool:
        self._restart()
        return await self.live() == len(self.books) and await self._get("/readyz") is not None

    async def live(self) -> int:
        """Return how many books are LIVE."""
        return sum(book["state"] == "LIVE" for book in await self._get("/api/l2") or ())

    async def look(self) -> Look:
        """Return what there is now.

        Raises
        ------
        ProcessEndedError
            If a process has ended: what it took cannot be known.
        """
        for process in self.processes.values():
            process.require_running()
        pids = {name: process.pid for name, process in self.processes.items()} | {"kafka": self._broker.pid}
        told = await self._told()
        settings = ServiceSettings(kafka_bootstrap_servers=self._broker.bootstrap_servers)
        usage = [each for each in (await topic_usage(settings, tuple(TOPICS))).values() if each is not None]
        behind = {
            name.rpartition("_lag_")[0].split("_")[1]: sum(values)
            for name, values in told.items()
            if name.endswith("_lag_messages")
        }
        return Look(
            cpu_s={name: cpu_seconds(pid) or 0.0 for name, pid in pids.items()},
            rss_mib={name: rss_mib(pid) for name, pid in pids.items()},
            messages=sum(told.get("bookrunner_l2_messages_total", ())),
            tops=max(told.get("bookrunner_venues_read_total{BookTop}", (0.0,))),
            live=await self.live(),
            publish_lag_s=max(told.get("bookrunner_l2_publish_lag_seconds", (0.0,))),
            input_age_s=max(told.get("bookrunner_venues_input_age_seconds", (0.0,))),
            behind=behind,
            written=sum(each.offsets for each in usage),
            bytes=sum(each.bytes or 0 for each in usage),
        )

    async def _told(self) -> dict[str, list[float]]:
        """Return the values of every metric of every process; those read by venues by their message."""
        addresses = [f"{self._gateway}/metrics"]
        for file in (self._folder / "metrics").glob("*.json"):
            (target,) = msgspec.json.decode(file.read_bytes())
            addresses.append(f"http://{target['targets'][0]}/metrics")
        found: dict[str, list[float]] = {}
        for text in await asyncio.gather(*map(self._text, addresses)):
            for name, labels, value in _SAMPLE.findall(text):
                tops = name == "bookrunner_venues_read_total" and 'message="BookTop"' in labels
                found.setdefault(f"{name}{{BookTop}}" if tops else name, []).append(float(value))
        return found

    async def _text(self, address: str) -> str:
        try:
            async with self._http.get(address) as reply:
                return await reply.text()
        except aiohttp.ClientError as error:
            raise ProcessEndedError(f"{address} does not answer: {error}") from error

    async def _get(self, path: str) -> Any:
        try:
            async with self._http.get(f"{self._gateway}{path}") as reply:
                return msgspec.json.decode(await reply.read()) if reply.status == 200 else None
        except aiohttp.ClientError:
            return None
