"""Whether a topic takes a message of this size; pure.

Kafka refuses a batch over its topic's limit, and a producer cannot tell whose message it was: all that waits
in its batch, or its transaction, is refused with it. So each message is measured before a producer has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from libs.common.cloudevents import Headers
    from libs.common.topic import Topic

BATCH_BYTES: Final = 61  # the head of a batch that holds this record alone
RECORD_BYTES: Final = 36  # lengths, time and offset of a record, at their longest
HEADER_BYTES: Final = 10  # two lengths
SHOWN_KEY: Final = 80


class TooLargeError(ValueError):
    """A message is larger than its topic takes; no producer was given it, and nothing else is refused."""


def record_size(key: bytes, value: bytes | None, headers: Headers = ()) -> int:
    """Return how many bytes a batch of this record alone takes at most, before it is compressed."""
    size = BATCH_BYTES + RECORD_BYTES + len(key) + len(value or b"")
    for name, content in headers:
        size += len(name.encode()) + len(content) + HEADER_BYTES
    return size


def check_size(topic: Topic, key: bytes, value: bytes | None, headers: Headers = ()) -> None:
    """Let a message pass that its topic takes.

    Raises
    ------
    TooLargeError
        Of all others; it says what was too large, its size and the limit.
    """
    size = record_size(key, value, headers)
    if size > topic.max_message_bytes:
        shown = key[:SHOWN_KEY].decode("utf-8", "backslashreplace") + ("…" if len(key) > SHOWN_KEY else "")
        raise TooLargeError(
            f"the message under key {shown!r} takes {size} bytes; {topic.name} takes "
            f"{topic.max_message_bytes} at most"
        )
