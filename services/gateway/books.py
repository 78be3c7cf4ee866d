"""The answers of the book routes, the hottest of them encoded at most once per change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from libs.common.instruments import UnknownInstrumentError, UnknownVenueError, instrument_of, venue_of
from libs.common.topics import book_key
from services.gateway.answers import (
    DEFAULT_DEPTH,
    MAX_DEPTH,
    BookSummary,
    Shown,
    book_answer,
    book_summary,
    encode,
)
from services.gateway.problems import (
    BOOK_NOT_SYNCED,
    NOT_SUBSCRIBED,
    UNKNOWN_SYMBOL,
    UNKNOWN_VENUE,
    ProblemError,
)
from services.gateway.symbols import symbol_of

if TYPE_CHECKING:
    from libs.common.events import BookHealth, BookTop
    from services.gateway.views import GatewayViews

PREFIX: Final = "/api/l2/"
CACHED: Final = 4096  # entries of a cache; a page is about 2 kB
_PLAIN_QUERY: Final = re.compile(rb"(?:depth=([1-9][0-9]?))?")


class BookId(NamedTuple):
    """A venue and a canonical symbol that may be used in a key."""

    venue: str
    symbol: str

    @property
    def key(self) -> bytes:
        """The key of the book's messages."""
        return book_key(self.venue, self.symbol)


class Page(NamedTuple):
    """One encoded answer, what it was made of, and from when until when that holds."""

    top: BookTop
    health: BookHealth | None
    shown: Shown
    since: int  # ns UTC
    until: float
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]


def book_id(venue: str, symbol: str) -> BookId:
    """Return the book that a caller's spelling names.

    Raises
    ------
    ProblemError
        404 if there is no such venue, or the symbol is no BASE-QUOTE pair; 422 if it may be several.
    """
    try:
        known = venue_of(venue).venue
    except UnknownVenueError as error:
        raise ProblemError(UNKNOWN_VENUE, f"{error}.") from error
    return BookId(known, symbol_of(symbol))


def require_listed(book: BookId) -> None:
    """Refuse a book that its venue's table does not list.

    Raises
    ------
    ProblemError
        404 with the symbols that the venue lists.
    """
    try:
        instrument_of(book.venue, book.symbol)
    except UnknownInstrumentError as error:
        raise ProblemError(UNKNOWN_SYMBOL, f"{error}.") from error


def not_subscribed(book: BookId) -> ProblemError:
    """Return the problem of a book that nobody wants."""
    wish = f'POST {{"venue": "{book.venue}", "symbol": "{book.symbol}"}} to /api/l2/subscriptions first.'
    return ProblemError(NOT_SUBSCRIBED, f"{book.venue} {book.symbol} is not subscribed. {wish}")


class Books:
    """Book answers from the views; a page is encoded when first asked for after a change."""

    def __init__(self, views: GatewayViews) -> None:
        self._views = views
        self._tops = views.tops.items
        self._healths = views.healths.items
        self._subscriptions = views.subscriptions.items
        self._pages: dict[tuple[bytes, int], Page] = {}
        self._requests: dict[tuple[str, bytes], tuple[bytes, int] | None] = {}
        self.encoded = 0  # pages, since the start

    def page(self, book: BookId, depth: int, now: int) -> Page:
        """Return the top `depth` levels of a book.

        Raises
        ------
        ProblemError
            404 if nobody subscribed to the book, 503 if it never synchronised or the views are behind.
        """
        self._views.require_ready()
        if not self._views.is_subscribed(book.key):
            raise not_subscribed(book)
        page = self._page((book.key, depth), now)
        if page is None:
            shown = self._views.shown(book.key, now)
            detail = f"{book.venue} {book.symbol} is {shown.state}: {shown.reason}."
            raise ProblemError(BOOK_NOT_SYNCED, detail, retry_after_s=1)
        return page

    def hot_page(self, path: str, query: bytes, now: int) -> Page | None:
        """Return the page of a plain request for a book there is, or None: then `page` has more to say."""
        request = (path, query)
        try:
            wanted = self._requests[request]
        except KeyError:
            wanted = _bounded(self._requests)[request] = _plain_request(path, query)
        if wanted is None or not self._views.ready:
            return None
        key = wanted[0]
        if key in self._healths or key in self._subscriptions:
            return self._page(wanted, now)
        return None

    def summaries(self, now: int) -> tuple[BookSummary, ...]:
        """Return every book, by venue and symbol.

        Raises
        ------
        ProblemError
            503 while the views are behind.
        """
        views = self._views
        views.require_ready()
        summaries = []
        for key in views.subscribed():
            health, top = views.healths.items.get(key), views.tops.items.get(key)
            named = health or views.subscriptions.items[key]
            shown = views.shown(key, now)
            summaries.append(book_summary(named.venue, named.symbol, health, top, shown, now))
        return tuple(summaries)

    def _page(self, wanted: tuple[bytes, int], now: int) -> Page | None:
        key, depth = wanted
        top = self._tops.get(key)
        health = self._healths.get(key)
        page = self._pages.get(wanted)
        if page is not None and page.top is top and page.health is health and page.since <= now <= page.until:
            return page
        if top is None:
            return None
        shown = self._views.shown(key, now)
        until = (None if health is None else self._views.silent_after(health, now)) or float("inf")
        if page is not None and page.top is top and page.shown == shown:
            page = page._replace(health=health, since=now, until=until)  # a heartbeat that says nothing new
        else:
            body = encode(book_answer(top, shown, depth))
            headers = (
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
            )
            page = Page(top, health, shown, now, until, body, headers)
            self.encoded += 1
        if wanted not in self._pages:
            _bounded(self._pages)
        self._pages[wanted] = page
        return page


def _plain_request(path: str, query: bytes) -> tuple[bytes, int] | None:
    venue, _, symbol = path.removeprefix(PREFIX).partition("/")
    depth = _PLAIN_QUERY.fullmatch(query)
    if depth is None or not symbol:
        return None
    levels = int(depth[1] or DEFAULT_DEPTH)
    try:
        return (book_id(venue, symbol).key, levels) if levels <= MAX_DEPTH else None
    except ProblemError:
        return None  # the full route words it


_K = TypeVar("_K")
_V = TypeVar("_V")


def _bounded(cache: dict[_K, _V]) -> dict[_K, _V]:
    """Return `cache`, with room for one more entry: the oldest goes."""
    if len(cache) >= CACHED:
        del cache[next(iter(cache))]
    return cache
