"""`bookrunner policy check`: what is found of a policy, a line each, and what it says on a few markets."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

import msgspec
from rich.table import Table

from libs.cli.screen import Text
from libs.policies.contract import DEADLINE_S, LOAD_S, MEMORY_MIB, check_policy
from libs.policies.generated_markets import CUTS, KINDS, cases
from libs.policies.loading import read_source
from libs.policies.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from libs.cli.screen import Screen
    from libs.common.policy import Market
    from libs.policies.contract import Finding

SAMPLES: Final = 5  # of the kinds of markets, the first ones


def check(path: Path, policy_id: str, console: Screen) -> bool:
    """Print what is found; return whether the policy keeps its contract."""
    with _progress(console, f"checking {path} on made markets"):
        findings = list(check_policy(path, policy_id))
    console.print(findings_table(findings))
    failed = [finding for finding in findings if not finding.ok]
    for finding in failed:
        console.print(Text(f"✗ {finding.name}", "bold red"))
        for line in finding.words.splitlines():
            console.print(Text(f"  {line}"), soft_wrap=True)
    if failed:
        return False
    with _progress(console, "asking it on a few markets"):
        shown = asyncio.run(signals_table(path))
    console.print(shown)
    test = path.with_name(f"test_{path.name}")
    if test.is_file():
        console.print(f"its own test: python -m pytest {test}", soft_wrap=True)
    return True


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return the findings, a row each; of a long one its first line."""
    shown = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark = Text("✓ ok", "green") if finding.ok else Text("✗ fail", "bold red")
        shown.add_row(mark, Text(finding.name, "bold"), Text(finding.words.partition("\n")[0]))
    return shown


async def signals_table(path: Path) -> Table:
    """Return what a policy that keeps its contract says on the last market of a few kinds."""
    shown = Table(title="what it says", title_justify="left", box=None, pad_edge=False, header_style="dim")
    shown.add_column("market")
    shown.add_column("last close", justify="right")
    shown.add_column("signal", justify="right")
    shown.add_column("reason", overflow="fold")
    source = read_source(path)
    async with Sandbox(memory_mib=MEMORY_MIB) as sandbox:
        process = await sandbox.start(path.parent)
        try:
            said = await process.load(source, LOAD_S)
            made = cases(said.symbols[0]) if said.symbols else cases()
            for place, kind in enumerate(KINDS[:SAMPLES]):
                market = made[(place + 1) * len(CUTS) - 1].market
                value, reason = await process.evaluate(msgspec.msgpack.encode(market), DEADLINE_S)
                shown.add_row(kind.name, _close(market), Text(f"{value:+.3f}", _style(value)), Text(reason))
        finally:
            await process.end()
    return shown


def _progress(console: Screen, what: str) -> AbstractContextManager[object]:
    """Return what says on a terminal that something goes on; elsewhere it would be noise."""
    return console.status(what) if sys.stdout.isatty() else nullcontext()


def _close(market: Market) -> str:
    return f"{market.minutes[-1].close:,.6g}" if market.minutes else "-"


def _style(value: float) -> str:
    return "green" if value > 0 else "red" if value < 0 else "dim"
