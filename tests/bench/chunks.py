"""Timing of contenders side by side: chunk by chunk in turn, garbage collected before each.

What is timed is the CPU time of the thread, so that other processes on the machine distort it least: nothing
here waits for anything.
"""

from __future__ import annotations

import gc
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def in_turn(
    contenders: Mapping[str, Callable[[int], object]], chunks: Sequence[int]
) -> dict[str, list[float]]:
    """Return CPU ns per contender and chunk; who begins changes from chunk to chunk.

    Parameters
    ----------
    contenders
        Called with the number of the chunk; all do the same work in it.
    chunks
        Numbers of the chunks, in order.
    """
    names = list(contenders)
    taken: dict[str, list[float]] = {name: [] for name in names}
    try:
        for chunk in chunks:
            turn = chunk % len(names)
            for name in names[turn:] + names[:turn]:
                run = contenders[name]
                gc.collect()
                gc.freeze()
                begun = time.thread_time_ns()
                run(chunk)
                taken[name].append(float(time.thread_time_ns() - begun))
    finally:
        gc.unfreeze()
    return taken


@contextmanager
def on_cores(*wanted: int) -> Iterator[str]:
    """Keep this process and what it starts on some of its cores, where the system can; yield which."""
    if not hasattr(os, "sched_setaffinity"):
        yield "not pinned"
        return
    before = os.sched_getaffinity(0)
    chosen = {sorted(before)[core % len(before)] for core in wanted}
    os.sched_setaffinity(0, chosen)
    try:
        yield f"on core {' and '.join(map(str, sorted(chosen)))}"
    finally:
        os.sched_setaffinity(0, before)
