"""Files that are there whole or not at all: written beside their name, and renamed at the end; and read."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from libs.history.errors import FileExistsAlreadyError, HistoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPRESSION: Final = "zstd"


class PartFile:
    """A Parquet file in the making, called ``<name>.part`` until it is closed.

    That of a writer that was killed is begun anew.

    Parameters
    ----------
    options
        How `pyarrow.parquet.ParquetWriter` writes it.

    Raises
    ------
    FileExistsAlreadyError
        If the file exists and `overwrite` is false.
    HistoryError
        If another process writes it now, or the folder cannot be written.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, overwrite: bool, options: dict[str, Any]) -> None:
        self.path = path
        self.part = Path(f"{path}.part")
        self._overwrite = overwrite
        self._check_free()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self.part.open("ab")
        except OSError as error:
            raise HistoryError(f"{self.part} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise HistoryError(f"another process writes {self.part}: let it end first") from None
        self._file.truncate(0)
        self._writer = pq.ParquetWriter(
            self._file, schema, compression=_COMPRESSION, store_decimal_as_integer=True, **options
        )

    def write(self, table: pa.Table) -> None:
        """Add a row group."""
        with self._failing():
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def finish(self) -> None:
        """Make what is written readable, under the name of the part; nothing may be added."""
        with self._failing():
            self._writer.close()
            self._file.flush()

    def take_over(self, before: PartFile) -> None:
        """Take the place of a part that was finished."""
        self.part.replace(before.part)
        self.path, self.part = before.path, before.part
        before._file.close()

    def close(self) -> None:
        """Finish the file and give it its name."""
        self.finish()
        with self._failing():
            os.fsync(self._file.fileno())
            self._check_free()
            self.part.replace(self.path)
            self._file.close()

    def discard(self) -> None:
        """Drop what was written; on a full disk what is still buffered need not fit either."""
        with suppress(OSError):
            self._writer.close()
        self.part.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HistoryError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def _check_free(self) -> None:
        if self.path.exists() and not self._overwrite:
            raise FileExistsAlreadyError(
                f"{self.path} exists; give another folder, or --force to write its days anew"
            )


@contextmanager
def parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a file; whatever cannot be read inside raises HistoryError too.

    Raises
    ------
    HistoryError
        If it is no whole Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise HistoryError(
            f"{path} cannot be read as Parquet: {reason}; delete it, and import or export its day again"
        ) from error
