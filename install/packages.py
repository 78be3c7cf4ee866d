"""
``.venv/bin/python -m install.packages LAYER...``: fetch and install what the layers need and .venv lacks.

Everything is fetched first, by a few pips at a time, and checked by its hash; only then .venv is touched,
from the files alone. So a missing network leaves .venv as it was, and an installation that
is killed is known by the state it left, and made anew.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from pip._vendor.packaging.markers import Marker
from pip._vendor.packaging.tags import sys_tags
from pip._vendor.packaging.utils import InvalidWheelFilename, parse_wheel_filename

from install.environment import ROOT, VENV, State, held_lock, jars_digest, project_digest, say, state_of
from install.failures import NotInstalledError, explanation
from install.page_files import lacking
from install.pins import BUILT, LAYERS, File, Pin, digest, read, read_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

    from pip._vendor.packaging.tags import Tag

_PIPS: Final = 4  # at a time: an index answers one request in about the time that pip needs for its last
_FETCHED: Final = VENV / "fetched"
_PATIENCE_S: Final = 5.0  # between two lines of progress
_POLL_S: Final = 0.1
_RETRIES: Final = "2"
_QUIET: Final = ("--disable-pip-version-check", "--no-input", "--no-color", "--progress-bar=off")
_SKIPPED: Final = r"/tests?/"  # of packages, which nobody imports; Python compiles them when somebody does
_MEGABYTE: Final = 1_000_000


class Chosen(NamedTuple):
    """A pin, and the file of it that suits this machine best; a source distribution where it is built."""

    pin: Pin
    file: File

    @property
    def is_built(self) -> bool:
        """Whether a wheel is to be made of it."""
        return not self.file.name.endswith(".whl")


def main(layers: list[str]) -> int:
    """Return 0 once all is there; else 1 after a line that says why not."""
    signal.signal(signal.SIGTERM, _stop)
    state = state_of()
    locks = list(dict.fromkeys(lock for layer in layers for lock in LAYERS[layer]))
    began = time.monotonic()
    try:
        chosen = choose([pin for lock in locks for pin in read(lock)])
        if chosen:
            _bring(chosen, state)
        wanted = "run" in layers and state.jars != jars_digest()
        with _beside("broker", "--fetch", wanted=wanted) as kafka:
            if chosen or state.project != project_digest():
                _compile_and_link(state)
            state.locks |= {lock: digest(lock) for lock in locks}
            state.project = project_digest()
            state.installing = False
            state.write()
            if chosen:
                say(f"installed in {time.monotonic() - began:.0f} s")
            if kafka is not None:
                if code := kafka.wait():
                    return code
                state.jars = jars_digest()
                state.write()
        with _beside("install.webjars", wanted="run" in layers and bool(lacking())) as page:
            return 0 if page is None else page.wait()
    except NotInstalledError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _bring(chosen: Sequence[Chosen], state: State) -> None:
    """Fetch everything, then install it; what builds a source distribution comes before it."""
    megabytes = sum(each.file.size for each in chosen) / _MEGABYTE
    say(f"fetching {len(chosen)} Python packages ({megabytes:.0f} MB)")
    tools = read("build") if any(each.is_built for each in chosen) else []
    try:
        for group in ([each for each in chosen if (each.pin in tools) is first] for first in (True, False)):
            if group:
                _install(_fetch(group), state)
    finally:
        shutil.rmtree(_FETCHED, ignore_errors=True)


def choose(pins: Iterable[Pin]) -> list[Chosen]:
    """
    Return what this machine needs and .venv lacks.

    Raises
    ------
    NotInstalledError
        If a package has no file for this machine.
    """
    files = read_files()
    rank = {tag: place for place, tag in enumerate(sys_tags())}
    chosen = []
    for pin in pins:
        if (pin.marker and not Marker(pin.marker).evaluate()) or _installed(pin.name) == pin.version:
            continue
        offered = [files[sha256] for sha256 in pin.hashes]
        ranked = sorted((_place(file, rank), file) for file in offered)
        place, best = ranked[0]
        if place >= len(rank) and pin.name != BUILT:
            raise NotInstalledError(
                f"{pin.name} {pin.version} has no file for this machine ({next(iter(rank))}): README.md "
                "lists the platforms; on Linux the C library must be glibc 2.28 or newer"
            )
        chosen.append(Chosen(pin, best))
    return chosen


def _place(file: File, rank: Mapping[Tag, int]) -> int:
    """Return how well a file suits: a wheel by its best tag, then what is built, then no use."""
    try:
        tags = parse_wheel_filename(file.name)[3]
    except InvalidWheelFilename:
        return len(rank)
    return min((rank[tag] for tag in tags if tag in rank), default=len(rank) + 1)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fetch(chosen: Sequence[Chosen]) -> list[Path]:
    """Fetch the files, checked by their hashes, and return them; a source distribution is made a wheel."""
    shutil.rmtree(_FETCHED, ignore_errors=True)
    _FETCHED.mkdir()
    parts: list[list[Chosen]] = [[] for _ in range(_PIPS)]
    for each in sorted(chosen, key=_weight, reverse=True):
        min(parts, key=lambda part: sum(map(_weight, part))).append(each)
    _wait([_pip_wheel(number, part) for number, part in enumerate(parts) if part], len(chosen))
    return sorted(_FETCHED.glob("*.whl"))


def _weight(chosen: Chosen) -> int:
    return chosen.file.size + 2 * _MEGABYTE  # asking for it takes about as long as two megabytes


def _pip_wheel(number: int, part: Sequence[Chosen]) -> tuple[subprocess.Popen[bytes], Path]:
    requirements, log = _FETCHED / f"{number}.txt", _FETCHED / f"{number}.log"
    requirements.write_text("".join(each.pin.text for each in part), encoding="utf-8")
    only_wheels = ["--only-binary=:all:"]
    if any(each.is_built for each in part):
        only_wheels.append(f"--no-binary={BUILT}")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *_QUIET,
        *only_wheels,
        "--no-deps",
        "--no-build-isolation",
    ]
    options = ["--require-hashes", f"--wheel-dir={_FETCHED}", f"--requirement={requirements}"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- pip
            [*command, *options],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PIP_RETRIES": _RETRIES, **os.environ},
            pass_fds=held_lock(),
        )
    return process, log


def _wait(pips: Sequence[tuple[subprocess.Popen[bytes], Path]], total: int) -> None:
    """Wait for every pip, and tell now and then how far they are; the first that fails ends the others."""
    said_at = time.monotonic()
    try:
        while any(process.poll() is None for process, _ in pips):
            for process, log in pips:
                if process.poll():
                    raise NotInstalledError(_failure(log.read_text(encoding="utf-8", errors="replace")))
            if time.monotonic() - said_at > _PATIENCE_S:
                said_at = time.monotonic()
                begun = sum(log.read_bytes().count(b"Collecting ") for _, log in pips)
                say(f"  {begun} of {total}")
            time.sleep(_POLL_S)
        for process, log in pips:
            if process.returncode:
                raise NotInstalledError(_failure(log.read_text(encoding="utf-8", errors="replace")))
    finally:
        for process, _ in pips:
            if process.poll() is None:
                process.terminate()
                process.wait()


def _failure(log: str) -> str:
    return f"the Python packages cannot be installed: {explanation(log)}"


def _install(wheels: Sequence[Path], state: State) -> None:
    """Put wheels into .venv; should this be killed, the state says that it did not end."""
    say(f"installing {len(wheels)} Python packages into .venv")
    state.installing = True
    state.write()
    command = [sys.executable, "-m", "pip", "install", *_QUIET, "--quiet", "--no-index", "--no-deps"]
    _run([*command, "--no-compile", "--no-warn-script-location", *map(str, wheels)])


def _compile_and_link(state: State) -> None:
    """Compile what is imported, and have .venv run this folder's code."""
    state.installing = True
    state.write()
    packages = sysconfig.get_path("purelib")
    compiling = subprocess.Popen(  # noqa: S603 -- the standard library's
        [sys.executable, "-m", "compileall", "-qq", "-j0", "-x", _SKIPPED, packages],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=held_lock(),
        start_new_session=True,  # to be ended with its workers, which wait for ever for one that was killed
    )
    command = [sys.executable, "-m", "pip", "install", *_QUIET, "--quiet", "--no-index", "--no-deps"]
    try:
        _run([*command, "--no-build-isolation", "--editable", str(ROOT)])
        compiling.wait()  # some packages ship files that do not compile, and do not import them
    except BaseException:
        with suppress(OSError):  # all of it has ended
            os.killpg(compiling.pid, signal.SIGKILL)
        raise


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(  # noqa: S603 -- pip
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, pass_fds=held_lock()
    )
    if done.returncode != 0:
        raise NotInstalledError(_failure(done.stdout.decode(errors="replace")))


@contextmanager
def _beside(module: str, *arguments: str, wanted: bool) -> Iterator[subprocess.Popen[bytes] | None]:
    """Run a module of this project for as long as the context lasts at most, if it is wanted."""
    if not wanted:
        yield None
        return
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, pass_fds=held_lock())  # noqa: S603 -- of this project
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports SIGINT
