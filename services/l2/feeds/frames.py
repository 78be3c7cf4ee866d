"""What all feeds share: the bounds of a sane number, and decoding that fails in one way only.

The bounds are checked by msgspec in C while it parses; NaN and infinities never pass a lower and an upper
bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.venue_messages import Ignored, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from libs.common.events import Level
    from services.l2.feeds.venue_messages import VenueMessage


Price: TypeAlias = Annotated[float, Meta(ge=1e-12, le=1e12)]  # quote units
Size: TypeAlias = Annotated[float, Meta(ge=0, le=1e15)]  # base units; 0 deletes
Quantity: TypeAlias = Annotated[float, Meta(gt=0, le=1e15)]  # base units
Id: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what MessagePack can carry
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
EpochMs: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # `stamps.py` says which are plausible
EpochUs: TypeAlias = EpochMs
EpochS: TypeAlias = Annotated[float, Meta(ge=-1e15, le=1e15)]
Changes: TypeAlias = tuple[tuple[Price, Size], ...]  # of a delta, or a snapshot, in which size 0 is no level

_T = TypeVar("_T")


class _Levels(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Levels in a struct, whose type msgspec looks up by identity; that of `Changes` it hashes each time."""

    levels: Changes


_NAME: Final = 60  # characters of a venue's word in a log line
_EXCERPT: Final = 200  # bytes of a bad frame quoted in the error; the whole frame goes to dead-letters


class FrameDecoder(Generic[_T]):
    """A typed JSON decoder whose only failure is `BadFrameError`, with the venue's words.

    Parameters
    ----------
    type_
        The msgspec type; Any, as unions and annotated types are no classes.
    lax
        Whether ``"60000.10"`` may stand for a number, as most venues write them.
    """

    def __init__(self, venue: str, type_: Any, *, lax: bool = True) -> None:  # noqa: ANN401 -- said above
        self._venue = venue
        self._decode: Callable[[bytes | msgspec.Raw], _T] = msgspec.json.Decoder(type_, strict=not lax).decode

    def decode(self, raw: bytes | msgspec.Raw) -> _T:
        """Return what `raw` holds."""
        try:
            return self._decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise bad_frame(self._venue, str(error), raw) from error


def bad_frame(venue: str, why: str, raw: bytes | msgspec.Raw) -> BadFrameError:
    """Return the error that says why, and how the frame begins."""
    return BadFrameError(f"{venue}: {why}: {bytes(raw)[:_EXCERPT]!r}")


def opened(decoder: FrameDecoder[_T], raw: bytes) -> _T | None:
    """Return what a frame says that it is of; None where it is JSON, and no object as a book's frames are."""
    try:
        return decoder.decode(raw)
    except BadFrameError:
        if raw.lstrip()[:1] == b"{":
            raise
        try:
            msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # cut or mangled: nobody knows what it was
        else:
            return None
        raise


def spared(
    raw: bytes, read: Callable[[], Sequence[VenueMessage]], *, trades: bool = False
) -> Sequence[VenueMessage]:
    """Return what `read` makes of a frame that is known to be no book's; unreadable, it costs itself only."""
    try:
        return read()
    except BadFrameError as error:
        return (Unread(raw, str(error), trades),)


def ignored(kind: str, name: str = "") -> tuple[VenueMessage, ...]:
    """Return that a message of a kind that the feed does not know came, by the venue's name of it."""
    return (Ignored(f"{kind} {name[:_NAME]!r}" if name else kind),)


def levels_of_text(venue: str, texts: Iterable[tuple[str, str]]) -> tuple[Level, ...]:
    """Return the numbers of (price, size) texts, within the bounds of a sane one."""
    try:
        return msgspec.convert((tuple(texts),), _Levels, strict=False).levels
    except msgspec.ValidationError as error:
        raise BadFrameError(f"{venue}: {error}") from error
