"""How long the service waits for what, and how much it holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from libs.common.time_units import NS_PER_S

NEVER: Final = 2**63 - 1  # ns; where nothing becomes due by itself


@dataclass(frozen=True, slots=True)
class Policy:
    """The service's patience, in nanoseconds and counts."""

    keyframe_ns: int
    top_interval_ns: int
    heartbeat_ns: int
    sync_timeout_ns: int
    buffer_messages: int
    backoff_min_ns: int
    backoff_max_ns: int
    history_days: int
    history_minutes: int
    owner: str  # this process, as readers see it
    feed: str = ""  # where all messages come from, as readers see it: simulator, replay, live
    asks_instruments: bool = True  # else the table's terms hold: a recording has none
    blocked_ns: int = 600 * NS_PER_S  # least pause of a venue that blocks this address
    given_up_ns: int = 900 * NS_PER_S  # pause of a book that is refused, or that no keyframe can hold
    repeats: bool = True  # else what has not changed is told again to who asks alone (`BookAsked`)
