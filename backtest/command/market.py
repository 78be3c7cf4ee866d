"""The source of a request's market."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from backtest.command.request import Market, iso
from backtest.source import HISTORY_DAYS
from backtest.sources.frames import Frames
from backtest.sources.simulator import LEVELS, RATE, SimulatedMarket
from broker.setting_errors import sentences
from libs.cli.errors import CommandError, UsageError
from libs.cli.parquet import check_parquet
from libs.common.time_units import DAY_NS
from libs.history.errors import HistoryError
from simulator.profiles import symbol_profile
from simulator.recordings import RecordingError
from simulator.settings import SimulatorSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backtest.command.request import Request
    from backtest.source import Source

MADE: Final = ("rate", "levels", "edge", "outages")  # what of the simulator's settings makes its market
PAST_DAYS: Final = 21  # closed days without which no position is taken
SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")  # of the simulator, where none is named


def market_variables() -> frozenset[str]:
    """Return the variables that the simulated market is made with."""
    return frozenset(SimulatorSettings.variable(name) for name in MADE)


def simulator_settings(given: Mapping[str, str], **named: Any) -> SimulatorSettings:  # noqa: ANN401 -- of any field
    """Return the simulator's settings with these variables, and nothing of the environment.

    Raises
    ------
    UsageError
        If one is wrong; its value is not repeated.
    """
    fields = {
        name: field.get_default(call_default_factory=True)
        for name, field in SimulatorSettings.model_fields.items()
    }
    ours = {"rate": RATE, "levels": LEVELS, "history_days": HISTORY_DAYS}
    told = {name: given[variable] for name in MADE if (variable := SimulatorSettings.variable(name)) in given}
    try:
        return SimulatorSettings(**fields | ours | told | named)
    except ValidationError as error:
        raise UsageError("; ".join(sentences(SimulatorSettings, error))) from None


def source_of(request: Request) -> Source:
    """Return the market that a request names.

    Raises
    ------
    CommandError
        If there is none, or it cannot be read.
    """
    match request.market:
        case Market.SIMULATOR:
            return _simulated(request)
        case Market.RECORDING:
            if request.begin_ts is not None:
                raise UsageError("--recording is played from its beginning: leave out --from")
            try:
                return Frames([*map(Path, request.paths)], request.symbols or None)
            except RecordingError as error:
                raise CommandError(str(error)) from error
        case Market.DATA:
            return _kept(request)
        case Market.KAFKA:
            raise TypeError("what Kafka has is exported first, and then data")


def ends_early(request: Request, source: Source) -> str | None:
    """Return a sentence where the market ends before the time that was asked for; the run ends with it."""
    end_ts = source.provenance.end_ts
    if request.end_ts is None or request.end_ts <= end_ts:
        return None
    return f"The market ends at {iso(end_ts)}, and the run with it: --to is later."


def _simulated(request: Request) -> Source:
    if request.begin_ts is None:
        raise UsageError("--simulator has a market for every day: say which, as --from 2026-01-05")
    end_ts = request.begin_ts + DAY_NS if request.end_ts is None else request.end_ts
    symbols = request.symbols or SYMBOLS
    for symbol in symbols:
        try:
            symbol_profile(symbol)
        except ValueError as error:
            raise UsageError(f"--symbols: {error}") from None
    settings = simulator_settings(request.settings, seed=request.market_seed, symbols=symbols)
    return SimulatedMarket(settings, request.begin_ts, end_ts)


def _kept(request: Request) -> Source:
    """Return books of a folder of history; of one that a running system left, with its signals; else bars."""
    check_parquet("--data")
    from backtest.sources.books import Books  # noqa: PLC0415 -- needs pyarrow
    from backtest.sources.topics import Topics  # noqa: PLC0415 -- likewise
    from libs.history.layout import TOPICS_FOLDER, book_folders, days_of  # noqa: PLC0415 -- likewise

    root, symbols = Path(request.paths[0]), request.symbols or None
    try:
        folders = [each for each in book_folders(root) if symbols is None or each.symbol in symbols]
        if any(days_of(root, each, "book") for each in folders):
            kind = Topics if (root / TOPICS_FOLDER).is_dir() else Books
            return kind(root, symbols=symbols, begin_ts=request.begin_ts, end_ts=request.end_ts)
        days = [day for each in folders for day in days_of(root, each, "candles")]
        if not days:
            raise CommandError(f"--data: {root} has neither books nor candles of what was named")
        return _bars(request, root, days)
    except (HistoryError, ValueError) as error:
        raise CommandError(f"--data: {error}") from error


def _bars(request: Request, root: Path, days: Sequence[int]) -> Source:
    from backtest.sources.bars import Bars, DaysOfCandles  # noqa: PLC0415 -- needs pyarrow

    candles = DaysOfCandles(root, request.symbols or None)
    past = sorted(set(days))  # of them the first are what risk is measured on before anything is traded
    first = past[PAST_DAYS] if len(past) > PAST_DAYS else past[0]
    begin_ts = first * DAY_NS if request.begin_ts is None else request.begin_ts
    there_ts, over_ts = past[0] * DAY_NS, (past[-1] + 1) * DAY_NS
    end_ts = over_ts if request.end_ts is None else min(request.end_ts, over_ts)
    if begin_ts >= over_ts or end_ts <= there_ts:
        raise CommandError(
            f"--data: {root} has candles from {iso(there_ts)} to {iso(over_ts)},"
            " and nothing of the time asked for"
        )
    return Bars(candles, begin_ts, end_ts)
