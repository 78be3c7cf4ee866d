"""A POV execution through the saga: its children follow the volume that is told, and nothing else."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from itertools import count

import pytest

from libs.common.events import BOOK, ExecutionStatus, Limits, LimitsSet, OrderSubmitted
from libs.common.topics import limits_key
from tests.execution_market import NOW, a_candle, a_risk_budget
from tests.execution_world import MINUTE, ExecutionWorld, S, assert_books_balance

THIN = tuple((60_000.5 + 3.25 * n, 0.02) for n in range(50))  # dear to walk: the order is worked
LOT = Decimal("0.00001")
RHO = Decimal("0.1")


class Tape:
    """A world whose venue trades in bursts, so that fixed slices are dear, and a plan made in it."""

    def __init__(self) -> None:
        self.world = ExecutionWorld(s_max=0.2)
        self.world.rising()
        for n in range(-240, 0):
            self._tell(n, 0.02 if n % 20 < 15 else 2.4, closed=True)
        self.world.books(asks=THIN)
        self.world.fold(self.world.market.risk, BOOK.encode(), a_risk_budget())
        self.volume = 0.0  # told since the plan
        self._minute, self._of_minute = 0, 0.0
        self._seqs = count(8)
        self.execution_id = self.world.execute(urgency=0.2)
        self.world.answer()
        self.world.answer()

    @property
    def sent(self) -> Decimal:
        return sum((each.order.order_qty for each in self.world.all(OrderSubmitted)), Decimal(0))

    def minute(self, volume: float) -> list[tuple[Decimal, float]]:
        """Go on by a minute of so much volume, in ten parts; return the children and what was told then."""
        found = []
        for _ in range(10):
            self._of_minute += volume / 10
            self.volume += volume / 10
            self._tell(self._minute, self._of_minute, closed=False)
            before = len(self.world.all(OrderSubmitted))
            self.world.now += 5 * S
            self.world.books(asks=THIN, seq=next(self._seqs))
            self.world.advance(1.0)
            children = self.world.all(OrderSubmitted)[before:]
            found += [(each.order.order_qty, self.volume) for each in children]
        self._tell(self._minute, self._of_minute, closed=True)
        self._minute, self._of_minute = self._minute + 1, 0.0
        return found

    def _tell(self, minute: int, volume: float, *, closed: bool) -> None:
        close = 60_000.0 * (1 + 2e-6 * minute)
        candle = a_candle("1m", NOW + minute * MINUTE, close, volume=volume, closed=closed)
        self.world.fold(self.world.market.candles.views[0], b"binance:BTC-USDT", candle)


@pytest.fixture
def tape() -> Tape:
    tape = Tape()
    record = tape.world.records[tape.execution_id]
    assert record.status is ExecutionStatus.WORKING
    assert record.plan is not None
    assert record.plan.style == "POV"
    return tape


def test_each_child_is_the_share_of_the_volume_told_since_the_child_before(tape: Tape) -> None:
    seen, children = 0.0, 0
    for volume in (0.6, 3.0, 0.1, 1.7):
        for qty, told in tape.minute(volume):
            share = RHO * Decimal(told - seen)
            assert abs(qty - share.quantize(LOT, ROUND_FLOOR)) <= LOT  # the last digit of a sum of floats
            seen, children = told, children + 1
    assert children >= 8
    assert tape.sent <= RHO * Decimal(tape.volume) + LOT


def test_while_nothing_trades_nothing_is_sent_and_the_pause_is_not_made_up_for(tape: Tape) -> None:
    tape.minute(1.0)
    tape.minute(0.0)  # the last child of that volume may come now
    sent = tape.sent
    assert Decimal("0.09") < sent <= RHO + LOT
    for _ in range(5):
        assert tape.minute(0.0) == []
    tape.minute(1.0)
    assert sent < tape.sent <= 2 * RHO + LOT


def test_it_ends_with_the_whole_size_and_the_books_balance_though_the_process_is_lost_on_the_way(
    tape: Tape,
) -> None:
    for n in range(40):
        if tape.world.records[tape.execution_id].status.final:
            break
        tape.minute(0.6)
        if n % 3 == 0:
            tape.world.restart()
    record = tape.world.records[tape.execution_id]
    assert record.status is ExecutionStatus.COMPLETED
    assert record.plan is not None
    assert record.filled == record.plan.size
    assert n >= 13, "0.9 at a tenth of 0.6 a minute takes a quarter of an hour"
    assert_books_balance(tape.world)


def test_without_volume_it_ends_at_its_deadline_with_what_it_has(tape: Tape) -> None:
    tape.minute(1.0)
    for _ in range(70):
        tape.minute(0.0)
    record = tape.world.records[tape.execution_id]
    assert record.status is ExecutionStatus.FAILED
    assert "the volume since the last child is too small" in record.reason
    assert 0 < record.filled <= RHO
    assert_books_balance(tape.world)


def test_the_volume_while_a_limit_lets_no_child_be_sent_counts_towards_the_next(tape: Tape) -> None:
    limited(tape, 1)
    for _ in range(3):
        tape.minute(2.0)
    assert len(tape.world.all(OrderSubmitted)) < 4
    limited(tape, 0)
    tape.minute(2.0)
    tape.minute(0.0)
    assert RHO * Decimal(tape.volume) - tape.sent < Decimal("0.03")


def limited(tape: Tape, orders_per_minute: int) -> None:
    limits = Limits(orders_per_minute=orders_per_minute)
    told = LimitsSet(scope="all", limits=limits, by="cli", ts=tape.world.now)
    tape.world.fold(tape.world.market.controls, limits_key("all"), told)
