"""
Bring the libraries of the page from Maven Central: ``python -m install.webjars [--lock]``.

They are packages of npm in WebJars, fetched as Kafka's jars are, and locked alike (``webjars.lock``). What
the page needs of them is unpacked (``vendor.lock``), and nothing else stays in that folder. With --lock both
locks are written anew.

References
----------
https://www.webjars.org/documentation (2026-11): a file of a package stands below
``META-INF/resources/webjars/<artifact>/<version>/``
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.errors import JarsUnavailableError
from broker.jar_lock import JarLock, written
from broker.jars import complete
from broker.settings import JarSettings
from install.environment import say
from install.page_files import FOLDER, LOCK, PAGE, PageFile, file_of, lacking, read_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.jar_lock import LockedJar

WEBJARS: Final = JarLock(PAGE / "webjars.lock", "the libraries of the page")
_GROUP: Final = "org.webjars.npm"
_LICENCE: Final = "LICENSE"  # in each package's own folder
_USAGE: Final = 2


class Library(NamedTuple):
    """A package of npm, and what the page needs of it."""

    name: str
    version: str
    licence: str  # SPDX, of what its file LICENSE holds
    folder: str  # of the package in which the files stand
    files: tuple[str, ...]  # the first one is the library itself

    @property
    def coordinate(self) -> str:
        """Return where Maven has it."""
        return f"{_GROUP}:{self.name}:{self.version}"

    def unpacked_from(self, jar: Path) -> dict[str, bytes]:
        """
        Return the content of what the page needs, by name.

        Raises
        ------
        KeyError
            If the jar lacks a file.
        """
        inside = f"META-INF/resources/webjars/{self.name}/{self.version}"
        with zipfile.ZipFile(jar) as archive:
            found = {name: archive.read(f"{inside}/{self.folder}{name}") for name in self.files}
            return found | {f"{self.name}.{_LICENCE}": archive.read(f"{inside}/{_LICENCE}")}


LIBRARIES: Final = (
    Library(
        "lit-html",
        "3.1.0",
        "BSD-3-Clause",
        "",
        (
            "lit-html.js",
            "directive.js",
            "directive-helpers.js",
            "directives/repeat.js",
        ),
    ),
    Library("uplot", "1.6.30", "MIT", "dist/", ("uPlot.iife.min.js", "uPlot.min.css")),
)


class UnlockedFileError(Exception):
    """A jar of the locked bytes does not hold the locked files."""


def main(arguments: Sequence[str] = ()) -> int:
    """Return 0 once all is there; else 1 after a line that says why not."""
    if list(arguments) not in ([], ["--lock"]):
        sys.stderr.write("usage: python -m install.webjars [--lock]\n")
        return _USAGE
    try:
        if arguments:
            lock()
        else:
            bring(JarSettings().jars_dir)
    except (JarsUnavailableError, UnlockedFileError) as error:
        sys.stderr.write(f"the page cannot be made whole: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{PAGE / FOLDER} cannot be written ({error}): correct its permissions\n")
        return 1
    return 0


def bring(cache: Path, page: Path = PAGE) -> None:
    """
    Have the page's folder hold the locked files and no others; without a word where it does.

    Raises
    ------
    JarsUnavailableError
        If a jar cannot be fetched, is not the locked one, or cannot be stored.
    UnlockedFileError
        If the two locks are not of the same libraries.
    """
    folder = page / FOLDER
    if lacking(page):
        jars = WEBJARS.jars()
        complete(WEBJARS, jars, cache, say)
        _write(_unpacked(jars, cache), read_files(page), folder)
    kept = {folder / file.name for file in read_files(page)}
    for path in sorted(folder.rglob("*"), reverse=True):  # files before their folder
        if path.is_file() and path not in kept:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _unpacked(jars: Sequence[LockedJar], cache: Path) -> dict[str, bytes]:
    paths = {jar.coordinate: jar.path_in(cache) for jar in jars}
    found: dict[str, bytes] = {}
    for library in LIBRARIES:
        if (path := paths.get(library.coordinate)) is None:
            raise UnlockedFileError(
                f"{WEBJARS.file.name} does not name {library.coordinate}: run `make lock`"
            )
        try:
            found |= library.unpacked_from(path)
        except KeyError as error:
            raise UnlockedFileError(f"{library.coordinate} lacks a file: {error.args[0]}") from error
    return found


def _write(contents: dict[str, bytes], locked: Sequence[PageFile], folder: Path) -> None:
    for file in locked:
        content = contents.get(file.name)
        if content is None or file_of(file.name, content) != file:
            raise UnlockedFileError(f"{file.name} is not as {LOCK} has it: run `make lock`")
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_bytes(content)
        draft.replace(path)


def lock(page: Path = PAGE) -> None:
    """Fetch into a fresh folder, so that no stale or damaged cache is locked, and write both locks."""
    from broker.lock import fetched  # noqa: PLC0415 -- with Java's wheel, for who locks alone

    with tempfile.TemporaryDirectory() as name:
        cache = Path(name)
        jars = fetched([library.coordinate for library in LIBRARIES], cache)
        contents = _unpacked(jars, cache)
    by = "python -m install.webjars --lock"
    (page / WEBJARS.file.name).write_text(written(jars, by), encoding="utf-8")
    lines = [file_of(name, content).line for name, content in sorted(contents.items())]
    (page / LOCK).write_text(f"# SHA-256, bytes, name; written by: {by}\n" + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
