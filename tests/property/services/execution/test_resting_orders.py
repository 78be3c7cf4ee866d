"""Orders that rest are filled as if each were examined at every change of its book, whatever else happens."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.events import (
    BOOK,
    BookState,
    CancelExecution,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrdStatus,
    PaperOrder,
)
from libs.common.topics import EXECUTION_COMMANDS, book_key
from services.execution.app import wiring as execution_wiring
from services.execution.broker.own_order import OwnOrder
from services.execution.kept import kept_of
from services.execution.settings import ExecutionSettings
from tests.execution_market import a_position, a_risk_budget
from tests.standing_orders import S, Standing, an_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.events import Event
    from libs.common.handling import State

TICK = Decimal("0.5")
MID = Decimal(60_000)
VENUES = ("binance", "bybit")
SIZES = (0.00001, 0.5, 1.0, 2.0, 3.0)
QUANTITIES = ("0.001", "0.5", "1", "1.7", "4")
RESTS = (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)


class Naive(Standing):
    """Examines every order that rests at each look, the best limit first, then who arrived first."""

    def __init__(self, **settings: Any) -> None:
        self._names: list[bytes] = []
        super().__init__(replace(execution_wiring(ExecutionSettings(**settings)), early=self._early))
        trades: Any = self._views["l2.trades.v1"]
        trades.watch(0, frozenset(book_key(venue, "BTC-USDT") for venue in VENUES))

    def look(self) -> list[Event]:
        told = super().look()
        self._names = [f"order/{order.cl_ord_id}/check".encode() for order in self._orders()]
        return told + super().look()

    def _early(self, _state: State[Any], _now: int) -> Iterator[bytes]:
        while self._names:
            yield self._names.pop(0)

    def _orders(self) -> list[PaperOrder]:
        kept = [own.order for own in self.partition.state.values() if isinstance(own, OwnOrder)]
        rest = [order for order in kept if order.ord_status in RESTS]
        books = list(kept_of(self.partition.state).orders.resting)  # which book comes first matters to none
        queues = [
            sorted(
                (order for order in rest if (order.venue, order.symbol) == book and order.side == side),
                key=lambda order: (
                    -price_of(order) if order.side == "buy" else price_of(order),
                    order.arrives_ts,
                    order.cl_ord_id,
                ),
            )
            for book in books
            for side in ("buy", "sell")
        ]
        return [order for queue in queues for order in queue]


def actions_of(seed: int, count: int) -> list[tuple[Any, ...]]:
    """Return what happens in a market that wanders a few ticks, with many orders at each."""
    chance = random.Random(seed)
    ticks = dict.fromkeys(VENUES, 0)
    actions: list[tuple[Any, ...]] = []
    for _ in range(count):
        venue = chance.choice(VENUES)
        kinds = ("book", "order", "trade", "cancel", "wait", "dead", "equity")
        kind = chance.choices(kinds, (50, 30, 25, 4, 10, 2, 2))[0]
        if kind == "book":
            ticks[venue] = max(-8, min(8, ticks[venue] + chance.choice((-3, -2, -1, 0, 0, 1, 2, 3))))
            sizes = [[chance.choice(SIZES) for _ in range(3)] for _ in range(2)]
            actions.append((kind, venue, ticks[venue], *sizes, chance.random() < 0.05))
        elif kind == "order":
            side = chance.choice(("buy", "sell"))
            away = chance.randint(0, 4) * (-1 if side == "buy" else 1)
            actions.append((kind, venue, side, ticks[venue] + away, chance.choice(QUANTITIES)))
        elif kind == "trade":
            side = chance.choice(("buy", "sell"))
            away = chance.randint(-1, 2) * (-1 if side == "sell" else 1) + (side == "buy")
            actions.append((kind, venue, side, ticks[venue] + away, chance.choice(SIZES)))
        elif kind == "cancel":
            actions.append((kind, chance.randrange(1000)))
        elif kind == "wait":
            actions.append((kind, chance.choice((0.1, 1.0, 30.0, 61.0))))
        elif kind == "dead":
            actions.append((kind, venue))
        else:
            actions.append((kind, chance.choice((None, 300_000, 10_000_000, 10_000_000))))
    return actions


class Played:
    """The same actions on one partition; what it told of orders is kept."""

    def __init__(self, service: Standing) -> None:
        self.service = service
        self.epoch = 1_767_225_500_000
        self.shown: dict[str, dict[str, Any]] = {}
        self.orders = 0
        for venue in VENUES:
            self._show(venue, 0, [2.0] * 3, [2.0] * 3)
        service.fold("portfolio.positions.v1", b"BTC-USDT", a_position(Decimal(50)))

    def play(self, action: tuple[Any, ...]) -> list[Event]:
        told = len(self.service.told)
        match action:
            case ("book", venue, ticks, bids, asks, anew):
                self.epoch += anew
                self._show(venue, ticks, bids, asks)
            case ("order", venue, side, ticks, qty):
                price = MID + ticks * TICK
                fields = {"venue": venue, "side": side, "price": price, "order_qty": Decimal(qty)}
                self.service.submit(self.orders, **fields)
                self.orders += 1
            case ("trade", venue, side, ticks, size):
                self.service.trade(float(MID + ticks * TICK), size, side, venue=venue)
            case ("cancel", number):
                which = an_id(number % max(1, self.orders))
                command = CancelExecution(
                    command_id=an_id(1000 + len(self.service.told)), symbol="BTC-USDT", execution_id=which
                )
                self.service.tell(EXECUTION_COMMANDS, command)
            case ("wait", seconds):
                self.service.now += round(seconds * S)
                for venue, shown in self.shown.items():
                    self.service.book(venue=venue, **shown)
            case ("dead", venue):
                self.service.book(venue=venue, **self.shown[venue], state=BookState.GAP)
            case ("equity", amount):
                budget = None if amount is None else a_risk_budget(equity=Decimal(amount))
                self.service.fold("portfolio.risk.v1", BOOK.encode(), budget)
        self.service.look()
        self.service.pass_time(0.01)  # what was sent arrives
        kinds = OrderAccepted | OrderRejected | OrderFilled | OrderCanceled
        return [event for event in self.service.told[told:] if isinstance(event, kinds)]

    def _show(self, venue: str, ticks: int, bids: list[float], asks: list[float]) -> None:
        best = float(MID + ticks * TICK)
        self.shown[venue] = {
            "bids": tuple((best - 0.5 * n, size) for n, size in enumerate(bids)),
            "asks": tuple((best + 0.5 + 0.5 * n, size) for n, size in enumerate(asks)),
            "epoch": self.epoch,
        }
        self.service.book(venue=venue, **self.shown[venue])


@pytest.mark.parametrize("short", [False, True])
def test_the_fills_are_those_of_examining_every_order_at_every_change_of_its_book(*, short: bool) -> None:
    filled: Counter[tuple[str, str]] = Counter()
    for seed in range(8):
        allow = {"allow_short": short}
        indexed, naive = Played(Standing(**allow)), Played(Naive(**allow))
        for action in actions_of(seed, 200):
            told = indexed.play(action)
            assert told == naive.play(action), (seed, action)
            filled["queue", action[0]] += sum(isinstance(event, OrderFilled) for event in told)
        assert state_of_orders(indexed.service) == state_of_orders(naive.service)
        fills = [event for event in indexed.service.told if isinstance(event, OrderFilled)]
        filled.update((fill.side, fill.liquidity) for fill in fills)
    assert min(filled["buy", "maker"], filled["sell", "maker"]) > 20, filled
    assert filled["queue", "trade"] > 20, filled


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_told_early_is_told_once_and_a_restart_forgets_no_order(seed: int) -> None:
    played = Played(Standing())
    for action in actions_of(seed, 100):
        played.play(action)
        written = played.service.transactions
        assert played.service.look() == []
        assert played.service.transactions == written
        successor = played.service.restarted()
        assert state_of_orders(successor) == state_of_orders(played.service)
        ours, theirs = (kept_of(each.partition.state) for each in (played.service, successor))
        assert ours.orders.resting == theirs.orders.resting
        assert ours.orders.open == theirs.orders.open
        assert ours.kept_whole == theirs.kept_whole


def price_of(order: PaperOrder) -> Decimal:
    assert order.price is not None
    return order.price


def state_of_orders(service: Standing) -> dict[bytes, Any]:
    return {key: kept for key, kept in sorted(service.partition.state.items()) if isinstance(kept, OwnOrder)}


@given(
    sizes=st.lists(st.integers(0, 3), min_size=1, max_size=25),
    wanted=st.lists(st.integers(1, 3), min_size=20, max_size=20),
)
@settings(max_examples=60)
def test_of_a_level_no_more_is_filled_than_it_has_come_to_show(sizes: list[int], wanted: list[int]) -> None:
    service = Standing()
    service.book()
    for number, quantity in enumerate(wanted):
        service.submit(number, price=Decimal(59_000), order_qty=Decimal(quantity))
    service.pass_time(0.1)
    shown = came = 0
    for size in sizes:
        came, shown = came + max(0, size - shown), size
        asks = ((59_000.0, float(size)),) if size else ()
        service.book(58_999.5, asks=(*asks, (59_500.0, 1.0)))
        service.look()
        service.pass_time(0.2)
    filled = sum(event.last_qty for event in service.told if isinstance(event, OrderFilled))
    assert filled <= came
