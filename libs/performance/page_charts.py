"""Charts of a report: lines over time, bars and intervals in cells; SVG, without a script.

A chart's drawing is stretched to its place while its labels stay text beside it, so that it is read at
any width. Beside what is drawn stands what it says, in words or figures.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.performance.page_markup import Html, element
from libs.performance.page_text import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

W: Final = 1000  # width of a drawing, its own units
H: Final = 300
_X_TICKS: Final = 6
_Y_TICKS: Final = 5
_STEPS: Final = (  # between two moments named below a chart, ns
    *(n * NS_PER_S for n in (1, 2, 5, 10, 15, 30)),
    *(n * MINUTE_NS for n in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)),
    *(n * DAY_NS for n in (1, 2, 7, 14, 28, 91, 182, 364)),
)


class Line(NamedTuple):
    """A line of a chart."""

    name: str
    points: Sequence[tuple[int, float]]  # time, ns UTC, rising; value


def line_chart(
    caption: str,
    lines: Sequence[Line],
    shown: Callable[[float], str],
    *,
    filled: bool = False,
    zero: bool = False,
) -> Html:
    """Return lines over one time, the first of them the one that matters.

    Parameters
    ----------
    shown
        A value as text, with its unit.
    filled
        Whether the first line is filled towards zero.
    zero
        Whether zero belongs to the chart.
    """
    drawn = [Line(line.name, [at for at in line.points if math.isfinite(at[1])]) for line in lines]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        return element("p", f"{caption}: nothing to draw.", class_="none")
    begin = min(line.points[0][0] for line in drawn)
    end = max(*(line.points[-1][0] for line in drawn), begin + 1)
    values = [value for line in drawn for _, value in line.points] + ([0.0] if zero else [])
    ticks = y_ticks(min(values), max(values))
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def place(ts: int, value: float) -> tuple[float, float]:
        return W * (ts - begin) / (end - begin), H * (high - value) / (high - low)

    times = x_ticks(begin, end)
    grid = [_rule(y1=place(begin, tick)[1], y2=place(begin, tick)[1], x1=0, x2=W) for tick in ticks]
    grid += [_rule(x1=place(ts, 0)[0], x2=place(ts, 0)[0], y1=0, y2=H) for ts, _ in times]
    paths = [
        element("path", d=path, class_=f"line s{at}", vector_effect="non-scaling-stroke")
        for at, path in enumerate(_path([place(*point) for point in line.points]) for line in drawn)
    ]
    if filled:
        first = drawn[0].points
        ends = [place(first[0][0], 0.0), *(place(*point) for point in first), place(first[-1][0], 0.0)]
        paths.insert(0, element("path", d=f"{_path(ends)}Z", class_="area"))
    svg = element(
        "svg",
        grid,
        reversed(paths),
        viewBox=f"0 0 {W} {H}",
        preserveAspectRatio="none",
        role="img",
        aria_label=_in_words(caption, drawn, shown),
    )
    labels = [
        element("span", shown(tick), class_="y", style=f"top:{_fixed(place(begin, tick)[1] / H * 100)}%")
        for tick in ticks
    ] + [
        element("span", name, class_="x", style=f"left:{_fixed(place(ts, 0)[0] / W * 100)}%")
        for ts, name in times
    ]
    return element(
        "figure",
        element("figcaption", element("b", caption), _legend(drawn, shown)),
        element("div", svg, element("div", labels, aria_hidden="true"), class_="plot"),
    )


def _legend(lines: Sequence[Line], shown: Callable[[float], str]) -> Html:
    return element(
        "ul",
        [
            element(
                "li", element("i", class_=f"s{at}"), f"{line.name} ", element("b", shown(line.points[-1][1]))
            )
            for at, line in enumerate(lines)
        ],
        class_="legend",
    )


def _in_words(caption: str, lines: Sequence[Line], shown: Callable[[float], str]) -> str:
    said = []
    begin, end = (moment(ts // NS_PER_MS) for ts, _ in (lines[0].points[0], lines[0].points[-1]))
    for line in lines:
        values = [value for _, value in line.points]
        said.append(
            f"{line.name} from {shown(values[0])} to {shown(values[-1])}, lowest {shown(min(values))}, "
            f"highest {shown(max(values))}"
        )
    return f"{caption}, {begin} to {end}: {'; '.join(said)}"


def y_ticks(low: float, high: float) -> list[float]:
    """Return round values that hold all that is between low and high."""
    if not high > low:
        around = abs(high) * 1e-3 or 1.0
        low, high = low - around, high + around
    rough = (high - low) / (_Y_TICKS - 1)
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * magnitude >= rough * (1 - 1e-9))
    return [step * n for n in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def x_ticks(begin: int, end: int) -> list[tuple[int, str]]:
    """Return round moments between two, ns UTC, each with its name."""
    step = next((each for each in _STEPS if (end - begin) / each <= _X_TICKS), _STEPS[-1])
    form = "%H:%M:%S" if step < MINUTE_NS else "%H:%M" if step < DAY_NS else "%d %b"
    if step >= 28 * DAY_NS:
        form = "%b %Y"
    return [
        (ts, f"{datetime.fromtimestamp(ts // NS_PER_S, UTC):{form}}")
        for ts in range(-(-begin // step) * step, end + 1, step)
    ]


def bar(share: float, kind: str = "s0") -> Html:
    """Return a bar of a share, 0 to 1, as part of a cell that says the number too."""
    width = _fixed(100 * min(1.0, max(0.0, share)))
    return _in_cell(element("rect", x="0", y="2", width=width, height="6", class_=f"fill {kind}"))


def signed_bar(value: float, most: float, kind: str = "s0") -> Html:
    """Return a bar from the middle, to the right if positive; `most` is the longest's size."""
    length = 50 * min(1.0, abs(value) / most) if most > 0 else 0.0
    left = 50.0 if value >= 0 else 50.0 - length
    return _in_cell(
        _rule(x1=50, x2=50, y1=0, y2=10),
        element("rect", x=_fixed(left), y="2", width=_fixed(length), height="6", class_=f"fill {kind}"),
    )


def interval(low: float, value: float, high: float, scale: tuple[float, float]) -> Html:
    """Return a value with its interval on a scale that other rows share; zero is marked if it is on it."""
    least, most = scale
    span = (most - least) or 1.0

    def at(given: float) -> float:
        return 100 * min(1.0, max(0.0, (given - least) / span))

    zero = [_rule(x1=at(0.0), x2=at(0.0), y1=0, y2=10)] if least <= 0.0 <= most else []
    whisker = element(
        "line",
        x1=_fixed(at(low)),
        x2=_fixed(at(high)),
        y1="5",
        y2="5",
        class_="line s0",
        vector_effect="non-scaling-stroke",
    )
    dot = element("rect", x=_fixed(at(value) - 1), y="1", width="2", height="8", class_="fill s0")
    return _in_cell(*zero, whisker, dot)


def _in_cell(*parts: Html) -> Html:
    return element(
        "svg",
        *parts,
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        class_="cell",
        aria_hidden="true",
    )


def _rule(*, x1: float, x2: float, y1: float, y2: float) -> Html:
    return element(
        "line",
        x1=_fixed(x1),
        x2=_fixed(x2),
        y1=_fixed(y1),
        y2=_fixed(y2),
        class_="grid",
        vector_effect="non-scaling-stroke",
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "".join(_steps(points))


def _steps(points: Sequence[tuple[float, float]]) -> Iterator[str]:
    for at, (x, y) in enumerate(points):
        yield f"{'L' if at else 'M'}{_fixed(x)} {_fixed(y)}"


def _fixed(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
