"""What a host that is killed at any moment leaves on the log of a policy that ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from libs.common.topics import POLICIES_REGISTRY, POLICIES_SIGNALS
from services.policies.app import App
from services.policies.effects import Deregister
from services.policies.settings import PoliciesSettings

if TYPE_CHECKING:
    from libs.common.topics import Topic


class Written:
    """A publisher, and what is surely on the log."""

    def __init__(self) -> None:
        self.handed: list[tuple[Topic, bytes]] = []
        self.sure: list[tuple[Topic, bytes]] = []
        self.sure_then: list[tuple[Topic, bytes]] = []  # when the entry's end was handed over

    async def send(self, topic: Topic, key: bytes, event: Any, _ts: int) -> None:
        assert event is None
        if topic is POLICIES_REGISTRY:
            self.sure_then = list(self.sure)
        self.handed.append((topic, key))

    async def flush(self) -> None:
        self.sure = list(self.handed)


async def test_an_entry_ends_only_when_the_ends_of_its_signals_are_on_the_log() -> None:
    app, written = App(PoliciesSettings()), Written()
    keys = (b"mine:BTC-USDT", b"mine:ETH-USDT")
    app._perform([Deregister("mine", keys)])  # noqa: SLF001 -- the way of what the core says to Kafka
    sending = asyncio.create_task(app._send(written))  # type: ignore[arg-type]  # noqa: SLF001 -- as above
    await app._outbox.join()  # noqa: SLF001 -- as above
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    assert written.sure_then == [(POLICIES_SIGNALS, key) for key in keys]
    assert written.handed[-1] == (POLICIES_REGISTRY, b"mine")
