"""Turn wishes into messages, and answer when the message that each of them caused arrives.

A shell: it waits on the loop's clock.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Protocol

from msgspec import Meta, Struct

from libs.common.cloudevents import CloudEvent
from libs.common.events import IdempotentReply, Subscribed
from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_S
from libs.common.topics import GATEWAY_IDEMPOTENCY, L2_SUBSCRIPTIONS
from services.gateway.http.places import Allowance, Limit, Places, Tally
from services.gateway.http.problems import KEY_REUSED, NO_ANSWER, ProblemError, not_ready
from services.gateway.http.view import encode
from services.gateway.reading.books import not_subscribed, require_listed, require_own_book

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from uuid import UUID

    from libs.common.cloudevents import Headers
    from libs.common.events import Event
    from libs.common.topics import Topic
    from services.gateway.asking.reply_view import ReplyView
    from services.gateway.reading.books import BookId
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings

SOURCE: Final = "/services/gateway"


class Writer(Protocol):
    """What sends a message and waits until Kafka has it."""

    async def send_and_wait(
        self, topic: Topic, key: bytes, event: Event | None, ts: int, headers: Headers = ()
    ) -> object:
        """Send `event`, or a tombstone, with Kafka timestamp `ts` (ns UTC)."""


class Command(NamedTuple):
    """Who asks: the same request under the same Idempotency-Key has the same id, another one has another."""

    id: UUID
    correlation_id: str
    address: str  # that it counts for

    def headers(self, kind: str, now: int) -> Headers:
        """Return the CloudEvents headers of the message that carries this command."""
        return CloudEvent(self.id, kind, SOURCE, now, self.correlation_id, causation_id=None).headers()


class Reply(NamedTuple):
    """A success, and whether it is an old one told again."""

    status: int
    body: bytes
    replayed: bool = False


class SubscriptionAnswer(Struct, frozen=True, kw_only=True):
    """What became of a wish for a book, or of its end."""

    venue: Annotated[str, Meta(description="id of the exchange, like binance")]
    symbol: Annotated[str, Meta(description="canonical BASE-QUOTE")]
    state: Annotated[str, Meta(description="the book's state, or UNSUBSCRIBED")]


class Changes:
    """Wakes those who wait for something to become true of the views."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def announce(self) -> None:
        """Let everyone look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Return as soon as `is_true` after a change."""
        while not is_true():
            await self._changed.wait()


class _Turns:
    """One at a time per key; a key without a caller takes no room."""

    def __init__(self) -> None:
        self._locks: dict[bytes, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: bytes) -> AsyncIterator[None]:
        lock, callers = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, callers + 1)
        try:
            async with lock:
                yield
        finally:
            lock, callers = self._locks.pop(key)
            if callers > 1:
                self._locks[key] = (lock, callers - 1)


class Commands:
    """The routes that change something."""

    def __init__(
        self,
        settings: GatewaySettings,
        views: GatewayViews,
        changes: Changes,
        writer: Writer,
        clock: Callable[[], int],
    ) -> None:
        self._views = views
        self._changes = changes
        self._writer = writer
        self._clock = clock  # int ns UTC
        self._partitions = settings.topic_partitions
        self._timeout_s = settings.command_timeout_s
        self._ttl_ns = settings.idempotency_ttl_s * NS_PER_S
        self._turns = _Turns()
        self._begun = Tally()  # keys whose requests are being done
        self.places = Places(
            "commands",
            Limit(
                "commands wait for their answers",
                settings.max_commands,
                settings.max_commands_per_address,
                retry_after_s=1,
            ),
        )
        self.waiters = Places(
            "waiters",
            Limit(
                "requests wait for the end of an execution",
                settings.max_waiters,
                settings.max_waiters_per_address,
                retry_after_s=1,
            ),
        )
        self.keys = Allowance(
            "keys",
            Limit(
                "Idempotency-Keys are in use",
                settings.idempotency_max_keys,
                settings.idempotency_max_keys_per_address,
                retry_after_s=60,
            ),
        )
        self.key_bytes = Allowance(
            "key_bytes",
            Limit(
                "bytes of replies are kept under Idempotency-Keys",
                settings.idempotency_max_bytes,
                settings.idempotency_max_bytes_per_address,
                retry_after_s=60,
            ),
        )

    @property
    def replies(self) -> ReplyView:
        """The replies that are kept."""
        return self._views.replies

    async def subscribe(self, book: BookId, command: Command) -> Reply:
        """Ask for a book; 201 as soon as l2 says anything about it, 200 if it is there already.

        Raises
        ------
        ProblemError
            404 if the venue does not list the symbol or serves another's book for it, 504 if l2 says nothing
            in time.
        """
        require_own_book(book)
        async with self._turns.of(b"book " + book.key):
            views = self._views
            views.require_ready()
            wanted = book.key in views.subscriptions.items
            if wanted and book.key in views.healths.items:
                return self._subscription(200, book)
            if not wanted:
                require_listed(book)
            self._require_l2(book)
            async with self._answer_in_time(command, f"l2 did not take {book.venue} {book.symbol} up"):
                before = views.healths.items.get(book.key)
                now = self._clock()
                wish = Subscribed(venue=book.venue, symbol=book.symbol, requested_ts=now)
                headers = command.headers("Subscribed", now)
                await self._writer.send_and_wait(L2_SUBSCRIPTIONS, book.key, wish, now, headers)
                await self._changes.until(
                    lambda: (
                        book.key in views.subscriptions.items
                        and views.healths.items.get(book.key) not in (None, before)
                    )
                )
            return self._subscription(201, book)

    async def unsubscribe(self, book: BookId, command: Command) -> Reply:
        """End a book; 200 as soon as l2 has dropped it.

        Raises
        ------
        ProblemError
            404 if the book is not subscribed, 504 if l2 does not drop it in time.
        """
        async with self._turns.of(b"book " + book.key):
            views = self._views
            views.require_ready()
            if not views.is_subscribed(book.key):
                raise not_subscribed(book)
            self._require_l2(book)
            async with self._answer_in_time(command, f"l2 did not drop {book.venue} {book.symbol}"):
                now = self._clock()
                headers = command.headers("Unsubscribed", now)
                await self._writer.send_and_wait(L2_SUBSCRIPTIONS, book.key, None, now, headers)
                await self._changes.until(
                    lambda: not views.is_subscribed(book.key) and book.key not in views.tops.items
                )
            gone = SubscriptionAnswer(venue=book.venue, symbol=book.symbol, state="UNSUBSCRIBED")
            return Reply(200, encode(gone))

    def _require_l2(self, book: BookId) -> None:
        lack = self._views.fleet.lack_of("l2", partition_of(book.key, self._partitions))
        if lack is not None:
            raise not_ready(f"Not sent: {lack}.")

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
        async with self._turns.of(b"key " + name):
            self._views.require_ready()
            kept = self._kept(name)
            if kept is not None:
                if kept.request_hash != request_hash:
                    raise ProblemError(KEY_REUSED, f"The Idempotency-Key {key!r} came with another request.")
                return Reply(kept.status, kept.body, replayed=True)
            with self._key_begun(command.address):
                reply = await execute()
                async with self._answer_in_time(command, "The reply could not be kept"):
                    now = self._clock()
                    answered = IdempotentReply(
                        request_hash=request_hash,
                        status=reply.status,
                        body=reply.body,
                        ts=now,
                        caller=command.address,
                    )
                    await self._writer.send_and_wait(GATEWAY_IDEMPOTENCY, name, answered, now)
                    await self._changes.until(lambda: self._kept(name) == answered)
                return reply

    async def forget_old_replies(self) -> int:
        """Delete the replies that are older than their time, and return how many."""
        forgotten = 0
        for name in [name for name in self._views.replies.items if self._kept(name) is None]:
            async with self._turns.of(b"key " + name):
                if self._kept(name) is None:  # no request renewed it meanwhile
                    await self._writer.send_and_wait(GATEWAY_IDEMPOTENCY, name, None, self._clock())
                    forgotten += 1
        return forgotten

    @contextmanager
    def _key_begun(self, address: str) -> Iterator[None]:
        """Take room for one more reply, before what it answers is done."""
        replies = self._views.replies
        self.keys.require(address, replies.keys, self._begun)
        self.key_bytes.require(address, replies.bytes)
        self._begun.add(address, 1)
        try:
            yield
        finally:
            self._begun.add(address, -1)

    def _kept(self, name: bytes) -> IdempotentReply | None:
        reply = self._views.replies.items.get(name)
        return reply if reply is not None and self._clock() - reply.ts < self._ttl_ns else None

    def _subscription(self, status: int, book: BookId) -> Reply:
        state = self._views.shown(book.key, self._clock()).state
        return Reply(status, encode(SubscriptionAnswer(venue=book.venue, symbol=book.symbol, state=state)))

    @asynccontextmanager
    async def _answer_in_time(self, command: Command, failed: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            detail = f"{failed} within {self._timeout_s:g} s."
            raise ProblemError(NO_ANSWER, detail, command_id=str(command.id)) from error
