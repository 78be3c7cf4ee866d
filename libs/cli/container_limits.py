"""
What a container, or another control group, leaves of the machine: memory and processors.

References
----------
https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, memory.current, cpu.max)
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.limit_in_bytes, memory.usage_in_bytes)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS: Final = Path("/proc/self/cgroup")
ROOT: Final = Path("/sys/fs/cgroup")


class Limits(NamedTuple):
    """What is left within the tightest group; None where nothing limits."""

    free_bytes: int | None
    processors: float | None


def limits(groups: Path = GROUPS, root: Path = ROOT) -> Limits:
    """Read the limits of this process's groups and of all above them."""
    free: list[int] = []
    processors: list[float] = []
    for folder in _folders(groups, root):
        most = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
        if most is not None:
            free.append(max(most - used + _given_back(folder / "memory.stat"), 0))
        share = _share(folder)
        if share is not None:
            processors.append(share)
    return Limits(min(free, default=None), min(processors, default=None))


def _folders(groups: Path, root: Path) -> Iterator[Path]:
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        mounts = [root / name for name in (controllers, *controllers.split(","))] if controllers else [root]
        for mount in mounts:
            folder = mount / path.lstrip("/")
            while folder != mount:  # a container sees its own group as the root of all
                yield folder
                folder = folder.parent
            yield mount


def _given_back(statistics: Path) -> int:
    """Return the bytes of files that the group holds only until somebody needs the memory."""
    for line in _text(statistics).splitlines():
        name, _, value = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"}:
            return int(value)
    return 0


def _share(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")  # "max 100000" without a limit
    if quota.isdecimal() and period:
        return int(quota) / int(period)
    old_quota, old_period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return old_quota / old_period if old_quota and old_period else None


def _number(file: Path) -> int | None:
    """Return what a file counts; None for "max", for -1 and for the huge number that v1 says instead."""
    text = _text(file)
    return int(text) if text.isdecimal() and int(text) < 1 << 60 else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
