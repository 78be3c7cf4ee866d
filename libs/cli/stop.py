"""``python -m libs.cli.stop``: end the system of RUN_DIR, or what a killed supervisor left of one.

Only processes that hold a lock of that folder are ended: an id that was reused meanwhile holds none. Kafka is
the last, so that the others can say goodbye to it. Standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from libs.cli.run_folder import DEFAULT, RunFolder
from libs.common.printable import indented_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from libs.cli.run_folder import Process

SUPERVISOR_S: Final = 90.0  # each of its processes may take some seconds, Kafka 30
PROCESS_S: Final = 10.0
KAFKA_S: Final = 30.0
_POLL_S: Final = 0.1


def stop(folder: RunFolder, say: Callable[[str], None]) -> int:
    """End what runs in a folder, and return the exit code."""
    pid = folder.supervisor()
    if pid is None:
        return _end_left_behind(folder, say)
    if pid:
        _send(pid, signal.SIGTERM)
        say(f"the bookrunner in {folder.root} (process {pid}) was asked to stop")
    if not pid or not _until(lambda: folder.supervisor() is None, SUPERVISOR_S):
        say(
            f"the bookrunner in {folder.root} (process {pid or 'unknown'}) did not stop: look at its terminal"
        )
        return 1
    if folder.left_behind():  # it died of something else
        return _end_left_behind(folder, say)
    say("it has stopped")
    return 0


def _end_left_behind(folder: RunFolder, say: Callable[[str], None]) -> int:
    left = folder.left_behind()
    if not left:
        say(f"nothing of a bookrunner runs in {folder.root}")
        return 0
    kafka = [process for process in left if process.name == "kafka"]
    java = [process for process in left if process.name.startswith("kafka-")]
    others = [process for process in left if process not in kafka and process not in java]
    for group, patience_s in ((others, PROCESS_S), (kafka, KAFKA_S), (java, KAFKA_S)):
        _end(folder, group, patience_s)
    if still := folder.left_behind():
        say(f"{', '.join(map(str, still))} did not end: its user or an administrator can end it")
        return 1
    say(f"ended what a killed run left in {folder.root}: {', '.join(map(str, left))}")
    return 0


def _end(folder: RunFolder, processes: Sequence[Process], patience_s: float) -> None:
    def gone() -> bool:
        return not set(processes) & set(folder.running())

    for sending in (signal.SIGTERM, signal.SIGKILL):
        for process in set(processes) & set(folder.running()):
            _send(process.pid, sending)
        if _until(gone, patience_s):
            return


def _send(pid: int, sending: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, sending)


def _until(holds: Callable[[], bool], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def main() -> int:
    """Stop what runs in RUN_DIR."""
    folder = RunFolder(Path(os.environ.get("RUN_DIR") or DEFAULT))
    return stop(folder, lambda text: print(indented_lines(text), flush=True))  # noqa: T201 -- a person typed the command


if __name__ == "__main__":
    sys.exit(main())
