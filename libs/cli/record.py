"""Recordings: raw frames and replies of an exchange in a file that replay accepts.

A line is JSON. The first is ``{"t":"header","version":1,"exchange":...}``; the others have

- ``t``: ``connect``, ``send``, ``recv`` or ``http``;
- ``conn``: which connection;
- ``ts``: time of receipt, decimal seconds UTC, exact to the nanosecond;
- ``url``, and ``data``: the text as it was on the wire.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

import cramjam
import msgspec

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from types import TracebackType

VERSION: Final = 1
BLOCK_BYTES: Final = 1024 * 1024  # of text; each is a zstd frame of its own, so a cut file keeps the others


class RecordingExistsError(FileExistsError):
    """A file is where the recording shall go."""


class RecordingWriter:
    """A recording in the making, compressed if the name ends in ``.zst``.

    Until it is closed it is called ``<name>.part``, so whatever has the name is whole. Its times never
    fall, even if the clock is set back: replay orders by them, and what was received later stays later.

    Raises
    ------
    RecordingExistsError
        If the file, or an unfinished one, exists and `overwrite` is false.
    OSError
        If the folder cannot be written.
    """

    def __init__(self, path: Path, exchange: str, *, overwrite: bool = False) -> None:
        self.path = path
        self.part = Path(f"{path}.part")
        self.frames = 0
        self.text_bytes = 0
        self._overwrite = overwrite
        self._compress = path.name.endswith(".zst")
        self._block = bytearray()
        self._last_ts = 0
        for taken in () if overwrite else (self.path, self.part):
            if taken.exists():
                raise RecordingExistsError(f"{taken} exists")
        self._file: IO[bytes] = self.part.open("wb" if overwrite else "xb")
        self._append({"t": "header", "version": VERSION, "exchange": exchange})

    def connected(self, conn: str, ts: int, url: str) -> None:
        """Note that `conn` was opened; comes before its frames."""
        self._append({"t": "connect", "conn": conn, "ts": self._seconds(ts), "url": url})

    def sent(self, conn: str, ts: int, url: str, text: str) -> None:
        """Note a frame that the client sent."""
        self._append({"t": "send", "conn": conn, "ts": self._seconds(ts), "url": url, "data": text})

    def received(self, conn: str, ts: int, text: str) -> None:
        """Note a frame that the exchange sent."""
        self.frames += 1
        self._append({"t": "recv", "conn": conn, "ts": self._seconds(ts), "data": text})

    def replied(self, conn: str, ts: int, url: str, body: str) -> None:
        """Note the answer to ``GET url``."""
        self._append({"t": "http", "conn": conn, "ts": self._seconds(ts), "url": url, "data": body})

    def flush(self) -> None:
        """Hand everything so far to the operating system."""
        if self._block:
            block = bytes(self._block)
            self._file.write(bytes(cramjam.zstd.compress(block)) if self._compress else block)
            self._block.clear()
        self._file.flush()

    def close(self) -> None:
        """Finish the file and give it its name; nothing may be noted afterwards.

        Raises
        ------
        RecordingExistsError
            If a file of that name came into being meanwhile; the recording keeps the name of its part.
        """
        if self._file.closed:
            return
        self.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self.path.exists() and not self._overwrite:
            raise RecordingExistsError(f"{self.path} came into being meanwhile; the recording is {self.part}")
        self.part.replace(self.path)

    def discard(self) -> None:
        """Drop the recording, for one that never had a frame."""
        self._file.close()
        self.part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seconds(self, ts: int) -> msgspec.Raw:
        self._last_ts = max(ts, self._last_ts)
        whole, fraction = divmod(self._last_ts, NS_PER_S)
        return msgspec.Raw(f"{whole}.{fraction:09d}".encode())

    def _append(self, line: dict[str, object]) -> None:
        text = msgspec.json.encode(line)
        self.text_bytes += len(text) + 1
        self._block += text
        self._block += b"\n"
        if len(self._block) >= BLOCK_BYTES:
            self.flush()
