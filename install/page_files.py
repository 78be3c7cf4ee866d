"""The libraries of the page as they are unpacked: which files, with which bytes (``vendor.lock``).

Runs on a bare Python: the installer and the build of a wheel ask before anything else is there.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).resolve().parents[1] / "services" / "gateway" / "page"
LOCK: Final = "vendor.lock"
FOLDER: Final = "vendor"


class PageFile(NamedTuple):
    """One line of the lock."""

    sha256: str
    size: int  # bytes
    name: str  # below the folder of the unpacked files

    def is_intact_in(self, folder: Path) -> bool:
        """Whether the folder holds exactly the locked bytes."""
        path = folder / self.name
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256

    @property
    def line(self) -> str:
        """Return it as it stands in the lock."""
        return f"{self.sha256} {self.size} {self.name}\n"


def file_of(name: str, content: bytes) -> PageFile:
    """Return what locks a content under a name."""
    return PageFile(hashlib.sha256(content).hexdigest(), len(content), name)


def read_files(page: Path = PAGE) -> list[PageFile]:
    """Return what the lock names."""
    lines = (page / LOCK).read_text(encoding="utf-8").splitlines()
    words = [line.split(" ", 2) for line in lines if line and not line.startswith("#")]
    return [PageFile(sha256, int(size), name) for sha256, size, name in words]


def lacking(page: Path = PAGE) -> list[str]:
    """Return the names of the files that are not there, or not with the locked bytes."""
    return [file.name for file in read_files(page) if not file.is_intact_in(page / FOLDER)]
