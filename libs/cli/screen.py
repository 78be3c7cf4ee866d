"""What the commands show goes through here: no text from outside acts on the terminal or forges a line.

Styles are arguments of ours and never part of a text, so markup (``[red]``, ``[/x]``, ``[link=…]``) is text
like any other. Nobody else uses rich's own `Console` and `Text`; a test looks.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import rich.console
import rich.text
from rich.segment import Segment

from libs.common.printable import LONGEST, indented_lines, is_printable, printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType
    from rich.style import StyleType

PIPE_WIDTH: Final = 170  # of tables, where no terminal says


class Text(rich.text.Text):
    """Styled text of one line, whatever it is given."""

    def __init__(self, text: str = "", style: StyleType = "", **options: Any) -> None:  # noqa: ANN401 -- rich's own
        super().__init__(printable(text, None), style, **options)

    def append(self, text: rich.text.Text | str, style: StyleType | None = None) -> Text:
        """Add text at the end."""
        super().append(printable(text, None) if isinstance(text, str) else text, style)
        return self

    def join(self, lines: Iterable[rich.text.Text]) -> Text:
        """Return texts with this one between them."""
        joined = Text(no_wrap=self.no_wrap, end=self.end)
        for at, line in enumerate(lines):
            joined.append(self if at else "").append(line)
        return joined

    @classmethod
    def assemble(cls, *parts: str | rich.text.Text | tuple[str, StyleType], **options: Any) -> Text:  # noqa: ANN401 -- rich's own
        """Return one text of parts, each with its style."""
        text = cls(**options)
        for part in parts:
            text.append(*part) if isinstance(part, tuple) else text.append(part)
        return text

    @classmethod
    def of_lines(cls, lines: Iterable[rich.text.Text]) -> rich.text.Text:
        """Return lines below each other."""
        return rich.text.Text("\n", no_wrap=True).join(lines)


class Screen(rich.console.Console):
    """The terminal, or what stands for one."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 -- rich's own
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> rich.text.Text:  # noqa: ANN401 -- rich's own
        """Return a bare string, as of a cell or a title, as text without markup."""
        return super().render_str(printable(text, LONGEST), **options | {"markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is written; what reached it in another way than as `Text` or string is made safe too."""
        for segment in super().render(renderable, options):
            bare = segment.text.removesuffix("\n")
            if segment.control or is_printable(bare):
                yield segment
            else:
                yield Segment(printable_lines(segment.text), segment.style)


def screen() -> Screen:
    """Return the terminal, or a screen of `PIPE_WIDTH` where there is none."""
    found = Screen()
    return found if found.is_terminal else Screen(width=PIPE_WIDTH)


def complain(speaker: str, text: str) -> None:
    """Write a failure to stderr, each further line of it indented."""
    sys.stderr.write(f"{speaker}: {indented_lines(text)}\n")
