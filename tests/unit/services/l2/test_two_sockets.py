"""The shell holds both sockets of a book that is renewed, and drops the one that is named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from services.l2 import app as l2_app
from services.l2.app import App
from services.l2.messages import CloseSocket, OpenSocket
from services.l2.settings import L2Settings

if TYPE_CHECKING:
    import pytest

    from services.l2.messages import Output

KEY = "binance:BTC-USDT"


def an_order(connection: int) -> OpenSocket:
    return OpenSocket(KEY, connection, "ws://test", (), None, 0.0)


class Shell(App):
    """l2's shell without its services."""

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def perform(self, effects: list[Output]) -> None:
        self._perform(effects, 0)

    @property
    def sockets(self) -> int:
        return len(self._sockets)


async def test_each_connection_of_a_book_has_its_own_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    running: set[int] = set()
    ends = asyncio.Event()

    async def a_socket(order: OpenSocket, *_: object) -> None:
        running.add(order.connection)
        try:
            await ends.wait()
        finally:
            running.discard(order.connection)

    monkeypatch.setattr(l2_app, "run_socket", a_socket)
    shell = Shell(L2Settings())

    async def settled() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        shell.begin(tasks)
        shell.perform([an_order(1), an_order(2)])
        await settled()
        assert running == {1, 2}
        shell.perform([CloseSocket(KEY, 1)])
        await settled()
        assert running == {2}
        shell.perform([CloseSocket(KEY, 1), an_order(3)])
        await settled()
        assert running == {2, 3}
        ends.set()
    await settled()
    assert shell.sockets == 0, "what has ended is forgotten"


async def test_a_socket_that_takes_its_time_to_close_leaves_the_next_of_its_number_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A book that is given up and wanted again counts its connections from one."""
    running: list[OpenSocket] = []
    slow = asyncio.Event()

    async def a_socket(order: OpenSocket, *_: object) -> None:
        running.append(order)
        try:
            await asyncio.Event().wait()
        finally:
            if order.url == "ws://first":
                await slow.wait()
            running.remove(order)

    monkeypatch.setattr(l2_app, "run_socket", a_socket)
    shell = Shell(L2Settings())
    first, second = (OpenSocket(KEY, 1, f"ws://{name}", (), None, 0.0) for name in ("first", "second"))

    async def settled() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        shell.begin(tasks)
        shell.perform([first])
        await settled()
        shell.perform([CloseSocket(KEY, 1), second])
        await settled()
        slow.set()
        await settled()
        assert running == [second]
        shell.perform([CloseSocket(KEY, 1)])
        await settled()
        assert not running, "no socket is left that nobody can close"
