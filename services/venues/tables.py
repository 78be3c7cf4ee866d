"""Faust's tables as the mappings that the core works on, and their changelog topics; a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import faust
import msgspec
from faust import current_event
from faust.tables.table import Table

from libs.common.topics import HOUR_MS, Key, Topic
from services.venues.registry import WINDOW_S, WINDOWS, Lags

if TYPE_CHECKING:
    from faust.types import CodecArg, FutureMessage

T = TypeVar("T", bound=msgspec.Struct)

NS_PER_S: Final = 1e9
MEASUREMENTS: Final = "measurements"
LAGS: Final = "lags"
ANSWERS: Final = "answers"


def changelogs(group: str) -> tuple[Topic, ...]:
    """Return the topics behind the tables, which must exist before Faust starts.

    Faust names them, and reads and writes them alone; so they are not in the registry of topics.
    """
    return (
        Topic(f"{group}-{MEASUREMENTS}-changelog", (), Key.BOOK, ("venues",), compacted=True),
        Topic(f"{group}-{ANSWERS}-changelog", (), Key.BOOK, ("venues",), compacted=True),
        Topic(
            f"{group}-{LAGS}-changelog",
            (),
            Key.BOOK,
            ("venues",),
            compacted=True,
            retention_ms=HOUR_MS,  # windows are read for five minutes
        ),
    )


class AckedTable(Table[bytes, bytes]):
    """A table that tells when its changelog has the last write."""

    written: FutureMessage | None = None

    def send_changelog(
        self,
        partition: int | None,
        key: bytes,
        value: bytes,
        key_serializer: CodecArg = None,
        value_serializer: CodecArg = None,
    ) -> FutureMessage:
        """Keep what Faust throws away: the write's acknowledgement to come."""
        self.written = super().send_changelog(partition, key, value, key_serializer, value_serializer)
        return self.written


class PackedTable(MutableMapping[bytes, T], Generic[T]):
    """A table whose values are structs, MessagePack in the changelog; writable while a message is handled."""

    def __init__(self, app: faust.App, name: str, kind: type[T], partitions: int) -> None:
        self._table: AckedTable = AckedTable(
            app, name=name, key_type=bytes, value_type=bytes, partitions=partitions
        )
        app.tables.add(self._table)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def __getitem__(self, key: bytes) -> T:
        return self._decode(self._table[key])

    def __setitem__(self, key: bytes, value: T) -> None:
        self._table[key] = self._encode(value)

    def __delitem__(self, key: bytes) -> None:
        del self._table[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def on_recovered(self, call: Callable[[], None]) -> None:
        """Call when the table has been filled from its changelog, after each rebalance."""

        async def recovered() -> None:
            call()

        self._table.on_recover(recovered)

    async def persisted(self) -> None:
        """Wait until the changelog has acknowledged the last write."""
        if self._table.written is not None:
            await self._table.written


class WindowTable:
    """The core's `Windows` as a tumbling table; writable, and readable, while a message is handled."""

    def __init__(self, app: faust.App, partitions: int) -> None:
        table = app.Table(LAGS, default=bytes, value_type=bytes, partitions=partitions)
        self._table = table.tumbling(WINDOW_S, expires=(WINDOWS + 1) * WINDOW_S)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Lags).decode

    def at(self, key: str, ts: int) -> Lags:
        """See `Windows`."""
        event = current_event()
        assert event is not None  # noqa: S101 -- the core is called by agents only
        before_s = event.message.timestamp - ts / NS_PER_S
        packed = self._table[key].delta(before_s)
        return self._decode(packed) if packed else Lags()

    def put(self, key: str, ts: int, lags: Lags) -> None:  # noqa: ARG002 -- Faust takes the message's own time
        """See `Windows`."""
        self._table[key] = self._encode(lags)
