"""One line for one message: what a person scans for first, then everything else."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from libs.cli.screen import Text
from libs.common.events import (
    BookDelta,
    BookHealth,
    BookSnapshot,
    BookState,
    BookTop,
    Candle,
    Event,
    Subscribed,
    Trade,
)
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.events import Level

RAW_SHOWN: Final = 48  # bytes of an undecodable message
SHOWN_LEVELS: Final = 3

STATE_STYLES: Final[Mapping[str, str]] = {
    BookState.LIVE: "bold green",
    BookState.SYNCING: "bold yellow",
    BookState.STALE: "bold magenta",
    BookState.GAP: "bold red",
    BookState.CHECKSUM_FAILED: "bold red",
    BookState.DISCONNECTED: "bold red",
    BookState.ONE_SIDED: "bold magenta",
    BookState.HALTED: "bold magenta",
    BookState.REFUSED: "bold red",
    BookState.BLOCKED: "bold red",
}
_TYPE_STYLES: Final[Mapping[str, str]] = {
    "BookSnapshot": "bold cyan",
    "BookDelta": "cyan",
    "BookTop": "blue",
    "BookHealth": "yellow",
    "Trade": "magenta",
    "Candle": "green",
    "Subscribed": "bold white",
}


def clock(timestamp_ms: int) -> str:
    """Return ``2026-08-24 12:03:04.123`` (UTC)."""
    try:
        moment = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{timestamp_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def number(value: float) -> str:
    """Return the shortest plain digits of a number: no exponent, no ``.0``."""
    if not math.isfinite(value):
        return str(value)
    text = repr(float(value))
    if "e" in text:
        text = f"{value:.15f}".rstrip("0")
    return text.removesuffix(".0").removesuffix(".")


def place(partition: int, offset: int) -> str:
    """Return where a record lies."""
    return f"{partition}:{offset}"


def line_of(timestamp_ms: int, where: str, key: str, event: Event | None) -> Text:
    """Return the line of a decoded message; None is a tombstone."""
    if event is None:
        return _line(timestamp_ms, where, "tombstone", key, Text("the key is deleted", "dim"), "dim")
    kind = type(event).__name__
    return _line(timestamp_ms, where, kind, key, _facts(event), _TYPE_STYLES.get(kind, "white"))


def line_of_raw(timestamp_ms: int, where: str, key: str, value: bytes, reason: str) -> Text:
    """Return the line of a message that could not be decoded, with its first bytes."""
    cut = "…" if len(value) > RAW_SHOWN else ""
    facts = Text(f"{reason} ({len(value)} bytes: {value[:RAW_SHOWN]!r}{cut})", "red")
    return _line(timestamp_ms, where, "UNDECODABLE", key, facts, "bold white on red")


def line_of_dead_letter(
    timestamp_ms: int, where: str, key: str, value: bytes, headers: Sequence[tuple[str, bytes]]
) -> Text:
    """Return the line of a dead letter: why it is dead, and its first bytes."""
    said = "  ".join(f"{name}={content.decode('utf-8', 'replace')}" for name, content in headers)
    cut = "…" if len(value) > RAW_SHOWN else ""
    facts = Text(f"{said}  {len(value)} bytes: {value[:RAW_SHOWN]!r}{cut}".strip(), "red")
    return _line(timestamp_ms, where, "dead letter", key, facts, "bold red")


def _line(timestamp_ms: int, where: str, kind: str, key: str, facts: Text, style: str) -> Text:
    line = Text(no_wrap=True, end="")
    line.append(clock(timestamp_ms), "dim").append(f"  {where:<9}", "dim")
    line.append(f" {kind:<12} ", style).append(f" {key:<16} ", "bold")
    return line.append(facts)


def _facts(event: Event) -> Text:
    match event:
        case BookSnapshot():
            text = f"{event.reason} epoch={event.epoch} seq={event.seq} {_sides(event.bids, event.asks)}"
            return Text.assemble(text, "  ", _best(event.bids, event.asks))
        case BookDelta():
            return Text.assemble(
                f"seq={event.seq} ", _changes("bid", event.bids, "green"), _changes("ask", event.asks, "red")
            )
        case BookTop():
            return Text.assemble(f"seq={event.seq} ", _best(event.bids, event.asks), _features(event))
        case BookHealth():
            return Text.assemble(
                (event.state, STATE_STYLES[event.state]),
                f" {event.reason}  seq={event.seq} gaps={event.gaps} resyncs={event.resyncs}",
                f" lag={event.lag_ns / NS_PER_MS:.1f} ms",
            )
        case Trade():
            side = (f"{event.side:<4}", "green" if event.side == "buy" else "red")
            return Text.assemble(side, f" {number(event.size)} at {number(event.price)}  id={event.trade_id}")
        case Candle():
            when = clock(event.open_ts // NS_PER_MS)[: 10 if event.interval == "1d" else 16]
            ohlc = "  ".join(
                f"{name} {number(value)}"
                for name, value in (
                    ("o", event.open),
                    ("h", event.high),
                    ("l", event.low),
                    ("c", event.close),
                    ("v", event.volume),
                )
            )
            ended = "closed" if event.closed else "open"
            style = "green" if event.close >= event.open else "red"
            return Text.assemble(
                f"{event.interval} {when} ", (ohlc, style), f"  trades={event.trades} {ended}"
            )
        case Subscribed():
            return Text(f"wanted by {event.source}")
        case _:
            return Text(msgspec.json.encode(event).decode())


def _sides(bids: Sequence[Level], asks: Sequence[Level]) -> str:
    return f"{len(bids)} bids {len(asks)} asks"


def _best(bids: Sequence[Level], asks: Sequence[Level]) -> Text:
    bid, ask = (f"{number(side[0][0])} ({number(side[0][1])})" if side else "nobody" for side in (bids, asks))
    return Text.assemble((bid, "green"), " / ", (ask, "red"))


def _features(top: BookTop) -> str:
    return "" if top.features is None else f"  {top.features.spread_bps:.2f} bps  obi={top.features.obi:+.2f}"


def _changes(side: str, levels: Sequence[Level], style: str) -> Text:
    shown = Text()
    for price, size in levels[:SHOWN_LEVELS]:
        shown.append(f" {side} {number(price)}", style).append(f"={number(size)}" if size else " gone")
    if len(levels) > SHOWN_LEVELS:
        shown.append(f" +{len(levels) - SHOWN_LEVELS} {side}s", "dim")
    return shown
