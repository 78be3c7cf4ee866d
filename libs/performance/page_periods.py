"""The returns of months and days as tables whose cells are shaded by them; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from libs.performance.page_markup import Html, element, joined
from libs.performance.page_text import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from libs.performance.answer import Performance, PeriodReturn

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FINE: Final = 1e-3  # largest return below which a table shows two more places
OPEN_WEEKS: Final = 10  # with more, the table of days is folded away


def periods(found: Performance) -> Html:
    """Return the tables of months and days."""
    months = _heat(found.months, MONTHS, "Returns by month", lambda at: (f"{at:%Y}", at.month - 1))
    days = _heat(found.days, DAYS, "Returns by day, in weeks", _week)
    if len(found.days) > 7 * OPEN_WEEKS:
        days = element("details", element("summary", "Returns by day"), days)
    return joined(months, days)


def _week(at: datetime) -> tuple[str, int]:
    year, week, day = at.isocalendar()
    return f"{datetime.fromisocalendar(year, week, 1):%Y-%m-%d}", day - 1


def _heat(
    found: Sequence[PeriodReturn],
    columns: Sequence[str],
    caption: str,
    place: Callable[[datetime], tuple[str, int]],
) -> Html:
    most = max((abs(each.value) for each in found), default=0.0)
    places = 2 if most >= FINE or not most else 4
    rows: dict[str, list[Html]] = {}
    for each in found:
        row, column = place(datetime.fromtimestamp(each.begin_ms // 1000, UTC))
        cells = rows.setdefault(row, [element("td", class_="heat")] * len(columns))
        side = "up" if each.value >= 0 else "down"
        shade = abs(each.value) / most * 0.7 if most else 0.0
        cells[column] = element(
            "td",
            percent(each.value, places),
            element("sup", "*") if each.partial else "",
            class_="heat",
            style=f"background:rgb(var(--{side})/{shade:.2f})",
        )
    if not rows:
        return element("p", f"{caption}: none.", class_="none")
    head = element(
        "tr", element("th", "", scope="col"), [element("th", name, scope="col") for name in columns]
    )
    body = [element("tr", element("th", name, scope="row"), cells) for name, cells in rows.items()]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", body),
        class_="heat",
    )
    star = any(each.partial for each in found)
    note = element("p", "* not marked from its begin to its end.", class_="why") if star else Html("")
    return joined(element("div", whole, class_="wide", tabindex="0", role="region", aria_label=caption), note)
