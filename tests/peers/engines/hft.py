"""hftbacktest on messages of twenty changes that stand ready: prints what each cost, with both of its books.

Runs in an environment of its own, with nothing of this repository. The array is made and the loop compiled
before the clock starts; the loop waits for each message in turn, looks at the best prices, and does nothing.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

LEVELS = 200  # of a side, around which messages change
START_NS = 1_790_000_000_000_000_000
STEP_NS = 100_000_000
DELAY_NS = 1_000_000
TICK = 0.01


def events(count: int, changes: int) -> np.ndarray:
    """Return the book and then `count` messages of it as one array."""
    random = np.random.Generator(np.random.Philox(key=7))
    levels = np.concatenate(
        [np.arange(-LEVELS, LEVELS), random.integers(-LEVELS, LEVELS, (count - 1) * changes)]
    )
    sizes = np.concatenate([1.0 + abs(levels[: 2 * LEVELS]), random.uniform(0.1, 9.9, (count - 1) * changes)])
    number = np.concatenate([np.zeros(2 * LEVELS, dtype=np.int64), np.repeat(np.arange(1, count), changes)])
    found = np.zeros(len(levels), dtype=event_dtype)
    kind = np.where(number == 0, DEPTH_SNAPSHOT_EVENT, DEPTH_EVENT)
    found["ev"] = EXCH_EVENT | LOCAL_EVENT | kind | np.where(levels < 0, BUY_EVENT, SELL_EVENT)
    found["exch_ts"] = START_NS + number * STEP_NS
    found["local_ts"] = found["exch_ts"] + DELAY_NS
    found["px"] = np.round(60_000 + TICK * levels, 2)
    found["qty"] = np.round(sizes, 5)
    return found


@njit  # type: ignore[untyped-decorator]  # of a package without types
def follow(hbt: Any, step_ns: int) -> Any:  # compiled for the types it is given
    """Return how many messages came, and a sum of mids, so that none is left out."""
    heard, mids = 0, 0.0
    while hbt.elapse(step_ns) == 0:
        depth = hbt.depth(0)
        heard += 1
        mids += depth.best_bid + depth.best_ask
    return heard, mids


def run(backtest: Any, data: np.ndarray) -> tuple[int, int]:
    """Return the ns of CPU that they took, and how many steps there were."""
    asset = (
        BacktestAsset()
        .data([data])
        .linear_asset(1.0)
        .constant_order_latency(DELAY_NS, DELAY_NS)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0, 0.001)
        .tick_size(TICK)
        .lot_size(0.00001)
    )
    if backtest is ROIVectorMarketDepthBacktest:
        asset = asset.roi_lb(59_000.0).roi_ub(61_000.0)
    hbt = backtest([asset])
    began = time.process_time_ns()
    heard, _ = follow(hbt, STEP_NS)
    taken = time.process_time_ns() - began
    hbt.close()
    return taken, heard


def main(count: int, changes: int) -> None:
    """Run them."""
    data, cases = events(count, changes), {}
    for name, backtest in (
        ("ROIVector", ROIVectorMarketDepthBacktest),
        ("HashMap", HashMapMarketDepthBacktest),
    ):
        run(backtest, events(10, changes))  # compiles
        taken, heard = run(backtest, data)
        if abs(heard - count) > 2:
            sys.exit(f"{heard} steps of {count} messages")
        cases[name] = taken / count / 1e3
    sys.stdout.write(json.dumps({"version": version("hftbacktest"), "cases": cases}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
