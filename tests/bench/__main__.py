"""``python -m tests.bench [NAME…]``: run the benchmarks, all or those named."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import (
    alerts,
    answers,
    backtest,
    bandit_regret,
    bandit_speed,
    bandit_wheel,
    end_to_end,
    exactly_once,
    execution_bytes,
    executions,
    gateway_commands,
    gateway_get,
    halts,
    handlers,
    har,
    history_formats,
    hostile,
    hostile_choices,
    hostile_policies,
    hot_path,
    idle,
    learning_loop,
    moments,
    off_policy_coverage,
    page,
    portfolio,
    portfolio_caution,
    publisher,
    queue_fills,
    resilience,
    restart,
    saturation,
    scale,
    schedules,
    splits,
    start,
    tops,
    venues,
    view_fold,
    write_guard,
)
from tests.bench.report import Report, machine_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BENCHES: Final[Mapping[str, Callable[[Report], None]]] = {
    "alerts": alerts.run,
    "hot_path": hot_path.run,
    "end_to_end": end_to_end.run,
    "gateway_get": gateway_get.run,
    "gateway_commands": gateway_commands.run,
    "moments": moments.run,
    "write_guard": write_guard.run,
    "hostile": hostile.run,
    "hostile_choices": hostile_choices.run,
    "hostile_policies": hostile_policies.run,
    "publisher": publisher.run,
    "schedules": schedules.run,
    "splits": splits.run,
    "queue_fills": queue_fills.run,
    "resilience": resilience.run,
    "har": har.run,
    "idle": idle.run,
    "halts": halts.run,
    "handlers": handlers.run,
    "view_fold": view_fold.run,
    "page": page.run,
    "portfolio": portfolio.run,
    "portfolio_caution": portfolio_caution.run,
    "saturation": saturation.run,
    "scale": scale.run,
    "venues": venues.run,
    "bandit_speed": bandit_speed.run,
    "bandit_regret": bandit_regret.run,
    "bandit_wheel": bandit_wheel.run,
    "history_formats": history_formats.run,
    "learning_loop": learning_loop.run,
    "off_policy_coverage": off_policy_coverage.run,
    "answers": answers.run,
    "backtest": backtest.run,
    "executions": executions.run,
    "execution_bytes": execution_bytes.run,
    "exactly_once": exactly_once.run,
    "start": start.run,
    "tops": tops.run,
    "restart": restart.run,
}
AT_REQUEST: Final = frozenset({"page", "scale"})  # a Chromium; ten systems, one after the other: an hour


def main(names: list[str]) -> int:
    """Return the exit code: 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHES)}\n")
        return 2
    report = Report(Path(os.environ.get("RUN_DIR", ".run")) / "bench", machine_facts())
    report.say(f"run {report.run}: {', '.join(f'{name} {value}' for name, value in report.machine.items())}")
    for name in names or [each for each in BENCHES if each not in AT_REQUEST]:
        BENCHES[name](report)
    report.table()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
