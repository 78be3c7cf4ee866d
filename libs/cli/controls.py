"""`bookrunner halt`, `resume` and `limits`: said to execution through Kafka, without the gateway."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from rich.table import Table

from libs.cli.errors import CommandError, UsageError
from libs.cli.portfolio import newest
from libs.cli.screen import Text
from libs.common import limit_uses
from libs.common.cloudevents import CloudEvent
from libs.common.command_rules import command_faults
from libs.common.events import (
    BOOK,
    CommandRejected,
    Event,
    HaltTrading,
    LimitName,
    Limits,
    LimitsUsed,
    Position,
    ResumeTrading,
    RiskBudget,
    SetLimits,
    TradingControlled,
    TradingHalted,
)
from libs.common.kafka import Publisher, Reader, Record
from libs.common.topics import (
    CONTROLS_KEY,
    EXECUTION_COMMANDS,
    EXECUTION_CONTROLS,
    EXECUTION_PLANS,
    PORTFOLIO_POSITIONS,
    PORTFOLIO_RISK,
    limits_used_key,
)
from libs.common.trading_limits import ALL, SETTINGS, halts_in, limits_of, limits_set, symbol_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from libs.cli.screen import Screen
    from libs.common.settings import ServiceSettings

ControlCommand = HaltTrading | ResumeTrading | SetLimits

PATIENCE_S: Final = 15.0
HALT_PATIENCE_S: Final = 3.0  # then a halt is written by the command itself
SOURCE: Final = "/cli/controls"
BY: Final = "cli"
COUNTS: Final = (LimitName.ORDERS_PER_MINUTE, LimitName.MIN_LIVE_VENUES)


def limits_named(settings: Sequence[str]) -> Limits:
    """Return the limits of texts like ``daily_loss=.03``.

    Raises
    ------
    UsageError
        If one names no limit, or its value is no number.
    """
    found: dict[str, float | int] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or name not in Limits.__struct_fields__:
            known = ", ".join(Limits.__struct_fields__)
            raise UsageError(f"{text!r} is not NAME=VALUE of a limit; there are: {known}")
        try:
            found[name] = int(value) if name in COUNTS else float(value)
        except ValueError:
            raise UsageError(f"{value!r} is no number for {name}, like {name}=1") from None
    return Limits(**found)  # type: ignore[arg-type]  # each under its own name


async def control(settings: ServiceSettings, command: ControlCommand) -> TradingControlled:
    """Send a command to execution and return its answer: what it did stands then.

    A halt needs no execution that answers: where none does, it is put on the topic that all of them read.

    Raises
    ------
    UsageError
        If the command is not as it must be.
    CommandError
        If execution refuses it, or does not answer in time.
    """
    if faults := command_faults(command):
        raise UsageError("; ".join(f"{fault.field} {fault.message}" for fault in faults))
    try:
        async with asyncio.timeout(HALT_PATIENCE_S if isinstance(command, HaltTrading) else PATIENCE_S):
            return await _answer_to(settings, command)
    except TimeoutError as error:
        if isinstance(command, HaltTrading):
            return await _halted_by_hand(settings, command)
        raise CommandError(
            f"execution did not answer within {PATIENCE_S:g} s: is it running? It will do this once it is;"
            " `bookrunner limits` shows what stands"
        ) from error


def identifier(now: int, what: str) -> str:
    """Return a new command's id."""
    return str(uuid5(NAMESPACE_URL, f"bookrunner:cli/{what}/{now}"))


async def _answer_to(settings: ServiceSettings, command: ControlCommand) -> TradingControlled:
    now, kind = time.time_ns(), type(command).__name__
    event = CloudEvent(UUID(command.command_id), kind, SOURCE, now, command.command_id, None)
    async with (
        Reader(settings, [EXECUTION_PLANS], start="end") as reader,
        Publisher(settings, compress=False) as publisher,
    ):
        key = CONTROLS_KEY.encode()
        await publisher.send_and_wait(EXECUTION_COMMANDS, key, command, now, event.headers())
        while True:
            for record in await reader.poll():
                answer = record.event if isinstance(record, Record) else None
                if getattr(answer, "command_id", "") != command.command_id:
                    continue
                if isinstance(answer, CommandRejected):
                    raise CommandError(answer.detail)
                if isinstance(answer, TradingControlled):
                    return answer


async def _halted_by_hand(settings: ServiceSettings, command: HaltTrading) -> TradingControlled:
    """Put a halt on the topic of controls, as execution would have."""
    now = time.time_ns()
    halt = TradingHalted(scope=command.scope, reason=command.reason, by=command.by, ts=now)
    async with Publisher(settings, compress=False) as publisher:
        await publisher.send_and_wait(EXECUTION_CONTROLS, command.scope.encode(), halt, now)
    controls = await newest(settings, EXECUTION_CONTROLS, Event)
    return TradingControlled(
        command_id=command.command_id,
        scope=command.scope,
        halts=halts_in(controls),
        limits=limits_of(controls, None, limits_set(controls, SETTINGS)),
        ts=now,
    )


async def show_limits(settings: ServiceSettings, console: Screen) -> None:
    """Print what is halted, and every limit with its value and use.

    Raises
    ------
    CommandError
        If Kafka does not answer.
    """
    controls = await newest(settings, EXECUTION_CONTROLS, Event)
    positions = await newest(settings, PORTFOLIO_POSITIONS, Position)
    risks = await newest(settings, PORTFOLIO_RISK, RiskBudget)
    console.print(halts_table(halts_in(controls)))
    console.print(limits_table(controls, positions, risks, time.time_ns()))


def halts_table(halts: Sequence[TradingHalted]) -> Table:
    """Return the halts that stand, a row each."""
    shown = _table("halted" if halts else "nothing is halted")
    for name in ("scope", "since", "by", "reason"):
        shown.add_column(name, overflow="fold")
    for halt in halts:
        since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(halt.ts // 1_000_000_000))
        shown.add_row(*map(Text, (halt.scope, since, halt.by, halt.reason)))
    return shown


def limits_table(
    controls: Mapping[bytes, Event],
    positions: Mapping[bytes, Position],
    risks: Mapping[bytes, RiskBudget],
    now: int,
) -> Table:
    """Return every limit with its value and use at `now` (ns UTC), a row each."""
    shown = _table("limits")
    for name in ("scope", "limit", "value", "use", "unit", "a breach"):
        shown.add_column(name, overflow="fold")
    budget = risks.get(BOOK.encode())
    symbols = {p.symbol for p in positions.values()}
    symbols |= {each.symbol for each in controls.values() if isinstance(each, LimitsUsed)}
    for symbol in (None, *sorted(symbols)):
        limits = limits_of(controls, symbol, limits_set(controls, SETTINGS))
        for limit in LimitName:
            kind = limit_uses.KINDS[limit]
            if kind.of_symbol is (symbol is None):
                continue
            use = _use(limit, symbol, controls, positions, budget, now)
            value = getattr(limits, limit)
            known = f"unknown: {use.reason}" if isinstance(use, limit_uses.Unknown) else f"{use:.4g}"
            told = "not told" if value is None else "off" if not value else f"{value:g}"
            scope = ALL if symbol is None else symbol_scope(symbol)
            shown.add_row(*map(Text, (scope, limit.value, told, known, kind.unit, kind.breach)))
    return shown


def _use(
    limit: LimitName,
    symbol: str | None,
    controls: Mapping[bytes, Event],
    positions: Mapping[bytes, Position],
    budget: RiskBudget | None,
    now: int,
) -> float | limit_uses.Unknown:
    told = controls.get(limits_used_key(symbol or ""))
    counts = told if isinstance(told, LimitsUsed) else None
    uses: Mapping[LimitName, Callable[[], float | limit_uses.Unknown]] = {
        LimitName.GROSS_EXPOSURE: lambda: limit_uses.gross_exposure(positions.values(), budget),
        LimitName.DAILY_LOSS: lambda: limit_uses.daily_loss(budget, now),
        LimitName.DRAWDOWN: lambda: limit_uses.drawdown(budget, now),
        LimitName.SYMBOL_EXPOSURE: lambda: limit_uses.symbol_exposure(
            positions.get((symbol or "").encode()), budget
        ),
        LimitName.ORDERS_PER_MINUTE: lambda: limit_uses.orders_in_a_minute(counts, now),
        LimitName.FAILED_SHARE: lambda: (
            limit_uses.failed_share(counts.ended, counts.failed) if counts else limit_uses.failed_share(0, 0)
        ),
    }
    return uses[limit]() if limit in uses else limit_uses.Unknown("judged when an order is sent")


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
