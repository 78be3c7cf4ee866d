"""The options of `bookrunner backtest`, and what is done with them."""

from __future__ import annotations

import os
import threading
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final

import typer

from backtest.command import parameters
from backtest.command.compare import compared, read_summary
from backtest.command.folder import claim
from backtest.command.market import ends_early, source_of
from backtest.command.plan import Plan
from backtest.command.policies import policies_named
from backtest.command.progress import RunProgress
from backtest.command.reading import interval_named, stretch_named, swept, symbols_named
from backtest.command.request import Market, Request
from backtest.command.run import perform, resolved
from backtest.command.running import taken
from backtest.command.shown import show
from backtest.command.stopping import stopping
from backtest.command.sweep import sweep
from libs.cli.errors import UsageError
from libs.cli.policy import folder_of
from libs.cli.screen import screen

FOLDER: Final = Path("backtests")
LEAST_CAPITAL: Final = Decimal(1)
MOST_CAPITAL: Final = Decimal(10) ** 12  # quote units


def backtest_command(  # noqa: PLR0913 -- the options of a command
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="A folder of `bookrunner history`: books, else candles."),
    ] = None,
    simulator: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, metavar="SEED", help="The seeded market of the simulator."),
    ] = None,
    recording: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A file of `bookrunner record`; repeatable, in order of time."),
    ] = None,
    kafka: Annotated[bool, typer.Option("--kafka", help="What a running system has on its topics.")] = False,
    symbols: Annotated[
        str | None, typer.Option(help="With commas; default: all that the market has.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Like 2026-01-05 or 2026-01-05T09:30Z.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Likewise, or +6h, +1d after --from.")
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(help="With commas: built-in ones, and files of POLICIES_DIR or ./policies by name."),
    ] = None,
    interval: Annotated[
        str,
        typer.Option(help="Between two decisions about a symbol, like 1m; an execution works for minutes."),
    ] = "15m",
    urgency: Annotated[float, typer.Option(min=0, max=1, help="Of each execution.")] = 0.9,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of delays and draws.")] = 0,
    capital: Annotated[str, typer.Option(help="At the beginning, quote units.")] = "1000000",
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The summary.json of another run: show what differs.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"Default: {FOLDER}/ and a name made of all that is given."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the folder of a former run.")] = False,
    sweeps: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="NAME=A,B,C",
            help="Run with each value: interval, urgency or a setting like EXECUTION_VOL_TARGET; repeatable.",
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, max=100, help="Walk forward: trade so many stretches as those before chose.")
    ] = 0,
) -> bool:
    """Run all services on a market of the past, in simulated time; write a report and every topic.

    All that they decide and fill is decided and filled by what runs live. Equal commands have equal results,
    byte for byte. Ctrl-C ends a run with what there is until then.
    """
    folder = folder_of(None)
    begin_ts, end_ts = stretch_named(begin, end)
    names, own = policies_named(policies, folder)
    request = Request(
        market=_market(data, simulator, recording, kafka=kafka),
        market_seed=simulator or 0,
        paths=tuple(str(path) for path in ([data] if data else recording or ())),
        symbols=symbols_named(symbols),
        begin_ts=begin_ts,
        end_ts=end_ts,
        policies=names,
        own=own,
        interval_ns=interval_named(interval),
        urgency=urgency,
        seed=seed,
        capital=_capital(capital),
        settings=parameters.settings_of(os.environ),
    )
    plan = Plan.of(request, swept(sweeps or ()), folds)
    other = None if compare is None else read_summary(compare)
    if request.market is Market.KAFKA:
        where = out or FOLDER / plan.name
        claim(where, force=force)
        request = taken(request, where)
    source = source_of(request)
    console = screen()
    if (early := ends_early(request, source)) is not None:
        console.print(early, soft_wrap=True)
    plan = Plan.of(resolved(request, source), plan.swept, folds)
    if not kafka:
        where = out or FOLDER / plan.name
        claim(where, force=force)
    if plan.single:
        flag = threading.Event()
        with RunProgress() as progress, stopping(flag):
            summary = perform(plan.request, source, folder, where, progress.tell, flag).summary
    else:
        summary = sweep(plan, folder, where)
    show(summary, where, console)
    if other is not None:
        console.print(compared(summary, other))
    return summary.partial


def _market(data: Path | None, simulator: int | None, recording: list[Path] | None, *, kafka: bool) -> Market:
    named = [
        market
        for market, given in (
            (Market.DATA, data is not None),
            (Market.SIMULATOR, simulator is not None),
            (Market.RECORDING, bool(recording)),
            (Market.KAFKA, kafka),
        )
        if given
    ]
    if len(named) != 1:
        listed = " and ".join(f"--{market}" for market in named)
        raise UsageError(
            f"{f'{listed} exclude each other' if named else 'there is no market'}: name one of "
            "--data DIR, --simulator SEED, --recording FILE, --kafka"
        )
    return named[0]


def _capital(text: str) -> str:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not LEAST_CAPITAL <= amount <= MOST_CAPITAL:
        raise UsageError(
            f"--capital {text!r} is no amount from {LEAST_CAPITAL:f} to {MOST_CAPITAL:,f}, like 1000000"
        )
    parameters.profile_of({"PORTFOLIO_CAPITAL": text})
    return f"{amount.normalize():f}"
