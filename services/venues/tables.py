"""Faust's tables as the mappings that the core works on, and their changelog topics; a shell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec
from faust.tables.table import Table

from libs.common.message_sizes import check_size
from libs.common.topics import MINUTE_MS, Key, Topic

if TYPE_CHECKING:
    import faust
    from faust.types import CodecArg, FutureMessage

T = TypeVar("T", bound=msgspec.Struct)

TELL_S: Final = 10.0  # between two tellings of a value that changes all the time
MEASUREMENTS: Final = "measurements"
LAGS: Final = "latencies"
ANSWERS: Final = "answers"


def changelogs(group: str) -> tuple[Topic, ...]:
    """Return the topics behind the tables, which must exist before Faust starts.

    Faust names them, and reads and writes them alone; so they are not in the registry of topics.
    """
    return tuple(_changelog(group, name) for name in (MEASUREMENTS, LAGS, ANSWERS))


def _changelog(group: str, table: str) -> Topic:
    name, segment_ms = f"{group}-{table}-changelog", 10 * MINUTE_MS
    return Topic(name, (), Key.BOOK, ("venues",), compacted=True, segment_ms=segment_ms)


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
        self._changelog = _changelog(app.conf.id, name)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def __getitem__(self, key: bytes) -> T:
        return self._decode(self._table[key])

    def __setitem__(self, key: bytes, value: T) -> None:
        """Replace a value.

        Raises
        ------
        TooLargeError
            If the changelog takes none of this size; the value before stays.
        """
        encoded = self._encode(value)
        check_size(self._changelog, key, encoded)
        self._table[key] = encoded

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


class ConflatedTable(PackedTable[T]):
    """A table that tells its changelog of a value every few seconds, and at once of what must not be lost.

    What a killed process had not told is what the market says again: it heals.

    Parameters
    ----------
    at_once
        Whether a value must be told at once, given the one before it.
    stopwatch
        Monotonic, s.
    """

    def __init__(
        self,
        app: faust.App,
        name: str,
        kind: type[T],
        partitions: int,
        at_once: Callable[[T, T], bool] = lambda _before, _after: False,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(app, name, kind, partitions)
        self._at_once = at_once
        self._stopwatch = stopwatch
        self._newest: dict[bytes, T] = {}
        self._told_s: dict[bytes, float] = {}
        self.on_recovered(self._forget)

    def __getitem__(self, key: bytes) -> T:
        found = self._newest.get(key)
        return super().__getitem__(key) if found is None else found

    def __setitem__(self, key: bytes, value: T) -> None:
        before, now_s = self._newest.get(key), self._stopwatch()
        self._newest[key] = value
        if before is None or now_s - self._told_s[key] >= TELL_S or self._at_once(before, value):
            self._told_s[key] = now_s
            super().__setitem__(key, value)

    def __delitem__(self, key: bytes) -> None:
        self._newest.pop(key, None)
        super().__delitem__(key)

    def _forget(self) -> None:
        """Begin with what the changelog has: others may have written there meanwhile."""
        self._newest.clear()
        self._told_s.clear()
