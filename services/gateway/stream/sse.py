"""Topic messages as server-sent events: JSON in camel case and milliseconds, and a bounded backlog.

References
----------
WHATWG HTML, section 9.2 Server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html
(read 2026-11).
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec.structs import astuple

from libs.common.kafka import Record, Undecodable
from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.gateway.http.problems import FieldError, invalid
from services.gateway.http.view import camel, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from services.gateway.http.places import Room

KEEP_ALIVE: Final = b": keep-alive\n\n"
OPENED: Final = b"retry: 1000\n: open\n\n"  # ms until a browser reconnects
OWN: Final = 128 * 1024  # bytes that may wait for a client, however much waits for others
TAKEN: Final = 256 * 1024  # bytes handed over at once: a client that stops reading holds no more of them
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BACK: Final = re.compile(r"-([0-9]{1,6})([smhd])")
_MS: Final = re.compile(r"[0-9]{10,14}")


Start: TypeAlias = Literal["beginning", "end"] | int
"""Where to begin to read; an int is a time in ns UTC."""


class Frame(NamedTuple):
    """One message as it goes to every stream that wants it."""

    topic: str
    key: bytes
    event_id: str  # topic:partition:offset
    data: bytes


def frame(topic: str, partition: int, offset: int, key: bytes, body: Mapping[str, object]) -> Frame:
    """Return a record whose JSON is `body` as a server-sent event."""
    event_id = f"{topic}:{partition}:{offset}"
    data = b"event: %b\nid: %b\ndata: %b\n\n" % (topic.encode(), event_id.encode(), encode(body))
    return Frame(topic, key, event_id, data)


def frames_of(records: Iterable[Record | Undecodable]) -> Iterator[Frame]:
    """Yield each record as a server-sent event."""
    for record in records:
        yield frame(record.topic.name, record.partition, record.offset, record.key, body_of(record))


def body_of(record: Record | Undecodable) -> Mapping[str, object]:
    """Return what is told of a record: its message, that its key was deleted, or that it is no message."""
    key = record.key.decode(errors="replace")
    if isinstance(record, Undecodable):
        return {"type": "Undecodable", "key": key, "reason": record.reason}
    return {"type": "Tombstone", "key": key} if record.event is None else json_ready(record.event)


def dropped(count: int | None) -> bytes:
    """Return the event that stands where `count` messages are missing; None: nobody knows how many."""
    return b"event: dropped\ndata: %b\n\n" % encode({"count": count})


_Conversion: TypeAlias = "Callable[[Any], object]"  # of a value that is there


class _Form(NamedTuple):
    """How the messages of one type are told."""

    names: tuple[str, ...]  # of the fields, to callers
    conversions: tuple[tuple[str, _Conversion], ...]  # of the values that are not told as they are


@cache
def _form(kind: type[msgspec.Struct]) -> _Form:
    hints = get_type_hints(kind)
    names = {each: camel(re.sub(r"_ns$", "_ms", each)) for each in kind.__struct_fields__}
    found = ((name, _conversion(hints[each], in_ns=_in_ns(each))) for each, name in names.items())
    return _Form(tuple(names.values()), tuple((name, each) for name, each in found if each is not None))


def _in_ns(field_name: str) -> bool:
    return field_name == "ts" or field_name.endswith(("_ts", "_ns"))


def _conversion(kind: Any, *, in_ns: bool) -> _Conversion | None:  # noqa: ANN401 -- whatever stands as a type
    """Return what makes a value of this type ready, None if it is told as it is."""
    if kind is int and in_ns:
        return _ms
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return json_ready
    origin, args = get_origin(kind), get_args(kind)
    found = [_conversion(each, in_ns=in_ns) for each in args if each not in (NoneType, ...)]
    inner = next((each for each in found if each is not None), None)
    if inner is None:
        return None
    if origin in (Union, UnionType) and set(found) == {inner}:
        return inner
    if origin is tuple and args[1:] == (...,):
        return lambda values: [inner(each) for each in values]
    if origin is dict and found == [None, inner]:
        return lambda values: {key: inner(each) for key, each in values.items()}
    raise TypeError(
        f"there is no rule for how {kind} is told; messages stand in tuples of one type and in dicts"
    )


def _ms(moment_ns: int) -> int:
    return moment_ns // NS_PER_MS


def json_ready(message: msgspec.Struct) -> dict[str, object]:
    """Return the message as callers read it: camel case; times and durations in whole milliseconds.

    So is every message inside it, alone, in a tuple or in a dict; the keys of dicts are names of the world,
    and stay.
    """
    names, conversions = _form(type(message))
    tag = message.__struct_config__.tag
    ready: dict[str, object] = {} if tag is None else {"type": tag}
    ready.update(zip(names, astuple(message), strict=True))
    for name, convert in conversions:
        if (value := ready[name]) is not None:
            ready[name] = convert(value)
    return ready


@dataclass(eq=False)
class Backlog:
    """What waits for one client: bounded, and a message that finds no room is counted in its place."""

    max_messages: int
    max_bytes: int
    room: Room  # that all clients share; `OWN` bytes of each find room in any case
    address: str
    dropped: int = 0  # since the stream opened
    _waiting: deque[bytes] = field(default_factory=deque, init=False)
    _bytes: int = field(default=0, init=False)
    _missing: int = field(default=0, init=False)  # dropped since the last message that found room

    def push(self, data: bytes) -> None:
        """Let `data` wait, or count it as dropped."""
        size = self._bytes + len(data)
        fits = size <= OWN or self.room.fits(self.address, len(data))
        if len(self._waiting) >= self.max_messages or size > self.max_bytes or not fits:
            self._missing += 1
            self.dropped += 1
            return
        self._mark()
        self._keep(data)

    def take(self) -> bytes:
        """Return what waits, about `TAKEN` bytes at most, with ``dropped`` wherever messages are missing."""
        self._mark()
        taken: list[bytes] = []
        size = 0
        while self._waiting and size < TAKEN:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._count(-size)
        return b"".join(taken)

    def clear(self) -> None:
        """Let nothing wait."""
        self._waiting.clear()
        self._count(-self._bytes)

    def _mark(self) -> None:
        if self._missing:
            self._keep(dropped(self._missing))
            self._missing = 0

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self._count(len(data))

    def _count(self, size: int) -> None:
        self._bytes += size
        self.room.waiting.add(self.address, size)


class History:
    """The newest frames of all topics in the order of their arrival, bounded in bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.count = 0  # of all that ever came
        self._max_bytes = max_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def append(self, new: Frame) -> None:
        """Remember `new`, and forget the oldest that no longer fit."""
        self.count += 1
        self._frames.append(new)
        self._bytes += len(new.data)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._frames.popleft().data)

    def after(self, event_id: str, since: int) -> list[Frame] | None:
        """Return what came after `event_id`, None if that is not remembered from the count `since` on."""
        newer: list[Frame] = []
        for old in islice(reversed(self._frames), self.count - since):
            if old.event_id == event_id:
                return newer[::-1]
            newer.append(old)
        return None


def start_of(text: str | None, now: int) -> Start:
    """Return where a stream starts that is asked for so, at `now` (int ns UTC).

    Raises
    ------
    ProblemError
        422 with the ways to ask.
    """
    match text:
        case None | "end":
            return "end"
        case "beginning":
            return "beginning"
        case _ if back := _BACK.fullmatch(text):
            return max(0, now - int(back[1]) * _SECONDS[back[2]] * NS_PER_S)
        case _ if _MS.fullmatch(text):
            return int(text) * NS_PER_MS
    raise invalid([FieldError("from", "must be end, beginning, -10m (s, m, h, d) or ms since 1970 UTC")])
