"""`bookrunner policy list`: every registered policy, what became of it, and what it said last."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.table import Table

from libs.cli.lines import number
from libs.cli.screen import Text
from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.kafka import read
from libs.common.time_units import NS_PER_S
from libs.common.told import BUILTIN, first_line, signal_fault
from libs.common.topics import POLICIES_REGISTRY, POLICIES_SIGNALS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from libs.cli.screen import Screen
    from libs.common.events import Event
    from libs.common.kafka import Undecodable
    from libs.common.settings import ServiceSettings

STYLES: Final = {
    PolicyState.RUNNING: "green",
    PolicyState.STARTING: "yellow",
    PolicyState.QUARANTINED: "bold red",
}
SYMBOLS_SHOWN: Final = 6  # of a policy in the table of all


@dataclass
class Registered:
    """What Kafka holds of policies, by key, and what there could not be read."""

    policies: dict[bytes, PolicyRegistered] = field(default_factory=dict)
    signals: dict[bytes, PolicySignalled] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def take(self, key: bytes, event: Event | None) -> None:
        """Take a record; None is a tombstone."""
        match event:
            case PolicyRegistered():
                self.policies[key] = event
            case PolicySignalled():
                self.signals[key] = event
            case _:
                self.policies.pop(key, None)
                self.signals.pop(key, None)

    def of(self, policy_id: str) -> list[PolicySignalled]:
        """Return the last signals of a policy, by symbol."""
        said = (each for each in self.signals.values() if each.policy_id == policy_id)
        return sorted(said, key=lambda signal: signal.symbol)


async def what_is_registered(settings: ServiceSettings) -> Registered:
    """Return what Kafka holds of policies now.

    Raises
    ------
    MissingTopicError, KafkaError
        If it has no such topics, or does not answer.
    """
    found = Registered()

    async def note(undecodable: Undecodable) -> None:
        found.unread.append(f"{undecodable.source}: {undecodable.reason}")

    topics = (POLICIES_REGISTRY, POLICIES_SIGNALS)
    async with aclosing(read(settings, topics, on_undecodable=note, stop_at_end=True)) as batches:
        async for batch in batches:
            for record in batch:
                found.take(record.key, record.event)
    return found


def show_policies(registered: Registered, console: Screen, now: int) -> None:
    """Print the registered policies, a row each, those of users first, at `now` (ns UTC)."""
    shown = Table(title="policies", title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in ("policy", "kind", "version", "state", "host", "source"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("last signals, or why there are none", overflow="fold")
    policies = sorted(registered.policies.values(), key=lambda each: (each.kind == BUILTIN, each.policy_id))
    for policy in policies:
        shown.add_row(
            Text(policy.policy_id, "bold"),
            Text(policy.kind),
            Text(policy.version),
            Text(policy.state, STYLES[policy.state]),
            Text(policy.host or "-"),
            Text(policy.source or "-"),
            _said(registered, policy, now),
        )
    console.print(shown)
    for line in registered.unread:
        console.print(Text(f"cannot be read: {line}", "red"), soft_wrap=True)
    if quarantined := [each.policy_id for each in policies if each.state is PolicyState.QUARANTINED]:
        console.print(
            Text(f"the whole fault: bookrunner policy list {quarantined[0]}", "dim"), soft_wrap=True
        )


def described(registered: Registered, policy_id: str, now: int) -> RenderableType:
    """Return all that is told of one policy, its whole fault last, at `now` (ns UTC)."""
    policy = registered.policies[policy_id.encode()]
    parameters = "  ".join(f"{name}={_plain(value)}" for name, value in sorted(policy.parameters.items()))
    facts = {
        "what": policy.summary,
        "kind": policy.kind,
        "version": policy.version,
        "state": policy.state,
        "host": policy.host or "nobody",
        "source": policy.source or "-",
        "joins": ", ".join(policy.joins) or "no scope",
        "parameters": parameters or "none",
    }
    lines: list[Text] = [Text(policy_id, "bold")]
    lines += [Text.assemble((f"  {name:<11}", "dim"), value) for name, value in facts.items()]
    if policy.kind != BUILTIN:
        told = registered.of(policy_id)
        lines += [Text.assemble(("  signal     ", "dim"), _signal(each, policy, now)) for each in told]
    if policy.fault:
        lines += [Text("  fault", "dim"), *(Text(f"    {line}", "red") for line in policy.fault.splitlines())]
    return Text.of_lines(lines)


def _said(registered: Registered, policy: PolicyRegistered, now: int) -> RenderableType:
    if policy.state is PolicyState.QUARANTINED:
        return Text(first_line(policy.fault), "red")
    if policy.kind == BUILTIN:
        return Text("execution asks it itself", "dim")
    told = registered.of(policy.policy_id)
    if not told:
        return Text("it has said nothing yet", "yellow")
    lines: list[Text] = [_signal(each, policy, now) for each in told[:SYMBOLS_SHOWN]]
    if len(told) > SYMBOLS_SHOWN:
        lines.append(Text(f"and {len(told) - SYMBOLS_SHOWN} more", "dim"))
    return Text.of_lines(lines)


def _signal(signal: PolicySignalled, policy: PolicyRegistered, now: int) -> Text:
    """Return a signal with its age, and whether it may be used."""
    age_s = (now - signal.inputs_ts) / NS_PER_S
    fault = signal_fault(signal, policy, now)
    value = (f"{signal.value:+.3f}", "green" if signal.value > 0 else "red" if signal.value < 0 else "")
    held = f", not used: {fault}" if fault else f", for {(signal.valid_until_ts - now) / NS_PER_S:.0f} s more"
    return Text.assemble(
        f"{signal.symbol} ", value, f" {age_s:.0f} s old", (held, "yellow" if fault else "dim"), _why(signal)
    )


def _why(signal: PolicySignalled) -> str:
    return f"  {signal.reason}" if signal.reason else ""


def _plain(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
