"""
Write the locks anew: ``python -m install.lock PATH_OF_UV [--upgrade]``; needs a network.

uv resolves all of pyproject.toml at once, so that one version of a package holds everywhere, and keeps the
locked versions that still fit, without --upgrade. Of the files of a package those are locked that a supported
platform can install; addresses are not kept, so that any index serves.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from install.pins import FILES, LOCKS, File, Pin, added, parse, path_of, read
from install.platforms import NEWEST_GLIBC, NEWEST_MACOS, targets, wheel_tags

_PROJECT: Final = Path(__file__).resolve().parents[1] / "pyproject.toml"
_HEAD: Final = "# Written by: make lock\n"
_EXTRAS: Final = {
    "build": ("build",),
    "services": (),
    "native": ("native",),
    "plots": ("plots",),
    "history": ("history",),
    "dev": ("dev",),
}
_OPTIONS: Final = ("--quiet", "--universal", "--python-version", "3.11", "--no-header")


def main(uv: str, *options: str) -> None:
    """Resolve, and write every lock and the table of files."""
    with tempfile.TemporaryDirectory() as folder:
        every = Path(folder, "every.txt")
        extras = [extra for of_lock in _EXTRAS.values() for extra in of_lock]
        every.write_text("".join(pin.text for lock in LOCKS for pin in read(lock)), encoding="utf-8")
        _compile(uv, every, extras, *options)
        _compile(uv, Path(folder, "pylock.toml"), extras, "--constraint", every)
        files = _usable(_files(Path(folder, "pylock.toml").read_text(encoding="utf-8")))
        before: list[Pin] = []
        for lock in LOCKS:
            output = Path(folder, f"{lock}.txt")
            _compile(uv, output, _EXTRAS[lock], "--constraint", every, core=lock != "build")
            resolved = [
                _with(pin, files)
                for pin in parse(output.read_text(encoding="utf-8"))
                if any(target.needs(pin) for target in targets())
            ]
            pins = added(resolved, before)
            path_of(lock).write_text(_HEAD + "".join(pin.text for pin in pins), encoding="utf-8")
            before += pins
    known = {sha256 for pin in before for sha256 in pin.hashes}
    lines = sorted(
        f"{file.sha256}\t{file.size}\t{file.name}\n" for file in files.values() if file.sha256 in known
    )
    FILES.write_text(_HEAD + "".join(sorted(lines, key=lambda line: line.split("\t")[2])), encoding="utf-8")


def _compile(
    uv: str, output: Path, extras: tuple[str, ...] | list[str], *options: str | Path, core: bool = True
) -> None:
    project = [str(_PROJECT)]
    if not core:
        groups = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
        bare = output.with_suffix(".in")
        bare.write_text("\n".join(line for extra in extras for line in groups[extra]), encoding="utf-8")
        project, extras = [str(bare)], ()
    form = () if output.name.startswith("pylock") else ("--generate-hashes", "--no-emit-index-url")
    command = [uv, "pip", "compile", *_OPTIONS, *form, *options, *(f"--extra={each}" for each in extras)]
    subprocess.run([*command, f"--output-file={output}", *project], check=True)  # noqa: S603 -- uv, as asked


def _files(pylock: str) -> list[File]:
    """
    Read the files of a lock as uv writes it.

    References
    ----------
    https://packaging.python.org/en/latest/specifications/pylock-toml/ (2026-11)
    """
    packages = tomllib.loads(pylock)["packages"]
    entries = [
        entry
        for package in packages
        for entry in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    ]
    return [
        File(entry["hashes"]["sha256"], entry["size"], unquote(urlsplit(entry["url"]).path.rsplit("/")[-1]))
        for entry in entries
    ]


def _usable(files: list[File]) -> dict[str, File]:
    """Return source distributions and the wheels for a supported platform, by SHA-256."""
    tags = {tag for target in targets(NEWEST_GLIBC, NEWEST_MACOS) for tag in target.tags()}
    return {
        file.sha256: file
        for file in files
        if not file.name.endswith(".whl") or not tags.isdisjoint(wheel_tags(file))
    }


def _with(pin: Pin, files: dict[str, File]) -> Pin:
    return pin._replace(hashes=tuple(each for each in pin.hashes if each in files))


if __name__ == "__main__":
    main(*sys.argv[1:])
