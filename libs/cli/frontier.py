"""`bookrunner frontier`: the efficient frontier and its weights as a picture, by asking the portfolio."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from libs.cli.errors import CommandError
from libs.common.cloudevents import CloudEvent
from libs.common.events import CommandRejected, OptimizePortfolio, PortfolioOptimized
from libs.common.kafka import Publisher, Reader, Record
from libs.common.topics import PORTFOLIO_ALLOCATIONS, PORTFOLIO_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from libs.common.settings import ServiceSettings

POINTS: Final = 40
LEAST_VOL: Final = 1e-4  # fraction per day
PATIENCE_S: Final = 60.0  # a hundred symbols take half a second a point
BOOK: Final = "frontier"
SOURCE: Final = "/cli/frontier"


async def frontier(
    settings: ServiceSettings,
    symbols: Sequence[str],
    cvar_budget: float,
    max_vol: float,
    mode: Literal["sum_cvar", "portfolio_cvar"],
) -> list[PortfolioOptimized]:
    """Return the portfolio's answers over a range of volatility ceilings, lowest first.

    Raises
    ------
    CommandError
        If the portfolio does not answer in time, or it refuses.
    """
    begun = time.time_ns()
    commands = {}
    for ceiling in np.linspace(LEAST_VOL, max_vol, POINTS).tolist():
        identifier = str(uuid5(NAMESPACE_URL, f"bookrunner:frontier/{begun}/{ceiling!r}"))
        commands[identifier] = OptimizePortfolio(
            command_id=identifier,
            book=BOOK,
            symbols=tuple(symbols),
            cvar_budget=cvar_budget,
            vol_target=ceiling,
            mode=mode,
        )
    try:
        async with asyncio.timeout(PATIENCE_S):
            answers = await _asked(settings, commands, begun)
    except TimeoutError as error:
        detail = (
            f"the portfolio did not answer within {PATIENCE_S:g} s: is it running? start it with `make run`"
        )
        raise CommandError(detail) from error
    return [answers[identifier] for identifier in commands]


async def _asked(
    settings: ServiceSettings, commands: Mapping[str, OptimizePortfolio], now: int
) -> Mapping[str, PortfolioOptimized]:
    answers: dict[str, PortfolioOptimized] = {}
    async with (
        Reader(settings, [PORTFOLIO_ALLOCATIONS], start="end") as reader,
        Publisher(settings, compress=False) as publisher,
    ):
        for command in commands.values():
            identifier = uuid5(NAMESPACE_URL, command.command_id)
            event = CloudEvent(identifier, "OptimizePortfolio", SOURCE, now, command.command_id, None)
            await publisher.send_and_wait(PORTFOLIO_COMMANDS, BOOK.encode(), command, now, event.headers())
        while len(answers) < len(commands):
            for record in await reader.poll():
                answer = record.event if isinstance(record, Record) else None
                if isinstance(answer, CommandRejected) and answer.command_id in commands:
                    raise CommandError(answer.detail)
                if isinstance(answer, PortfolioOptimized) and answer.command_id in commands:
                    answers[answer.command_id] = answer
    return answers


def _title(answers: Sequence[PortfolioOptimized]) -> str:
    last = answers[-1]
    days = sorted({last.observations_by_symbol.get(symbol, last.observations) for symbol in last.mean})
    span = str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"
    fade = "" if last.half_life_days is None else f" of half-life {last.half_life_days:g}"
    cautions = [answer.caution for answer in answers]
    return (
        f"{span} days{fade} at {last.venue}, shrunk mean and covariance\n"
        f"CVaR counted {min(cautions):.2f} to {max(cautions):.2f} times (cross-validated)"
    )


def plot(answers: Sequence[PortfolioOptimized], file: Path) -> None:
    """Write the picture: expected return over volatility, and the weights below it.

    Raises
    ------
    CommandError
        If there is nothing to plot, or the file cannot be written.
    """
    import matplotlib as mpl  # noqa: PLC0415 -- a second to import, for this command only

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 -- after the choice of a backend without a screen

    last = answers[-1]
    if last.status == "insufficient_history":
        raise CommandError(last.reason)
    vol = 100.0 * np.array([answer.vol_target for answer in answers])
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 8), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    top.plot(
        [100.0 * answer.vol for answer in answers],
        [100.0 * answer.expected_return for answer in answers],
        color="black",
        marker=".",
        label=f"frontier under CVaR {last.confidence:g} ≤ {last.cvar_budget:.1%} a day ({last.mode})",
    )
    for n, (symbol, mean) in enumerate(last.mean.items()):
        sigma = 100.0 * float(np.sqrt(last.covariance[n][n]))
        top.plot(sigma, 100.0 * mean, "o", color=f"C{n}")
        top.annotate(symbol, (sigma, 100.0 * mean), xytext=(6, -3), textcoords="offset points")
    top.set_ylabel("expected return, % a day")
    top.set_title(_title(answers))
    top.legend(loc="lower right")
    top.grid(alpha=0.3)
    weights = {symbol: [answer.weights[symbol] for answer in answers] for symbol in last.mean}
    cash = [answer.cash for answer in answers]
    colours = [f"C{n}" for n in range(len(weights))]
    bottom.stackplot(vol, *weights.values(), cash, labels=[*weights, "cash"], colors=[*colours, "0.88"])
    bottom.set_ylabel("weights")
    bottom.set_xlabel("volatility ceiling, % a day")
    bottom.set_ylim(0.0, 1.0)
    bottom.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    try:
        figure.savefig(file, dpi=120)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot write {file}: {error}") from error
    finally:
        plt.close(figure)
