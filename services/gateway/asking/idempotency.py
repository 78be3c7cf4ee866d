"""One reply per Idempotency-Key, kept on a topic so that every gateway gives it; a shell: it waits."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from libs.common.events import IdempotentReply
from libs.common.time_units import NS_PER_S
from libs.common.topics import GATEWAY_IDEMPOTENCY
from libs.common.views import View
from services.gateway.asking.commands import in_time
from services.gateway.http.places import Allowance, Tally
from services.gateway.http.problems import KEY_REUSED, ProblemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from services.gateway.asking.commands import Changes, Command, Writer
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings


class Reply(NamedTuple):
    """A success, and whether it is an old one told again."""

    status: int
    body: bytes
    replayed: bool = False


class ReplyView(View[IdempotentReply]):
    """The view of ``gateway.idempotency.v1``; its counts are those of its items, also after a restart."""

    def __init__(self) -> None:
        super().__init__(GATEWAY_IDEMPOTENCY)
        self.keys = Tally()
        self.bytes = Tally()

    def fold(self, partition: int, offset: int, key: bytes, event: IdempotentReply | None) -> None:
        """Apply one record; see `View.fold`."""
        before = self._items.get(key)
        super().fold(partition, offset, key, event)
        for reply, sign in ((before, -1), (event, 1)):
            if reply is not None:
                self.keys.add(reply.caller, sign)
                self.bytes.add(reply.caller, sign * (len(key) + len(reply.body)))


@dataclass(eq=False)
class Idempotency:
    """Does what a key asks for once."""

    settings: GatewaySettings
    views: GatewayViews
    changes: Changes
    writer: Writer
    clock: Callable[[], int]  # int ns UTC
    keys: Allowance = field(init=False)
    key_bytes: Allowance = field(init=False)
    _begun: Tally = field(default_factory=Tally, init=False)  # keys whose requests are being done
    _turns: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.keys = Allowance.of(
            settings, "idempotency_max_keys", "keys", "Idempotency-Keys are in use", retry_after_s=60
        )
        self.key_bytes = Allowance.of(
            settings,
            "idempotency_max_bytes",
            "key_bytes",
            "bytes of replies are kept under Idempotency-Keys",
            retry_after_s=60,
        )

    async def once(
        self, key: str | None, request_hash: str, command: Command, execute: Callable[[], Awaitable[Reply]]
    ) -> Reply:
        """Execute a request, or answer again what was answered under its Idempotency-Key.

        Only a success is kept: after a problem the same key may try again, and its command has the same id.

        Raises
        ------
        ProblemError
            409 if the key belongs to another request, 503 if no more keys or bytes can be kept, 429 if not of
            this address, 504 if the reply could not be kept in time, and whatever `execute` raises.
        """
        if key is None:
            return await execute()
        name = key.encode()
        async with self._turn(name):
            self.views.require_ready()
            kept = self._kept(name)
            if kept is not None:
                if kept.request_hash != request_hash:
                    raise ProblemError(KEY_REUSED, f"The Idempotency-Key {key!r} came with another request.")
                return Reply(kept.status, kept.body, replayed=True)
            with self._begin(command.address):
                reply = await execute()
                async with in_time(
                    self.settings.command_timeout_s, str(command.id), "The reply could not be kept"
                ):
                    await self._keep(name, reply, request_hash, command.address)
                return reply

    async def forget_old_replies(self) -> int:
        """Delete the replies that are older than their time, and return how many."""
        forgotten = 0
        for name in [name for name in self.views.replies.items if self._kept(name) is None]:
            async with self._turn(name):
                if self._kept(name) is None:  # no request renewed it meanwhile
                    await self.writer.send_and_wait(GATEWAY_IDEMPOTENCY, name, None, self.clock())
                    forgotten += 1
        return forgotten

    def _turn(self, name: bytes) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())

    @contextmanager
    def _begin(self, address: str) -> Iterator[None]:
        """Take room for one more reply, before what it answers is done."""
        replies = self.views.replies
        self.keys.require(address, replies.keys, self._begun)
        self.key_bytes.require(address, replies.bytes)
        self._begun.add(address, 1)
        try:
            yield
        finally:
            self._begun.add(address, -1)

    async def _keep(self, name: bytes, reply: Reply, request_hash: str, address: str) -> None:
        kept = IdempotentReply(
            request_hash=request_hash, status=reply.status, body=reply.body, ts=self.clock(), caller=address
        )
        await self.writer.send_and_wait(GATEWAY_IDEMPOTENCY, name, kept, kept.ts)
        await self.changes.until(lambda: self._kept(name) == kept)

    def _kept(self, name: bytes) -> IdempotentReply | None:
        reply, ttl_ns = self.views.replies.items.get(name), self.settings.idempotency_ttl_s * NS_PER_S
        return reply if reply is not None and self.clock() - reply.ts < ttl_ns else None
