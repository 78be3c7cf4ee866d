"""`Request`: all that a run is made from, and what it is called; pure."""

from __future__ import annotations

import hashlib
import shlex
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from libs.common.time_units import DAY_NS, NS_PER_MS, NS_PER_S, UNITS_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIGEST = 8  # hexadecimal digits of a folder's name that tell runs apart


class Market(StrEnum):
    """Where a market is from; the values are the options that name it."""

    DATA = "data"
    SIMULATOR = "simulator"
    RECORDING = "recording"
    KAFKA = "kafka"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A run: equal ones give equal results, byte for byte."""

    market: Market
    market_seed: int = 0  # of the simulator
    paths: tuple[str, ...] = ()  # of days or recordings
    symbols: tuple[str, ...] = ()  # canonical; empty: all that the market has
    begin_ts: int | None = None  # ns UTC; None: where the market begins
    end_ts: int | None = None  # likewise
    policies: tuple[str, ...]
    own: dict[str, str] = {}  # of the policies, those of a file, with the version of each
    interval_ns: int  # between two decisions about a symbol
    urgency: float
    seed: int  # of the delays and of every draw
    capital: str  # quote units
    settings: dict[str, str] = {}  # environment variables of the services that are not as they come


def command_of(request: Request) -> str:
    """Return the line for a shell that makes the same run again."""
    settings = [f"{name}={value}" for name, value in sorted(request.settings.items())]
    return shlex.join(
        [*(["env", *settings] if settings else []), "bookrunner", "backtest", *_options(request)]
    )


def _options(request: Request) -> Iterator[str]:
    match request.market:
        case Market.SIMULATOR:
            yield from ("--simulator", str(request.market_seed))
        case Market.KAFKA:
            yield "--kafka"
        case Market.DATA | Market.RECORDING:
            for path in request.paths:
                yield from (f"--{request.market}", path)
    if request.symbols:
        yield from ("--symbols", ",".join(request.symbols))
    for option, ts in (("--from", request.begin_ts), ("--to", request.end_ts)):
        if ts is not None:
            yield from (option, iso(ts))
    yield from ("--policies", ",".join(request.policies), "--interval", span(request.interval_ns))
    yield from (
        "--urgency",
        f"{request.urgency:g}",
        "--seed",
        str(request.seed),
        "--capital",
        request.capital,
    )


def name_of(request: Request) -> str:
    """Return a name for a folder, alike for equal requests: its market, its beginning and a digest."""
    digest = hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()[:_DIGEST]
    market = f"simulator-{request.market_seed}" if request.market is Market.SIMULATOR else str(request.market)
    begin = "" if request.begin_ts is None else f"_{iso(request.begin_ts)[:10]}"
    length = (
        f"_{span(request.end_ts - request.begin_ts)}"
        if request.begin_ts is not None and request.end_ts is not None
        else ""
    )
    return f"{market}{begin}{length}_{digest}"


def iso(ts: int) -> str:
    """Return a time (ns UTC) as ISO 8601 writes it, no more exact than it has to be."""
    whole, rest = divmod(ts, NS_PER_S)
    text = f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{text}.{rest // 1000:06d}Z" if rest else f"{text}Z"


def span(ns: int) -> str:
    """Return a length of time in the largest unit that it is a whole number of, up to days."""
    units = [(name, unit) for name, unit in UNITS_NS.items() if unit <= DAY_NS]
    return next((f"{ns // unit}{name}" for name, unit in units if ns % unit == 0), f"{ns // NS_PER_MS}ms")
