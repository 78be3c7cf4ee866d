"""Where policies' sources stand: files of a folder, and entry points; read, never imported."""

from __future__ import annotations

import os
import stat
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import msgspec

from libs.policies.described import MOST_SOURCE_BYTES, version_of

GROUP: Final = "bookrunner.policies"
SUFFIX: Final = ".py"
_NOT_HOSTED: Final = ("test_", "_", ".")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a policy."""

    path: Path  # absolute
    text: bytes
    module: str = ""  # of an entry point; empty: a file of its own
    attribute: str = "POLICY"

    @property
    def version(self) -> str:
        """Return its version (`version_of`); what the source imports is no part of it."""
        return version_of(self.text)

    @property
    def place(self) -> str:
        """What people are told of where it stands."""
        return f"{self.module}:{self.attribute}" if self.module else self.path.name


class UnreadableSourceError(Exception):
    """A source that cannot be read; the text says why, and what would be right."""


def read_source(path: Path) -> Source:
    """Return the source in a file.

    Raises
    ------
    UnreadableSourceError
        If it is no regular file, too large, or not to be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableSourceError(f"{path.name} is no regular file")
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was replaced just now
                raise UnreadableSourceError(f"{path.name} is no regular file")
            text = file.read(MOST_SOURCE_BYTES + 1)
    except OSError as error:
        raise UnreadableSourceError(f"{path.name} cannot be read: {error.strerror}") from error
    if not 0 < len(text) <= MOST_SOURCE_BYTES:
        raise UnreadableSourceError(
            f"{path.name} has {len(text)} bytes or more: 1 to {MOST_SOURCE_BYTES} are right"
        )
    return Source(path=path.absolute(), text=text)


def _at_once(path: str, flags: int) -> int:
    """Open a file without waiting for who writes it, as the opening of a pipe does."""
    return os.open(path, flags | os.O_NONBLOCK)


def files_of(folder: Path) -> dict[str, Path]:
    """Return the policies' files in a folder, by id.

    Raises
    ------
    UnreadableSourceError
        If the folder cannot be read.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UnreadableSourceError(f"the folder of policies cannot be read: {error.strerror}") from error
    return {
        path.name.removesuffix(SUFFIX): path
        for path in found
        if path.name.endswith(SUFFIX) and not path.name.startswith(_NOT_HOSTED)
    }


def installed() -> dict[str, tuple[str, str]]:
    """Return module and attribute of each policy that an installed package names, by id."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    return {name: (point.module, point.attr or "POLICY") for name, point in sorted(found.items())}


def read_module(module: str, attribute: str) -> Source:
    """Return the source of a module, found as an import finds it, without importing it or its packages.

    Raises
    ------
    UnreadableSourceError
        If there is no such file, or see `read_source`.
    """
    path: list[str] | None = None
    origin: str | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None:
            raise UnreadableSourceError(f"no module {'.'.join(parts[:end])} is installed")
        origin = spec.origin
        path = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
    if origin is None or not origin.endswith(SUFFIX):
        raise UnreadableSourceError(f"the module {module} has no source in Python")
    return msgspec.structs.replace(read_source(Path(origin)), module=module, attribute=attribute)
