"""Verify an execution from its audit log alone: ``python -m services.execution.audit.verify EXECUTION_ID``.

A shell: it reads Kafka, or with ``--in FOLDER`` the topics that a backtest left there, and prints. Exit code
0: the chain is whole and every decision comes out the same; 1: something differs, and the output says what;
2: no such execution.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from libs.common.audit_chain import broken_links
from libs.common.codec import decode
from libs.common.counted import counted
from libs.common.events import AuditEntry
from libs.common.kafka import partition_of, read
from libs.common.printable import printable
from libs.common.settings import ServiceSettings
from libs.common.topics import EXECUTION_AUDIT
from libs.history.errors import HistoryError
from services.execution.audit.rerun import rerun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.kafka import Undecodable

DIFFERENT = 1
UNKNOWN = 2
SHOWN = 10  # ids of a beginning that several have
MOST_TS = 2**63 - 1


async def entries_of(settings: ServiceSettings, execution_id: str) -> list[AuditEntry]:
    """Return the audit entries of an execution, in the order of their log."""
    key = execution_id.encode()
    found: list[AuditEntry] = []
    batches = read(
        settings,
        [EXECUTION_AUDIT],
        on_undecodable=_leave,
        partitions={partition_of(key, settings.topic_partitions)},
        stop_at_end=True,
    )
    async with aclosing(batches):
        async for batch in batches:
            events = (record.event for record in batch if record.key == key)
            found += (event for event in events if isinstance(event, AuditEntry))
    return found


def entries_in(folder: Path, beginning: str) -> dict[str, list[AuditEntry]]:
    """Return the entries of each execution whose id begins so, as a backtest or an export left them.

    Raises
    ------
    HistoryError
        If the folder has none, or they cannot be read.
    """
    from libs.history.topic_files import read_topic  # noqa: PLC0415 -- needs pyarrow

    found: dict[str, list[AuditEntry]] = {}
    for record in read_topic(folder, EXECUTION_AUDIT, 0, MOST_TS):
        if record.key.startswith(beginning.encode()) and record.value is not None:
            entry = decode(EXECUTION_AUDIT, record.value)
            if isinstance(entry, AuditEntry):
                found.setdefault(record.key.decode("utf-8", "backslashreplace"), []).append(entry)
    return found


def report(execution_id: str, entries: Sequence[AuditEntry]) -> tuple[list[str], int]:
    """Return what to print, and the exit code."""
    if not entries:
        return [f"{execution_id}: no entry of it on {EXECUTION_AUDIT.name}"], UNKNOWN
    found = rerun(entries)
    problems = [*broken_links(entries), *found.differences]
    lines = [f"{entry.seq:4d}  {entry.kind:16s}  {entry.hash[:16]}  {_gist(entry)}" for entry in entries]
    lines += [f"not made again: {words}" for words in found.others]
    summary = (
        f"{counted(len(entries), 'entry', 'entries')}, {counted(found.decisions, 'decision')} made again"
    )
    if found.others:
        summary += f" and {len(found.others)} of another version not"
    if problems:
        return [*lines, *(f"NOT VERIFIED: {problem}" for problem in problems), summary], DIFFERENT
    return [*lines, f"verified: {summary}, all the same; head {entries[-1].hash}"], 0


def _gist(entry: AuditEntry) -> str:
    try:
        payload = json.loads(entry.payload)
    except ValueError:
        return "(no JSON)"
    return json.dumps(payload.get("output", payload))[:100]


async def _leave(undecodable: Undecodable) -> None:
    """Tell of bytes that are no entry; the chain shows the hole."""
    sys.stderr.write(printable(f"undecodable: {undecodable.source}: {undecodable.reason}") + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="bookrunner verify", description=__doc__)
    parser.add_argument("execution_id")
    parser.add_argument("--in", dest="folder", type=Path, help="a folder with topics/ in place of Kafka")
    chosen = parser.parse_args(arguments)
    execution_id: str = chosen.execution_id
    if chosen.folder is None:
        entries = asyncio.run(entries_of(ServiceSettings(), execution_id))
    else:
        try:
            found = entries_in(chosen.folder, execution_id)
        except HistoryError as error:
            return _failed(str(error))
        if len(found) > 1:
            listed = ", ".join(sorted(found)[:SHOWN])
            return _failed(f"{len(found)} executions begin with {execution_id!r}: {listed}; write more of it")
        execution_id, entries = next(iter(found.items()), (execution_id, []))
    lines, code = report(execution_id, entries)
    sys.stdout.write("\n".join(printable(line) for line in lines) + "\n")
    return code


def _failed(text: str) -> int:
    sys.stderr.write(f"bookrunner verify: {printable(text)}\n")
    return UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
