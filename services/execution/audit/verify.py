"""Verify an execution from its audit log alone: ``python -m services.execution.audit.verify EXECUTION_ID``.

A shell: it reads Kafka and prints. Exit code 0: the chain is whole and every decision comes out the same; 1:
something differs, and the output says what; 2: no such execution.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from libs.common.audit_chain import broken_links
from libs.common.events import AuditEntry
from libs.common.kafka import partition_of, read
from libs.common.printable import printable
from libs.common.settings import ServiceSettings
from libs.common.topics import EXECUTION_AUDIT
from services.execution.audit.rerun import rerun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.kafka import Undecodable

DIFFERENT = 1
UNKNOWN = 2


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


def report(execution_id: str, entries: Sequence[AuditEntry]) -> tuple[list[str], int]:
    """Return what to print, and the exit code."""
    if not entries:
        return [f"{execution_id}: no entry of it on {EXECUTION_AUDIT.name}"], UNKNOWN
    found = rerun(entries)
    problems = [*broken_links(entries), *found.differences]
    lines = [f"{entry.seq:4d}  {entry.kind:16s}  {entry.hash[:16]}  {_gist(entry)}" for entry in entries]
    lines += [f"not made again: {words}" for words in found.others]
    summary = f"{len(entries)} entries, {found.decisions} decisions made again"
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
    execution_id: str = parser.parse_args(arguments).execution_id
    lines, code = report(execution_id, asyncio.run(entries_of(ServiceSettings(), execution_id)))
    sys.stdout.write("\n".join(printable(line) for line in lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
