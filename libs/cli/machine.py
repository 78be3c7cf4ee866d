"""
``python3 -m libs.cli.machine``: what a machine lacks for `make run`, before anything is installed.

The first part of `bookrunner doctor`. Standard library alone, and any Python from 3.8 on, whose age is a
finding then.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from libs.cli.container_limits import Limits, limits
from libs.cli.findings import GIB, Finding, Verdict, failed, parts_of, space_finding
from libs.cli.reach import certificates_finding, index_finding, proxies_finding
from libs.common.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST_GLIBC: Final = (2, 28)  # manylinux_2_28 of numpy, scipy and cramjam; install/platforms.py
OLDEST_MACOS: Final = (12, 0)
DISK_FAIL: Final = 1 * GIB
DISK_WARN: Final = 6 * GIB  # l2.book-deltas may take 4 GiB
MEMORY_FAIL: Final = GIB // 2  # Kafka alone
MEMORY_WARN: Final = 2 * GIB
PROCESSORS_WARN: Final = 2.0
PORTS: Final = {"GATEWAY_PORT": 5000, "KAFKA_PORT": 19092, "SIMULATOR_PORT": 5100}
LARGEST_PORT: Final = 65_535


def main() -> int:
    """Print every finding; 1 if something must be mended."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")  # the marks, where a terminal claims ASCII
    found = [*examine(os.environ, installed=False), *port_findings(os.environ)]
    for finding in found:
        sys.stdout.write(printable_lines("".join(parts_of(finding))) + "\n")
    if failed(found):
        return 1
    sys.stdout.write("`make run` installs the rest and starts; then `bookrunner doctor` looks at what runs\n")
    return 0


def examine(environment: Mapping[str, str], *, installed: bool) -> list[Finding]:
    """Return what is to be said of the machine, whether or not anything runs on it."""
    within = limits()
    return [
        python_finding((sys.version_info[0], sys.version_info[1], sys.version_info[2])),
        platform_finding(sys.platform, platform.machine(), _libc(), _macos()),
        _disk(Path(environment.get("RUN_DIR") or ".run")),
        _memory(within),
        processors_finding(os.cpu_count() or 1, within.processors),
        tools_finding({name: shutil.which(name) is not None for name in ("make", "curl", "jq")}),
        proxies_finding(environment),
        certificates_finding(environment),
        index_finding(installed=installed),
    ]


def python_finding(version: tuple[int, int, int]) -> Finding:
    """Judge the Python version by ``requires-python`` of pyproject.toml: >=3.11,<3.15."""
    says = ".".join(map(str, version))
    if version[:2] == (3, 14):
        return Finding(
            Verdict.OK, "python", f"{says}; every package has a wheel for it, nothing was tested with it"
        )
    if (3, 11) <= version[:2] < (3, 14):
        return Finding(Verdict.OK, "python", says)
    return Finding(
        Verdict.FAIL,
        "python",
        f"{says} is not 3.11 to 3.14",
        "install one, and name it if it is not python3: make run PYTHON=python3.12",
    )


def platform_finding(
    system: str, machine: str, libc: tuple[int, int] | None, macos: tuple[int, int] | None
) -> Finding:
    """Judge by the wheels of what is locked; `libc` is glibc's version, None for another C library."""
    if system == "win32":
        return Finding(Verdict.FAIL, "platform", "Windows itself does not run it", "use WSL2: wsl --install")
    if system == "linux" and machine in {"x86_64", "aarch64"}:
        if libc is None:
            return Finding(
                Verdict.FAIL, "platform", f"Linux {machine} without glibc", "use a distribution with it"
            )
        says = f"Linux {machine}, glibc {libc[0]}.{libc[1]}"
        if libc < OLDEST_GLIBC:
            return Finding(
                Verdict.FAIL, "platform", f"{says} is older than 2.28", "use Debian 10, Ubuntu 20.04 or newer"
            )
        return Finding(Verdict.OK, "platform", says)
    if system == "darwin" and machine in {"arm64", "x86_64"}:
        says = "macOS {}.{} {}".format(*(macos or (0, 0)), machine)
        if macos is not None and macos < OLDEST_MACOS:
            return Finding(Verdict.FAIL, "platform", f"{says} is older than 12", "update it")
        return Finding(
            Verdict.OK, "platform", f"{says}; every package has a wheel for it, nothing was tested on it"
        )
    return Finding(
        Verdict.FAIL, "platform", f"no wheels for {system} {machine}", "use Linux or macOS on x86-64 or arm64"
    )


def _libc() -> tuple[int, int] | None:
    name, version = platform.libc_ver()
    return _two(version) if name == "glibc" else None


def _macos() -> tuple[int, int] | None:
    version = platform.mac_ver()[0]
    return _two(version) if version else None


def _two(version: str) -> tuple[int, int]:
    major, _, rest = version.partition(".")
    return int(major), int(rest.partition(".")[0] or 0)


def _disk(run_dir: Path) -> Finding:
    folder = run_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    mend = "free some, or set RUN_DIR to another disk"
    return space_finding("disk", shutil.disk_usage(folder).free, DISK_FAIL, DISK_WARN, mend)


def _memory(within: Limits) -> Finding:
    mend = "Kafka takes 0.5 GiB and the services the rest: close something"
    free = _available_memory()
    if within.free_bytes is not None and within.free_bytes < free:
        free, mend = within.free_bytes, "this container is limited so: give it more, as by --memory=4g"
    return space_finding("memory", free, MEMORY_FAIL, MEMORY_WARN, mend)


def _available_memory() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():  # Linux: counts caches that can be given back
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def processors_finding(machine: int, within: float | None) -> Finding:
    """Judge how many processors there are, and how many of them a container may use."""
    usable = machine if within is None else min(float(machine), within)
    says = f"{usable:g}" + (f" of {machine}, by this container's limit" if usable < machine else "")
    if usable < PROCESSORS_WARN:
        return Finding(
            Verdict.WARN, "processors", says, "with less than two it starts slowly, and books may lag"
        )
    return Finding(Verdict.OK, "processors", says)


def tools_finding(found: Mapping[str, bool]) -> Finding:
    """Name the programs that `make run` and the tour of README.md call."""
    absent = [name for name, there in found.items() if not there]
    if not absent:
        return Finding(Verdict.OK, "tools", ", ".join(found))
    return Finding(
        Verdict.WARN,
        "tools",
        f"without {', '.join(absent)}",
        f"apt-get install {' '.join(absent)}, or the like",
    )


def port_findings(environment: Mapping[str, str], *, taken_is_told: bool = False) -> list[Finding]:
    """
    Say which ports of `make run` cannot be used.

    Parameters
    ----------
    environment
        Moves them by GATEWAY_PORT, KAFKA_PORT and SIMULATOR_PORT.
    taken_is_told
        A port in use is no finding here, since who listens there is one elsewhere.
    """
    ports = {name: environment.get(name) or str(default) for name, default in PORTS.items()}
    bad = [
        finding for name, port in ports.items() for finding in _port(name, port, taken_is_told=taken_is_told)
    ]
    return bad or [Finding(Verdict.OK, "ports", f"{', '.join(ports.values())} can be used")]


def _port(variable: str, text: str, *, taken_is_told: bool) -> list[Finding]:
    if not text.isdecimal() or not 0 < int(text) <= LARGEST_PORT:
        return [Finding(Verdict.FAIL, "ports", f"{variable}={text} is no port", "take one of 1 to 65535")]
    try:
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", int(text)))
            server.listen()
    except OSError as error:
        if error.errno == errno.EACCES:
            return [
                Finding(
                    Verdict.FAIL,
                    "ports",
                    f"{variable}={text} is not permitted to this user",
                    "take one above 1023",
                )
            ]
        if taken_is_told:
            return []
        other = int(text) + 10
        mend = f"stop what uses it, or move: make run {variable}={other}"
        return [Finding(Verdict.WARN, "ports", f"{variable} {text} is taken", mend)]
    return []


if __name__ == "__main__":
    sys.exit(main())
