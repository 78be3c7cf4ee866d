"""Numbers, moments and figures as a report writes them; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from libs.performance.page_markup import Html, element, joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.performance.figures import Figure

NONE: Final = "—"
_MINUS: Final = "\u2212"


def money(value: float) -> str:
    """Return an amount, with as many places as its size asks for."""
    return _signed(f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:,.2f}")  # noqa: PLR2004 -- cents of much are noise


def percent(value: float, places: int | None = None) -> str:
    """Return a fraction as percent; without places given, with as many as show it."""
    if places is None:
        places = 2 if abs(value) >= 1e-3 or value == 0 else 4  # noqa: PLR2004 -- a tenth of a percent
    return _signed(f"{100 * value:.{places}f}") + "\u00a0%"


def bps(value: float) -> str:
    """Return basis points."""
    return _signed(f"{value:.2f}")


def return_bps(value: float) -> str:
    """Return a fraction as basis points."""
    return bps(1e4 * value)


def ratio(value: float) -> str:
    """Return a plain number."""
    return _signed(f"{value:.2f}")


def _signed(text: str) -> str:
    """Return a number with a true minus, and none before zero."""
    return text.replace("-", _MINUS) if text.strip("-0.,") else text.replace("-", "")


def moment(ms: int | None) -> str:
    """Return a moment (ms UTC) to the second."""
    return NONE if ms is None else f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S}"


def figure(given: Figure, shown: Callable[[float], str]) -> Html:
    """Return a figure with its interval, or why there is none."""
    if given.value is None:
        return joined(NONE, " ", element("span", given.why, class_="why"))
    interval = within(given, shown)
    return joined(shown(given.value), *([" ", element("span", interval, class_="why")] if interval else []))


def within(given: Figure, shown: Callable[[float], str]) -> str:
    """Return the interval of a figure, empty if it has none."""
    return "" if given.low is None or given.high is None else f"{shown(given.low)} to {shown(given.high)}"


def bare(given: Figure, shown: Callable[[float], str]) -> str:
    """Return a figure without its interval."""
    return NONE if given.value is None else shown(given.value)
