"""What a run's page says before its numbers, and of what it warns; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backtest.command.request import span
from backtest.source import IN_WORDS
from libs.common.counted import counted
from libs.common.time_units import NS_PER_S
from libs.performance.page import Head
from libs.performance.page_text import moment

if TYPE_CHECKING:
    from collections import Counter

    from backtest.command.summary import Summary
    from backtest.world import World
    from libs.performance.tape import Tape

SURVIVORSHIP: Final = (
    "Survivorship: the symbols were named by who ran this; those that were delisted meanwhile are not among "
    "them, so a choice of today's symbols flatters what would have been earned then."
)
PAPER: Final = (
    "Fills are those of the paper broker: by its rules, at the books as they were, with the delays of a "
    "measured system; what our own orders would have done to others' is not in them."
)
AUDIT: Final = "bookrunner verify {id} --in ."


def head_of(summary: Summary) -> Head:
    """Return the head of a run's page."""
    market, run = summary.market, summary.run
    loud = []
    if market.synthetic:
        loud.append(f"Synthetic market ({market.fidelity}): what is earned here was never to be had.")
    if summary.partial:
        loud.append(f"Partial: the run was ended at {moment(summary.until_ms)}, before its market did.")
    versions = [f"{name} ({run.versions[name]})" if name in run.versions else name for name in run.policies]
    facts = [
        ("Market", f"{market.fidelity}: {IN_WORDS[market.fidelity]}"),
        ("Books", ", ".join(market.books)),
        ("Policies", ", ".join(versions)),
        (
            "Decisions",
            f"each symbol once in {span(round(run.interval_s * NS_PER_S))}, urgency {run.urgency:g}",
        ),
        ("Capital", f"{run.capital} quote units"),
        ("Seed", str(run.seed)),
    ]
    if run.settings:
        facts.append(("Settings", ", ".join(f"{name}={value}" for name, value in run.settings.items())))
    facts.append(("Audit", f"SHA-256 {summary.audit}"))
    return Head(
        title=f"Backtest of {', '.join(run.symbols)}",
        about=f"{moment(market.begin_ms)} to {moment(summary.until_ms)} UTC",
        loud=tuple(loud),
        facts=tuple(facts),
        notes=(*market.notes, SURVIVORSHIP, PAPER),
        command=summary.command,
        audit=AUDIT,
    )


def warnings_of(world: World, skipped: Counter[str], tape: Tape) -> list[str]:
    """Return of what a run that is over is to be warned, in sentences.

    Parameters
    ----------
    skipped
        How many executions ended without an order for each reason.
    """
    found = []
    if skipped and not tape.executions.trades:
        (reason, count), total = skipped.most_common(1)[0], counted(skipped.total(), "execution")
        found.append(f"Nothing was traded: {total} skipped, of them {count:,} for {reason}.")
    if world.trader.sent == 0:
        found.append(f"Nothing was decided: {world.trader.waited}.")
    for name, host in world.hosts.items():
        if host.failures:
            refused = counted(host.counts["failures"], "command")
            found.append(f"{name} refused {refused} as internal: {host.failures[0]}")
        if host.counts["dead_letters"]:
            found.append(f"{name} could not read {counted(host.counts['dead_letters'], 'message')}.")
    found += [f"Policies: {note}" for note in world.policies.notes]
    return found
