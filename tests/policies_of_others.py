"""Policies that are not built in, and what they may say, sensible or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.events import PolicyState
from tests.execution_market import a_policy_signalled
from tests.execution_world import S
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from random import Random

    from libs.common.events import PolicyRegistered, PolicySignalled

OTHERS: Final = ("x_mine", "theirs")  # from outside, and hosted
VALUES: Final = (-1.0, -0.4, 0.0, 0.4, 1.0, 1.0, 1.5, float("nan"))
AGES_S: Final = (0, 0, 0, -5, -60, 3)  # of its moment; the last is ahead of the clock
LASTS_S: Final = (1, 20, 200)


def registration(name: str, version: str, state: PolicyState = PolicyState.RUNNING) -> PolicyRegistered:
    return a_policy_registered(
        name,
        kind="external" if name.startswith("x_") else "user",
        version=version,
        state=state,
        fault="it raised" if state is PolicyState.QUARANTINED else "",
        parameters={"horizon_s": 30.0},
    )


def some_signal(random: Random, name: str, symbol: str, version: str, now: int) -> PolicySignalled | None:
    """Return a signal of now, late, early, of another version, or not sensible; None: it is withdrawn."""
    if random.random() < 0.1:
        return None
    at = now + random.choice(AGES_S) * S
    return a_policy_signalled(
        name,
        random.choice(VALUES),
        symbol=symbol,
        inputs_ts=at,
        valid_until_ts=at + random.choice(LASTS_S) * S,
        version=version if random.random() < 0.8 else "another",
    )
