"""A report as one HTML page, which needs nothing but itself: no script, no other host; pure.

Equal arguments give equal bytes. Whatever comes from data is text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from libs.performance import page_sections as sections
from libs.performance.page_markup import Html, element, joined, table
from libs.performance.page_periods import periods
from libs.performance.page_style import STYLE
from libs.performance.page_text import bare, figure, moment, percent, ratio

if TYPE_CHECKING:
    from libs.performance.answer import Performance
    from libs.performance.sweep import Sweep

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


class Head(NamedTuple):
    """What a report says before its numbers."""

    title: str
    about: str  # a sentence below the title
    loud: tuple[str, ...] = ()  # what nobody may overlook: a made-up market, an early end
    facts: tuple[tuple[str, str], ...] = ()  # name and text
    notes: tuple[str, ...] = ()  # sentences on where the numbers are from
    command: str = ""  # that makes it again
    audit: str = ""  # an address or a command, in which `{id}` stands for an execution


def page(head: Head, found: Performance, sweep: Sweep | None = None) -> bytes:
    """Return the page."""
    parts = [
        _head(head, found),
        sections.cards(found),
        *([_section("Sweep", sweep_tables(sweep))] if sweep else []),
        _section("Equity", sections.curves(found)),
        _section("Returns", periods(found)),
        _section("Figures", sections.figures(found)),
        _section("Policies", sections.policies(found)),
        _section("Cost", sections.costs(found)),
        _section("Venues", sections.venues(found)),
        _section("Worst trades", sections.worst(found, head.audit)),
        element("footer", "Made by Bookrunner. Money is in quote units; times are UTC."),
    ]
    whole = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("title", head.title),
            element("style", Html(STYLE)),
        ),
        element("body", element("main", parts)),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{whole}\n".encode()


def _head(head: Head, found: Performance) -> Html:
    facts = [part for name, text in head.facts for part in (element("dt", name), element("dd", text))]
    return element(
        "header",
        element("h1", head.title),
        element("p", head.about, class_="sub"),
        _box(head.loud, "loud", "note"),
        _box(found.warnings, "warn", "note"),
        element("dl", facts, class_="facts"),
        [element("p", note, class_="sub") for note in head.notes],
        [element("pre", element("code", head.command))] if head.command else [],
    )


def _box(sentences: tuple[str, ...], kind: str, role: str) -> Html:
    if not sentences:
        return Html("")
    return element("div", element("ul", [element("li", each) for each in sentences]), class_=kind, role=role)


def _section(title: str, content: Html) -> Html:
    return element("section", element("h2", title), content)


def sweep_tables(sweep: Sweep) -> Html:
    """Return the runs of a sweep beside each other, and its walk forward."""
    names = list(dict.fromkeys(name for point in sweep.points for name in point.parameters))
    rows = [
        (
            joined(element("b", point.name), " (best)") if point.name == sweep.best else point.name,
            *(point.parameters.get(name, "") for name in names),
            figure(point.total_return, percent),
            figure(point.sharpe, ratio),
            figure(point.sharpe_of_period, ratio),
            figure(point.drawdown, percent),
            f"{point.trades:,}{' (partial)' if point.partial else ''}",
        )
        for point in sweep.points
    ]
    deflated = element(
        "p",
        f"Deflated Sharpe ratio of the best of {len(sweep.points)}: ",
        figure(sweep.deflated_sharpe, percent),
        ": the probability that it is above what the best of as many useless ones would show.",
    )
    parts = [
        table(
            ("", *names, "return", "Sharpe ratio", "of a period", "deepest drawdown", "trades"), rows, "Runs"
        ),
        deflated,
    ]
    if sweep.folds:
        folds = [
            (
                f"{moment(fold.begin_ms)} to {moment(fold.end_ms)}",
                fold.chosen,
                bare(fold.before, ratio),
                figure(fold.sharpe, ratio),
                figure(fold.total_return, percent),
            )
            for fold in sweep.folds
        ]
        parts += [
            table(
                ("stretch", "chosen by the time before", "its Sharpe ratio then", "Sharpe ratio", "return"),
                folds,
                "Walk forward: each stretch traded with what was best before it",
            ),
            element("p", "All stretches one after the other: ", figure(sweep.folds_return, percent)),
        ]
    return joined(*parts)
