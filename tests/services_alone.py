"""Router, portfolio and execution as one partition each, without Kafka."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.events import (
    ChoosePolicy,
    Command,
    CommandRejected,
    Event,
    OptimizePortfolio,
    PlanAndExecute,
    Refusal,
    SimulateExecution,
    SubmitPaperOrder,
)
from libs.common.partition import Incoming, Partition
from services.execution.app import wiring as execution_wiring
from services.execution.settings import ExecutionSettings
from services.portfolio.app import create_wiring as portfolio_wiring
from services.portfolio.settings import PortfolioSettings
from services.router.app import wiring as router_wiring
from services.router.arms import Arms
from services.router.settings import RouterSettings
from tests.hostile import decoded_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from libs.common.cloudevents import Headers
    from libs.common.handling import Wiring
    from libs.common.partition import Effects
    from libs.common.topics import Topic

WAKES = 30  # a resting order has a tick a day, for ever
LAST = 2**62
NOW = 1_800_000_000_000_000_000
KEY = b"binance:BTC-USDT"
HOME = {"venue": "binance", "symbol": "BTC-USDT"}
WIRINGS: dict[str, Callable[[], Wiring[Any]]] = {
    "router": lambda: router_wiring(RouterSettings(), Arms()),
    "portfolio": lambda: portfolio_wiring(PortfolioSettings().rules()),
    "execution": lambda: execution_wiring(ExecutionSettings()),
}
ID = str(UUID(int=7))
PLAIN: dict[str, tuple[Command, ...]] = {
    "router": (ChoosePolicy(command_id=ID, context={"symbol": "BTC-USDT"}),),
    "portfolio": (
        OptimizePortfolio(command_id=ID, symbols=("BTC-USDT", "ETH-USDT"), cvar_budget=0.05, vol_target=0.02),
    ),
    "execution": (
        PlanAndExecute(command_id=ID, symbol="BTC-USDT"),
        SimulateExecution(command_id=str(UUID(int=8)), symbol="BTC-USDT", size=0.02),
        SubmitPaperOrder(
            command_id=str(UUID(int=9)), symbol="BTC-USDT", side="buy", order_qty=Decimal("0.01")
        ),
    ),
}


class Service:
    """One partition of a service, told one record after the other."""

    def __init__(self, name: str, now: int = NOW, wiring: Wiring[Any] | None = None) -> None:
        self.wiring = WIRINGS[name]() if wiring is None else wiring
        self.now = now
        self.partition: Partition[Any] = Partition(self.wiring, 0, place=lambda _key: 0)
        self._offset = 0

    def restore(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Restore the state from what its log holds."""
        for key, value in records:
            self.partition.restore(key, value)
        assert not self.partition.unreadable
        self._offset = max(self.partition.resume({}).values())
        self.migrated = [
            write for effects in self.partition.migrate(self.now, 10) for write in effects.outgoing
        ]

    def tell(self, topic: Topic, message: Event) -> list[Event]:
        effects = self.hand(topic, encode(message))
        found = [event for step in effects.steps for event in step.events]
        for event in found:
            if isinstance(event, CommandRejected):
                assert event.detail
                assert event.refusal is not Refusal.INTERNAL
        return found

    def hand(self, topic: Topic, value: bytes, headers: Headers = ()) -> Effects:
        """Hand over a record as it came, which stops nothing."""
        record = Incoming(topic, 0, self._offset, 0, KEY, value, headers)
        self._offset += 1
        effects = self.partition.apply([[record]], self.now)
        assert effects.failure is None
        assert not effects.failures, effects.failures
        return effects

    def wait(self) -> None:
        """Let all that is due come, one after the other."""
        for _ in range(WAKES):
            self.wake()

    def wake(self) -> list[Event]:
        """Let what is due first come, and return what it causes."""
        due = self.partition.next_wake
        if due is None or due >= LAST:
            return []
        self.now = max(self.now, due)
        effects = self.partition.wake(self.now, limit=100)
        assert effects.failure is None
        return [event for step in effects.steps for event in step.events]

    def show(self, n: int, message: Event, *, at_home: bool) -> None:
        """Let the n-th view hold a record, of the book that commands are about or of any."""
        view = self.wiring.views[n]
        if at_home:
            known = {name: value for name, value in HOME.items() if name in message.__struct_fields__}
            message = replace(message, **known)
        if (seen := decoded_again(message)) is not None:
            view.fold(0, view.position(0), KEY, seen)
