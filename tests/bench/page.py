"""The page in a browser: bytes, first paint, exchange to pixel, CPU at 1,000 deltas/s, its heap over hours.

The first four with as little beside them as can be: Kafka, the load exchange's six books, l2, the gateway and
one Chromium without a window. "Exchange to pixel" is from when a message was due at the exchange (its venue
time) until the task after the frame in which a ladder shows the book with it; a screen is left out. It is
told of every message of the books on show, and of the newest in each frame alone: l2 tells a book at most
each 100 ms, and what comes just after one telling waits for the next. `ladders` is the browser with the
ladders of five of six books on show, of the simulator. The heap is that of a page on a whole system that
trades by itself (`page_hours`). PAGE_S says for how long is looked, PAGE_PARTS which of `pixels`, `ladders`
and `heap` are measured.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from libs.common.topics import L2_BOOK_DELTAS
from tests import kafka_cluster
from tests.bench.load_exchange import SYMBOLS
from tests.bench.page_hours import watch_heap
from tests.bench.process_tree import with_descendants
from tests.bench.processes import folder_and_broker, free_port, started, until
from tests.bench.report import Result, latency
from tests.e2e.page.running import SERVICES
from tests.e2e.system import System, folder_of_policies
from tests.page_browser import WIDE, chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from playwright.async_api import Browser, Page

    from tests.bench.report import Report

SECONDS: Final = int(os.environ.get("PAGE_S", "60"))
PARTS: Final = os.environ.get("PAGE_PARTS", "pixels,ladders,heap").split(",")
RATE: Final = 1_000
LOUD: Final = 2.0  # messages of the simulator for each that tells of a book
WARM_S: Final = 15
LATE_S: Final = 60  # for which the exchange speaks on: the page may be slow to come
READY_S: Final = 120.0
LOADS: Final = 7
NS_PER_MS: Final = 1_000_000
PARTITIONS: Final = 8
SHOWN_VENUES: Final = ("binance", "bybit", "coinbase", "kraken", "okx")
AIMS: Final = {"gz_bytes": 120_000, "paint_ms": 1_000, "pixel_p99_ms": 150, "cpu_percent": 30}

# Each change of a ladder's record, timed once its frame is made: book, when it was due, came, is shown.
PIXELS: Final = """() => {
  globalThis.pixels = [];
  const [arrived, shown] = [new Map(), []];
  const apply = bookrunner.store.apply.bind(bookrunner.store);
  bookrunner.store.apply = (topic, id, data, ...rest) => {
    if (data.type === "BookTop") arrived.set(`${data.venue}:${data.symbol}`, [id, data.venueTs, Date.now()]);
    return apply(topic, id, data, ...rest);
  };
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    const now = Date.now();
    for (const [book, due, here] of shown.splice(0)) pixels.push([book, due, here, now]);
  };
  new MutationObserver((changes) => {
    for (const { target } of changes)
      if (target.dataset.panel?.startsWith("ladder"))
        for (const [book, [id, due, here]] of arrived)
          if (id === target.dataset.record && due) shown.push([book, due, here]);
    if (shown.length) port2.postMessage(0);
  }).observe(document.getElementById("view"), { subtree: true, attributeFilter: ["data-record"] });
}"""
PAINTED: Final = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
LOADED: Final = """() => ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
  .map(({ name, encodedBodySize }) => [name, encodedBodySize])"""
DRAWN: Final = "() => document.querySelector('nav a')"
LADDER: Final = "() => document.querySelector('[data-panel^=ladder] data')"


def run(report: Report) -> None:
    """Measure all of it."""
    if "pixels" in PARTS:
        with folder_and_broker(report.say) as (folder, broker):
            asyncio.run(_look(report, folder, broker.bootstrap_servers))
    if "ladders" in PARTS:
        asyncio.run(_stand(report))
    if "heap" in PARTS:
        asyncio.run(_keep(report))


async def _look(report: Report, folder: Path, kafka: str) -> None:
    exchange_port, gateway_port = free_port(), free_port()
    gateway_url = f"http://127.0.0.1:{gateway_port}"
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "LOG_LEVEL": "WARNING",
        "GATEWAY_PORT": str(gateway_port),
        "SIMULATOR_URL": f"http://127.0.0.1:{exchange_port}",
        "L2_BOOKS": ",".join(f"{venue}:{symbol}" for symbol in SYMBOLS for venue in ("binance", "kraken")),
        "L2_HISTORY_DAYS": "0",
        "L2_HISTORY_MINUTES": "0",
    }
    spoken = (str(exchange_port), str(RATE), str(WARM_S + SECONDS + LATE_S), str(folder / "sent.json"))

    async def answered() -> bool:
        return await _is_answered(f"{gateway_url}/api/l2")

    async def listening() -> bool:
        return await _is_answered(f"http://127.0.0.1:{exchange_port}/binance/api/v3/depth?symbol=BTCUSDT")

    with (
        started("tests.bench.load_exchange", folder, *spoken) as exchange,
        started("services.gateway", folder, **environment) as gateway,
    ):
        await until("the gateway answers", answered, READY_S, gateway)
        await until("the exchange listens", listening, READY_S, exchange)
        async with chromium() as browser:
            await _first_paint(report, gateway_url, browser)
            with started("services.l2", folder, **environment):
                await _pixels(report, gateway_url, kafka, browser)


async def _is_answered(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(address) as reply:
            return reply.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _keep(report: Report) -> None:
    """Start everything, let it trade, and watch what the page keeps."""
    with kafka_cluster.cluster() as kafka, tempfile.TemporaryDirectory(prefix="bookrunner-page-") as name:
        folder = Path(name)
        settings = {
            "L2_BOOKS": ",".join(f"{venue}:{symbol}" for venue in ("binance", "okx") for symbol in SYMBOLS),
            "POLICIES_DIR": folder_of_policies(folder),
            "AUTOPILOT": "1",
        }
        async with System(kafka, folder, **settings) as system, chromium() as browser:
            system.start(*SERVICES, "services.execution.autopilot")
            await system.ready(READY_S)
            await system.all_live(len(SYMBOLS) * 2)
            await watch_heap(report, system, browser)


async def _first_paint(report: Report, gateway: str, browser: Browser) -> None:
    """Load the page again and again, each time in a new profile."""
    painted, drawn, sizes = [], [], {}
    for _ in range(LOADS):
        async with _tab(browser) as page:
            began = time.perf_counter()
            await page.goto(f"{gateway}/?view=market", wait_until="commit")
            await page.wait_for_function(DRAWN, polling="raf")
            drawn.append((time.perf_counter() - began) * 1000)
            painted.append(float(await page.evaluate(PAINTED)))
            sizes = {urlsplit(address).path: size for address, size in await page.evaluate(LOADED)}
    files = {path: size for path, size in sizes.items() if path == "/" or path.startswith("/page/")}
    report.add(
        Result(
            bench="page",
            case="a first visit",
            contender="the page",
            figures={
                "gz_bytes": sum(files.values()),
                "files": len(files),
                "paint_ms": float(np.median(painted)),
                "paint_ms_worst": max(painted),
                "views_drawn_ms": float(np.median(drawn)),
            },
            assumptions={"loads": LOADS, "aim": f"{AIMS['gz_bytes']} bytes, {AIMS['paint_ms']} ms"},
        )
    )


async def _pixels(report: Report, gateway: str, kafka: str, browser: Browser) -> None:
    """Look at a market for a while."""
    async with _tab(browser) as page:
        await page.goto(f"{gateway}/?view=market&symbol={SYMBOLS[0]}")
        await page.wait_for_function(LADDER, polling="raf", timeout=READY_S * 1000)
        await asyncio.sleep(WARM_S)
        await page.evaluate(PIXELS)
        figures = await _cost_of_looking(kafka)
        shown: list[tuple[str, int, int, int]] = await page.evaluate("() => pixels")
    if not shown:
        report.skip("exchange to pixel", "no ladder changed")
        return
    newest = np.array([(at - due, at - here) for _, due, here, at in shown], np.int64) * NS_PER_MS
    report.add(
        Result(
            bench="page",
            case="exchange to pixel",
            contender="the page",
            figures={**figures, "tops_shown_per_s": len(shown) / SECONDS},
            latency_ms={
                "every message": latency(np.array(_of_every_message(shown), np.int64) * NS_PER_MS),
                "the newest of a frame": latency(newest[:, 0]),
                "of it, stream to pixel": latency(newest[:, 1]),  # the page's own part
            },
            assumptions={
                "books": 2 * len(SYMBOLS),
                "aim": f"p99 {AIMS['pixel_p99_ms']} ms at {RATE} deltas/s, {AIMS['cpu_percent']} % of a core",
                "load": f"{os.getloadavg()[0]:.1f}",
            },
        )
    )


def _of_every_message(shown: list[tuple[str, int, int, int]]) -> list[int]:
    """Return how long each message took, ms: a ladder shows all that were due since it last changed."""
    every, waits, before = 1000 * 2 * len(SYMBOLS) // RATE, [], dict[str, int]()
    for book, due, _, at in shown:
        first = before.get(book, due - every) + every
        waits += [at - each for each in range(first, due + 1, every)]
        before[book] = max(due, before.get(book, due))
    return waits


async def _stand(report: Report) -> None:
    """Show five books of one symbol at once, with nothing else beside l2, the gateway and a sixth book."""
    with kafka_cluster.cluster() as kafka, tempfile.TemporaryDirectory(prefix="bookrunner-page-") as name:
        books = [*(f"{venue}:{SYMBOLS[0]}" for venue in SHOWN_VENUES), f"{SHOWN_VENUES[0]}:{SYMBOLS[1]}"]
        settings = {
            "L2_BOOKS": ",".join(books),
            "SIMULATOR_SYMBOLS": ",".join(SYMBOLS[:2]),
            "SIMULATOR_RATE": str(LOUD * RATE),
        }
        async with (
            System(kafka, Path(name), **settings) as system,
            chromium() as browser,
            _tab(browser) as page,
        ):
            await system.all_live(len(books))
            await page.goto(f"{system.gateway}/?view=market&symbol={SYMBOLS[0]}")
            await page.wait_for_function(
                f"() => document.querySelectorAll('[data-panel^=ladder]').length === {len(SHOWN_VENUES)}"
            )
            await asyncio.sleep(WARM_S)
            figures = await _cost_of_looking(kafka)
    report.add(
        Result(
            bench="page",
            case="five ladders on show, six books",
            contender="the page",
            figures=figures,
            assumptions={
                "feed": "simulator",
                "aim": f"{AIMS['cpu_percent']} % of a core",
                "load": f"{os.getloadavg()[0]:.1f}",
            },
        )
    )


async def _cost_of_looking(kafka: str) -> dict[str, float]:
    """Return the deltas a second while a tab is open, and the browser's CPU."""
    deltas, cpu, began = await _deltas(kafka), _browser_cpu_s(), time.perf_counter()
    await asyncio.sleep(SECONDS)
    seconds = time.perf_counter() - began
    used = {kind: (s - cpu.get(kind, 0.0)) / seconds * 100 for kind, s in _browser_cpu_s().items()}
    return {
        "deltas_per_s": (await _deltas(kafka) - deltas) / seconds,
        "cpu_percent_of_a_core": sum(used.values()),
        **{f"cpu_percent_{kind}": share for kind, share in sorted(used.items())},
    }


@asynccontextmanager
async def _tab(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def _deltas(kafka: str) -> int:
    """Return how many records of books there are."""
    partitions = [TopicPartition(L2_BOOK_DELTAS.name, number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as consumer:
        consumer.assign(partitions)
        ends: Mapping[Any, int] = await consumer.end_offsets(partitions)
        return sum(ends.values())


def _browser_cpu_s() -> dict[str, float]:
    """Return the CPU seconds that Chromium's processes used, by what they are."""
    used: dict[str, float] = {}
    for pid in with_descendants(os.getpid()):
        try:
            program = Path(f"/proc/{pid}/exe").readlink().name
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if "chrom" in program:
            kind = words.partition("--type=")[2].partition(" ")[0] or "browser"
            seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime, stime
            used[kind] = used.get(kind, 0.0) + seconds
    return used
