"""What a test keeps of a run: a digest of every record, and what was decided when."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any

from backtest.world import Trading, World
from libs.common.time_units import MINUTE_NS
from libs.common.topics import TOPICS
from tests.backtest_market import MarketSource

if TYPE_CHECKING:
    from backtest.bus import Record

DECIDING = ("router", "portfolio", "execution", "venues", "policies")


class Kept:
    """Taps a run's bus; changes in place.

    Attributes
    ----------
    decided
        When, where and what the deciding services wrote, the bytes of their records.
    """

    def __init__(self, world: World) -> None:
        self._digest = hashlib.sha256()
        self.events: dict[str, list[Any]] = {}
        self.decided: list[tuple[int, str, bytes | None]] = []
        world.bus.tap(self._keep)

    def _keep(self, record: Record) -> None:
        place = (record.topic.name, record.partition, record.offset, record.ts, record.key, record.value)
        self._digest.update(repr((*place, tuple(record.headers))).encode())
        if record.topic.name.partition(".")[0] in DECIDING:
            self.decided.append((record.ts, record.topic.name, record.value))
        if record.value is not None and record.topic.events and not record.topic.private:
            self.events.setdefault(type(record.event).__name__, []).append(record.event)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


def a_digest(seed: int = 5) -> str:
    """Return that of a few minutes with delays, resting orders and all services."""
    source = MarketSource(minutes=4, every_s=0.5)
    with World(source, Trading(source.symbols, MINUTE_NS // 2), seed=seed) as world:
        kept = Kept(world)
        world.run()
    assert {"ExecutionPlanned", "PolicyRewarded", "OrderFilled", "VenueScored"} <= kept.events.keys()
    assert all(name in TOPICS for _, name, _ in kept.decided)
    return kept.digest


if __name__ == "__main__":
    sys.stdout.write(a_digest())
