"""What a soak says: a slope and its interval for each thing that may grow, and what of it is too much."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from rich.table import Table

from libs.common.budgets import Usage, account_of, use_of
from libs.common.topics import TOPICS
from tests.soak.samples import BEHIND, DESCRIPTORS, FILES, LATE, MIB, RSS, THREADS, TOPIC, Series
from tests.soak.trend import medians, slope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from tests.soak.samples import Sample

Judgement: TypeAlias = Literal["flat", "grows", "open", "within its budget", "over its budget", "told"]

ALLOWED: Final[Mapping[str, float]] = {  # an hour
    RSS: 8.0,
    DESCRIPTORS: 4.0,
    THREADS: 2.0,
    BEHIND: 120.0,
    LATE: 0.2,
    FILES: 4.0,
}
JAVA_RSS: Final = 32.0  # an hour: what it compiles, beside a heap that is there from the start
JAVA: Final = "kafka-java"
YOUNG_S: Final = 180.0  # of a life, in which a process fills what it keeps
YOUNG_SHARE: Final = 0.25  # of the run, likewise
MOST_IN_A_MEDIAN: Final = 6
MOST_TOLD: Final = 3  # topics that grow


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that may grow; slopes are an hour, None where there is too little to tell one."""

    what: str
    whose: str
    first: float
    last: float
    slope: float | None = None
    lower: float | None = None
    upper: float | None = None
    allowed: float | None = None
    judgement: Judgement


def rows(samples: Sequence[Sample], partitions: int) -> list[Row]:
    """Return a row for each series of the samples, those that grow first."""
    begun_s, length_s = samples[0].at_s, samples[-1].at_s - samples[0].at_s
    young_s = min(YOUNG_S, length_s * YOUNG_SHARE)
    lives = _lives(samples)
    size = max(1, min(MOST_IN_A_MEDIAN, int(length_s // 600)))
    found = []
    for (what, whose), series in lives.items():
        if what == TOPIC:
            found.append(_topic(whose, [seen for life in series for seen in life], partitions))
            continue
        old = [
            [(at_s / 3600, value) for at_s, value in life if at_s - max(life[0][0], begun_s) >= young_s]
            for life in series
        ]
        found.append(_row(what, whose, series, [medians(life, size) for life in old]))
    order = ("grows", "over its budget", "open", "told", "within its budget", "flat")
    return sorted(found, key=lambda row: order.index(row.judgement))


def _lives(samples: Iterable[Sample]) -> dict[Series, list[list[tuple[float, float]]]]:
    """Return the observations of each series by the life of their process."""
    lives: defaultdict[Series, list[list[tuple[float, float]]]] = defaultdict(list)
    newest: dict[Series, int] = {}
    for sample in samples:
        for key, value in sample.series().items():
            pid = sample.pids.get(key[1], 0)
            if newest.get(key) != pid:
                newest[key] = pid
                lives[key].append([])
            lives[key][-1].append((sample.at_s, value))
    return lives


def _row(
    what: str,
    whose: str,
    whole: Sequence[Sequence[tuple[float, float]]],
    lives: Sequence[Sequence[tuple[float, float]]],
) -> Row:
    allowed = JAVA_RSS if (what, whose) == (RSS, JAVA) else ALLOWED[what]
    first, last = whole[0][0][1], whole[-1][-1][1]
    trend = slope(lives)
    if trend is None:
        return Row(what=what, whose=whose, first=first, last=last, allowed=allowed, judgement="open")
    judgement: Judgement = "open"
    if trend.upper <= allowed:
        judgement = "flat"
    elif trend.lower > allowed:
        judgement = "grows"
    return Row(
        what=what,
        whose=whose,
        first=first,
        last=last,
        slope=trend.per_hour,
        lower=trend.lower,
        upper=trend.upper,
        allowed=allowed,
        judgement=judgement,
    )


def _topic(name: str, seen: Sequence[tuple[float, float]], partitions: int) -> Row:
    """Judge a log by the budget of years; Kafka's own and Faust's have none, and are compacted.

    Its slope is from end to end, for compaction takes away at once what hours have added.
    """
    sizes = [size for _, size in seen]
    hours = (seen[-1][0] - seen[0][0]) / 3600
    judgement: Judgement = "told"
    allowed = None
    if name in TOPICS:
        account = account_of(TOPICS[name], Usage(0, round(max(sizes) * MIB)), use_of(0, partitions))
        allowed = account.budget.bytes / MIB
        judgement = "within its budget" if account.share <= 1 else "over its budget"
    return Row(
        what=TOPIC,
        whose=name,
        first=sizes[0],
        last=sizes[-1],
        slope=(sizes[-1] - sizes[0]) / hours if hours else None,
        allowed=allowed,
        judgement=judgement,
    )


def show(found: Sequence[Row], console: Console) -> None:
    """Print what is judged in a table, and of the topics the fullest."""
    table = Table(title="an hour, with 95 % intervals", title_justify="left")
    for column in ("what", "whose", "first", "last", "slope", "interval", "allowed", "judgement"):
        table.add_column(
            column, justify="left" if column in {"what", "whose", "judgement"} else "right", no_wrap=True
        )
    budgets = [row for row in found if row.what == TOPIC and row.allowed is not None]
    for row in found:
        if row.judgement == "within its budget":
            continue
        interval = "" if row.lower is None or row.upper is None else f"{row.lower:+.3g} to {row.upper:+.3g}"
        table.add_row(
            row.what,
            row.whose,
            f"{row.first:,.4g}",
            f"{row.last:,.4g}",
            "" if row.slope is None else f"{row.slope:+.3g}",
            interval,
            "" if row.allowed is None else f"{row.allowed:,.4g}",
            row.judgement,
        )
    console.print(table)
    if budgets:
        fullest = max(budgets, key=_share)
        console.print(
            f"the fullest of {len(budgets)} topics is {fullest.whose}: {_share(fullest):.1%} of its budget"
        )
    grown = sorted((row.slope or 0.0, row.whose) for row in found if row.what == TOPIC)[::-1]
    most = ", ".join(f"{whose} {slope:+,.1f}" for slope, whose in grown[:MOST_TOLD])
    console.print(f"disk: {sum(slope for slope, _ in grown):+,.1f} MiB an hour in topics, most in {most}")


def _share(row: Row) -> float:
    return row.last / row.allowed if row.allowed else 0.0
