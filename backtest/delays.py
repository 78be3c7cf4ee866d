"""How long messages, requests and policies take in a simulated system: seeded draws from measured quantiles.

========== =========================================================================================
what       where it is from, ms
========== =========================================================================================
market     l2 to a reader of Kafka: `docs/performance.md`, end to end, p50 1.8, p90 4.7, p99 11.7, at
           most 35
plain      a plain producer's record to its reader: the raw round trip there, 1.75, 3.4, 7.2, at most 19
decided    what a transaction writes to its reader, its commit included: exactly once there has p50 3.9
           for a whole hop, of which the transaction takes 2.5 to 3.5
chosen     the same of the router, the work of a choice included: what a caller waits for there, p50 5.8
           and p99 14.9, without the way of the command
scored     the same of venues, likewise: 6.5 and 19.2
executed   the same of execution, likewise: plan-and-execute has p50 40.7, of which the three steps of
           execution are what the other services and the ways leave, 27.6
asked      a hosted policy's answer, its turn to be asked excluded: `bookrunner policy check` finds p99
           5.3, at most 5.9
========== =========================================================================================

Work is so part of the way of what it leads to: nothing else takes simulated time. Least values, and what lies
between the figures above, were not measured: the least are those of an idle machine, and the tails of what a
transaction writes are the raw round trip's over their own medians. Between two quantiles the distribution is
linear.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from libs.common.time_units import NS_PER_MS
from libs.common.topics import EXECUTION_COMMANDS, ROUTER_COMMANDS, VENUES_COMMANDS, VENUES_SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.topics import Topic

BLOCK: Final = 1024  # draws made at once
ASKED_BY_EXECUTION: Final = (ROUTER_COMMANDS, VENUES_COMMANDS)

SHARES: Final = (0.0, 0.5, 0.9, 0.99, 1.0)
QUANTILES_MS: Final[Mapping[str, tuple[float, ...]]] = {
    "market": (0.6, 1.8, 4.7, 11.7, 35.0),
    "plain": (0.6, 1.75, 3.4, 7.2, 19.0),
    "decided": (1.5, 3.0, 5.8, 12.3, 32.6),
    "chosen": (2.5, 4.0, 5.7, 9.5, 33.6),
    "scored": (3.2, 4.7, 6.4, 12.0, 34.3),
    "executed": (6.0, 9.2, 11.5, 15.0, 38.8),
    "asked": (0.2, 1.0, 3.0, 5.3, 5.9),
}


class Draws:
    """An endless stream of delays of one name, ns; changes in place."""

    def __init__(self, seed: int, name: str, kind: str) -> None:
        key = int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest())
        self._generator = np.random.Generator(np.random.Philox(key=key))
        self._quantiles_ms = QUANTILES_MS[kind]
        self._left: list[int] = []

    def next_ns(self) -> int:
        """Return the next one."""
        if not self._left:
            drawn = np.interp(self._generator.random(BLOCK), SHARES, self._quantiles_ms) * NS_PER_MS
            self._left = drawn.astype(np.int64).tolist()
        return self._left.pop()


class Measured:
    """The delays of a system as it was measured.

    Parameters
    ----------
    seed
        Equal seeds give equal delays, each topic's whatever the others do.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._draws: dict[str, Draws] = {}

    def hop_ns(self, topic: Topic) -> int:
        """Draw how long the next record of a topic takes to its readers, ns."""
        draws = self._draws.get(topic.name)
        if draws is None:
            draws = self._draws[topic.name] = Draws(self._seed, topic.name, _kind_of(topic))
        return draws.next_ns()

    def answer_ns(self, policy_id: str) -> int:
        """Draw how long a hosted policy takes to answer, ns."""
        name = f"policy/{policy_id}"
        if name not in self._draws:
            self._draws[name] = Draws(self._seed, name, "asked")
        return self._draws[name].next_ns()


class Immediate:
    """No delay anywhere: what an ideal system would have done."""

    def hop_ns(self, topic: Topic) -> int:
        """Return nothing."""
        del topic
        return 0

    def answer_ns(self, policy_id: str) -> int:
        """Return nothing."""
        del policy_id
        return 0


def _kind_of(topic: Topic) -> str:
    owner = topic.name.partition(".")[0]
    if owner == "l2":
        return "market"
    if topic in ASKED_BY_EXECUTION or (owner == "execution" and topic is not EXECUTION_COMMANDS):
        return "executed"
    if topic is VENUES_SCORES:
        return "scored"
    return {"router": "chosen", "portfolio": "decided"}.get(owner, "plain")
