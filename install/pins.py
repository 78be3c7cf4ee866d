"""
The lock files: each names exact versions and the SHA-256 of every file that may be installed for them.

A lock holds only what the ones before it lack, so no version stands in two of them. ``files.tsv`` tells what
the hashes are of: a line per file of SHA-256, bytes and name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = Path(__file__).with_name("locks")
FILES: Final = FOLDER / "files.tsv"
LOCKS: Final = (
    "build",
    "services",
    "native",
    "plots",
    "history",
    "dev",
)  # in the order in which they add to each other
# What a person installs, as locks.
LAYERS: Final[dict[str, tuple[str, ...]]] = {
    "run": ("build", "services", "native"),
    "plots": ("plots",),
    "history": ("history",),
    "dev": ("plots", "history", "dev"),
}
# No wheel for Linux on arm64: built from source, in Python alone where no C compiler is at hand.
BUILT: Final = "faust-streaming"


class Pin(NamedTuple):
    """One requirement of a lock."""

    name: str
    version: str
    marker: str  # of the environments that need it; empty for all
    hashes: tuple[str, ...]  # SHA-256 in hex

    @property
    def text(self) -> str:
        """Return it as it stands in a lock."""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = "".join(f" \\\n    --hash=sha256:{each}" for each in self.hashes)
        return f"{self.name}=={self.version}{marker}{hashes}\n"


class File(NamedTuple):
    """A wheel or a source distribution."""

    sha256: str
    size: int  # bytes
    name: str


def path_of(lock: str) -> Path:
    """Return where a lock is."""
    return FOLDER / f"{lock}.lock"


def read(lock: str) -> list[Pin]:
    """Return the pins of a lock."""
    return parse(path_of(lock).read_text(encoding="utf-8"))


def digest(lock: str) -> str:
    """Return what tells one state of a lock from another."""
    return hashlib.sha256(path_of(lock).read_bytes()).hexdigest()


def parse(text: str) -> list[Pin]:
    """Read the pins of a requirements file with hashes, as uv writes it."""
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement, *hashes = line.split(" --hash=sha256:")
        named, _, marker = requirement.partition(";")
        name, _, version = named.strip().partition("==")
        pins.append(Pin(name, version.strip(), marker.strip(), tuple(each.strip() for each in hashes)))
    return pins


def read_files() -> dict[str, File]:
    """Return the known files by their SHA-256."""
    lines = (line.split("\t") for line in FILES.read_text(encoding="utf-8").splitlines() if line[0] != "#")
    return {sha256: File(sha256, int(size), name) for sha256, size, name in lines}


def added(pins: Sequence[Pin], before: Sequence[Pin]) -> list[Pin]:
    """Return the pins that the ones before do not already bring, in every environment that needs them."""
    there = {(pin.name, pin.version, pin.marker) for pin in before}
    everywhere = {(pin.name, pin.version) for pin in before if not pin.marker}
    return [
        pin
        for pin in pins
        if (pin.name, pin.version, pin.marker) not in there and (pin.name, pin.version) not in everywhere
    ]
