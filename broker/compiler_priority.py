"""
Let Java's optimising compiler wait for everybody else.

It works hardest in the first seconds, when all of a system starts on the same processors: there it took a
tenth of them. What it has not compiled yet runs, slower, as the quick compiler left it. Linux only.

References
----------
setpriority(2), "According to POSIX, the nice value is a per-process setting. However, under the current
Linux/NPTL implementation […] the nice value is a per-thread attribute".
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

_OPTIMISING = "C2 CompilerThre"  # the kernel keeps 15 characters of a thread's name
_LOWEST = 19


def yield_to_others(pid: int) -> int:
    """Give the compiler threads of a Java process the lowest priority; return how many there were."""
    if not sys.platform.startswith("linux"):
        return 0
    found = 0
    with suppress(OSError):  # there is no /proc
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # it has ended meanwhile, or we may not
                if (thread / "comm").read_text(encoding="utf-8").strip() == _OPTIMISING:
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), _LOWEST)
                    found += 1
    return found
