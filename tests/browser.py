"""A Chromium without a window, by its DevTools protocol; it resolves no name and reaches this machine only.

Protocol: https://chromedevtools.github.io/devtools-protocol/ (read 2026-11).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S: Final = 60.0
ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",  # which no root user and few containers may have
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--window-size=1400,1000",
    "--remote-debugging-port=0",
    "about:blank",
)


def find_browser() -> str | None:
    """Return the Chromium to use: the one CHROMIUM names, else the first one installed, else None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page: what it asked for, what it complained about, and what it shows."""

    def __init__(self, socket: ClientConnection) -> None:
        self.addresses: list[str] = []  # of every request, also of those that failed
        self.complaints: list[str] = []  # errors of scripts and of the security policy
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: dict[str, str] = {}

    @property
    def hosts(self) -> set[str]:
        """Whom it asked; a ``data:`` address asks nobody."""
        return {urlsplit(address).netloc for address in self.addresses} - {""}

    async def open(self, address: str) -> None:
        """Begin to load an address, as in a new tab."""
        await self.call("Page.navigate", url="about:blank")
        await self.call("Page.navigate", url=address)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true; looked at with every frame."""
        look = f"const look = () => ({expression}) ? done() : requestAnimationFrame(look); look()"
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.evaluate(f"new Promise(done => {{ {look} }})")
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {expression}; {self.complaints}; {shown[-2000:]}") from None

    async def click(self, element: str) -> None:
        """Click what an expression names, once it is there; what was typed before is taken over first."""
        await self.wait_for(element)
        await self.evaluate(f"document.activeElement.blur(), ({element}).click()")

    async def type_into(self, element: str, text: str) -> None:
        """Type into what an expression names, once it is there."""
        await self.wait_for(element)
        await self.evaluate(f"({element}).focus()")
        await self.call("Input.insertText", text=text)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        message = {"id": number, "method": method, "params": parameters, **self._session}
        await self._socket.send(json.dumps(message))
        return await answer

    async def listen(self) -> None:
        """Take what Chromium says until it leaves."""
        async for text in self._socket:
            match json.loads(text):
                case {"id": number, "error": error}:
                    self._answers.pop(number).set_exception(AssertionError(error))
                case {"id": number, "result": result}:
                    self._answers.pop(number).set_result(result)
                case {"method": "Network.requestWillBeSent", "params": {"request": {"url": address}}}:
                    self.addresses.append(address)
                case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": complaint}}}:
                    self.complaints.append(complaint)
                case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                    self.complaints.append(details.get("exception", details).get("description", str(details)))

    async def attach(self) -> None:
        """Open the tab and watch it."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.call(f"{domain}.enable")


@asynccontextmanager
async def a_page(browser: str, folder: Path, rebound: Sequence[str] = ()) -> AsyncIterator[Page]:
    """Start Chromium with a profile of its own in `folder`, and end it.

    Parameters
    ----------
    rebound
        Names that resolve to this machine; no other does.
    """
    rules = [*(f"MAP {name} 127.0.0.1" for name in rebound), "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"]
    process = await asyncio.create_subprocess_exec(
        browser,
        *ARGUMENTS[:-1],
        f"--host-resolver-rules={', '.join(rules)}",
        f"--user-data-dir={folder}",
        ARGUMENTS[-1],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                assert line, "Chromium ended before it listened"
        async with connect(line.split()[-1].decode(), max_size=None) as socket:
            page = Page(socket)
            reading = asyncio.gather(page.listen(), process.stderr.read())
            try:
                await page.attach()
                yield page
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
