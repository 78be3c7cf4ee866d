"""CloudEvents attributes as Kafka headers, and the deterministic ids that link an effect to its cause.

References
----------
CloudEvents 1.0.2, Kafka protocol binding, binary content mode (https://github.com/cloudevents/spec,
2024-12): each attribute is a header ``ce_<name>`` holding UTF-8 text. ``correlationid`` and
``causationid`` are extensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Headers: TypeAlias = "Sequence[tuple[str, bytes]]"

SPEC_VERSION: Final = b"1.0"
ATTRIBUTES: Final = frozenset(
    f"ce_{name}" for name in ("specversion", "id", "type", "source", "time", "correlationid", "causationid")
)
LONGEST_CORRELATION: Final = 256  # bytes; all that a conversation causes carries it
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """What the headers of a command or decision say."""

    id: UUID
    type: str
    source: str  # who wrote it, e.g. /services/router
    time: int  # ns UTC
    correlation_id: str  # of the whole conversation
    causation_id: UUID | None  # of the message that caused this one

    def headers(self) -> Headers:
        """Return these attributes as Kafka headers."""
        headers = [
            ("ce_specversion", SPEC_VERSION),
            ("ce_id", str(self.id).encode()),
            ("ce_type", self.type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_time", rfc3339(self.time).encode()),
            ("ce_correlationid", self.correlation_id.encode()),
        ]
        if self.causation_id is not None:
            headers.append(("ce_causationid", _id_text(self.causation_id)))
        return headers


@lru_cache(maxsize=64)
def _id_text(identifier: UUID) -> bytes:
    return str(identifier).encode()  # one message causes several


def headers_of(told: Iterable[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes], ...]:
    """Return a record's headers as they came; one without a value, which Kafka allows, is empty."""
    return tuple((name, value or b"") for name, value in told)


def caused_id(cause: UUID, name: str) -> UUID:
    """Return the id of the message called `name` that `cause` brings about: the same for the same log."""
    return uuid5(cause, name)


def position_id(topic: str, partition: int, offset: int) -> UUID:
    """Return the id of a record whose writer gave it none: its place in the log."""
    return uuid5(NAMESPACE_URL, f"kafka:{topic}/{partition}/{offset}")


def identity(headers: Headers, fallback: UUID) -> tuple[UUID, str]:
    """Return the id and correlation id that `headers` carry.

    A missing or malformed ``ce_id`` gives `fallback`; without ``ce_correlationid``, or with one of more than
    `LONGEST_CORRELATION` bytes, the message starts a conversation of its own, named by its id.
    """
    found = dict(headers)
    try:
        identifier = UUID(found["ce_id"].decode("ascii"))
    except (KeyError, ValueError):
        identifier = fallback
    correlation = found.get("ce_correlationid", b"")
    if len(correlation) > LONGEST_CORRELATION:
        correlation = b""
    return identifier, correlation.decode("utf-8", "replace") or str(identifier)


@lru_cache(maxsize=64)
def rfc3339(ts: int) -> str:
    """Return `ts` (ns UTC) as RFC 3339 text with nanoseconds."""
    seconds, ns = divmod(ts, NS_PER_S)
    minutes, second = divmod(seconds, 60)
    return f"{_minute(minutes)}:{second:02d}.{ns:09d}Z"


@lru_cache(maxsize=64)
def _minute(minutes: int) -> str:
    days, minute = divmod(minutes, 1440)
    return f"{_day(days)}T{minute // 60:02d}:{minute % 60:02d}"


@lru_cache(maxsize=64)
def _day(days: int) -> str:
    return f"{_EPOCH + timedelta(days=days):%Y-%m-%d}"
