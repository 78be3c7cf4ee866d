"""`Sweep`: runs that differ in parameters, beside each other, as it is told; pure."""

from __future__ import annotations

from typing import Annotated

from libs.common.meanings import Count, EpochMs, meaning
from libs.performance.figures import Answer, Figure


class SweepPoint(Answer, frozen=True, kw_only=True):
    """A run of a sweep."""

    name: Annotated[str, meaning("of its folder, below `points`")]
    parameters: Annotated[dict[str, str], meaning("the values it was made with, by name")]
    partial: Annotated[bool, meaning("it was ended early")] = False
    total_return: Annotated[Figure, meaning("fraction")]
    sharpe: Annotated[Figure, meaning("per year; none of minutes")]
    sharpe_of_period: Annotated[Figure, meaning("by which runs are compared, see the ratios")] = Figure(
        why="a former version did not tell it"
    )
    drawdown: Annotated[Figure, meaning("the deepest, fraction, <= 0")]
    trades: Annotated[Count, meaning("executions with a fill")]


class Fold(Answer, frozen=True, kw_only=True):
    """A stretch of time, traded as the stretches before it would have had it."""

    begin_ms: Annotated[EpochMs, meaning("its begin")]
    end_ms: Annotated[EpochMs, meaning("its end")]
    chosen: Annotated[str, meaning("name of the point with the highest Sharpe ratio before it")]
    before: Annotated[Figure, meaning("Sharpe ratio of that point in all stretches before, per year")]
    sharpe: Annotated[Figure, meaning("Sharpe ratio of that point in the stretch, per year")]
    total_return: Annotated[Figure, meaning("of that point in the stretch, fraction")]


class Sweep(Answer, frozen=True, kw_only=True):
    """What parameters make of a run, and how much of the best one's luck was to be expected."""

    points: Annotated[tuple[SweepPoint, ...], meaning("in the order of the values as named")]
    best: Annotated[
        str | None, meaning("name of the point with the highest Sharpe ratio", null="none has one")
    ]
    deflated_sharpe: Annotated[
        Figure, meaning("probability that its Sharpe ratio is above the best of as many useless trials, 0-1")
    ]
    folds: Annotated[tuple[Fold, ...], meaning("of a walk forward, in time; empty: none was asked for")] = ()
    folds_return: Annotated[Figure, meaning("of all folds one after the other, fraction")] = Figure(
        why="no folds were asked for"
    )
