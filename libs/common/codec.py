"""The one file that knows MessagePack."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Self, Union

import msgspec

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.topics import Topic

_encoder = msgspec.msgpack.Encoder()


class UndecodableMessageError(ValueError):
    """Bytes that are no message of their topic; they belong on ``dead-letters.v1``."""


class UnknownMessageError(UndecodableMessageError):
    """A message of a type, or with a name, that only another version knows; it is left out, and counted."""


class Unreadable(bytes):
    """The beginning of what stands in a log where no reader can take the records; no message of any topic.

    Attributes
    ----------
    reason
        What is not read, and why not.
    """

    reason: str

    def __new__(cls, evidence: bytes | memoryview, reason: str) -> Self:
        """Return it with what says why."""
        found = super().__new__(cls, evidence)
        found.reason = reason
        return found


def encode(event: Event) -> bytes:
    """Return the event as a MessagePack map with its ``type``."""
    return _encoder.encode(event)


def decode(topic: Topic, value: bytes) -> Event:
    """Return the message that `value` holds; unknown fields pass, so that ``.v1`` can grow.

    Raises
    ------
    UnknownMessageError
        If `value` is a well-formed message whose type, or a name in it, is none that this version knows.
    UndecodableMessageError
        If it is not MessagePack, or a field is missing or wrong; also if a text in it is not UTF-8.
    """
    if isinstance(value, Unreadable):
        raise UndecodableMessageError(f"{topic.name}: {value.reason}")
    try:
        return _decoder(topic.events).decode(value)
    except msgspec.ValidationError as error:
        said = str(error)
        unknown = said.startswith("Invalid enum value") or (
            said.startswith("Invalid value") and said.endswith(".type`")
        )
        kind = UnknownMessageError if unknown else UndecodableMessageError
        raise kind(f"{topic.name}: {said}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableMessageError(f"{topic.name}: {error}") from error


@lru_cache
def _decoder(events: tuple[type[Event], ...]) -> msgspec.msgpack.Decoder[Event]:
    return msgspec.msgpack.Decoder(Union[events])  # noqa: UP007 -- a union of a runtime tuple
