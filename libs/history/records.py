"""`RecordWriter`: records of any topic in, the layout's files out: books, trades and candles as days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from libs.common.amounts import absurd_amount
from libs.common.codec import UndecodableMessageError, decode
from libs.common.events import BookDelta, BookSnapshot, Candle, Trade
from libs.common.topics import L2_BOOK_DELTAS, L2_CANDLES, L2_CANDLES_DAILY, L2_TRADES
from libs.history.faults import FaultKind
from libs.history.layout import unfit
from libs.history.topic_files import TopicWriter
from libs.history.writer import DayWriter

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from libs.common.events import Event
    from libs.common.topics import Topic
    from libs.history.faults import FaultReport
    from libs.history.topic_files import TopicRecord

DAYS: Final = frozenset(topic.name for topic in (L2_BOOK_DELTAS, L2_TRADES, L2_CANDLES, L2_CANDLES_DAILY))
"""The topics that become days of books; of these the messages are kept, and not where they stood."""


class RecordWriter:
    """Writes the records of topics; a context manager like its two writers."""

    def __init__(self, root: Path, faults: FaultReport, *, source: str, overwrite: bool = False) -> None:
        self._faults = faults
        self.days = DayWriter(root, faults, source=source, overwrite=overwrite)
        self.topics = TopicWriter(root, overwrite=overwrite)

    @property
    def rows(self) -> int:
        """How many were written."""
        return self.days.rows + self.topics.rows

    def write(self, topic: Topic, record: TopicRecord) -> None:
        """Take the next record of a topic, by partition in their order.

        One of a day's topic that is no message is left out, and told as a fault; tombstones say nothing of a
        market.

        Raises
        ------
        HistoryError
            If its day cannot be written.
        """
        if topic.name not in DAYS:
            self.topics.write(topic, record)
        elif record.value is not None:
            event, why = _market_event(topic, record.value)
            if event is not None:
                self.days.write(event)
            else:
                what = f"{why}; it is left out"
                self._faults.note(
                    FaultKind.UNREADABLE, f"{topic.name}/{record.partition}", record.offset, record.ts, what
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.days.__exit__(kind, error, trace)
        except BaseException as failure:
            self.topics.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self.topics.__exit__(kind, error, trace)


def _market_event(topic: Topic, value: bytes) -> tuple[BookSnapshot | BookDelta | Trade | Candle | None, str]:
    """Return a record's message, or why it has none that a day can hold."""
    try:
        event: Event = decode(topic, value)
    except UndecodableMessageError as error:
        return None, str(error)
    if not isinstance(event, BookSnapshot | BookDelta | Trade | Candle):
        return None, f"{type(event).__name__} is of no day"
    why = absurd_amount(event) or unfit(event)
    return (event, "") if why is None else (None, why)
