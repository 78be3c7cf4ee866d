"""What the page keeps of hours of messages: one minute of the stream, told again and again, and faster.

A minute of `/api/stream` is taped from the running gateway. A server beside it serves everything else from
that gateway, and as its stream the tape without end: `FASTER` minutes each minute, every telling with later
moments, higher offsets, and executions, orders and fills of its own. The page's clock (`Date.now`) goes as
fast, so that what it forgets by age it forgets as after hours; its timers and frames go on as they are. It is
looked at in every view in turn. After each round the tape is held until the page has taken what was told, the
garbage is collected, and heap, nodes and listeners are counted.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
import numpy as np
from aiohttp import web

from tests.bench.report import Result
from tests.e2e.system import until
from tests.page_browser import WIDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser, Page

    from tests.bench.report import Report
    from tests.e2e.system import System

HOURS: Final = float(os.environ.get("PAGE_HOURS", "4"))
FASTER: Final = float(os.environ.get("PAGE_FASTER", "60"))
TAPE_S: Final = 60.0
WARM_HOURS: Final = 0.5  # the page keeps a quarter of an hour of points
VIEW_S: Final = 1.0
QUIET_S: Final = 0.5  # without a message: all is taken
MIB: Final = 1024 * 1024
ADDRESSES: Final = frozenset({"executionId", "clOrdId", "orderId", "fillId", "decisionId", "commandId"})
STORED: Final = """async () => Object.keys((await import("/page/topics.js")).TOPICS)
  .flatMap((short) => bookrunner.store.all(short))
  .reduce((sum, { data }) => sum + JSON.stringify(data).length, 0)"""
LAST: Final = "() => bookrunner.connection.last"
CLOCK: Final = """{
  const [real, began] = [Date.now.bind(Date), Date.now()];
  Date.now = () => began + Math.round((real() - began) * FASTER);
}"""


@dataclass(eq=False)
class Told:
    """One message of the tape; `edits` are the values that differ with each telling."""

    topic: str
    partition: str
    offset: int
    data: Any
    after_ms: int  # since the tape's begin
    edits: list[tuple[Any, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.edits = list(_edits(self.data))

    def again(self, shift_ms: int, number: int, span: int) -> bytes:
        """Return the event of a later telling."""
        for container, name, value in self.edits:
            later = value + shift_ms if isinstance(value, int) else f"{value[:-6]}{number:06x}"
            container[name] = later
        place = f"{self.topic}:{self.partition}:{self.offset + number * span}"
        data = msgspec.json.encode(self.data)
        return b"event: %b\nid: %b\ndata: %b\n\n" % (self.topic.encode(), place.encode(), data)


def _edits(value: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield where moments and ids stand in a message, and what they are."""
    if isinstance(value, list):
        for each in value:
            if isinstance(each, dict | list):
                yield from _edits(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            moment = isinstance(each, int) and (name == "ts" or name.endswith("Ts"))
            if moment or (name in ADDRESSES and isinstance(each, str) and len(each) > len("000000")):
                yield value, name, each
            else:
                yield from _edits(each)


async def taped(system: System, topics: str) -> list[Told]:
    """Return what the gateway streams in `TAPE_S`."""
    began, found, event = time.monotonic(), [], {}
    patience = aiohttp.ClientTimeout(total=None, sock_read=TAPE_S)
    async with system.http.get(f"{system.gateway}/api/stream?topics={topics}", timeout=patience) as reply:
        async for line in reply.content:
            name, _, text = line.decode().rstrip("\n").partition(": ")
            event[name] = text
            if not name and "data" in event:
                topic, partition, offset = event["id"].split(":")
                after_ms = round((time.monotonic() - began) * 1000)
                found.append(Told(topic, partition, int(offset), json.loads(event["data"]), after_ms))
                event = {}
            if time.monotonic() - began > TAPE_S:
                break
    return found


@dataclass(eq=False)
class Teller:
    """Serves the page of a gateway with the stream of a tape."""

    system: System
    tape: list[Told]
    told: int = 0
    tellings: int = 0
    going: asyncio.Event = field(default_factory=asyncio.Event)
    _held_s: float = 0.0  # of the time since the stream began

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Serve it on a free port; yield its address."""
        app = web.Application()
        app.router.add_get("/api/stream", self._stream)
        app.router.add_route("*", "/{rest:.*}", self._passed_on)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _passed_on(self, request: web.Request) -> web.Response:
        address = f"{self.system.gateway}{request.rel_url}"
        async with self.system.http.request(request.method, address, data=await request.read()) as reply:
            kept = {
                name: value
                for name, value in reply.headers.items()
                if name.lower() in {"content-type", "content-security-policy", "cache-control"}
            }
            return web.Response(status=reply.status, body=await reply.read(), headers=kept)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": open\n\n")
        spans, began = self._spans(), time.monotonic()
        since_tape_ms = time.time_ns() // 1_000_000 - _moment_of(self.tape)
        while True:
            for each in self.tape:
                if not self.going.is_set():
                    held = time.monotonic()
                    await self.going.wait()
                    self._held_s += time.monotonic() - held
                due_s = (self.tellings * TAPE_S + each.after_ms / 1000) / FASTER + self._held_s
                if (wait_s := due_s - (time.monotonic() - began)) > 0:
                    await asyncio.sleep(wait_s)
                shift_ms = since_tape_ms + round(self.tellings * TAPE_S * 1000)
                span = spans[each.topic, each.partition]
                await response.write(each.again(shift_ms, self.tellings + 1, span))
                self.told += 1
            self.tellings += 1

    def _spans(self) -> dict[tuple[str, str], int]:
        """Return how far each partition's offsets go in one telling."""
        offsets = defaultdict(list)
        for each in self.tape:
            offsets[each.topic, each.partition].append(each.offset)
        return {place: max(found) - min(found) + 1 for place, found in offsets.items()}


def _moment_of(tape: list[Told]) -> int:
    """Return the moment at which the tape begins, ms."""
    moments = (value for each in tape for _, name, value in each.edits if name in {"ts", "receivedTs"})
    return int(next(moments))


async def watch_heap(report: Report, system: System, browser: Browser) -> None:
    """Show the page hours of messages, and report what it keeps."""
    topics = await _topics(system, browser)
    tape = await taped(system, topics)
    report.say(f"  {len(tape)} messages of {TAPE_S:g} s are told {FASTER:g} times as fast")
    for module in [each for each in system.processes if each != "services.gateway"]:
        system.stop(module)  # what they would say is on the tape
    teller = Teller(system, tape)
    context = await browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    complaints: list[str] = []
    try:
        async with teller.served() as address:
            page = await context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.add_init_script(CLOCK.replace("FASTER", f"{FASTER:g}"))
            await page.goto(f"{address}/?view=market")
            samples = await _watched(report, page, teller)
    finally:
        await context.close()
    hours, heap = np.array([[each["hours"], each["heap_mib"]] for each in samples]).T
    warm = hours >= min(WARM_HOURS, hours[-1] / 2)
    slope, _ = np.polyfit(hours[warm], heap[warm], 1)
    report.add(
        Result(
            bench="page",
            case=f"heap over {hours[-1]:.1f} hours",
            contender="the page",
            figures={
                "messages": teller.told,
                "messages_per_s_told": len(tape) / TAPE_S,
                "heap_mib_warm": float(heap[warm][0]),
                "heap_mib_end": float(heap[-1]),
                "heap_mib_per_hour": float(slope),
                "nodes_warm": samples[int(np.argmax(warm))]["nodes"],
                "nodes_end": samples[-1]["nodes"],
                "listeners_end": samples[-1]["listeners"],
                "complaints": len(complaints),
            },
            assumptions={
                "faster": FASTER,
                "views": f"each in turn for {VIEW_S:g} s",
                "warm_hours": WARM_HOURS,
            },
        )
    )


async def _topics(system: System, browser: Browser) -> str:
    """Return the topics that the page follows, as it asks for them."""
    page = await browser.new_page()
    try:
        await page.goto(f"{system.gateway}/")
        names: list[str] = await page.evaluate("async () => (await import('/page/topics.js')).NAMES")
    finally:
        await page.close()
    return ",".join(names)


async def _watched(report: Report, page: Page, teller: Teller) -> list[dict[str, float]]:
    """Go round the views until the hours are over; return what was counted after each round."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    views: list[str] = await page.evaluate(
        "async () => (await import('/page/views/index.js')).VIEWS.map((v) => v.id)"
    )
    samples: list[dict[str, float]] = []
    teller.going.set()
    while not samples or samples[-1]["hours"] < HOURS:
        for view in (*views[1:], views[0]):
            await page.evaluate("(view) => bookrunner.place.go({ view })", view)
            await asyncio.sleep(VIEW_S)
        teller.going.clear()
        await _all_taken(page)
        for _ in range(2):  # what the first one lets go of may hold more
            await session.send("HeapProfiler.collectGarbage")
        metrics = (await session.send("Performance.getMetrics"))["metrics"]
        teller.going.set()
        counted = {each["name"]: each["value"] for each in metrics}
        samples.append(
            {
                "hours": teller.told / len(teller.tape) * TAPE_S / 3600,
                "heap_mib": counted["JSHeapUsedSize"] / MIB,
                "nodes": counted["Nodes"],
                "listeners": counted["JSEventListeners"],
                "store_mib": await page.evaluate(STORED) / MIB,
            }
        )
        report.say("    " + ", ".join(f"{name} {value:.2f}" for name, value in samples[-1].items()))
    return samples


async def _all_taken(page: Page) -> None:
    """Wait until nothing more comes to the page."""

    async def quiet() -> bool:
        last = await page.evaluate(LAST)
        await asyncio.sleep(QUIET_S)
        return bool(last == await page.evaluate(LAST))

    await until("the page has taken what was told", quiet)
