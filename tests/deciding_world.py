"""An execution world that decides, is filled and is paid, at prices that a test sets."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from libs.common.events import BOOK, BookState, OrderFilled, RewardPolicy
from services.execution.saga.phases import window_key
from tests.execution_market import EPOCH, a_book_health, a_book_top, a_risk_budget
from tests.execution_world import VENUES, ExecutionWorld

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import RewardOutcome

SYMBOL = "BTC-USDT"
EQUITY = Decimal(1_000_000)


class DecidingWorld(ExecutionWorld):
    """Every decision is answered and worked to its end at the price of the moment."""

    def __init__(self, mid: float = 60_000.25, **settings: Any) -> None:
        super().__init__(**settings)
        self.ready()
        self.mid = mid
        self.begun = 0
        self.price(mid)

    def price(
        self,
        mid: float | None = None,
        venues: Iterable[str] = VENUES,
        state: BookState = BookState.LIVE,
        size: float = 2.0,
    ) -> None:
        """Let the books stand so, told at this moment."""
        self.mid = mid = self.mid if mid is None else mid
        for venue in venues:
            key = f"{venue}:{SYMBOL}".encode()
            top = a_book_top(
                venue=venue,
                received_ts=self.now,
                epoch=EPOCH,
                bids=tuple((mid - 0.25 - 0.5 * n, size) for n in range(50)),
                asks=tuple((mid + 0.25 + 0.5 * n, size) for n in range(50)),
            )
            self.fold(self.market.tops, key, top)
            self.fold(self.market.healths, key, a_book_health(venue=venue, state=state, ts=self.now))

    def equity(self, amount: Decimal) -> None:
        self.fold(self.market.risk, BOOK.encode(), a_risk_budget(equity=amount))

    def begin(self, policy_id: str, **fields: Any) -> str:
        """Ask for an execution; the router will choose that policy."""
        self.policy_id = policy_id
        self.begun += 1
        return self.execute(f"decision {self.begun}", **fields)

    def decide(self, policy_id: str, mid: float | None = None, **fields: Any) -> str:
        """Move the price, decide, and work what was decided to its end."""
        self.price(mid)
        execution_id = self.begin(policy_id, **fields)
        self.work()
        assert self.records[execution_id].status.final
        return execution_id

    def work(self) -> None:
        """Answer all, and tick until no execution is open."""
        for _ in range(500):
            if self.unanswered:
                self.answer()
            elif self.open:
                self.advance(0.005)
                self.price()
            else:
                return
        raise AssertionError(f"{self.open} did not end")

    def outcome(self, execution_id: str) -> RewardOutcome:
        found = self.records[execution_id].reward
        assert found is not None
        return found

    def taught(self, execution_id: str) -> float:
        """Return what the router was told of the decision, once."""
        decision_id = self.records[execution_id].decision_id
        (command,) = (each for each in self.all(RewardPolicy) if each.decision_id == decision_id)
        return float(command.reward)

    def earned(self, execution_id: str) -> dict[str, Any]:
        """Return the inputs of the reward as the audit log keeps them."""
        (entry,) = (entry for entry in self.audit(execution_id) if entry.kind == "earned")
        return dict(json.loads(entry.payload)["inputs"])

    def earned_held(self, execution_id: str) -> Decimal:
        """Return what was held before the decision, base units."""
        return Decimal(self.earned(execution_id)["held"])

    def began(self, execution_id: str) -> int:
        """Return when the window of a decision began, ns."""
        begin_ts: int = self.state[window_key(execution_id)].window.begin_ts
        return begin_ts

    @property
    def held(self) -> Decimal:
        return sum(map(signed, self.all(OrderFilled)), Decimal(0))

    @property
    def cash(self) -> Decimal:
        """Return what all fills have paid and got, fees included, quote units."""
        fills = self.all(OrderFilled)
        return -sum((signed(fill) * fill.last_px + fill.fee for fill in fills), Decimal(0))

    def wealth(self) -> Decimal:
        """Return cash and what is held at the mid, as an accountant has it."""
        return self.cash + self.held * Decimal(str(self.mid))


def signed(fill: OrderFilled) -> Decimal:
    return fill.last_qty if fill.side == "buy" else -fill.last_qty
