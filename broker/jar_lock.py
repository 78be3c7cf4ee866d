"""Which jars Kafka is made of, by hash: ``jars.lock``."""

import hashlib
from pathlib import Path
from typing import NamedTuple

KAFKA_VERSION = "4.3.0"
LOCK_FILE = Path(__file__).with_name("jars.lock")
MEGABYTE = 1_000_000


class LockedJar(NamedTuple):
    """One line of the lock file."""

    sha256: str
    size: int  # bytes
    coordinate: str  # group:artifact:version

    def path_in(self, cache: Path) -> Path:
        """Where a Maven repository layout has it."""
        group, artifact, version = self.coordinate.split(":")
        return cache.joinpath(*group.split("."), artifact, version, f"{artifact}-{version}.jar")

    def is_intact_in(self, cache: Path) -> bool:
        """Whether the cache holds exactly the locked bytes."""
        path = self.path_in(cache)
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as jar:
            return hashlib.file_digest(jar, "sha256").hexdigest() == self.sha256


def read_lock(text: str) -> list[LockedJar]:
    """Parse lines of ``sha256 size coordinate``; a line that starts with # is a comment."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [LockedJar(sha256, int(size), coordinate) for sha256, size, coordinate in lines]
