"""Which jars something is made of, by hash; Kafka's are in ``jars.lock``."""

import hashlib
from collections.abc import Iterable
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


class JarLock(NamedTuple):
    """A lock file, and what its jars are."""

    file: Path
    what: str  # in words, as "the jars of ..." goes on

    def jars(self) -> list[LockedJar]:
        """Return what it names."""
        return read_lock(self.file.read_text(encoding="utf-8"))


KAFKA = JarLock(LOCK_FILE, f"Kafka {KAFKA_VERSION}")


def written(jars: Iterable[LockedJar], by: str) -> str:
    """Return the text of a lock file, which says what command writes it."""
    lines = [f"{jar.sha256} {jar.size} {jar.coordinate}\n" for jar in jars]
    return f"# SHA-256, bytes, coordinate; written by: {by}\n" + "".join(lines)


def read_lock(text: str) -> list[LockedJar]:
    """Parse lines of ``sha256 size coordinate``; a line that starts with # is a comment."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [LockedJar(sha256, int(size), coordinate) for sha256, size, coordinate in lines]
