"""The folder .venv: whether it can be used, making it anew where not, and what is installed into it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from install.failures import NotInstalledError
from install.pins import LAYERS, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
VENV: Final = ROOT / ".venv"
STATE: Final = VENV / "installed.json"
JARS: Final = ROOT / "broker" / "jars.lock"
LOCK: Final = "BOOKRUNNER_INSTALL_LOCK"  # where the descriptor of `alone` is found after exec
SUPPORTED: Final = ((3, 11), (3, 14))  # requires-python of pyproject.toml


class Broken(Enum):
    """Why .venv cannot be used."""

    ABSENT = "there is none"
    INTERRUPTED = "there is no finished installation in it"
    GONE = "its Python does not start any more"
    MOVED = "it was made in another folder"
    UNSUPPORTED = "its Python is not 3.11 to 3.14"
    OTHER = "it is of another Python than the one named"


@dataclass
class State:
    """What is in .venv; written last, so that without it nothing is certain."""

    folder: str = str(ROOT)
    locks: dict[str, str] = field(default_factory=dict)  # digest by lock
    project: str = ""  # digest of pyproject.toml when this project was installed
    jars: str = ""  # digest of broker/jars.lock and its cache when Kafka was fetched and prepared
    installing: bool = False

    def has(self, layers: Iterable[str]) -> bool:
        """Whether all that the layers need is there in the state of today's locks."""
        return self.has_packages(layers) and ("run" not in layers or self.jars == jars_digest())

    def has_packages(self, layers: Iterable[str]) -> bool:
        """Whether that holds of what is in .venv."""
        locks = {lock for layer in layers for lock in LAYERS[layer]}
        return (
            not self.installing
            and all(self.locks.get(lock) == digest(lock) for lock in locks)
            and self.project == project_digest()
        )

    def write(self) -> None:
        """Replace the file at once."""
        fresh = STATE.with_suffix(".new")
        fresh.write_text(json.dumps(vars(self), indent=1), encoding="utf-8")
        fresh.replace(STATE)


def project_digest() -> str:
    """Return what tells one description of this project from another."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def jars_digest() -> str:
    """Return what tells one lock of Kafka's jars, and one place of them, from another."""
    place = [os.environ.get(name) for name in ("KAFKA_JARS_DIR", "XDG_CACHE_HOME", "HOME")]
    return hashlib.sha256(JARS.read_bytes() + repr(place).encode()).hexdigest()


def state_of() -> State:
    """Read the state; one in which nothing is certain where it cannot be read."""
    try:
        return State(**json.loads(STATE.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return State(installing=True)


def python_of() -> str:
    """Return the path of .venv's Python."""
    return str(VENV / "bin" / "python")


def trouble(named: tuple[int, int] | None) -> Broken | None:
    """
    Say why .venv cannot be used.

    Parameters
    ----------
    named
        Version of the Python that was asked for; None where any will do.
    """
    if not VENV.exists() and not VENV.is_symlink():
        return Broken.ABSENT
    version = _version()
    if version is None:
        return Broken.GONE
    if not SUPPORTED[0] <= version <= SUPPORTED[1]:
        return Broken.UNSUPPORTED
    if named not in {None, version}:
        return Broken.OTHER
    if state_of().installing:
        return Broken.INTERRUPTED
    return Broken.MOVED if Path(state_of().folder) != ROOT else None


def _version() -> tuple[int, int] | None:
    if Path(sys.prefix) == VENV:
        return sys.version_info[:2]
    asked = [python_of(), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout  # noqa: S603
        major, minor = said.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return int(major), int(minor)


def make(wrong: Broken | None) -> None:
    """
    Make .venv, after removing one that cannot be used.

    Raises
    ------
    NotInstalledError
        If the folder cannot be written, or Python lacks its module venv.
    """
    version = platform.python_version()
    python = (
        getattr(sys, "_base_executable", None) or sys.executable
    )  # this one may be of the .venv that goes
    if wrong is not None:
        say(f".venv cannot be used: {wrong.value}. Making it anew with Python {version}")
    else:
        say(f"making .venv with Python {version}")
    try:
        if VENV.is_symlink() or VENV.is_file():
            VENV.unlink()
        elif VENV.exists():
            shutil.rmtree(VENV)
    except OSError as error:
        raise NotInstalledError(f"{VENV} cannot be removed ({error}): remove it by hand") from error
    done = subprocess.run(  # noqa: S603 -- this very Python
        [python, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False, pass_fds=held_lock()
    )
    if done.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        said = (done.stdout + done.stderr).strip()
        if "ensurepip" in said or "No module named venv" in said:
            raise NotInstalledError(
                f"the module venv of {python} is missing (Debian, Ubuntu: apt-get install "
                f"python{version.rpartition('.')[0]}-venv), or name another one: make PYTHON=/path/to/python3"
            )
        raise NotInstalledError(
            f"{VENV} cannot be made: {said.splitlines()[-1] if said else 'no reason given'}"
        )
    State().write()


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process installs into .venv; the lock goes on over exec."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another installation into .venv is under way; waiting for it")
        fcntl.flock(folder, fcntl.LOCK_EX)
    os.set_inheritable(folder, True)  # noqa: FBT003 -- positional only
    os.environ[LOCK] = str(folder)
    try:
        yield
    finally:
        os.close(folder)


def held_lock() -> tuple[int, ...]:
    """Return the lock of `alone` for a child that changes .venv, to hold beyond a kill of this process."""
    said = os.environ.get(LOCK)
    return (int(said),) if said else ()


def say(line: str) -> None:
    """Write a line that the person at the terminal sees at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
