"""What a run shows: the table, what was refused, what failed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from tests.peers.known_faults import KNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from tests.peers.run import Result


def failures(results: Sequence[Result]) -> list[str]:
    """Return a line for each thing that is wrong and no known fault of the client."""
    failed = []
    for result in results:
        name, known = f"{result.client} at {result.venue}", KNOWN.get((result.client, result.venue))
        wrong = [*result.tally.get("wrong", ()), *result.differ]
        if not result.equal and not result.differ:
            wrong.append("was never compared")
        failed += [f"{name}: {what}" for what in wrong if known is None or not re.search(known.says, what)]
    return list(dict.fromkeys(failed))


def show(results: Sequence[Result], refused: Mapping[str, int], console: Console) -> None:
    """Print the table and, beneath it, the known faults and what was refused."""
    table = Table("client", "version", "venue")
    for column in ("messages", "checksums", "sequences", "resyncs", "REST", "equal", "differ"):
        table.add_column(column, justify="right")
    table.add_column("known fault")
    notes: list[str] = []
    for result in results:
        tally, known = result.tally, KNOWN.get((result.client, result.venue))
        if known is not None:
            notes.append(f"[{len(notes) + 1}] {result.client} at {result.venue}: {known.why}")
        counts = [str(tally.get(name, "-")) for name in ("messages", "checksums", "sequences", "resyncs")]
        counts += [str(len(tally.get("rest", ()))), str(result.equal), str(len(result.differ))]
        table.add_row(
            result.client,
            tally.get("version", "-"),
            result.venue,
            *counts,
            f"({len(notes)})" if known is not None else "",
        )
    console.print(table)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    for request, times in sorted(refused.items()):
        console.print(f"refused {times} times: {request}", markup=False, soft_wrap=True)


def write(results: Sequence[Result], refused: Mapping[str, int], path: Path) -> None:
    """Keep all of it as JSON."""
    path.write_text(
        json.dumps({"results": [asdict(result) for result in results], "refused": refused}, indent=1)
    )
