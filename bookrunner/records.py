"""`subscribe`: the records of topics, decoded, from any moment on; a shell."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec
from aiokafka import TopicPartition

from libs.cli.errors import UsageError
from libs.cli.names import topic_named
from libs.cli.settings import CliSettings
from libs.common.kafka_places import bounds
from libs.common.kafka_reader import PATIENCE_S, Reader, Undecodable
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence
    from types import TracebackType

    from libs.common.events import Event
    from libs.common.kafka_places import Place
    from libs.common.kafka_reader import Record as LogRecord
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

LEAST_NS: Final = 10**17  # 1973: what is less was meant in another unit
MOST_NS: Final = 2**63 - 1


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of a topic.

    Attributes
    ----------
    ts
        Its Kafka timestamp, which is the event's own time: ns UTC, to the millisecond.
    event
        The message; None for a tombstone, which ends its key, and where `fault` says why there is none.
    fault
        Why `value` is no message that this version can read; else empty.
    newer
        Of one with a fault: it is a message, of a type or with a name that only a newer version knows.
    """

    topic: str
    partition: int
    offset: int
    key: str
    ts: int
    event: Event | None
    fault: str = ""
    newer: bool = False
    value: bytes | None = None  # as it came
    headers: tuple[tuple[str, bytes], ...] = ()


class Subscription:
    """An asynchronous iterator of records; leave it early through ``async with``, which closes it at once.

    Attributes
    ----------
    undecodable, newer
        How many records so far were no message, and how many only a newer version can read, by topic. They
        are yielded like all others, with their `fault`.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        topics: Sequence[Topic],
        since: Place,
        until: int | Literal["latest"] | None,
        keys: frozenset[bytes],
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._since = since
        self._until = until
        self._keys = keys
        self.undecodable: Counter[str] = Counter()
        self.newer: Counter[str] = Counter()
        self._records = self._read()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        return await anext(self._records)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave Kafka."""
        await self._records.aclose()

    async def _read(self) -> AsyncGenerator[Record, None]:
        async with Reader(self._settings, self._topics, start=self._since, wanted=self._wants) as reader:
            stops = reader.ends if self._until == "latest" else None
            moved_s = time.monotonic()
            while True:
                if stops is None and isinstance(self._until, int) and time.time_ns() >= self._until:
                    stops, _ = await bounds(self._settings, reader.assignment, self._until)
                if stops is not None and await reader.has_reached(stops):
                    return
                found = await reader.poll()
                for item in found:
                    place = TopicPartition(item.topic.name, item.partition)
                    if stops is None or item.offset < stops[place]:
                        yield self._told(item)
                if found:
                    moved_s = time.monotonic()
                elif stops is not None and time.monotonic() - moved_s > PATIENCE_S:
                    reader.raise_for_transactions()

    def _wants(self, _topic: str, key: bytes) -> bool:
        return not self._keys or key in self._keys

    def _told(self, item: LogRecord | Undecodable) -> Record:
        fault, newer = (item.reason, item.unknown) if isinstance(item, Undecodable) else ("", False)
        if fault:
            (self.newer if newer else self.undecodable)[item.topic.name] += 1
        return Record(
            topic=item.topic.name,
            partition=item.partition,
            offset=item.offset,
            key=item.key.decode("utf-8", "backslashreplace"),
            ts=item.timestamp_ms * NS_PER_MS,
            event=None if isinstance(item, Undecodable) else item.event,
            fault=fault,
            newer=newer,
            value=item.value,
            headers=item.headers,
        )


def subscribe(
    *topics: str,
    since: datetime | int | Literal["beginning", "latest"] = "latest",
    until: datetime | int | Literal["latest"] | None = None,
    keys: Iterable[str] = (),
    servers: str | None = None,
    settings: ServiceSettings | None = None,
) -> Subscription:
    """Return the committed records of topics, decoded, in the order of each partition.

    Parameters
    ----------
    topics
        Their names, or parts that no other topic has: ``l2.trades.v1``, ``trades``.
    since
        Begin with the first record of this time or a later one, in each partition: a `datetime` with a time
        zone, or ns since 1970 UTC; or with all that Kafka keeps; or with what comes from now on.
    until
        End, in each partition, before its first record of this time or a later one; or with what is there
        now. None: never.
    keys
        Only records of these keys, like ``binance:BTC-USDT``.
    servers
        ``host:port[,host:port]`` of Kafka; else as KAFKA_BOOTSTRAP_SERVERS says, else those of the system
        that runs here.
    settings
        All that is to be known of Kafka, instead of `servers` and the environment: TLS and SASL are the
        KAFKA_ variables of docs/security.md.

    Raises
    ------
    ValueError
        If a topic or a time is none.

    Examples
    --------
    ::

        async for record in subscribe("l2.trades.v1", since=datetime.now(UTC) - timedelta(minutes=5)):
            match record.event:
                case events.Trade() as trade:
                    print(trade.symbol, trade.side, trade.size, trade.price)
    """
    if not topics:
        raise ValueError("name one topic or more, like l2.trades.v1")
    return Subscription(
        settings or kafka_settings(servers),
        [_topic(text) for text in topics],
        _place(since),
        _until(until),
        frozenset(map(str.encode, keys)),
    )


def kafka_settings(servers: str | None) -> CliSettings:
    """Return where Kafka is and how it is spoken to: as given, else by the environment, else what runs."""
    if servers is not None:
        return CliSettings(kafka_bootstrap_servers=servers)
    return CliSettings.of_running_system()


def _topic(text: str) -> Topic:
    try:
        return topic_named(text)
    except UsageError as error:
        raise ValueError(str(error)) from error


def _place(since: datetime | int | Literal["beginning", "latest"]) -> Place:
    match since:
        case "latest":
            return "end"
        case "beginning":
            return "beginning"
        case _:
            return _ns("since", since)


def _until(until: datetime | int | Literal["latest"] | None) -> int | Literal["latest"] | None:
    match until:
        case None:
            return None
        case "latest":
            return "latest"
        case _:
            return _ns("until", until)


def _ns(name: str, moment: datetime | int) -> int:
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{name} has no time zone: write datetime.now(UTC), or .astimezone()")
        since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
        return (since_1970 // timedelta(microseconds=1)) * 1_000
    if not isinstance(moment, int) or not LEAST_NS <= moment <= MOST_NS:
        raise ValueError(
            f"{name}={moment!r} is no time: write a datetime, or ns since 1970, as time.time_ns()"
        )
    return moment
