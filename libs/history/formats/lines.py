"""Files of lines, plain, gzipped or in a zip archive, read in blocks of whole lines: memory is bounded."""

from __future__ import annotations

import codecs
import gzip
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, NamedTuple, cast

from libs.history.formats.format import UnreadableSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES: Final = 8 << 20
MAX_LINE_BYTES: Final = 64 << 20  # what has no end of line for so long has no lines
HEAD_BYTES: Final = 4096


class Lines(NamedTuple):
    """Whole lines of a file, each with its end; the last line of a file may have none."""

    data: bytes
    first: int  # number of the first one in the file, from 0
    sure: (
        int  # number of the first of those that come again in the next block, seen here only as what follows
    )


def lines_of(path: Path, ahead: int = 0) -> Iterator[Lines]:
    """Yield a file's lines in blocks of about `BLOCK_BYTES`.

    Parameters
    ----------
    ahead
        How many lines are seen ahead: the last ones of each block but the last come again in the next.

    Raises
    ------
    UnreadableSourceError
        If the file cannot be opened or unpacked, or ends in the middle. What came before has been yielded.
    """
    rest, number = b"", 0
    with _opened(path) as file:
        while block := _read(path, file, BLOCK_BYTES):
            end = block.rfind(b"\n") + 1
            if not end:
                rest += block
                if len(rest) > MAX_LINE_BYTES:
                    raise UnreadableSourceError(f"{path.name}: a line of more than {MAX_LINE_BYTES} bytes")
                continue
            data = rest + block[:end]
            cut = len(data)
            for _ in range(ahead):
                cut = data.rfind(b"\n", 0, max(0, cut - 1)) + 1
            sure = number + data.count(b"\n", 0, cut)
            if cut:
                yield Lines(data, number, sure)
            number, rest = sure, data[cut:] + block[end:]
    if rest:
        yield Lines(rest, number, number + rest.count(b"\n") + (not rest.endswith(b"\n")))


def head_of(path: Path) -> bytes:
    """Return the first bytes of what a file holds, unpacked; nothing if it cannot be read."""
    try:
        with _opened(path) as file:
            return _read(path, file, HEAD_BYTES)
    except UnreadableSourceError:
        return b""


def bare(line: bytes) -> bytes:
    """Return a file's first line without its end, a byte order mark and quotation marks."""
    return line.removeprefix(codecs.BOM_UTF8).replace(b'"', b"").rstrip()


def names_of(line: bytes) -> list[str]:
    """Return the names of columns that a head has."""
    return [name.strip() for name in bare(line).decode("utf-8", "replace").split(",")]


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive, archive.open(_only_member(path, archive)) as member:
                yield member
        elif path.suffix == ".gz":
            with gzip.open(path) as file:
                yield cast("IO[bytes]", file)
        else:
            with path.open("rb") as file:
                yield file
    except (OSError, zipfile.BadZipFile) as error:
        raise UnreadableSourceError(f"{path.name} cannot be read: {error}") from error


def _only_member(path: Path, archive: zipfile.ZipFile) -> str:
    names = [each.filename for each in archive.infolist() if not each.is_dir()]
    if len(names) != 1:
        raise UnreadableSourceError(f"{path.name} holds {len(names)} files; an archive of a market holds one")
    return names[0]


def _read(path: Path, file: IO[bytes], size: int) -> bytes:
    try:
        return file.read(size)
    except (EOFError, zlib.error) as error:
        raise UnreadableSourceError(f"{path.name} ends in the middle or is damaged: {error}") from error
