"""What is seen of a run, or of all runs of a sweep, while it goes on."""

from __future__ import annotations

from typing import NamedTuple

from libs.cli.progress import Progress, clock
from libs.common.counted import counted
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.performance.page_text import moment


class Standing(NamedTuple):
    """How far a run, or all runs of a sweep together, have come."""

    now: int  # simulated time of the run that told it last, ns UTC
    passed_ns: int  # of simulated time, of all of them
    whole_ns: int  # that there is to pass
    decisions: int  # so far


class RunProgress(Progress):
    """How far it is."""

    def tell(self, standing: Standing) -> None:
        """Say how far it is."""
        if self.due:
            self.show(standing.passed_ns / max(1, standing.whole_ns), line_of(standing, self.elapsed_s))


def line_of(standing: Standing, elapsed_s: float) -> str:
    """Return simulated time, speed, the time that is left if it goes on so, and the decisions."""
    speed = standing.passed_ns / NS_PER_S / elapsed_s if elapsed_s > 0 else 0.0
    left_s = (standing.whole_ns - standing.passed_ns) / NS_PER_S / speed if speed > 0 else None
    return (
        f"{moment(standing.now // NS_PER_MS)}  {speed:,.0f} s/s  "
        f"ETA {'?' if left_s is None else clock(round(left_s))}  {counted(standing.decisions, 'decision')}"
    )
