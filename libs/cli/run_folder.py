"""RUN_DIR: held by one supervisor at a time, and what a running system leaves in it for others to find.

``run.lock`` is held by the supervisor for its life and holds its process id; ``processes/NAME`` the same of
each program it started (`broker.tether`). Locks end with their processes, so nothing needs tidying: what a
lock is not held for is past. Standard library only.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from broker import file_lock, owned_folder

DEFAULT: Final = Path(".run")


def host_and_port(host: str, port: int) -> str:
    """Return both as addresses have them; an IPv6 host is bracketed."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class RunFolderError(Exception):
    """The folder cannot be used; the text says why and what helps."""


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a running system answer."""

    checkout: str
    feed: str
    gateway_host: str
    gateway_port: int
    kafka_bootstrap_servers: str
    simulator_host: str
    simulator_port: int

    @property
    def url(self) -> str:
        """Address of the gateway."""
        return f"http://{host_and_port(self.gateway_host, self.gateway_port)}"

    @property
    def ports(self) -> set[int]:
        """The ports on which it answers."""
        kafka = int(self.kafka_bootstrap_servers.rpartition(":")[2])
        return {self.gateway_port, self.simulator_port, kafka}


@dataclass(frozen=True)
class Process:
    """A program that a supervisor started and that still runs."""

    name: str
    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


class RunFolder:
    """The files of RUN_DIR that concern the system as a whole."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.metrics = self.root / "metrics"
        self.processes = self.root / "processes"
        self.token = self.root / "token"
        self._lock = self.root / "run.lock"
        self._addresses = self.root / "addresses.json"

    def command(self, target: str) -> str:
        """Return how a person types a target of make for this folder."""
        own = self.root == DEFAULT.absolute()
        return f"`make {target}`" if own else f"`make {target} RUN_DIR={self.root}`"

    def supervisor(self) -> int | None:
        """Return the process that runs a system in this folder; 0 if it does not say which it is."""
        owner = file_lock.holder(self._lock)
        if owner is None:
            return None
        return int(owner) if owner.isdecimal() else 0

    def running(self) -> list[Process]:
        """Return the programs that a supervisor of this folder started and that live; it may be dead."""
        found = []
        for file in sorted(self.processes.glob("*")):
            pid, _, command = (file_lock.holder(file) or "").partition("\n")
            if pid.isdecimal():
                found.append(Process(file.name, int(pid), command))
        return found

    def left_behind(self) -> list[Process]:
        """Return the programs that outlived their supervisor."""
        return self.running() if self.supervisor() is None else []

    def check(self) -> None:
        """Find why no system can start here, and change nothing.

        Raises
        ------
        RunFolderError
            If one runs here, something is left of one, or the folder is somebody else's or cannot be written.
        """
        try:
            owned_folder.check(self.root, "RUN_DIR")
        except owned_folder.NotOurOwnError as error:
            raise RunFolderError(str(error)) from error
        if (pid := self.supervisor()) is not None:
            raise RunFolderError(self._in_use(pid))
        if left := self.left_behind():
            listed = ", ".join(map(str, left))
            raise RunFolderError(
                f"{listed}: left in {self.root} by a run whose supervisor was killed; "
                f"{self.command('stop')} ends {'it' if len(left) == 1 else 'them'}"
            )
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        if not there.is_dir():
            raise RunFolderError(f"RUN_DIR={self.root} is no folder: {there} is a file")
        if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
            raise RunFolderError(
                f"RUN_DIR={self.root} cannot be read and written: correct the permissions of {there}, "
                "or set RUN_DIR to another folder"
            )

    def acquire(self) -> int:
        """Create the folder, for this user alone, and become the one who runs a system in it.

        Returns
        -------
        The descriptor of its lock.

        Raises
        ------
        RunFolderError
            If another one was faster, or the folder is somebody else's or cannot be written.
        """
        try:
            owned_folder.claim(self.root, "RUN_DIR")
            descriptor = file_lock.take(self._lock, file_lock.GLANCE_S)
            file_lock.sign(descriptor, str(os.getpid()))
            shutil.rmtree(self.metrics, ignore_errors=True)
            shutil.rmtree(self.processes, ignore_errors=True)
            self.processes.mkdir()
            self.token.unlink(missing_ok=True)
        except file_lock.HeldError as held:
            raise RunFolderError(self._in_use(int(str(held)) if str(held).isdecimal() else 0)) from None
        except owned_folder.NotOurOwnError as error:
            raise RunFolderError(str(error)) from error
        except OSError as error:
            raise RunFolderError(
                f"RUN_DIR={self.root} cannot be written ({error.strerror}): correct its permissions, "
                "or set RUN_DIR to another folder"
            ) from error
        return descriptor

    def write_addresses(self, addresses: Addresses) -> None:
        """Leave the addresses for others; the file is there whole or not at all."""
        draft = self._addresses.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(addresses), indent=1) + "\n", encoding="utf-8")
        draft.replace(self._addresses)

    def addresses(self) -> Addresses | None:
        """Return what the newest system in this folder left; None where there is nothing of this version."""
        try:
            return Addresses(**json.loads(self._addresses.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def make_token(self) -> str:
        """Draw a token of 256 bits and leave it where its owner, and nobody else, can read it."""
        drawn = secrets.token_urlsafe(32)
        descriptor = os.open(self.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{drawn}\n")
        return drawn

    def _in_use(self, pid: int) -> str:
        addresses = self.addresses()
        where = f", {addresses.url}" if addresses is not None else ""
        return (
            f"a bookrunner already runs in {self.root} (process {pid or 'unknown'}{where}): "
            f"{self.command('stop')} ends it; a second one needs a RUN_DIR and ports of its own"
        )
