"""Plan and execute the symbols in turn, for ever: ``python -m services.execution.autopilot``.

A shell that only sends commands; the executions, and what the router learns of them, are the services'. The
n-th command of a symbol has an id of its start and n, so a repeated send is the same command.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import Field, field_validator

from libs.common.cloudevents import CloudEvent
from libs.common.events import PlanAndExecute
from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings
from libs.common.startup import begin
from libs.common.topics import EXECUTION_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Coroutine

SOURCE: Final = "/services/execution/autopilot"

_log = logging.getLogger(__name__)


class AutopilotSettings(ServiceSettings):
    """Whether, what and how often."""

    autopilot: int = Field(0, ge=0, le=1, description="1: execute the symbols in turn")
    autopilot_symbols: str = Field("BTC-USDT,ETH-USDT,SOL-USDT", description="symbols, separated by commas")
    autopilot_interval_s: float = Field(10.0, gt=0, description="time between two executions, seconds")
    autopilot_urgency: float = Field(0.9, ge=0, le=1, description="urgency of each")

    @field_validator("autopilot_symbols")
    @classmethod
    def _check_symbols(cls, value: str) -> str:
        found = []
        for place, text in enumerate(value.split(","), 1):
            try:
                found.append(canonical_symbol(text.strip()))
            except UnknownSymbolError:
                raise ValueError(f"place {place} names no symbol; write it like BTC-USDT") from None
        return ",".join(found)


def command_of(symbol: str, urgency: float, started_ts: int, n: int) -> PlanAndExecute:
    """Return the n-th command since a start."""
    command_id = uuid5(NAMESPACE_URL, f"autopilot/{symbol}/{started_ts}/{n}")
    return PlanAndExecute(command_id=str(command_id), symbol=symbol, urgency=urgency)


def attributes_of(command: PlanAndExecute, now: int) -> CloudEvent:
    """Return what the headers of a command say that is sent at `now` (ns UTC)."""
    identifier, kind = UUID(command.command_id), type(command).__name__
    return CloudEvent(identifier, kind, SOURCE, now, command.command_id, causation_id=None)


async def fly(settings: AutopilotSettings) -> None:
    """Send command after command."""
    await create_topics(settings, (EXECUTION_COMMANDS,))
    symbols = settings.autopilot_symbols.split(",")
    started_ts = time.time_ns()
    async with Publisher(settings, compress=False) as publisher:
        n = 0
        while True:
            symbol = symbols[n % len(symbols)]
            command = command_of(symbol, settings.autopilot_urgency, started_ts, n)
            now = time.time_ns()
            event = attributes_of(command, now)
            await publisher.send_and_wait(EXECUTION_COMMANDS, symbol.encode(), command, now, event.headers())
            _log.info("autopilot", extra={"symbol": symbol, "execution_id": command.command_id})
            n += 1
            await asyncio.sleep(settings.autopilot_interval_s)


def main() -> None:
    """Run until stopped; at once the end, if it is switched off."""
    settings = begin(AutopilotSettings, "autopilot")
    if settings.autopilot:
        asyncio.run(_until_stopped(fly(settings)))


async def _until_stopped(work: Coroutine[None, None, None]) -> None:
    flying = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, flying.cancel)
    await asyncio.wait({flying})
    if not flying.cancelled():
        flying.result()  # raises what it raised


if __name__ == "__main__":
    main()
