"""Orders that rest spend no more than there is, whatever was accepted of other symbols meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from libs.common.events import (
    BOOK,
    BookState,
    CommandRejected,
    OrderCanceled,
    OrderFilled,
    OrderSubmitted,
    Refusal,
    SubmitPaperOrder,
)
from tests.execution_market import EPOCH, a_book_health, a_book_top, a_position, a_risk_budget
from tests.execution_world import ExecutionWorld, an_id

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
EQUITY = Decimal(100_000)
LIMIT = Decimal(50_000)
COST = LIMIT * (1 + Decimal(10) / 10_000)  # of one, the most that a fee adds


def a_partition(*symbols: str, **settings: Any) -> ExecutionWorld:
    world = ExecutionWorld(**settings)
    for symbol in symbols or SYMBOLS:
        show(world, symbol, 60_000.5)
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=EQUITY))
    return world


def show(world: ExecutionWorld, symbol: str, ask: float, seq: int = 7, size: float = 9.0) -> None:
    key = f"binance:{symbol}".encode()
    known: dict[str, Any] = {"venue": "binance", "symbol": symbol, "seq": seq, "epoch": EPOCH}
    bids = ((ask - 1.0, size),)
    top = a_book_top(received_ts=world.now, asks=((ask, size),), bids=bids, **known)
    world.fold(world.market.tops, key, top)
    world.fold(world.market.healths, key, a_book_health(state=BookState.LIVE, ts=world.now, **known))


def rest(world: ExecutionWorld, symbol: str, qty: str = "1.99", side: Any = "buy", name: str = "") -> Any:
    command = SubmitPaperOrder(
        command_id=an_id(name or symbol),
        symbol=symbol,
        side=side,
        order_qty=Decimal(qty),
        ord_type="limit",
        price=LIMIT if side == "buy" else Decimal(70_000),
        time_in_force="gtc",
        venue="binance",
    )
    answer = world.deliver(command)[0]
    if isinstance(answer, OrderSubmitted):
        world.advance()
    return answer


def hold(world: ExecutionWorld, symbol: str, quantity: Decimal, mark: float, fills: int = 1) -> None:
    position = a_position(quantity, symbol=symbol, mark=mark, fills=fills)
    world.fold(world.market.positions, symbol.encode(), position)


def spent(*worlds: ExecutionWorld) -> Decimal:
    fills = [fill for world in worlds for fill in world.all(OrderFilled)]
    return sum((fill.last_px * fill.last_qty + fill.fee for fill in fills), Decimal(0))


def test_open_buys_of_other_symbols_have_reserved_their_cash() -> None:
    world = a_partition()
    assert isinstance(rest(world, "BTC-USDT"), OrderSubmitted)
    for symbol in SYMBOLS[1:]:
        answer = rest(world, symbol)
        assert isinstance(answer, CommandRejected)
        assert answer.refusal is Refusal.INVALID
        assert "at most 0.008 can be bought" in answer.detail


def test_a_fill_of_another_symbol_is_spent_before_the_portfolio_knows_of_it() -> None:
    world = a_partition()
    rest(world, "BTC-USDT")
    show(world, "BTC-USDT", 50_000.0, seq=8)
    world.advance()
    assert len(world.all(OrderFilled)) == 1
    assert isinstance(rest(world, "ETH-USDT"), CommandRejected)


@pytest.mark.parametrize("told", [True, False])
def test_buys_that_rest_in_three_partitions_spend_the_cash_once(told: bool) -> None:  # noqa: FBT001 -- a case
    """Each accepts its own; as each is filled the cash is weighed anew, so the last ones end."""
    worlds = [a_partition(symbol) for symbol in SYMBOLS]
    for world, symbol in zip(worlds, SYMBOLS, strict=True):
        assert isinstance(rest(world, symbol), OrderSubmitted)
    for world, symbol in zip(worlds, SYMBOLS, strict=True):
        show(world, symbol, 50_000.0, seq=8)
        world.advance()
        bought = sum((fill.last_qty for fill in world.all(OrderFilled)), Decimal(0))
        fees = sum((fill.fee for each in worlds for fill in each.all(OrderFilled)), Decimal(0))
        for other in worlds:
            other.fold(other.market.risk, BOOK.encode(), a_risk_budget(equity=EQUITY - fees))
            if told or other is not world:
                hold(other, symbol, bought, 50_000.0)
    assert EQUITY - COST < spent(*worlds) <= EQUITY
    for world in worlds[1:]:
        (gone,) = world.all(OrderCanceled)
        assert gone.order.text.startswith("insufficient_cash: ")
        assert gone.order.leaves_qty == 0
    assert not worlds[0].all(OrderCanceled)


def test_what_is_filled_of_an_order_that_the_cash_does_not_pay_is_what_it_pays() -> None:
    world = a_partition()
    rest(world, "BTC-USDT")
    hold(world, "ETH-USDT", Decimal(1), 60_000.0)
    show(world, "BTC-USDT", 50_000.0, seq=8, size=0.3)
    world.advance()
    assert not world.all(OrderCanceled), "what stands there is paid"
    show(world, "BTC-USDT", 50_000.0, seq=9)
    world.advance()
    (gone,) = world.all(OrderCanceled)
    assert gone.order.cum_qty < Decimal("1.99")
    assert Decimal(40_000) - COST / 100 < spent(world) <= Decimal(40_000)
    world.advance(1.0)
    assert len(world.all(OrderFilled)) == 2


def test_a_market_order_pays_at_its_arrival_only_what_is_free_then() -> None:
    world = a_partition()
    command = SubmitPaperOrder(
        command_id=an_id("now"), symbol="BTC-USDT", side="buy", order_qty=Decimal("1.6"), venue="binance"
    )
    world.deliver(command)
    show(world, "BTC-USDT", 80_000.0, seq=8)
    world.advance()
    (gone,) = world.all(OrderCanceled)
    assert gone.order.text.startswith("insufficient_cash: ")
    assert EQUITY - 100 < spent(world) <= EQUITY


def test_a_sell_that_rested_sells_no_more_than_is_held_when_the_book_comes() -> None:
    world = a_partition()
    hold(world, "BTC-USDT", Decimal(1), 60_000.0)
    assert isinstance(rest(world, "BTC-USDT", "1", side="sell"), OrderSubmitted)
    hold(world, "BTC-USDT", Decimal("0.4"), 60_000.0, fills=5)
    show(world, "BTC-USDT", 70_002.0, seq=8)
    world.advance()
    (gone,) = world.all(OrderCanceled)
    assert gone.order.cum_qty == Decimal("0.4")
    assert gone.order.text.startswith("insufficient_position: ")


def test_where_shorts_are_allowed_a_resting_sell_ends_at_their_cap() -> None:
    world = a_partition(allow_short=True, position_cap=0.5)
    assert isinstance(rest(world, "BTC-USDT", "0.8", side="sell"), OrderSubmitted)
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=EQUITY / 2))
    show(world, "BTC-USDT", 70_002.0, seq=8)
    world.advance()
    (gone,) = world.all(OrderCanceled)
    assert Decimal("0.35") < gone.order.cum_qty <= EQUITY / 4 / 70_000


def test_while_the_equity_is_not_known_a_resting_buy_waits() -> None:
    world = a_partition()
    rest(world, "BTC-USDT")
    world.fold(world.market.risk, BOOK.encode(), None)  # a tombstone
    show(world, "BTC-USDT", 50_000.0, seq=8)
    world.advance(1.0)
    assert not world.all(OrderFilled)
    assert not world.all(OrderCanceled)
    world.fold(world.market.risk, BOOK.encode(), a_risk_budget(equity=EQUITY))
    world.advance()
    assert world.all(OrderFilled)[-1].leaves_qty == 0
