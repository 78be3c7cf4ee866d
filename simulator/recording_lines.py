"""Lines of a recording, whatever it is compressed with, in constant memory."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import cramjam

from libs.common.printable import printable
from simulator.recording_limits import (
    ALWAYS_BYTES,
    MAX_LINE_BYTES,
    MOST_RATIO,
    ZSTD_MAGIC,
    most_bytes,
    zstd_is_within,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP_MAGIC: Final = b"\x1f\x8b"


class RecordingError(ValueError):
    """A recording that cannot be read: which file, which line, and what would be right."""

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        where = "" if line is None else f", line {line}"
        super().__init__(f"{printable(str(path))}{where}: {printable(reason)}")
        self.path = path
        self.line = line
        self.reason = reason


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number (from 1) and text of each line that is not blank.

    Raises
    ------
    RecordingError
        If the file is missing, damaged, cut off inside its compression, or no UTF-8; if a line of it is
        longer than `MAX_LINE_BYTES`, or all of it longer than `most_bytes`.
    """
    number = total = 0
    try:
        most = most_bytes(path)
        with _open(path) as file:
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                total += len(raw)
                if len(raw) > MAX_LINE_BYTES:
                    raise RecordingError(path, number, f"a line has at most {MAX_LINE_BYTES} bytes")
                if total > most:
                    raise _too_much(path, number)
                text = raw.decode().rstrip("\r\n")
                if text and not text.isspace():
                    yield number, text
    except UnicodeDecodeError as error:
        raise RecordingError(path, number, f"a line is UTF-8 text; {error}") from error
    except EOFError as error:
        raise RecordingError(path, number + 1, "the gzip stream is cut off here; copy it again") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise RecordingError(path, number + 1, f"the gzip stream is damaged here: {error}") from error
    except OSError as error:
        raise RecordingError(path, None, f"cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(GZIP_MAGIC):
        return cast(
            "BinaryIO", gzip.open(path, "rb")
        )  # reads like one, though typeshed gives it no such base
    return _unzstd(path) if magic == ZSTD_MAGIC else path.open("rb")


def _too_much(path: Path, line: int | None) -> RecordingError:
    return RecordingError(
        path,
        line,
        f"inflates to more than {MOST_RATIO} times its size; a recording of more than {ALWAYS_BYTES} bytes"
        " does not: was it made by a recorder?",
    )


def _unzstd(path: Path) -> BinaryIO:
    """Return the decompressed file, on disk: cramjam works from file to file without holding either."""
    try:
        if not zstd_is_within(path, most_bytes(path)):
            raise _too_much(path, None)
    except cramjam.DecompressionError as error:
        raise RecordingError(path, None, f"the zstd stream is damaged or cut off: {error}") from error
    target = tempfile.NamedTemporaryFile(prefix="bookrunner-replay-")  # noqa: SIM115 -- the caller closes it
    try:
        cramjam.zstd.decompress_into(cramjam.File(str(path)), cramjam.File(target.name, write=True))
    except cramjam.DecompressionError as error:
        target.close()
        raise RecordingError(path, None, f"the zstd stream is damaged or cut off: {error}") from error
    return cast("BinaryIO", target)  # a wrapper that passes everything on to the file
