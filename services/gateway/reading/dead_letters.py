"""What is told of a dead letter; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from libs.common.printable import printable

if TYPE_CHECKING:
    from libs.common.cloudevents import Headers

CHARS: Final = 500  # of each text


class DeadLetter(Struct, frozen=True, kw_only=True):
    """What could not be handled."""

    topic: Annotated[str, Meta(description="whence it came: a topic, or the service that could not read it")]
    ts: Annotated[int, Meta(description="when it was put aside, ms UTC")]
    reason: Annotated[str, Meta(description="why, in words")]
    key: Annotated[str, Meta(description="of what it is about")]
    id: Annotated[str, Meta(description="of the letter: topic:partition:offset")]


def letter_of(place: str, ts: int, key: bytes, headers: Headers) -> DeadLetter:
    """Return what the letter at a place (topic:partition:offset) tells, of a moment in ms UTC."""
    told = {name: value.decode("utf-8", "replace") for name, value in headers}
    return DeadLetter(
        topic=printable(told.get("source", "").partition("/")[0], CHARS),
        ts=ts,
        reason=printable(told.get("reason", "no reason is told"), CHARS),
        key=printable(key.decode("utf-8", "replace"), CHARS),
        id=place,
    )
