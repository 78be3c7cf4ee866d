"""What a version remembers of answered commands, as the newest records of its state's logs.

Run with that version on PYTHONPATH, it writes ``[topic, partition, key, value]`` a line, base64, in the
order of the log: ``python -P tests/older_memory.py > tests/data/older_records/COMMIT-memory.jsonl``. It needs
only what every version has. The same version writes the same bytes.
"""

from __future__ import annotations

import base64
import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from libs.common.events import (
    AddPolicy,
    ChoosePolicy,
    OptimizePortfolio,
    PolicyChosen,
    RewardPolicy,
    SubmitPaperOrder,
)
from libs.common.topics import (
    EXECUTION_COMMANDS,
    EXECUTION_FILLS,
    PORTFOLIO_COMMANDS,
    PORTFOLIO_RISK,
    ROUTER_COMMANDS,
)
from services.portfolio import handlers
from services.portfolio.remembered import KEEP_FILLS
from services.router.app import wiring as router_wiring
from services.router.arms import Arms
from services.router.settings import RouterSettings
from tests.execution_market import a_book_health, a_book_top, a_risk_budget
from tests.fills import a_fill
from tests.registered import a_policy_registered
from tests.services_alone import NOW, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

S: Final = 1_000_000_000
POLICIES: Final = ("p_flat", "p_sma", "p_breakout")
KEPT: Final = 4  # decisions, and fills
STEP_NS: Final = -3_600 * S  # of the clock, after two decisions


def an_id(number: int) -> str:
    """Return the id of the n-th command of any service."""
    return str(UUID(int=number + 1, version=4))


class Logged(Service):
    """A service whose state's log is compacted as it is written."""

    def __init__(self, name: str, wiring: Any = None) -> None:
        super().__init__(name, NOW, wiring)
        self.log: dict[bytes, bytes] = {}

    def hand(self, *record: Any) -> Any:
        """Hand over a record as it came."""
        return self._written(super().hand(*record))

    def pass_time(self, by_ns: int) -> None:
        """Let all come that is due by then."""
        self.now += by_ns
        while (due := self.partition.next_wake) is not None and due <= self.now:
            self._written(self.partition.wake(self.now, limit=1000))

    def step_clock(self, by_ns: int) -> None:
        """Set the clock."""
        self.now += by_ns
        self._written(self.partition.step_clock(by_ns, self.now))

    def _written(self, effects: Any) -> Any:
        assert effects.failure is None
        for record in effects.outgoing:
            if record.topic.name == self.wiring.state.name:
                self.log.pop(record.key, None)
                if record.value is not None:
                    self.log[record.key] = record.value
        return effects


def registered() -> Arms:
    """Return policies that somebody implements."""
    arms = Arms()
    for offset, name in enumerate(POLICIES):
        arms.view.fold(0, offset, name.encode(), a_policy_registered(name))
    return arms


def a_router() -> Logged:
    """Return one that remembers the last KEPT of six decisions, of which it learnt from three."""
    rules = RouterSettings(router_policies="p_flat p_sma", router_remember_most=KEPT)
    router = Logged("router", router_wiring(rules, registered()))
    for number in range(6):
        if number == 4:
            router.step_clock(STEP_NS)
        chosen = router.tell(ROUTER_COMMANDS, ChoosePolicy(command_id=an_id(number), context={"obi": 0.1}))[0]
        assert isinstance(chosen, PolicyChosen)
        if number in {1, 2, 4}:
            reward = RewardPolicy(
                command_id=an_id(100 + number),
                policy_id=chosen.policy_id,
                reward=0.01,
                decision_id=chosen.command_id,
            )
            router.tell(ROUTER_COMMANDS, reward)
        router.pass_time(S)
    router.tell(ROUTER_COMMANDS, AddPolicy(command_id=an_id(200), policy_id="p_breakout"))
    return router


def a_portfolio() -> Logged:
    """Return one that remembers the last KEPT of six fills, and two answers."""
    portfolio = Logged("portfolio")
    vars(handlers)["KEEP_FILLS"] = KEPT  # else thousands are to be written
    for number in range(6):
        portfolio.tell(EXECUTION_FILLS, a_fill(f"fill-{number}", ts=portfolio.now))
        portfolio.pass_time(S)
    vars(handlers)["KEEP_FILLS"] = KEEP_FILLS
    for number in range(2):
        command = OptimizePortfolio(
            command_id=an_id(number), symbols=("BTC-USDT",), cvar_budget=0.05, vol_target=0.02
        )
        portfolio.tell(PORTFOLIO_COMMANDS, command)
    return portfolio


def an_execution() -> Logged:
    """Return one that has forgotten all but the newest of three orders but for their ids."""
    execution = Logged("execution")
    for number in range(3):
        for n, view in enumerate(execution.wiring.views):
            for name, shown in (
                ("l2.book-tops.v1", a_book_top(received_ts=execution.now)),
                ("l2.book-health.v1", a_book_health(ts=execution.now)),
            ):
                if view.topic.name == name:
                    execution.show(n, shown, at_home=True)
            if view.topic is PORTFOLIO_RISK:
                view.fold(0, view.position(0), b"default", a_risk_budget())
        order = SubmitPaperOrder(
            command_id=an_id(number), symbol="BTC-USDT", side="buy", order_qty=Decimal("0.01")
        )
        execution.tell(EXECUTION_COMMANDS, order)
        execution.pass_time(2 * 3_600 * S)
    return execution


def lines() -> Iterator[str]:
    """Yield a line for each record of the logs."""
    for service in (a_router(), a_portfolio(), an_execution()):
        for key, value in service.log.items():
            texts = [base64.b64encode(part).decode() for part in (key, value)]
            yield json.dumps([service.wiring.state.name, 0, *texts])


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in lines()))
