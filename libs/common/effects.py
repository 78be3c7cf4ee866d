"""What goes into one partition of a stateful service, and what comes out of one transaction; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.cloudevents import Headers
    from libs.common.events import Event
    from libs.common.message_sizes import TooLargeError
    from libs.common.topics import Topic


class HandlerError(Exception):
    """A handler raised: an invariant is broken.

    A command is then refused; before any other message the partition stops.
    """


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record of an input as it came, not yet decoded."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written; None is a tombstone."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One message handled, and what it caused."""

    message: Event
    events: Sequence[Event]
    correlation_id: str


@dataclass(slots=True)
class Effects:
    """What one transaction writes, and the input offsets it reaches; `failure` came after all that."""

    now: int  # ns UTC, the time of all it writes
    outgoing: list[Outgoing] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    handled: int = 0
    stale: int = 0
    dead_letters: int = 0
    left_out: int = 0  # events that only another version knows
    too_large: list[TooLargeError] = field(default_factory=list)  # outputs, each kept as a dead letter
    failures: list[HandlerError] = field(default_factory=list)  # of commands, each refused as internal
    failure: HandlerError | None = None
