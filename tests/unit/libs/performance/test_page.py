from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final

import pytest

from libs.performance import page_charts
from libs.performance.figures import known, unknown
from libs.performance.measure import performance_of
from libs.performance.page import Head, page
from libs.performance.page_charts import Line, line_chart, x_ticks, y_ticks
from libs.performance.page_markup import Html, element, table
from libs.performance.page_text import money, percent
from libs.performance.sweep import Fold, Sweep, SweepPoint
from libs.performance.tape import Tape
from tests.hostile_texts import HOSTILE_TEXTS
from tests.unit.libs.performance.performances import BEGIN_MS, a_performance

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT: Final = """</title></style><script>alert(1)</script><img src=x onerror="alert(1)">'&"""
HOSTILE: Final = SCRIPT + "".join(HOSTILE_TEXTS.values())
VOID: Final = frozenset(("meta", "br", "col"))


class Document(HTMLParser):
    """What a page consists of; refuses what is not closed, or closed in another order."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(content.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def a_head(text: str = "", **changes: Any) -> Head:
    head = Head(
        title=f"Backtest{text}",
        about=f"a day{text}",
        loud=(f"Synthetic{text}",),
        facts=((f"Market{text}", f"books{text}"),),
        notes=(f"a note{text}",),
        command=f"bookrunner backtest{text}",
        audit=f"bookrunner verify {{id}}{text}",
    )
    return head._replace(**changes)


def a_sweep(text: str = "") -> Sweep:
    points = tuple(
        SweepPoint(
            name=f"urgency={value}{text}",
            parameters={f"urgency{text}": f"{value}{text}"},
            total_return=known(value),
            sharpe=known(1 + value, 0.5),
            drawdown=known(-0.01),
            trades=12,
        )
        for value in (0.2, 0.9)
    )
    fold = Fold(
        begin_ms=BEGIN_MS,
        end_ms=BEGIN_MS + 1000,
        chosen=points[0].name,
        before=known(0.1),
        sharpe=unknown(f"too few{text}"),
        total_return=known(0.01),
    )
    return Sweep(points=points, best=points[1].name, deflated_sharpe=known(0.61), folds=(fold,))


def test_a_page_is_well_formed_whatever_its_texts_are() -> None:
    plain = Document(page(a_head(), a_performance(), a_sweep()))
    hostile = Document(page(a_head(HOSTILE), a_performance(hostile=HOSTILE), a_sweep(HOSTILE)))
    assert hostile.tags == plain.tags
    assert {name for _, name, _ in hostile.attributes} == {name for _, name, _ in plain.attributes}


def test_what_data_says_is_text_and_acts_on_nothing() -> None:
    content = page(a_head(HOSTILE), a_performance(hostile=HOSTILE), a_sweep(HOSTILE)).decode()
    text = "".join(Document(content.encode()).text)
    assert "<script>alert(1)</script>" in text
    assert all(char == "\n" or char.isprintable() for char in re.sub(r"[\u2212\u00a0]", "", content))


def test_a_page_needs_nothing_but_itself() -> None:
    document = Document(page(a_head(), a_performance(), a_sweep()))
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {*document.tags}
    assert not {"src", "href", "srcset", "data", "action"} & {name for _, name, _ in document.attributes}
    assert not [value for _, _, value in document.attributes if "url(" in value or "//" in value]
    style = "".join(document.text)
    assert "@import" not in style
    assert "url(" not in style
    (policy,) = (
        value for tag, name, value in document.attributes if tag == "meta" and value.startswith("default-src")
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_equal_numbers_make_equal_bytes() -> None:
    assert page(a_head(), a_performance(), a_sweep()) == page(a_head(), a_performance(), a_sweep())


def test_every_chart_and_table_says_in_words_what_it_is() -> None:
    document = Document(page(a_head(), a_performance(), a_sweep()))
    charts = {value for tag, name, value in document.attributes if tag == "svg" and name == "role"}
    assert charts == {"img"}
    (words,) = (
        value
        for tag, name, value in document.attributes
        if tag == "svg" and name == "aria-label" and value.startswith("Equity")
    )
    assert re.search(r"equity from 1,000,000 to 1,048,390, lowest [\d,]+, highest [\d,]+", words)
    assert document.tags.count("table") == document.tags.count("caption")


def test_an_audit_that_has_an_address_is_a_link() -> None:
    document = Document(page(a_head(audit="/api/audit/{id}"), a_performance()))
    links = [value for tag, name, value in document.attributes if (tag, name) == ("a", "href")]
    assert links[0] == "/api/audit/d585da82-2fb6-5596-94a2-0296c89596c0"
    assert len(links) == 10


def test_a_figure_that_is_none_says_why() -> None:
    text = " ".join(Document(page(a_head(), a_performance())).text)
    assert "a single run has no trials to be deflated by" in text
    assert "fewer than 2 returns" in text


def test_nothing_that_happened_is_a_page_too() -> None:
    text = " ".join(Document(page(a_head(), performance_of(Tape()))).text)
    assert "No policy was chosen." in text
    assert "there is no mark of equity" in text
    assert "nothing to draw" in text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (999.0, 1001.0, [999.0, 999.5, 1000.0, 1000.5, 1001.0]),
        (-0.013, 0.0, [-0.015, -0.01, -0.005, 0.0]),
    ],
)
def test_values_beside_a_chart_are_round_and_hold_all(
    low: float, high: float, expected: Sequence[float]
) -> None:
    assert y_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e6])
def test_a_line_that_never_moves_has_room_around_it(value: float) -> None:
    ticks = y_ticks(value, value)
    assert ticks[0] < value < ticks[-1]


def test_moments_below_a_chart_are_whole_steps() -> None:
    begin = BEGIN_MS * 1_000_000
    hour = x_ticks(begin + 1, begin + 3_600_000_000_000)
    assert [name for _, name in hour] == ["00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]
    assert all(ts % 600_000_000_000 == 0 for ts, _ in hour)
    assert x_ticks(begin, begin + 400 * 86_400_000_000_000)[0][1] == "Jan 2026"


def test_a_chart_is_drawn_where_its_points_are() -> None:
    chart = line_chart("C", [Line("l", [(0, 0.0), (5, 1.0), (10, 0.5)])], money)
    assert 'd="M0 300L500 0L1000 150"' in chart


def test_what_is_not_finite_is_not_drawn() -> None:
    chart = line_chart("C", [Line("l", [(0, 0.0), (5, float("nan")), (10, 1.0)])], money)
    assert 'd="M0 300L1000 0"' in chart


def test_bars_and_intervals_stay_in_their_cell() -> None:
    for drawn in (
        page_charts.bar(3.0),
        page_charts.signed_bar(-9.0, 1.0),
        page_charts.interval(-9.0, 0.0, 9.0, (-1.0, 1.0)),
    ):
        assert all(-1.0 <= float(x) <= 100.0 for x in re.findall(r' x[12]?="([-\d.]+)"', drawn))


def test_numbers_have_a_true_minus_and_none_before_zero() -> None:
    assert money(-1234.5) == "\u22121,234.50"
    assert money(-0.001) == "0.00"
    assert percent(-0.00012) == "\u22120.0120\u00a0%"


def test_only_markup_is_markup() -> None:
    assert element("p", "<b>", Html("<b></b>")) == "<p>&lt;b&gt;<b></b></p>"
    assert element("p", class_='"') == '<p class="&quot;"></p>'
    assert table(("", "a"), [], "t", empty="<none>") == '<p class="none">&lt;none&gt;</p>'
