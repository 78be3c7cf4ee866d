"""Which systems run for this user on this machine: those of a registry, and the one of RUN_DIR.

The registry is a folder of the user's cache with a file for each RUN_DIR that a system was started in. Who
looks removes the files of those in which nothing runs any more. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from libs.cli.run_folder import Addresses, RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


class System(NamedTuple):
    """A system whose supervisor lives."""

    folder: RunFolder
    addresses: Addresses

    def __str__(self) -> str:
        return f"RUN_DIR={self.folder.root} ({self.addresses.url}, FEED={self.addresses.feed})"


def registry() -> Path:
    """Return the folder of the registry."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "bookrunner" / "running"


def register(folder: RunFolder) -> None:
    """Let others find the system in this folder; where no cache can be written they need RUN_DIR."""
    entries = registry()
    with suppress(OSError):
        entries.mkdir(parents=True, exist_ok=True, mode=0o700)
        entry = _entry(entries, folder)
        draft = entries.with_name(f"{entry.name}.{os.getpid()}")
        draft.write_text(str(folder.root), encoding="utf-8")
        draft.replace(entry)


def folders() -> Iterator[RunFolder]:
    """Yield the folders of the registry in which anything runs, and forget the others."""
    for entry in sorted(registry().glob("*")):
        with suppress(OSError, UnicodeDecodeError):
            root = entry.read_text(encoding="utf-8")
            if not root:
                continue
            folder = RunFolder(Path(root))
            if folder.supervisor() is not None or folder.running():
                yield folder
            else:
                entry.unlink(missing_ok=True)


def systems(run_dir: Path) -> list[System]:
    """Return the running systems, that of `run_dir` first."""
    own = RunFolder(run_dir)
    found = {folder.root: folder for folder in (own, *folders())}
    return [
        System(folder, addresses)
        for folder in found.values()
        if folder.supervisor() is not None and (addresses := folder.addresses()) is not None
    ]


def _entry(entries: Path, folder: RunFolder) -> Path:
    return entries / hashlib.sha256(os.fsencode(folder.root)).hexdigest()[:16]
