"""Whatever comes between, the rewards of abutting windows are the change of equity, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest

from libs.common.command_rules import rejected
from libs.common.events import BookState, CancelExecution, Refusal, RewardPolicy
from services.execution.kept import kept_of
from services.execution.saga.phases import DecisionWindow
from tests.deciding_world import SYMBOL, DecidingWorld
from tests.execution_world import S, an_id

if TYPE_CHECKING:
    from libs.common.events import RewardOutcome

POLICIES = ("p_sma", "p_flat", "p_meanrev", "p_newer")


class Chaos(DecidingWorld):
    """Executions at once, answers in any order, twice or never, cancels, restarts, set clocks, dead books."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = Random(seed)
        self.book = BookState.LIVE

    def step(self) -> None:
        kinds = (self.choose,) * 4 + (self.reply,) * 8 + (self.withdraw, self.restart, self.set_clock)
        self.random.choice((*kinds, self.break_book, self.move, self.move, self.wait, self.wait))()
        self.price(state=self.book)
        kept = [each for each in self.state.values() if isinstance(each, DecisionWindow)]
        windows = [each.execution_id for each in kept if each.window.end is None]
        assert windows == list(kept_of(self.state).sagas.deciding.values())
        assert len(windows) <= 1

    def choose(self) -> None:
        self.begin(self.random.choice(POLICIES), urgency=self.random.choice((0.0, 0.5, 1.0)))

    def reply(self) -> None:
        if not self.unanswered:
            return
        command = self.unanswered.pop(self.random.randrange(len(self.unanswered)))
        answer = self.answer_to(command)
        if self.random.random() < 0.05 and not isinstance(command, RewardPolicy):
            answer = rejected(command, SYMBOL, Refusal.UNAVAILABLE, self.now, detail="not today")  # type: ignore[arg-type]  # a command
        for _ in range(self.random.choices((0, 1, 2), (1, 8, 1))[0]):
            self.deliver(answer)

    def withdraw(self) -> None:
        one = an_id(f"decision {self.random.randint(1, self.begun or 1)}")
        cancel = CancelExecution(command_id=an_id(f"{self.now}"), symbol=SYMBOL, execution_id=one)
        self.deliver(cancel)

    def set_clock(self) -> None:
        self.step_clock(self.random.choice((-1, 1)) * self.random.randrange(100 * S))

    def break_book(self) -> None:
        self.book = BookState.GAP if self.book is BookState.LIVE else BookState.LIVE

    def move(self) -> None:
        self.mid = 60_000.25 + self.random.randrange(-4000, 4000) * 0.25

    def wait(self) -> None:
        self.advance(self.random.choice((0.005, 0.1, 1.0, 6.0, 20.0)))


@pytest.mark.parametrize("seed", range(6))
def test_rewards_sum_to_the_change_of_equity_whatever_comes_between(seed: int) -> None:
    world = Chaos(seed)
    for _ in range(150):
        world.step()
    world.book = BookState.LIVE
    world.price()
    for _ in range(500):
        if world.unanswered:
            world.answer()
        elif world.open:
            world.advance(5.0)
            world.price()
    assert not world.open
    decided = tuple(world.records)
    world.price(60_123.25)
    wealth = world.wealth()
    world.begin("p_flat")
    world.answer()
    paid: list[RewardOutcome] = [world.outcome(each) for each in decided]
    assert "horizon" not in {each.closed for each in paid}, "the windows do not abut"
    assert {each.reason for each in paid if each.gross is None} <= {"no policy was chosen"}
    earned = [each.gross - each.cost for each in paid if each.gross is not None and each.cost is not None]
    assert len(earned) >= 3
    assert sum(earned, Decimal(0)) == wealth
