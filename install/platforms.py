"""Where Bookrunner is meant to run, as the tags by which a wheel says where it can be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterable

    from install.pins import File, Pin

PYTHONS: Final = ((3, 11), (3, 12), (3, 13), (3, 14))
OLDEST_GLIBC: Final = 28  # 2.28: Debian 10, Ubuntu 20.04, RHEL 8
NEWEST_GLIBC: Final = 43
OLDEST_MACOS: Final = 12
NEWEST_MACOS: Final = 26
_LEGACY: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # by glibc 2.x; PEP 600


class Target(NamedTuple):
    """A kind of machine with a Python."""

    system: str  # as sys.platform
    machine: str  # as platform.machine()
    python: tuple[int, int]
    release: int  # y of glibc 2.y, or the major version of macOS

    def tags(self) -> frozenset[Tag]:
        """Return the tags of the wheels that can be installed there."""
        platforms = list(self._platforms())
        interpreter = f"cp{self.python[0]}{self.python[1]}"
        return frozenset(
            [
                *cpython_tags(self.python, platforms=platforms),
                *compatible_tags(self.python, interpreter, platforms),
            ]
        )

    def needs(self, pin: Pin) -> bool:
        """Whether the pin's marker holds there."""
        version = f"{self.python[0]}.{self.python[1]}"
        environment = {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": {"linux": "Linux", "darwin": "Darwin"}[self.system],
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": self.system,
        }
        return not pin.marker or Marker(pin.marker).evaluate(environment)

    def _platforms(self) -> Iterable[str]:
        if self.system == "darwin":
            yield from mac_platforms((self.release, 0), self.machine)
            return
        for minor in range(self.release, 4, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{self.machine}"
        yield f"linux_{self.machine}"


def targets(glibc: int = OLDEST_GLIBC, macos: int = OLDEST_MACOS) -> list[Target]:
    """Return every machine with every Python, with these versions of the C library and of macOS."""
    machines = [
        ("linux", "x86_64", glibc),
        ("linux", "aarch64", glibc),
        ("darwin", "arm64", macos),
        ("darwin", "x86_64", macos),
    ]
    return [
        Target(system, machine, python, release)
        for system, machine, release in machines
        for python in PYTHONS
    ]


def wheel_tags(file: File) -> frozenset[Tag]:
    """Return the tags of a wheel; none for a source distribution."""
    try:
        return parse_wheel_filename(file.name)[3]
    except InvalidWheelFilename:
        return frozenset()
