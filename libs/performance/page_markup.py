"""HTML as values: what is put into an element is text unless it was made here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, TypeAlias

from libs.common.printable import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_VOID: Final = frozenset(("br", "col", "line", "meta", "path", "rect", "circle"))


class Html(str):
    """Markup; every other `str` is text."""

    __slots__ = ()


Part: TypeAlias = "str | Iterable[str]"


def element(tag: str, *parts: Part, **attributes: str) -> Html:
    """Return an element; an attribute ``class_`` is ``class``, and ``aria_label`` is ``aria-label``."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(printable(value, None))}"'
        for name, value in attributes.items()
    )
    if tag in _VOID:
        return Html(f"<{tag}{named}>" if tag in {"br", "col", "meta"} else f"<{tag}{named}/>")
    return Html(f"<{tag}{named}>{joined(*parts)}</{tag}>")


def joined(*parts: Part) -> Html:
    """Return parts one after the other."""
    return Html("".join(_safe(part) if isinstance(part, str) else joined(*part) for part in parts))


def _safe(part: str) -> str:
    return part if isinstance(part, Html) else escape(printable(part, None))


def table(
    head: Iterable[str],
    rows: Iterable[Iterable[str]],
    caption: str,
    *,
    words: Collection[int] = (),
    empty: str = "None.",
) -> Html:
    """Return a table whose rows begin with their heading; a sentence where there is no row.

    Parameters
    ----------
    words
        The columns that are read rather than compared, beside the first.
    """
    names = tuple(head)
    columns = ["text" if at in words else "" for at in range(len(names))]
    body = [
        element("tr", [_cell(cell, columns[at], heading=at == 0) for at, cell in enumerate(row)])
        for row in rows
    ]
    if not body:
        return element("p", empty, class_="none")
    first = element("tr", [_named(name, columns[at], scope="col") for at, name in enumerate(names)])
    whole = element("table", element("caption", caption), element("thead", first), element("tbody", body))
    return element("div", whole, class_="wide", tabindex="0", role="region", aria_label=caption)


def _cell(cell: str, kind: str, *, heading: bool) -> Html:
    if heading:
        return element("th", cell, scope="row")
    return element("td", cell, class_=kind) if kind else element("td", cell)


def _named(name: str, kind: str, scope: str) -> Html:
    return element("th", name, scope=scope, class_=kind) if kind else element("th", name, scope=scope)
