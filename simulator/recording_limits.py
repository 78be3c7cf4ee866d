"""How much text a recording may become when it is read, found of zstd before it is inflated."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import cramjam

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINE_BYTES: Final = 16 * 1024 * 1024  # full books of the largest venues stay under 8 MiB
MOST_RATIO: Final = 1000  # of text to file: market data has some 5 to 50, the longest repetition 30,000
ALWAYS_BYTES: Final = 64 * 1024 * 1024  # of text, however small the file

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = range(0x184D2A50, 0x184D2A60)
_BLOCK_BYTES: Final = 128 * 1024  # the most that any block becomes
_SMALL_BYTES: Final = 8 * 1024 * 1024  # a frame that cannot become more is inflated in memory to be counted
_RLE, _COMPRESSED = 1, 2


class _ZstdFrame(NamedTuple):
    """Where a frame stands in its file, and how many bytes it becomes at the most."""

    start: int
    end: int
    most: int


def most_bytes(path: Path) -> int:
    """Return how many bytes of text a file may hold."""
    return max(ALWAYS_BYTES, MOST_RATIO * path.stat().st_size)


def zstd_is_within(path: Path, most: int) -> bool:
    """Return whether a zstd file becomes `most` bytes or fewer; a damaged one is judged up to its damage.

    Raises
    ------
    cramjam.DecompressionError
        If it is damaged where it was looked into.
    """
    with path.open("rb") as file:
        frames = list(_frames(file))
        if sum(frame.most for frame in frames) <= most:
            return True
        total = 0
        for frame in frames:  # of a quiet market each may be far below its most
            file.seek(frame.start)
            small = frame.most <= _SMALL_BYTES
            total += len(cramjam.zstd.decompress(file.read(frame.end - frame.start))) if small else frame.most
            if total > most:
                return False
    return True


def _frames(file: BinaryIO) -> Iterator[_ZstdFrame]:
    """Yield the frames that are whole, by their headers alone.

    Notes
    -----
    A raw or repeated block says how long it becomes; a compressed one becomes 128 KiB at most.

    References
    ----------
    RFC 8878 sections 3.1.1 (frames; 3.1.1.1 their header, 3.1.1.2 blocks) and 3.1.2 (skippable frames).
    """
    while True:
        start = file.tell()
        magic = file.read(4)
        if int.from_bytes(magic, "little") in _SKIPPABLE:
            file.seek(int.from_bytes(file.read(4), "little"), 1)
            continue
        if magic != ZSTD_MAGIC:
            return
        descriptor = int.from_bytes(file.read(1), "little")
        single, checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
        content_size = (single, 2, 4, 8)[descriptor >> 6]
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        file.seek((not single) + dictionary + content_size, 1)
        last = most = 0
        while not last:
            header = file.read(3)
            number = int.from_bytes(header, "little")
            last, kind, size = number & 1 or len(header) < 3, number >> 1 & 3, number >> 3  # noqa: PLR2004
            most += _BLOCK_BYTES if kind == _COMPRESSED else size
            file.seek(1 if kind == _RLE else size, 1)
        file.seek(4 * checksum, 1)
        yield _ZstdFrame(start, file.tell(), most)
