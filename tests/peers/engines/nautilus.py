"""NautilusTrader's backtest engine on messages of twenty changes that stand ready: prints what each cost.

Runs in an environment of its own, with nothing of this repository. The objects are made before the clock
starts; a strategy follows the book, which the engine and its simulated venue keep, and does nothing else.
"""

from __future__ import annotations

import json
import random
import sys
import time
from importlib.metadata import version
from typing import Any

from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
from nautilus_trader.model.enums import AccountType, BookAction, BookType, OmsType, OrderSide, RecordFlag
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

LEVELS = 200  # of a side, around which messages change
START_NS = 1_790_000_000_000_000_000
STEP_NS = 100_000_000


class Follower(Strategy):  # type: ignore[misc]  # of a package without types
    """Counts the messages of one book."""

    def __init__(self, instrument: Any) -> None:
        super().__init__()
        self._instrument = instrument
        self.heard = 0

    def on_start(self) -> None:
        """Follow it."""
        self.subscribe_order_book_deltas(self._instrument.id, book_type=BookType.L2_MBP)

    def on_order_book_deltas(self, deltas: OrderBookDeltas) -> None:
        """Count."""
        del deltas
        self.heard += 1


def messages(instrument: Any, count: int, changes: int) -> list[OrderBookDeltas]:
    """Return the book and then `count` messages of it."""
    chosen = random.Random(7)
    found = [_message(instrument, [(n, 1.0 + abs(n)) for n in range(-LEVELS, LEVELS)], 0)]
    for number in range(1, count):
        levels = [(chosen.randrange(-LEVELS, LEVELS), chosen.uniform(0.1, 9.9)) for _ in range(changes)]
        found.append(_message(instrument, levels, number))
    return found


def _message(instrument: Any, levels: list[tuple[int, float]], number: int) -> OrderBookDeltas:
    ts = START_NS + number * STEP_NS
    deltas = []
    for at, (level, size) in enumerate(levels):
        side, price = (
            (OrderSide.BUY, 60_000 + 0.01 * level)
            if level < 0
            else (OrderSide.SELL, 60_000.01 + 0.01 * level)
        )
        order = BookOrder(
            side, Price(price, instrument.price_precision), Quantity(size, instrument.size_precision), 0
        )
        flags = RecordFlag.F_LAST.value if at == len(levels) - 1 else 0
        deltas.append(OrderBookDelta(instrument.id, BookAction.UPDATE, order, flags, number, ts, ts))
    return OrderBookDeltas(instrument.id, deltas)


def main(count: int, changes: int) -> None:
    """Run them."""
    instrument = TestInstrumentProvider.btcusdt_binance()
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"),
        OmsType.NETTING,
        AccountType.CASH,
        [Money(1_000_000, USDT)],
        book_type=BookType.L2_MBP,
    )
    engine.add_instrument(instrument)
    engine.add_data(messages(instrument, count, changes))
    follower = Follower(instrument)
    engine.add_strategy(follower)
    began = time.process_time_ns()
    engine.run()
    taken = time.process_time_ns() - began
    if follower.heard != count:
        sys.exit(f"{follower.heard} of {count} messages came")
    cases = {"L2_MBP": taken / count / 1e3}
    sys.stdout.write(json.dumps({"version": version("nautilus_trader"), "cases": cases}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
