"""The policies of a run: which there are, and the sources of a person's own."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from backtest.command.reading import listed
from backtest.world import POLICIES
from libs.cli.errors import CommandError, UsageError
from libs.common.told import OUTSIDE
from libs.policies.loading import UnreadableSourceError, files_of, installed, read_module, read_source
from services.execution.decide.policies import POLICIES as BUILT_IN

if TYPE_CHECKING:
    from pathlib import Path

    from libs.policies.loading import Source


def policies_named(text: str | None, folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the policies of a list with commas, and of those that are files the version of each.

    Parameters
    ----------
    text
        None: those that are built in.

    Raises
    ------
    UsageError
        If there is none of a name; the nearest ones are named.
    """
    if text is None:
        return POLICIES, {}
    names = tuple(dict.fromkeys(listed("--policies", text)))
    own = sorted({*_files(folder), *installed()})
    for name in names:
        if name not in BUILT_IN and name not in own:
            raise UsageError(_unknown(name, [*BUILT_IN, *own], folder))
    return names, {name: _source(name, folder).version for name in names if name in own}


def keep_sources(names: dict[str, str], folder: Path, kept: Path) -> None:
    """Copy the sources of own policies beside a run's results.

    Raises
    ------
    CommandError
        If one cannot be copied.
    """
    if not names:
        return
    try:
        kept.mkdir()
        for name in sorted(names):
            (kept / f"{name}.py").write_bytes(_source(name, folder).text)
    except OSError as error:
        raise CommandError(f"{kept} cannot be written: {error.strerror}") from error


def _files(folder: Path) -> dict[str, Path]:
    try:
        return files_of(folder) if folder.is_dir() else {}
    except UnreadableSourceError as error:
        raise UsageError(f"{folder}: {error}") from error


def _source(name: str, folder: Path) -> Source:
    files = _files(folder)
    try:
        return read_source(files[name]) if name in files else read_module(*installed()[name])
    except UnreadableSourceError as error:
        raise UsageError(str(error)) from error


def _unknown(name: str, known: list[str], folder: Path) -> str:
    if name.startswith(OUTSIDE):
        return f"--policies {name!r}: its signals come from outside, so a backtest has none of it"
    near = get_close_matches(name, known, n=3)
    listed = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(known)}"
    where = f"own ones are in {folder}" if folder.is_dir() else f"there is no folder {folder} (POLICIES_DIR)"
    return f"--policies has no {name!r}; {listed}; {where}"
