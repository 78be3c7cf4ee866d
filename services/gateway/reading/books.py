"""The answers of the book routes, the hottest of them encoded at most once per change.

No cache is keyed by what a caller makes up. Of addresses the few usual spellings of books that there are
are remembered; pages are kept by book and depth, within `MAX_PAGE_BYTES`. Nothing is remembered of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.asked_instruments import instrument_in
from libs.common.events import BookHealth, BookState
from libs.common.instruments import UnknownInstrumentError, instrument_of
from libs.common.topics import book_key
from libs.common.venues import UnknownVenueError, venue_of
from services.gateway.http import problems
from services.gateway.http.problems import ProblemError
from services.gateway.http.requests import symbol_of
from services.gateway.http.view import encode
from services.gateway.http.views import BOOK, BOOK_SUMMARY, DEFAULT_DEPTH, MAX_DEPTH

if TYPE_CHECKING:
    from msgspec import Struct

    from libs.common.events import BookTop, Subscribed
    from services.gateway.reading.book_status import BookStatus
    from services.gateway.reading.topic_views import GatewayViews

PREFIX: Final = "/api/l2/"
MAX_PATH: Final = 80  # bytes of the longest address that is looked at here: a venue, a pair, a separator
MAX_PATHS: Final = 4096  # remembered: a book has no more than 8
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024  # of all pages together; one is about 3 kB
PAGE_BYTES: Final = 1024  # of a page besides its body
DEPTHS: Final = {b"": DEFAULT_DEPTH} | {b"depth=%d" % depth: depth for depth in range(1, MAX_DEPTH + 1)}


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
    status: BookStatus
    since: int  # ns UTC
    until: float
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def tells_terms_of(self, health: BookHealth | None) -> bool:
        """Return whether it was made of a health with the same terms."""
        book = self.top.venue, self.top.symbol
        return instrument_in(*book, self.health) == instrument_in(*book, health)


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
        raise ProblemError(problems.UNKNOWN_VENUE, f"{error}.") from error
    return BookId(known, symbol_of(symbol))


def require_own_book(book: BookId) -> None:
    """Refuse a book that its venue serves as another one's.

    Raises
    ------
    ProblemError
        404 with the book to ask for.
    """
    if (refusal := venue_of(book.venue).refusal(book.symbol)) is not None:
        raise ProblemError(problems.UNKNOWN_SYMBOL, f"{refusal}.")


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
        raise ProblemError(problems.UNKNOWN_SYMBOL, f"{error}.") from error


def not_subscribed(book: BookId) -> ProblemError:
    """Return the problem of a book that nobody wants."""
    wish = f'POST {{"venue": "{book.venue}", "symbol": "{book.symbol}"}} to /api/l2/subscriptions first.'
    return ProblemError(problems.NOT_SUBSCRIBED, f"{book.venue} {book.symbol} is not subscribed. {wish}")


class Books:
    """Book answers from the views; a page is encoded when first asked for after a change."""

    def __init__(self, views: GatewayViews) -> None:
        self._views = views
        self._tops = views.tops.items
        self._healths = views.healths.items
        self._subscriptions = views.subscriptions.items
        self._pages: dict[tuple[bytes, int], Page] = {}  # the one that was made first goes first
        self._page_bytes = 0
        self._keys: dict[str, bytes] = {}  # of books there were when they were asked for, by path
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
            status = self._views.shown(book.key, now)
            detail = f"{book.venue} {book.symbol} is {status.state}: {status.reason}."
            raise ProblemError(problems.BOOK_NOT_SYNCED, detail, retry_after_s=1)
        return page

    def hot_page(self, path: str, query: bytes, now: int) -> Page | None:
        """Return the page of a plain request for a book there is, or None: then `page` has more to say."""
        depth = DEPTHS.get(query)
        if depth is None or not self._views.ready:
            return None
        key = self._keys.get(path) or self._key(path)
        if key is not None and (key in self._healths or key in self._subscriptions):
            return self._page((key, depth), now)
        return None

    def summaries(self, now: int) -> tuple[Struct, ...]:
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
            health = views.healths.items.get(key) or _nothing_heard(views.subscriptions.items[key])
            top, status = views.tops.items.get(key), views.shown(key, now)
            summaries.append(BOOK_SUMMARY(health, top=top, status=status, now=now))
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
        status = self._views.shown(key, now)
        until = self._views.shown_until(top, health, now)
        if page is not None and page.top is top and page.status == status and page.tells_terms_of(health):
            page = page._replace(health=health, since=now, until=until)  # a heartbeat that says nothing new
        else:
            body = encode(BOOK.make(top, health=health, status=status, depth=depth))
            headers = (
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
            )
            page = Page(top, health, status, now, until, body, headers)
            self.encoded += 1
        self._keep(wanted, page)
        return page

    def _keep(self, wanted: tuple[bytes, int], page: Page) -> None:
        """Replace a page by its successor, and let go of the oldest that find no room."""
        old = self._pages.get(wanted)
        self._pages[wanted] = page
        self._page_bytes += len(page.body) + PAGE_BYTES
        if old is not None:
            self._page_bytes -= len(old.body) + PAGE_BYTES
        while self._page_bytes > MAX_PAGE_BYTES:
            self._page_bytes -= len(self._pages.pop(next(iter(self._pages))).body) + PAGE_BYTES

    def _key(self, path: str) -> bytes | None:
        """Return the key of a book there is, and remember it under a path that spells it as is usual."""
        if len(path) > MAX_PATH:
            return None
        venue, _, symbol = path.removeprefix(PREFIX).partition("/")
        try:
            book = book_id(venue, symbol)
        except ProblemError:
            return None  # the full route words it
        if not self._views.is_subscribed(book.key):
            return None
        if symbol in _spellings(book.symbol):
            if len(self._keys) >= MAX_PATHS:
                del self._keys[next(iter(self._keys))]
            self._keys[path] = book.key
        return book.key


def _nothing_heard(book: Subscribed) -> BookHealth:
    """Return what stands for the health of a book of which l2 has said nothing."""
    state = BookState.SYNCING
    return BookHealth(
        venue=book.venue, symbol=book.symbol, state=state, epoch=0, seq=0, reason="", since_ts=0, ts=0
    )


def _spellings(symbol: str) -> frozenset[str]:
    """Return how a canonical symbol is usually written: with each separator or none, in one case."""
    spelled = {symbol.replace("-", separator) for separator in ("-", "/", "_", "")}
    return frozenset(spelled | {each.lower() for each in spelled})
