"""What a person may call a topic or a book, made exact."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.cli.errors import UsageError
from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.topics import TOPICS, book_key
from libs.common.venues import UnknownVenueError, venue_named

if TYPE_CHECKING:
    from libs.common.topics import Topic

_SUFFIX: Final = ".v1"


class BookId(NamedTuple):
    """One book: a venue's id and a canonical symbol."""

    venue: str
    symbol: str

    @property
    def key(self) -> bytes:
        """The key of its messages."""
        return book_key(self.venue, self.symbol)


def topic_named(text: str) -> Topic:
    """Return the topic of this name, of its name without ``.v1`` or owner, or of a part that only it has.

    Raises
    ------
    UsageError
        If no topic has such a name, or several have; the message lists the nearest, or those.
    """
    short = {name.removesuffix(_SUFFIX).rpartition(".")[2]: name for name in TOPICS}
    if text in TOPICS:
        return TOPICS[text]
    for exact in (f"{text}{_SUFFIX}", short.get(text, "")):
        if exact in TOPICS:
            return TOPICS[exact]
    having = [name for name in TOPICS if text in name]
    if len(having) == 1:
        return TOPICS[having[0]]
    if having:
        raise UsageError(f"{text!r} may be any of {', '.join(having)}: write more of it")
    near = get_close_matches(text, [*TOPICS, *short], n=3, cutoff=0.5)
    nearest = list(dict.fromkeys(short.get(name, name) for name in near)) or list(TOPICS)
    raise UsageError(
        f"no topic is called {text!r}; {'nearest' if near else 'there are'}: {', '.join(nearest)}"
    )


def book_named(venue: str, symbol: str) -> BookId:
    """Return the book of a venue id and a symbol in any of its spellings.

    Raises
    ------
    UsageError
        If there is no such venue, or the text is no symbol or may be several.
    """
    try:
        return BookId(venue_named(venue).venue, canonical_symbol(symbol))
    except (UnknownVenueError, UnknownSymbolError) as error:
        raise UsageError(str(error)) from error


def symbol_named(text: str) -> str:
    """Return a symbol in any of its spellings.

    Raises
    ------
    UsageError
        If the text is no symbol, or may be several.
    """
    try:
        return canonical_symbol(text)
    except UnknownSymbolError as error:
        raise UsageError(str(error)) from error


def key_named(topic: Topic, text: str) -> bytes:
    """Return a message key from ``venue:symbol``; keys of topics that hold no books are taken as they are.

    Raises
    ------
    UsageError
        If the topic's keys are books and this is none.
    """
    if topic.key != "venue:symbol":
        return text.encode()
    venue, separator, symbol = text.partition(":")
    if not separator:
        raise UsageError(f"--key {text!r} is not venue:symbol, like binance:BTC-USDT")
    return book_named(venue, symbol).key
