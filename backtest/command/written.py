"""The topics of a run as Parquet, while it runs.

Of all topics what services told each other and the world. Not the market (`l2.*`), which the source has and
gives again, nor what a service keeps for itself (`*.state.v1`).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Self

from libs.cli.errors import CommandError
from libs.cli.parquet import has_parquet, lack_of_parquet
from libs.common.time_units import NS_PER_MS
from libs.history.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from backtest.bus import Record
    from libs.common.topics import Topic

MARKET: Final = "l2."
STATE: Final = ".state.v1"


class Written:
    """Writes the records of a bus; a context manager, at whose end the files have their names.

    Parameters
    ----------
    out
        The folder in which topics/ is written; None: nothing is.
    """

    def __init__(self, out: Path | None) -> None:
        self._stack = ExitStack()
        self._wanted: dict[str, bool] = {}
        self._open = False
        if out is not None and not has_parquet():
            sys.stderr.write(f"topics/ is left out: {lack_of_parquet('it')}\n")
        elif out is not None:
            from libs.history.topic_files import TopicRecord, TopicWriter  # noqa: PLC0415 -- needs pyarrow

            self._record = TopicRecord
            self._writer = TopicWriter(out)
            self._open = True

    def __enter__(self) -> Self:
        if self._open:
            self._stack.enter_context(self._writer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _failing():
            self._stack.__exit__(kind, error, trace)

    def take(self, record: Record) -> None:
        """Take the next record.

        Raises
        ------
        CommandError
            If it cannot be written.
        """
        wanted = self._wanted.get(record.topic.name)
        if wanted is None:
            wanted = self._wanted[record.topic.name] = self._open and _is_told(record.topic)
        if wanted:
            ts = record.timestamp_ms * NS_PER_MS  # as Kafka would have it
            kept = self._record(
                ts, record.partition, record.offset, record.key, record.value, tuple(record.headers)
            )
            with _failing():
                self._writer.write(record.topic, kept)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except HistoryError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"topics/ cannot be written: {error.strerror or error}") from error


def _is_told(topic: Topic) -> bool:
    return not topic.name.startswith(MARKET) and not topic.name.endswith(STATE)
