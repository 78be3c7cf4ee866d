"""The keys of records: what follows the last colon is what Kafka partitions by; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from libs.common.events import Candle


def candle_key(candle: Candle) -> bytes:
    """Return the key of a candle: its own once it is closed, that of its series while it is open."""
    series = f"{candle.venue}:{candle.symbol}"
    start = f"{candle.open_ts // NS_PER_MS}:" if candle.closed else ""
    return f"{candle.interval}:{start}{series}".encode()


def signal_key(policy_id: str, symbol: str) -> bytes:
    """Return the key of what a policy wants of a symbol."""
    return f"{policy_id}:{symbol}".encode()


def input_key(symbol: str, name: str) -> bytes:
    """Return the key of a context input."""
    return f"{symbol}:{name}".encode()


def limits_key(scope: str) -> bytes:
    """Return the key of a scope's limits, apart from that of its halt: compaction keeps one record a key."""
    return f"limits:{scope}".encode()


def limits_used_key(symbol: str) -> bytes:
    """Return the key of what is counted of a symbol against its limits."""
    return f"use:symbol:{symbol}".encode()


def book_key(venue: str, symbol: str) -> bytes:
    """Return the key of an instrument at a venue; Kafka partitions it by what follows the last colon."""
    return f"{venue}:{symbol}".encode()


def progress_key(execution_id: str, n: int | None) -> bytes:
    """Return the key of a child's progress, or of none's; Kafka partitions it as the execution itself."""
    return f"{'-' if n is None else f'{n:04}'}:{execution_id}".encode()
