"""CPU seconds of a process and all it started, by what each is; read from /proc, so Linux only."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SERVICES: Final = ("l2", "venues", "router", "portfolio", "execution", "policies", "context")
_NAMES: Final = {  # by a word of the command line; the first that is found
    b"kafka.Kafka": "kafka",
    b"broker": "broker",
    b"services.execution.autopilot": "autopilot",
    **{f"services.{name}".encode(): name for name in _SERVICES},
    b"libs.policies.zygote": "policies",  # and what it forks
    b"services.gateway": "gateway",
    b"simulator": "simulator",
}
_REST: Final = "make, supervisor"


def cpu_by_process(root: int) -> Mapping[str, float]:
    """Return the CPU seconds used by `root`, its descendants, and those of them that have ended.

    A program counts from its first interpreter on: one that becomes another keeps its process id.
    """
    used: defaultdict[str, float] = defaultdict(float)
    for pid, name in named(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended; its parent has its time
        # proc(5): utime, stime, and those of children that were waited for
        used[name] += sum(int(field) for field in fields[11:15]) / _TICKS
    return used


def process_ids(root: int, name: str) -> list[int]:
    """Return the ids of the processes of this name that `root` or a descendant started."""
    return [pid for pid, called in named(root) if called == name]


def named(root: int) -> Iterator[tuple[int, str]]:
    """Yield the id of `root` and of each of its descendants, and what it is."""
    for pid in with_descendants(root):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        yield pid, next((name for word, name in _NAMES.items() if word in words), _REST)


def with_descendants(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found
