"""OKX v5 as it was before ``seqId``, kept for its recordings: a checksum of wire text with every message.

An id of its own keeps both rules strict. Today's feed never accepts a message without its place in the chain,
and need not keep the text of 400 levels for a checksum that is always 0; this one never accepts a message
without a checksum that fits.

Source: okx.com/docs-v5/en, WS order book channel, as of 2022, and the recording of 2022-05-13.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Final, Literal
from zlib import crc32

import msgspec
from msgspec import Meta

from libs.common.time_units import NS_PER_MS
from services.l2.feeds.digits import DigitBook
from services.l2.feeds.feed import Feed, Step
from services.l2.feeds.frames import EpochMs, FrameDecoder, levels_of_text
from services.l2.feeds.okx import Arg, OkxFeed
from services.l2.feeds.venue_messages import VenueDelta, VenueSnapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.l2.feeds.venue_messages import VenueMessage

_VENUE: Final = "okx-v5-2022"
_CHECKED: Final = 25  # levels a side under the checksum


class _Level(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Numbers as text, since the checksum is of it."""

    price: str
    size: str


class _Book(msgspec.Struct, frozen=True, gc=False):
    bids: tuple[_Level, ...]
    asks: tuple[_Level, ...]
    ts: EpochMs
    checksum: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]


class _BookFrame(msgspec.Struct, frozen=True, gc=False):
    arg: Arg
    action: Literal["snapshot", "update"]
    data: tuple[_Book, ...]


_book_frame: Final = FrameDecoder[_BookFrame](_VENUE, _BookFrame)


class Okx2022Feed(OkxFeed):
    """OKX as it was recorded in 2022; what is not said here is as it is today."""

    venue = _VENUE
    instrument_url = Feed.instrument_url  # no order is priced on its books
    parse_instrument = Feed.parse_instrument

    def book_messages(self, raw: bytes, name: str) -> Sequence[VenueMessage]:
        """Return the snapshot or updates in a frame of the channel ``books``."""
        frame = _book_frame.decode(raw)
        if frame.arg.inst_id != name:
            return ()
        kind = VenueSnapshot if frame.action == "snapshot" else VenueDelta
        return [_message_of(kind, book) for book in frame.data]

    def step(self, position: int | None, delta: VenueDelta) -> Step:  # noqa: ARG002 -- there were no ids
        """Accept every delta: there was no sequence, so the checksum after it is the only proof."""
        return Step.APPLY

    def checksum(self, bids: Sequence[str], asks: Sequence[str]) -> int:
        """Return the CRC32 of the 25 best levels, as a signed 32-bit number.

        Notes
        -----
        ``bid1 price:bid1 size:ask1 price:ask1 size:bid2 price:...`` in the digits of the wire; where one
        side has fewer levels, the other's follow each other.

        References
        ----------
        okx.com/docs-v5/en, WS order book channel, "Checksum", as of 2022-05.
        """
        pairs = zip_longest(bids, asks)
        crc = crc32(":".join(text for pair in pairs for text in pair if text is not None).encode())
        return crc - (crc >> 31 << 32)

    def new_digit_book(self) -> DigitBook:
        """Return the digits that belong beside an empty book."""
        return DigitBook(self.depth, _CHECKED)


def _message_of(kind: type[VenueSnapshot | VenueDelta], book: _Book) -> VenueSnapshot | VenueDelta:
    return kind(
        bids=levels_of_text(_VENUE, _texts(book.bids)),
        asks=levels_of_text(_VENUE, _texts(book.asks)),
        checksum=book.checksum,
        bid_digits=_digits(book.bids),
        ask_digits=_digits(book.asks),
        venue_ts=book.ts * NS_PER_MS,
    )


def _texts(levels: tuple[_Level, ...]) -> list[tuple[str, str]]:
    return [(level.price, level.size) for level in levels]


def _digits(levels: tuple[_Level, ...]) -> tuple[str, ...]:
    return tuple([f"{level.price}:{level.size}" for level in levels])
