"""What a run found: a table and its verdict for people, one JSON line for machines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from rich.table import Table

from tests.chaos.schedule import FAULT_KINDS, MARKET_QUIET, SYSTEM_KINDS, WIRE_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from tests.chaos.pending import Pending

SAYINGS: Final = 5  # of /readyz, by the number of faults during which it said so
SHOWN: Final = 20  # lines of each list of complaints


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind of fault; times are seconds from the end of the fault to LIVE, per book that left LIVE."""

    kind: str
    injected: int
    unmet: int  # met no message or request while it was armed
    detected: dict[str, int]  # faults by the states that their books went through
    books_left_live: int
    books_stayed_live: int
    live_again_p50_s: float | None
    live_again_p95_s: float | None
    live_again_max_s: float | None
    failed: int
    readyz: dict[str, int]  # faults by what ``/readyz`` said during them


class Outcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole run."""

    run: str
    seed: int
    seconds: float
    books: int
    workers: int
    rate: float
    rows: tuple[Row, ...]
    live_after_s: float
    ready_after_s: float
    choices_asked: int
    choices_answered: int
    not_reached: int
    records: int
    epochs: int
    keyframes_equal: int
    late_records: int
    compared_running: dict[str, int]  # by venue
    compared_paused: int
    compared_gateway: int
    unanswered: int
    wrong: tuple[str, ...]
    broken: tuple[str, ...]
    failed: tuple[str, ...]
    ended: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing wrong was LIVE, every fault healed and every promise was kept."""
        return not (self.wrong or self.broken or self.failed)


def rows(done: Sequence[Pending]) -> tuple[Row, ...]:
    """Return a row for each kind of fault that was injected."""
    found = []
    for kind in (*FAULT_KINDS, *SYSTEM_KINDS, MARKET_QUIET):
        mine = [pending for pending in done if pending.action.kind == kind]
        if mine:
            found.append(_row(kind, mine))
    return tuple(found)


def show(outcome: Outcome, console: Console) -> None:
    """Print the table and the verdict."""
    table = Table(title=f"chaos run {outcome.run}, seed {outcome.seed}", title_justify="left")
    for column in (
        "fault",
        "injected",
        "detected as",
        "books left LIVE / stayed",
        "LIVE again p50",
        "p95",
        "max",
    ):
        table.add_column(
            column, justify="left" if column in {"fault", "detected as"} else "right", overflow="fold"
        )
    for row in outcome.rows:
        table.add_row(
            row.kind,
            f"{row.injected}" + (f" (+{row.unmet} unmet)" if row.unmet else ""),
            ", ".join(f"{state} {count}" for state, count in row.detected.items()),
            f"{row.books_left_live} / {row.books_stayed_live}",
            *(
                _seconds(value)
                for value in (row.live_again_p50_s, row.live_again_p95_s, row.live_again_max_s)
            ),
        )
    console.print(table)
    for row in outcome.rows:
        if row.kind not in WIRE_KINDS:
            said = "; ".join(f"{line} ({count})" for line, count in list(row.readyz.items())[:SAYINGS])
            console.print(f"/readyz during {row.kind}: {said}", markup=False, soft_wrap=True)
    for line in _facts(outcome):
        console.print(line, markup=False, soft_wrap=True)
    for title, lines in (
        ("wrong", outcome.wrong),
        ("broken", outcome.broken),
        ("not healed", outcome.failed),
        ("restarted by the supervisor", outcome.ended),
    ):
        _list(title, lines, console)


def _facts(outcome: Outcome) -> Iterator[str]:
    running = sum(outcome.compared_running.values())
    by_venue = ", ".join(f"{venue} {count:,}" for venue, count in outcome.compared_running.items())
    yield (
        f"{outcome.books} books on {outcome.workers} l2 workers, {outcome.rate:g} messages/s, "
        f"all LIVE {outcome.live_after_s:.1f} s after the start, "
        f"/readyz 200 after {outcome.ready_after_s:.1f} s; "
        f"{sum(row.injected for row in outcome.rows)} faults in {outcome.seconds:.0f} s, "
        f"{outcome.not_reached} scheduled ones not reached"
    )
    yield (
        f"{outcome.records:,} records read, {outcome.epochs} epochs, {outcome.late_records} late records "
        f"of an epoch that was over, {outcome.keyframes_equal} keyframes equal to the rebuilt book"
    )
    yield (
        f"{running + outcome.compared_paused:,} comparisons with the truth: {running:,} while the market ran "
        f"({by_venue}), {outcome.compared_paused} while it was held; {outcome.compared_gateway} of the "
        f"gateway's pages; {outcome.unanswered} truths lost to faults"
    )
    yield (
        f"{outcome.choices_answered} choices of the router answered of {outcome.choices_asked} asked, "
        f"and counted by it"
    )
    yield (
        f"wrong LIVE books {len(outcome.wrong)}, broken promises {len(outcome.broken)}, "
        f"faults not healed {len(outcome.failed)}"
    )


def _row(kind: str, mine: Sequence[Pending]) -> Row:
    met = [pending for pending in mine if pending.is_met]
    healed = np.array([seconds for pending in met for seconds in pending.healed_s])
    p50, p95 = np.percentile(healed, (50, 95)) if len(healed) else (None, None)
    states = Counter(state for pending in met for state in sorted(pending.detected))
    return Row(
        kind=kind,
        injected=len(met),
        unmet=len(mine) - len(met),
        detected=dict(states.most_common()),
        books_left_live=len(healed),
        books_stayed_live=sum(pending.unharmed for pending in met),
        live_again_p50_s=_rounded(p50),
        live_again_p95_s=_rounded(p95),
        live_again_max_s=_rounded(healed.max()) if len(healed) else None,
        failed=sum(len(pending.failed) for pending in mine),
        readyz=dict(Counter(said for pending in met for said in sorted(pending.readyz)).most_common()),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _list(title: str, lines: Iterable[str], console: Console) -> None:
    said = list(lines)
    for line in said[:SHOWN]:
        console.print(f"{title}: {line}", markup=False, soft_wrap=True)
    if len(said) > SHOWN:
        console.print(f"{title}: {len(said) - SHOWN} more")
