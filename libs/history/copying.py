"""A folder of history into another one, row by row: what two people kept becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.topics import TOPICS
from libs.history.errors import HistoryError
from libs.history.layout import LAST_TS, TOPICS_FOLDER, book_folders
from libs.history.reader import read_book, read_candles, read_trades
from libs.history.topic_files import read_topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from libs.history.records import RecordWriter

_ALWAYS = (0, LAST_TS + 1)


def is_history(folder: Path) -> bool:
    """Return whether a folder looks like one of the layout."""
    return (folder / TOPICS_FOLDER).is_dir() or any(folder.glob("*/*/*/*.parquet"))


def copy_history(root: Path, writer: RecordWriter, tell: Callable[[], None]) -> None:
    """Write all that a folder has.

    Parameters
    ----------
    tell
        Called after each row.

    Raises
    ------
    HistoryError
        If something in it cannot be read, or a day cannot be written.
    """
    for book in book_folders(root):
        for read in (read_book, read_trades, read_candles):
            for event in read(root, book, *_ALWAYS):
                writer.days.write(event)
                tell()
    folders = sorted((root / TOPICS_FOLDER).iterdir()) if (root / TOPICS_FOLDER).is_dir() else []
    for folder in folders:
        topic = TOPICS.get(folder.name)
        if topic is None:
            raise HistoryError(f"{folder} is of no topic; there are {', '.join(TOPICS)}")
        for record in read_topic(root, topic, *_ALWAYS):
            writer.topics.write(topic, record)
            tell()
