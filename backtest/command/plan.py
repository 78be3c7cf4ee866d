"""`Plan`: the runs that a command asks for; pure."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import shlex
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from backtest.command import parameters
from backtest.command.reading import interval_named
from backtest.command.request import Market, Request, command_of, name_of
from libs.cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_POINTS: Final = 1_000
_NAME: Final = re.compile(r"[^A-Za-z0-9._=+-]")


class Point(NamedTuple):
    """A run of a sweep."""

    name: str  # of its folder
    parameters: Mapping[str, str]
    request: Request


class Plan(NamedTuple):
    """A run, or those of a sweep and of a walk forward."""

    request: Request
    swept: Mapping[str, Sequence[str]]
    folds: int
    points: tuple[Point, ...]

    @classmethod
    def of(cls, request: Request, swept: Mapping[str, Sequence[str]], folds: int) -> Plan:
        """Return the plan of a request with these values of parameters, each with each.

        Raises
        ------
        UsageError
            If a parameter or a value is wrong, or there are too many.
        """
        count = math.prod(map(len, swept.values()))
        if count > MOST_POINTS:
            raise UsageError(f"--sweep makes {count:,} runs: at most {MOST_POINTS:,} are right")
        for name, values in swept.items():
            for value in values:
                parameters.check(name, value)
        points = [
            _point(request, dict(zip(swept, values, strict=True)))
            for values in itertools.product(*swept.values())
        ]
        if len({point.name for point in points}) < len(points):
            points = [point._replace(name=f"{at}_{point.name}") for at, point in enumerate(points)]
        if folds and request.market is Market.RECORDING:
            raise UsageError(
                "--folds needs a market that can begin anywhere: a recording is played as a whole"
            )
        return cls(request, swept, folds, tuple(points))

    @property
    def single(self) -> bool:
        """Whether it is one run alone."""
        return not self.swept and not self.folds

    @property
    def options(self) -> list[str]:
        """What the command has of them beside the options of a run."""
        words = [f"--sweep={name}={','.join(values)}" for name, values in self.swept.items()]
        return [*words, *([f"--folds={self.folds}"] if self.folds else [])]

    @property
    def name(self) -> str:
        """A name for a folder, alike for equal plans."""
        if self.single:
            return name_of(self.request)
        return f"{name_of(self.request)}_{hashlib.sha256(shlex.join(self.options).encode()).hexdigest()[:8]}"

    def command(self, request: Request) -> str:
        """Return the line for a shell that carries out the plan again, for what became of its request."""
        return f"{command_of(request)} {shlex.join(self.options)}".rstrip()


def _point(request: Request, values: Mapping[str, str]) -> Point:
    changes: dict[str, object] = {}
    settings = dict(request.settings)
    for name, text in values.items():
        if name == parameters.INTERVAL:
            changes["interval_ns"] = interval_named(text)
        elif name == parameters.URGENCY:
            changes["urgency"] = parameters.urgency_named(text)
        else:
            settings[name] = text
    made = msgspec.structs.replace(
        request,
        **changes,
        settings=parameters.settings_of(settings),
    )
    name = "+".join(f"{parameter}={text}" for parameter, text in values.items()) or "run"
    return Point(_NAME.sub("_", name), values, made)


def stretches(begin_ts: int, end_ts: int, folds: int) -> list[tuple[int, int]]:
    """Return so many equal stretches of a time and one more before them, ns UTC."""
    count = folds + 1
    ends = [begin_ts + (end_ts - begin_ts) * at // count for at in range(count + 1)]
    return list(itertools.pairwise(ends))
