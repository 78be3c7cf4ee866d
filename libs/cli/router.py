"""``bookrunner router``: what a scope's policies have earned, in the terminal and as a picture over time."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.table import Table

from libs.cli.errors import CommandError
from libs.cli.screen import Text
from libs.common.events import OffPolicyEstimate, PolicyChosen, PolicyRewarded, RouterSnapshot
from libs.common.kafka import partition_counts, partition_of
from libs.common.kafka_reader import read
from libs.common.time_units import NS_PER_S
from libs.common.topics import ROUTER_CHOICES, ROUTER_SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from libs.cli.settings import CliSettings
    from libs.common.events import Event, PolicySummary
    from libs.common.kafka import Record, Undecodable
    from libs.common.topics import Topic

LEAST_SHOWN: Final = 0.005  # weight of a memory
WINDOW: Final = 50  # choices over which a share is drawn
BPS: Final = 1e4  # rewards are shown in bps


@dataclass(slots=True)
class History:
    """What a scope chose and earned, in order; times are seconds since 1970 UTC."""

    chosen: list[PolicyChosen] = field(default_factory=list)
    rewarded: list[PolicyRewarded] = field(default_factory=list)

    @property
    def policies(self) -> list[str]:
        """Every policy that could be chosen, in the order in which they came."""
        return list(dict.fromkeys(name for choice in self.chosen for name in choice.means))

    @property
    def regret_proxy(self) -> list[float]:
        """Return the cumulative gap, per choice, of the best posterior mean to that of the policy chosen.

        A proxy: it is measured by the router's own estimates, not by the unknown truth.
        """
        total, found = 0.0, []
        for choice in self.chosen:
            total += max(choice.means.values()) - choice.means[choice.policy_id]
            found.append(total)
        return found


def history_of(events: Iterable[Event | None], scope: str) -> History:
    """Fold the answers of a scope; a repeated answer counts once."""
    history, seen = History(), set()
    for event in events:
        if not isinstance(event, PolicyChosen | PolicyRewarded) or event.scope != scope:
            continue
        if event.command_id in seen:
            continue
        seen.add(event.command_id)
        if isinstance(event, PolicyChosen):
            history.chosen.append(event)
        elif event.counted:
            history.rewarded.append(event)
    return history


def table_of(snapshot: RouterSnapshot, history: History) -> Table:
    """Return the policies of a scope as a table; rewards in bps."""
    regret = history.regret_proxy[-1] if history.chosen else 0.0
    table = Table(
        title=f"router {snapshot.scope}: {snapshot.choices} choices, {snapshot.updates} rewards, "
        f"noise {BPS * snapshot.noise:.1f} bps, {snapshot.drift_alarms} drift alarms, "
        f"regret proxy {BPS * regret:.1f} bps",
        title_justify="left",
        caption_justify="left",
    )
    notes = Text.of_lines(Text(line) for line in _notes(snapshot))
    notes.no_wrap = False
    table.caption = notes
    for column in ("policy", "share", "choices", "rewards"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for column in (
        "mean reward",
        "posterior mean",
        "90 % interval",
        "DR value, 95 % at any time",
        "overlap",
        "ESS",
    ):
        table.add_column(column, justify="right")
    for summary in sorted(snapshot.policies, key=lambda policy: -policy.estimate):
        table.add_row(*_row(summary, last=summary.policy_id == snapshot.last_choice))
    return table


def _notes(snapshot: RouterSnapshot) -> list[str]:
    """Return what stands below the table: what is trusted, which is best, and who has no interval."""
    without = [(each.policy_id, each.dr.why) for each in snapshot.policies if each.dr and each.dr.why]
    best = f"best policy so far: {snapshot.best or 'not proven'}; {snapshot.best_why}"
    return [*_trust(snapshot), best, *(f"no interval for {policy_id}: {why}" for policy_id, why in without)]


def _trust(snapshot: RouterSnapshot) -> list[str]:
    """Return which memories the choices trust, the most trusted first."""
    memories = sorted(snapshot.memories, key=lambda memory: -memory.weight)
    told = [f"{memory.name} {memory.weight:.0%}" for memory in memories if memory.weight >= LEAST_SHOWN]
    return [f"trusted memories: {', '.join(told)}"] if told else []


def _row(summary: PolicySummary, *, last: bool) -> tuple[str, ...]:
    dr = summary.dr or OffPolicyEstimate()
    value = "-" if dr.value is None else f"{BPS * dr.value:.2f}"
    if dr.low is not None and dr.high is not None:
        value += f" [{BPS * dr.low:.2f}, {BPS * dr.high:.2f}]"
    notes = [note for note, so in (("last", last), ("not registered", not summary.registered)) if so]
    if summary.expected_reward is not None and summary.confidence is not None:
        notes.append(f"expected {BPS * summary.expected_reward:.2f}, worth {summary.confidence:g}")
    return (
        f"{summary.policy_id} ({', '.join(notes)})" if notes else summary.policy_id,
        f"{summary.share:.1%}",
        str(summary.choices),
        str(summary.updates),
        "-" if summary.mean_reward is None else f"{BPS * summary.mean_reward:.2f}",
        f"{BPS * summary.estimate:.2f}",
        f"[{BPS * summary.low:.2f}, {BPS * summary.high:.2f}]",
        value,
        f"{dr.overlap:.0%}",
        f"{summary.ess:.0f}",
    )


async def router_state(settings: CliSettings, scope: str) -> tuple[RouterSnapshot, History]:
    """Read a scope's snapshot and history.

    Raises
    ------
    CommandError
        If the router has said nothing of this scope.
    """
    snapshots = await _events(settings, ROUTER_SNAPSHOTS, scope)
    history = history_of(await _events(settings, ROUTER_CHOICES, None), scope)
    found = [event for event in snapshots if isinstance(event, RouterSnapshot) and event.scope == scope]
    if not found:
        raise CommandError(
            f"the router was never asked in scope {scope!r}: POST /api/router/choose with a context first"
        )
    return found[-1], history


async def _events(settings: CliSettings, topic: Topic, key: str | None) -> list[Event | None]:
    """Return a topic's messages by time; of one key's partition, or of all: answers go to their askers'."""
    only = None
    if key is not None:
        count = (await partition_counts(settings, [topic]))[topic.name]
        only = [partition_of(key.encode(), count)]
    records: list[Record] = []
    reading = read(settings, [topic], on_undecodable=_refuse, partitions=only, stop_at_end=True)
    async with aclosing(reading) as batches:
        async for batch in batches:
            records += batch
    return [record.event for record in sorted(records, key=lambda record: record.timestamp_ms)]


async def _refuse(undecodable: Undecodable) -> None:
    raise CommandError(f"{undecodable.source} is no message of this version: {undecodable.reason}")


def plot(history: History, scope: str, path: Path) -> None:
    """Draw posterior means with intervals, choice shares and the regret proxy over time into a PNG.

    Raises
    ------
    CommandError
        If nothing was chosen yet, or the file cannot be written.
    """
    if not history.chosen:
        raise CommandError(f"nothing to draw: nothing was chosen in scope {scope!r} yet")
    import matplotlib as mpl  # noqa: PLC0415 -- takes longer to import than all the rest

    mpl.use("Agg")
    from matplotlib import dates  # noqa: PLC0415 -- as above
    from matplotlib import pyplot as plt  # noqa: PLC0415 -- as above

    times = [datetime.fromtimestamp(choice.ts / NS_PER_S, UTC) for choice in history.chosen]
    figure, (means, shares, regret) = plt.subplots(
        3, 1, figsize=(10, 10), sharex=True, height_ratios=(3, 2, 2), constrained_layout=True
    )
    for number, name in enumerate(history.policies):
        colour = f"C{number}"
        known = [(t, c) for t, c in zip(times, history.chosen, strict=True) if name in c.means]
        means.plot(
            [t for t, _ in known], [BPS * c.means[name] for _, c in known], color=colour, label=name, lw=0.9
        )
        # The interval is known of the policy chosen only.
        own = [(t, c) for t, c in known if c.policy_id == name]
        means.errorbar(
            [t for t, _ in own],
            [BPS * c.means[name] for _, c in own],
            [BPS * c.width / 2 for _, c in own],
            fmt="none",
            ecolor=colour,
            alpha=0.15,
        )
        hits = [float(choice.policy_id == name) for choice in history.chosen]
        rolling = [sum(hits[max(0, n - WINDOW + 1) : n + 1]) / min(n + 1, WINDOW) for n in range(len(hits))]
        shares.plot(times, rolling, color=colour)
    reach = 1.5 * max(max(map(abs, choice.means.values())) for choice in history.chosen) or 1e-4
    means.set_ylim(-BPS * reach, BPS * reach)  # the first intervals are as wide as the prior, and go beyond
    formatter = dates.ConciseDateFormatter(regret.xaxis.get_major_locator())  # type: ignore[no-untyped-call]  # untyped there
    regret.xaxis.set_major_formatter(formatter)
    means.set_title(f"router, scope {scope}: {len(times)} choices, {len(history.rewarded)} rewards")
    means.set_ylabel("posterior mean at the context, bps\n(bars: 90 % interval of the chosen)")
    means.legend(loc="upper left", ncols=3, fontsize="small")
    shares.set_ylabel(f"share of the last {WINDOW} choices")
    shares.set_ylim(-0.02, 1.02)
    regret.plot(times, [BPS * value for value in history.regret_proxy], color="black")
    regret.set_ylabel("regret proxy, bps\n(by the posterior means)")
    regret.set_xlabel("time, UTC")
    for axes in (means, shares, regret):
        axes.grid(alpha=0.3)
    try:
        figure.savefig(path, dpi=120, format="png")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        plt.close(figure)
