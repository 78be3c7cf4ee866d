"""The policies' sources as they stand: looked at each second, read again only where something changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.policies.loading import Source, UnreadableSourceError, files_of, installed, read_module, read_source
from services.policies.hosting import File

if TYPE_CHECKING:
    from collections.abc import Callable

UNREADABLE: Final = "unreadable"  # the version of what cannot be read
INSTALLED_NS: Final = 60_000_000_000  # between two looks at what packages name


class _Known(NamedTuple):
    mark: tuple[int, ...]
    file: File
    source: Source | None


class Sources:
    """Files of a folder, and entry points; of one name the folder's file counts.

    Parameters
    ----------
    folder
        None: only entry points.
    stopwatch
        Monotonic, ns.
    """

    def __init__(self, folder: Path | None, stopwatch: Callable[[], int]) -> None:
        self._folder = folder
        self._stopwatch = stopwatch
        self._known: dict[str, _Known] = {}
        self._installed: dict[str, tuple[str, str]] = {}
        self._next_ns = stopwatch()

    def look(self) -> dict[str, File]:
        """Return what there is, by id.

        Raises
        ------
        UnreadableSourceError
            If the folder cannot be read: what it holds is not known then.
        """
        if (now := self._stopwatch()) >= self._next_ns:
            self._installed, self._next_ns = installed(), now + INSTALLED_NS
        files = {} if self._folder is None else files_of(self._folder)
        named = {policy_id: place for policy_id, place in self._installed.items() if policy_id not in files}
        known = {policy_id: self._of_file(policy_id, path) for policy_id, path in files.items()}
        known |= {policy_id: self._of_module(policy_id, *place) for policy_id, place in named.items()}
        self._known = known
        return {policy_id: each.file for policy_id, each in known.items()}

    def source(self, policy_id: str, version: str) -> Source | None:
        """Return the source of a version, None where it is another by now."""
        known = self._known.get(policy_id)
        return None if known is None or known.file.version != version else known.source

    def _of_file(self, policy_id: str, path: Path) -> _Known:
        return self._looked(policy_id, path, path.name, lambda: read_source(path))

    def _of_module(self, policy_id: str, module: str, attribute: str) -> _Known:
        known = self._known.get(policy_id)
        place = f"{module}:{attribute}"
        path = Path() if known is None or known.source is None else known.source.path
        return self._looked(policy_id, path, place, lambda: read_module(module, attribute))

    def _looked(self, policy_id: str, path: Path, place: str, read: Callable[[], Source]) -> _Known:
        mark = _mark(path)
        known = self._known.get(policy_id)
        if known is not None and known.mark == mark and mark and known.source is not None:
            return known
        try:
            source = read()
        except UnreadableSourceError as error:
            return _Known(mark, File(UNREADABLE, place, str(error)), None)
        return _Known(mark, File(source.version, place), source)  # of before: it may be written meanwhile


def _mark(path: Path) -> tuple[int, ...]:
    """Return what changes whenever the file does; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
