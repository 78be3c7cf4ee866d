"""Ask l2 for a book, or to end one, and answer when it has; a shell: it waits on the loop's clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated
from weakref import WeakValueDictionary

from msgspec import Meta, Struct

from libs.common.events import Subscribed
from libs.common.kafka import partition_of
from libs.common.topics import L2_SUBSCRIPTIONS
from services.gateway.asking.commands import headers_of, in_time
from services.gateway.asking.idempotency import Reply
from services.gateway.http.problems import not_ready
from services.gateway.http.view import encode
from services.gateway.reading.books import not_subscribed, require_listed, require_own_book

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.gateway.asking.commands import Changes, Command, Writer
    from services.gateway.reading.books import BookId
    from services.gateway.reading.topic_views import GatewayViews
    from services.gateway.settings import GatewaySettings


class SubscriptionAnswer(Struct, frozen=True, kw_only=True):
    """What became of a wish for a book, or of its end."""

    venue: Annotated[str, Meta(description="id of the exchange, like binance")]
    symbol: Annotated[str, Meta(description="canonical BASE-QUOTE")]
    state: Annotated[str, Meta(description="the book's state, or UNSUBSCRIBED")]


@dataclass(frozen=True, eq=False)
class Subscriptions:
    """Changes which books are kept; one at a time per book."""

    settings: GatewaySettings
    views: GatewayViews
    changes: Changes
    writer: Writer
    clock: Callable[[], int]  # int ns UTC
    _turns: WeakValueDictionary[bytes, asyncio.Lock] = field(default_factory=WeakValueDictionary, init=False)

    async def subscribe(self, book: BookId, command: Command) -> Reply:
        """Ask for a book; 201 as soon as l2 says anything about it, 200 if it is there already.

        Raises
        ------
        ProblemError
            404 if the venue does not list the symbol or serves another's book for it, 504 if l2 says nothing
            in time.
        """
        require_own_book(book)
        async with self._turn(book):
            views = self.views
            views.require_ready()
            wanted = book.key in views.subscriptions.items
            if wanted and book.key in views.healths.items:
                return self._reply(200, book)
            if not wanted:
                require_listed(book)
            before = views.healths.items.get(book.key)
            wish = Subscribed(venue=book.venue, symbol=book.symbol, requested_ts=self.clock())

            def taken_up() -> bool:
                heard = views.healths.items.get(book.key)
                return book.key in views.subscriptions.items and heard not in (None, before)

            await self._change(book, command, wish, taken_up)
            return self._reply(201, book)

    async def unsubscribe(self, book: BookId, command: Command) -> Reply:
        """End a book; 200 as soon as l2 has dropped it.

        Raises
        ------
        ProblemError
            404 if the book is not subscribed, 504 if l2 does not drop it in time.
        """
        async with self._turn(book):
            views = self.views
            views.require_ready()
            if not views.is_subscribed(book.key):
                raise not_subscribed(book)

            def dropped() -> bool:
                return not views.is_subscribed(book.key) and book.key not in views.tops.items

            await self._change(book, command, None, dropped)
            return self._reply(200, book, "UNSUBSCRIBED")

    async def _change(
        self, book: BookId, command: Command, wish: Subscribed | None, done: Callable[[], bool]
    ) -> None:
        """Write what is wanted of a book, and return once l2 has done it."""
        settings, kind = self.settings, "Unsubscribed" if wish is None else "Subscribed"
        lack = self.views.fleet.lack_of("l2", partition_of(book.key, settings.topic_partitions))
        if lack is not None:
            raise not_ready(f"Not sent: {lack}.")
        name = f"{book.venue} {book.symbol}"
        late = f"l2 did not drop {name}" if wish is None else f"l2 did not take {name} up"
        async with in_time(settings.command_timeout_s, str(command.id), late):
            now = self.clock()
            headers = headers_of(command.id, kind, now, command.correlation_id)
            await self.writer.send_and_wait(L2_SUBSCRIPTIONS, book.key, wish, now, headers)
            await self.changes.until(done)

    def _turn(self, book: BookId) -> asyncio.Lock:
        return self._turns.setdefault(book.key, asyncio.Lock())

    def _reply(self, status: int, book: BookId, state: str | None = None) -> Reply:
        state = self.views.shown(book.key, self.clock()).state if state is None else state
        return Reply(status, encode(SubscriptionAnswer(venue=book.venue, symbol=book.symbol, state=state)))
