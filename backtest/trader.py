"""`Trader`: plans and executes the symbols in turn, as the autopilot does, once the system can decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from libs.common.topics import EXECUTION_COMMANDS
from services.execution.autopilot import attributes_of, command_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backtest.bus import Bus

PHASE_NS: Final = NS_PER_S


class Trader:
    """Sends a command for each symbol once an interval, at equal distances.

    Commands come `PHASE_NS` after the even moments: what closes with a minute has arrived by then, and hosted
    policies have said what they make of it.

    Parameters
    ----------
    interval_ns
        Between two executions of one symbol.
    urgency
        Of each, 0 to 1.
    lack
        Says what is lacking for a decision; "" once nothing is, from when on it is not asked again.

    Attributes
    ----------
    sent
        Commands so far.
    waited
        What was lacking at the last look, "" when nothing was.
    began_ts
        When the first command was sent, ns UTC; None while none was.
    """

    def __init__(
        self,
        bus: Bus,
        symbols: Sequence[str],
        interval_ns: int,
        urgency: float,
        lack: Callable[[], str],
    ) -> None:
        self.sent = 0
        self.waited = "it has not begun"
        self.began_ts: int | None = None
        self._bus, self._symbols, self._urgency = bus, symbols, urgency
        self._step_ns = max(1, interval_ns // len(symbols))
        self._lack = lack
        self._started_ts = bus.now
        bus.at(bus.now + self._step_ns + PHASE_NS, self._trade)

    def _trade(self, given: None) -> None:
        bus = self._bus
        bus.at(bus.now + self._step_ns, self._trade, given)
        if self.began_ts is None:
            self.waited = self._lack()
            if self.waited:
                return
            self.began_ts = bus.now
        symbol = self._symbols[self.sent % len(self._symbols)]
        command = command_of(symbol, self._urgency, self._started_ts, self.sent)
        headers = attributes_of(command, bus.now).headers()
        self.sent += 1
        bus.publish(EXECUTION_COMMANDS, symbol.encode(), command, headers)
